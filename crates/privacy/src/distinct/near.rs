//! The last sketches of a bucket, found by their bands.

use super::sketch::Sketch;

/// Slots of the table that remembers sketches, each of which holds the last one that fell into it.
pub const NEAR_SLOTS: usize = 4_096;

/// A table of the last sketches; about [`NEAR_SLOTS`] of eight bytes.
pub(crate) struct NearTable(Box<[Option<Sketch>]>);

impl NearTable {
    pub(crate) fn new() -> Self {
        Self(vec![None; NEAR_SLOTS].into_boxed_slice())
    }

    pub(crate) fn has_near(&self, sketch: Sketch) -> bool {
        sketch.slots().into_iter().filter_map(|slot| *self.0.get(slot)?).any(|other| other.is_near(sketch))
    }

    pub(crate) fn remember(&mut self, sketch: Sketch) {
        for slot in sketch.slots() {
            if let Some(place) = self.0.get_mut(slot) {
                *place = Some(sketch);
            }
        }
    }
}
