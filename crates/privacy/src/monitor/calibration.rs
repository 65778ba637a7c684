//! What honest queries to a model look like, learnt from many principals.

use std::sync::Arc;

use super::bytes::{Reader, Writer};
use super::error::{CalibrationError, StateError};
use super::projection::{Point, Projection};
use super::signals::{Band, LEAST, LEVELS, SIGNALS, signals};
use super::tally::{Counts, Kept, OCTAVES, RANKS};
use super::trace::Trace;

/// Fewer principals make no band.
const LEAST_PRINCIPALS: usize = 20;
/// Each needs as many queries.
pub(super) const LEAST_QUERIES: usize = 64;
/// A query nearer to another than this part of the usual distance repeats it.
const REPEAT: f32 = 0.05;
/// An answer is close to a boundary when its margin is below that of this part of honest answers.
const CLOSE: f64 = 0.1;
/// Cells are told apart by the signs of as many coordinates.
const CELL_BITS: usize = 8;

/// What honest queries to one model look like. Learn it from traffic of the model itself, of principals that are
/// trusted: what an attacker does while it is learnt becomes honest. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Calibration(pub(super) Arc<Learnt>);

#[derive(Debug)]
pub(super) struct Learnt {
    pub(super) projection: Projection,
    /// Which calibration it is: states of another one mean something else.
    pub(super) tag: u64,
    centre: [f32; CELL_BITS],
    /// Between the ranks of distances, for each octave.
    borders: [[f32; RANKS - 1]; OCTAVES],
    repeat_below: f32,
    close_below: f64,
    pub(super) bands: [[Option<Band>; LEVELS]; SIGNALS],
}

impl Calibration {
    /// Learns from the traces of at least 20 principals with at least 64 queries each; more are better, and those with
    /// fewer queries are left out. Every query is compared with 256 others three times: about 100 microseconds each.
    ///
    /// # Errors
    /// [`CalibrationError`] when there are too few, they are of several projections, or all queries are the same.
    pub fn learn(traces: &[Trace]) -> Result<Self, CalibrationError> {
        let traces: Vec<&Trace> = traces.iter().filter(|trace| trace.len() >= LEAST_QUERIES).collect();
        if traces.len() < LEAST_PRINCIPALS {
            let (found, queries, least) = (traces.len(), LEAST_QUERIES, LEAST_PRINCIPALS);
            return Err(CalibrationError::TooFew { found, queries, least });
        }
        let mut projections = traces.iter().map(|trace| &trace.projection);
        let projection = projections.next().ok_or(CalibrationError::NoDistance)?;
        if projections.any(|other| other.tag(&[]) != projection.tag(&[])) {
            return Err(CalibrationError::Mixed);
        }
        let usual = usual_distance(&traces).ok_or(CalibrationError::NoDistance)?;
        let repeat_below = usual * REPEAT;
        let mut learnt = Learnt {
            projection: projection.clone(),
            tag: 0,
            centre: centre(&traces),
            borders: borders(&traces, repeat_below),
            repeat_below,
            close_below: close_below(&traces),
            bands: [[None; LEVELS]; SIGNALS],
        };
        learnt.bands = learnt.bands_of(&traces);
        learnt.tag = learnt.projection.tag(&learnt.body());
        Ok(Self(Arc::new(learnt)))
    }

    /// To be stored, and shared by replicas. It tells about the traffic, but no query.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(self.0.projection.tag(&[]));
        self.0.write(&mut writer);
        writer.end()
    }

    /// What [`Calibration::to_bytes`] made for this projection.
    ///
    /// # Errors
    /// [`StateError`] for anything else.
    pub fn from_bytes(projection: &Projection, bytes: &[u8]) -> Result<Self, StateError> {
        let mut learnt = Learnt::read(projection, Reader::new(bytes, projection.tag(&[]))?)?;
        learnt.tag = projection.tag(&learnt.body());
        Ok(Self(Arc::new(learnt)))
    }
}

impl Learnt {
    /// Takes a query into account, as a principal's. Who asks the very same few things again and again learns nothing
    /// of a model: it is a health check, and not counted.
    pub(super) fn take(&self, kept: &mut Kept, counts: &mut Counts, point: Point, margin: Option<f64>) {
        if kept.points.len() < LEAST && kept.points.contains(&point) {
            return;
        }
        let nearest = kept.nearest(&point);
        if nearest.is_some_and(|(_, distance)| distance < self.repeat_below) {
            counts.repeat();
        } else {
            kept.put(point);
            let border = |(octave, distance)| Some((self.borders.get(octave)?, distance));
            if let Some((borders, distance)) = nearest.and_then(border) {
                counts.rank(borders.partition_point(|border| *border <= distance));
            }
        }
        if let Some(margin) = margin.filter(|margin| margin.is_finite()) {
            counts.answer(margin < self.close_below);
        }
    }

    /// The part of the space that each point lies in.
    pub(super) fn cells(&self, kept: &Kept) -> Vec<u8> {
        let side = |(value, centre): (&f32, &f32)| u8::from(value > centre);
        let cell = |point: &Point| point.iter().zip(&self.centre).map(side).fold(0, |cell, bit| cell << 1 | bit);
        kept.points.iter().map(cell).collect()
    }

