//! Whether the queries of a principal look like those of honest ones, in bounded memory.

mod bytes;
mod calibration;
mod error;
mod projection;
mod signals;
mod suspicion;
mod tally;
mod trace;
mod watch;

use std::sync::Arc;

use bytes::{Reader, Writer};
pub use calibration::Calibration;
use calibration::Learnt;
pub use error::{CalibrationError, StateError};
pub use projection::Projection;
pub use suspicion::{Reason, Suspicion};
use tally::{Counts, KEPT, Kept, WINDOW};
pub use trace::Trace;
pub use watch::{Change, Observed, Watch, Watched};

/// Watches one principal at one model: how far its queries lie from each other, how much of the space they cover, how
/// close its answers are to a boundary, and how many queries repeat another.
///
/// It keeps 256 queries as points of 32 dimensions, loosely the last, and a few counts of the last few hundred: 33 KiB
/// at most. A query costs 32 additions for each of its numbers and 256 distances: some ten microseconds.
///
/// The distances are compared with those of honest principals to both sides, since queries made in small steps lie
/// nearer and random ones further apart than honest ones. PRADA (Juuti et al. 2019) looks at the first alone.
///
/// A principal that only asks the very same few questions again, fewer than 32, is a health check and raises nothing.
#[derive(Debug, Clone)]
pub struct Monitor {
    learnt: Arc<Learnt>,
    kept: Kept,
    counts: Counts,
}

impl Monitor {
    /// Of a principal of whom nothing is known.
    pub fn new(calibration: &Calibration) -> Self {
        Self { learnt: Arc::clone(&calibration.0), kept: Kept::default(), counts: Counts::default() }
    }

    /// Takes a query into account, and says what to think of the principal. `margin` is that of the answer, by
    /// [`margin`] of the scores before they are perturbed; none where there are no scores.
    pub fn observe(&mut self, query: &[f64], margin: Option<f64>) -> Suspicion {
        self.take(query, margin);
        self.suspicion()
    }

    fn take(&mut self, query: &[f64], margin: Option<f64>) {
        let point = self.learnt.projection.of(query);
        self.learnt.take(&mut self.kept, &mut self.counts, point, margin);
    }

    /// What to think of the principal. Before 32 queries there is no suspicion.
    pub fn suspicion(&self) -> Suspicion {
        let signals = signals::signals(&self.kept, &self.learnt.cells(&self.kept), &self.counts);
        signals::judge(&signals, &self.learnt.bands, &self.counts)
    }

    /// Adds what another replica saw of the same principal. Each replica stores its own monitor and merges those of the
    /// others into a copy: merging the same one twice counts it twice. A monitor of another calibration adds nothing.
    pub fn merge(&mut self, other: &Self) {
        if self.learnt.tag == other.learnt.tag {
            self.kept.merge(&other.kept);
            self.counts.merge(&other.counts);
        }
    }

    /// To be stored, or sent to other replicas: at most 33 KiB. The points are queries, seen from secret directions:
    /// keep them as you keep queries.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(self.learnt.tag);
        writer.u64(self.kept.seen);
        writer.u32(self.kept.points.len() as u32);
        self.kept.points.iter().for_each(|point| writer.f32s(point));
        let Counts { ranks, repeats, close, clear } = self.counts;
        ranks.into_iter().chain([repeats, close, clear]).for_each(|count| writer.u32(count));
        writer.end()
    }

    /// What [`Monitor::to_bytes`] made with this calibration.
    ///
    /// # Errors
    /// [`StateError`] for anything else.
    pub fn from_bytes(calibration: &Calibration, bytes: &[u8]) -> Result<Self, StateError> {
        let mut monitor = Self::new(calibration);
        let mut reader = Reader::new(bytes, calibration.0.tag)?;
        monitor.kept.seen = reader.u64()?;
        for _ in 0..reader.u32(KEPT as u32)? {
            monitor.kept.points.push(reader.point()?);
        }
        if monitor.kept.seen < monitor.kept.points.len() as u64 {
            return Err(StateError::Damaged);
        }
        let Counts { ranks, repeats, close, clear } = &mut monitor.counts;
        for count in ranks.iter_mut().chain([repeats, close, clear]) {
            *count = reader.u32(WINDOW)?;
        }
        reader.end()?;
        Ok(monitor)
    }
}

/// How much the best of a row of scores is ahead of the second; none of fewer than two, or of what is not finite.
pub fn margin(scores: &[f64]) -> Option<f64> {
    let put = |(first, second): (f64, f64), value: &f64| {
        if *value > first { (*value, first) } else { (first, second.max(*value)) }
    };
    let (first, second) = scores.iter().fold((f64::NEG_INFINITY, f64::NEG_INFINITY), put);
    Some(first - second).filter(|margin| margin.is_finite())
}
