//! The first queries of a principal, for a calibration to learn from.

use super::bytes::{Reader, Writer};
use super::error::StateError;
use super::projection::{Point, Projection};
use super::signals::LEAST;
use super::tally::WINDOW;

/// The queries of one honest principal, to learn from: the first 512, as points of 32 dimensions (68 KiB).
///
/// Of the first 32 it keeps no query twice: a health check, which asks one thing for ever, teaches nothing.
#[derive(Debug, Clone)]
pub struct Trace {
    pub(super) projection: Projection,
    pub(super) queries: Vec<(Point, Option<f64>)>,
}

impl Trace {
    /// Nothing yet.
    pub fn new(projection: &Projection) -> Self {
        Self { projection: projection.clone(), queries: Vec::new() }
    }

    /// Adds a query and the margin of its answer, as [`Monitor::observe`](super::Monitor::observe) takes them.
    pub fn record(&mut self, query: &[f64], margin: Option<f64>) {
        if self.queries.len() < WINDOW as usize {
            self.add(self.projection.of(query), margin);
        }
    }

    /// How many queries it holds.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// Adds what another replica recorded of the same principal. A trace of another projection adds nothing.
    pub fn merge(&mut self, other: &Self) {
        if self.projection.tag(&[]) == other.projection.tag(&[]) {
            let room = (WINDOW as usize).saturating_sub(self.queries.len());
            other.queries.iter().take(room).for_each(|(point, margin)| self.add(*point, *margin));
        }
    }

    fn add(&mut self, point: Point, margin: Option<f64>) {
        let is_known = self.queries.len() < LEAST && self.queries.iter().any(|(known, _)| *known == point);
        if !is_known {
            self.queries.push((point, margin));
        }
    }

    /// To be stored, or sent to other replicas: at most 71 KiB. The points are queries, seen from secret directions: keep
    /// them as you keep queries.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(self.projection.tag(TAG));
        writer.u32(self.queries.len() as u32);
        for (point, margin) in &self.queries {
            writer.f32s(point);
            let margin = margin.filter(|margin| margin.is_finite());
            writer.u32(u32::from(margin.is_some()));
            writer.f64(margin.unwrap_or_default());
        }
        writer.end()
    }

    /// What [`Trace::to_bytes`] made for this projection.
    ///
    /// # Errors
    /// [`StateError`] for anything else.
    pub fn from_bytes(projection: &Projection, bytes: &[u8]) -> Result<Self, StateError> {
        let mut trace = Self::new(projection);
        let mut reader = Reader::new(bytes, projection.tag(TAG))?;
        for _ in 0..reader.u32(WINDOW)? {
            let (point, has_margin, margin) = (reader.point()?, reader.u32(1)?, reader.f64()?);
            trace.queries.push((point, (has_margin == 1).then_some(margin)));
        }
        reader.end()?;
        Ok(trace)
    }
}

const TAG: &[u8] = b"trace";