    /// Lets every trace pass, and looks at its figures when a level is reached.
    fn bands_of(&self, traces: &[&Trace]) -> [[Option<Band>; LEVELS]; SIGNALS] {
        let mut figures: [[Vec<f64>; LEVELS]; SIGNALS] = Default::default();
        for trace in traces {
            let (mut kept, mut counts) = (Kept::default(), Counts::default());
            let mut reached = [0; SIGNALS];
            for (point, margin) in &trace.queries {
                self.take(&mut kept, &mut counts, *point, *margin);
                let signals = signals(&kept, &self.cells(&kept), &counts);
                for ((signal, reached), figures) in signals.iter().zip(&mut reached).zip(&mut figures) {
                    let Some(signal) = signal.filter(|signal| signal.level() >= *reached) else { continue };
                    *reached = signal.level() + 1;
                    figures.get_mut(signal.level()).into_iter().for_each(|figures| figures.push(signal.value));
                }
            }
        }
        figures.map(|levels| {
            let mut of = LEAST / 2;
            levels.map(|figures| {
                of *= 2;
                (figures.len() >= LEAST_PRINCIPALS).then(|| Band::of(&figures, of))
            })
        })
    }

    fn body(&self) -> Vec<u8> {
        let mut writer = Writer::new(0);
        self.write(&mut writer);
        writer.end()
    }

    fn write(&self, writer: &mut Writer) {
        writer.f32s(&self.centre);
        writer.f32s(self.borders.as_flattened());
        writer.f32s(&[self.repeat_below]);
        writer.f64(self.close_below);
        for band in self.bands.as_flattened() {
            writer.u32(u32::from(band.is_some()));
            writer.f64(band.map_or(0.0, |band| band.middle));
            writer.f64(band.map_or(0.0, |band| band.half_width));
        }
    }

    fn read(projection: &Projection, mut reader: Reader<'_>) -> Result<Self, StateError> {
        let mut learnt = Self {
            projection: projection.clone(),
            tag: 0,
            centre: [0.0; CELL_BITS],
            borders: [[0.0; RANKS - 1]; OCTAVES],
            repeat_below: 0.0,
            close_below: 0.0,
            bands: [[None; LEVELS]; SIGNALS],
        };
        for value in learnt.centre.iter_mut().chain(learnt.borders.as_flattened_mut()) {
            *value = reader.f32()?;
        }
        learnt.repeat_below = reader.f32()?;
        learnt.close_below = reader.f64()?;
        for band in learnt.bands.as_flattened_mut() {
            let is_some = reader.u32(1)? == 1;
            let (middle, half_width) = (reader.f64()?, reader.f64()?);
            if is_some && half_width <= 0.0 {
                return Err(StateError::Damaged);
            }
            *band = is_some.then_some(Band { middle, half_width });
        }
        if learnt.borders.iter().any(|borders| !borders.is_sorted()) {
            return Err(StateError::Damaged);
        }
        reader.end()?;
        Ok(learnt)
    }
}

/// The middle of all distances to a nearest other that are not 0.
fn usual_distance(traces: &[&Trace]) -> Option<f32> {
    let mut all: Vec<f32> = distances(traces, 0.0).into_iter().map(|(_, distance)| distance).collect();
    all.retain(|distance| *distance > 0.0);
    all.sort_by(f32::total_cmp);
    all.get(all.len() / 2).copied()
}

/// All distances to a nearest other, with the octave; those up to `least` are repeats.
fn distances(traces: &[&Trace], least: f32) -> Vec<(usize, f32)> {
    let mut all = Vec::new();
    for trace in traces {
        let mut kept = Kept::default();
        for (point, _) in &trace.queries {
            let nearest = kept.nearest(point);
            if nearest.is_none_or(|(_, distance)| distance > least) {
                all.extend(nearest);
                kept.put(*point);
            }
        }
    }
    all
}

/// Where the distances of each octave are cut into ranks of the same size. An octave that no trace reached has the
/// borders of the one before.
fn borders(traces: &[&Trace], repeat_below: f32) -> [[f32; RANKS - 1]; OCTAVES] {
    let mut all = distances(traces, repeat_below);
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut borders = [[0.0; RANKS - 1]; OCTAVES];
    let mut last = [0.0; RANKS - 1];
    for (octave, borders) in borders.iter_mut().enumerate() {
        let those: Vec<f32> = all.iter().filter(|(of, _)| *of == octave).map(|(_, distance)| *distance).collect();
        for (rank, border) in last.iter_mut().enumerate() {
            *border = those.get(those.len() * (rank + 1) / RANKS).copied().unwrap_or(*border);
        }
        *borders = last;
    }
    borders
}

fn centre(traces: &[&Trace]) -> [f32; CELL_BITS] {
    std::array::from_fn(|at| {
        let values = || traces.iter().flat_map(|trace| &trace.queries).filter_map(|(point, _)| point.get(at));
        values().map(|value| f64::from(*value)).sum::<f64>() / values().count().max(1) as f64
    })
    .map(|value| value as f32)
}

fn close_below(traces: &[&Trace]) -> f64 {
    let mut margins: Vec<f64> =
        traces.iter().flat_map(|trace| &trace.queries).filter_map(|(_, margin)| *margin).collect();
    margins.retain(|margin| margin.is_finite());
    margins.sort_by(f64::total_cmp);
    margins.get((margins.len() as f64 * CLOSE) as usize).copied().unwrap_or(0.0)
}
