//! What the trainer of the score's weights needs (feature `training`): the features of a text, as
//! [`Score`](crate::Score) sees them, and the weight file.

use crate::error::BuildError;
use crate::score::features::{self, BITS, BLOCK, WINDOW};
use crate::score::lexicon::Lexicon;
use crate::score::weights::Weights;

/// How many weights there are.
pub const SLOTS: usize = 1 << BITS;
/// How many blocks make a window; shorter texts are one window.
pub const WINDOW_BLOCKS: usize = WINDOW;

/// What a window's sum of weights is divided by, from the number of its features.
pub fn norm(count: usize) -> f32 {
    features::norm(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Makes features of folded texts.
#[derive(Debug)]
pub struct Extractor {
    lexicon: Lexicon,
}

impl Extractor {
    /// # Errors
    /// If the lexicon compiled into this crate is broken, which its tests rule out.
    pub fn new() -> Result<Self, BuildError> {
        Ok(Self { lexicon: Lexicon::built_in()? })
    }

    /// The slots of the features of a folded text, block by block; there is at least one block.
    pub fn blocks(&self, folded: &str) -> Vec<Vec<u32>> {
        let mut blocks = vec![Vec::new(); folded.len() / BLOCK + 1];
        features::visit(folded, &self.lexicon, |block, slot| {
            if let (Some(block), Ok(slot)) = (blocks.get_mut(block), u32::try_from(slot)) {
                block.push(slot);
            }
        });
        blocks
    }

    /// The weight file for weights trained on these features. A window's sum of weights by
    /// [`norm`], times `scale`, plus `bias`, is the logarithm of the odds of an attack.
    ///
    /// # Errors
    /// [`BuildError::Weights`] if there are not [`SLOTS`] weights or a number is out of range.
    pub fn encode(&self, slots: Vec<i8>, scale: f32, bias: f32, threshold: f32) -> Result<Vec<u8>, BuildError> {
        let lexicon = self.lexicon.checksum();
        let file = Weights { slots: slots.into(), scale, bias, threshold, lexicon }.encode();
        Weights::parse(&file).map(|_| file)
    }
}
