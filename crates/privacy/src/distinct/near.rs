//! The last sketches of a bucket, found by their bands.

use super::sketch::Sketch;

/// Slots of the table that remembers sketches, each of which holds the last one that fell into it.
pub const NEAR_SLOTS: usize = 4_096;

/// A table of the last sketches.
pub(crate) struct NearTable(Box<[Option<Sketch>]>);

impl NearTable {
    pub(crate) fn new() -> Self {
        Self(vec![None; NEAR_SLOTS].into_boxed_slice())
    }

    pub(crate) fn at(&self, slot: usize) -> Option<Sketch> {
        self.0.get(slot).copied().flatten()
    }

    pub(crate) fn remember(&mut self, sketch: Sketch) {
        for slot in sketch.slots() {
            if let Some(place) = self.0.get_mut(slot) {
                *place = Some(sketch);
            }
        }
    }
}
