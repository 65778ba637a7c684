//! A statistical score for how much a text looks like an attack: logistic regression over hashed
//! n-grams, the highest of all windows. Advice, not a wall.

pub(crate) mod calibration;
pub(crate) mod features;
pub(crate) mod lexicon;
pub(crate) mod weights;

use std::sync::Arc;

use crate::decode::View;
use crate::detector::Detector;
use crate::error::BuildError;
use crate::finding::{Finding, Label, Severity};
use crate::normalize::Normalized;
use crate::score::features::{BLOCK, WINDOW};
use crate::score::lexicon::Lexicon;
use crate::score::weights::Weights;

/// A text whose words are this long on average has none, but codes. In bytes.
const MIN_WORD: usize = 32;

const BUILT_IN: &[u8] = include_bytes!("../../weights/score.bin");

/// How much a text looks like an injection, a jailbreak or a request for hidden instructions.
///
/// Logistic regression over hashed n-grams of characters, words and concepts (words of many
/// languages that mean one thing), in windows of 192 bytes; the value of a text is that of its worst
/// window, in the folded text and in what it contains in encoded form; where a text is nothing but
/// code, only in what that says. It judges whole texts and its findings have no range. Use it with
/// [`SanitizerBuilder::observe`](crate::SanitizerBuilder::observe).
///
/// Time is linear in the text, about 30 ns a byte with its other readings; memory is an eighth of the text.
#[derive(Debug, Clone)]
pub struct Score {
    lexicon: Arc<Lexicon>,
    weights: Arc<Weights>,
    threshold: f32,
}

impl Score {
    /// The score with the built-in weights and threshold. Takes milliseconds: keep the result.
    ///
    /// # Errors
    /// If the files compiled into this crate are broken, which its tests rule out.
    pub fn new() -> Result<Self, BuildError> {
        Self::from_bytes(BUILT_IN)
    }

    /// The score with the weights of a file that `--example train` wrote.
    ///
    /// # Errors
    /// [`BuildError::Weights`] if the file is cut, changed, or made for another version of the
    /// features or the lexicon.
    pub fn from_bytes(file: &[u8]) -> Result<Self, BuildError> {
        let (lexicon, weights) = (Lexicon::built_in()?, Weights::parse(file)?);
        if weights.lexicon != lexicon.checksum() {
            return Err(BuildError::Weights("made for another lexicon"));
        }
        let threshold = weights.threshold;
        Ok(Self { lexicon: Arc::new(lexicon), weights: Arc::new(weights), threshold })
    }

    /// The same with another threshold, such as that of a [`Calibration`](crate::Calibration). Never reached if above
    /// one.
    #[must_use]
    pub fn with_threshold(mut self, threshold: f32) -> Self {
        self.threshold = threshold;
        self
    }

    /// The least value that makes a finding.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// How much `text` looks like an attack, from 0 to 1: the probability of one where attacks and
    /// honest texts are equally many and come from sources that the training did not see. Attacks
    /// are rare in real traffic, so what it says of a text is less than that.
    pub fn value(&self, text: &Normalized<'_>) -> f32 {
        let views = text.views();
        let own = std::iter::once((None, text.original(), text.folded()));
        let others = views.iter().enumerate().map(|(at, view)| (Some(at), view.text(), view.folded()));
        let texts = own.chain(others).filter(|(at, text, _)| !(is_decoded(views, *at) && is_run_together(text)));
        let worst = texts.map(|(_, _, folded)| self.worst(folded)).fold(f32::NEG_INFINITY, f32::max);
        let odds = self.weights.scale.mul_add(worst, self.weights.bias);
        1.0 / (1.0 + (-odds).exp())
    }

    /// The highest sum of weights of a window, made comparable.
    fn worst(&self, folded: &str) -> f32 {
        let mut blocks = vec![Block::default(); folded.len() / BLOCK + 1];
        features::visit(folded, &self.lexicon, |block, slot| {
            if let (Some(block), Some(weight)) = (blocks.get_mut(block), self.weights.slots.get(slot)) {
                block.sum += i32::from(*weight);
                block.count += 1;
            }
        });
        let mut window = Block::default();
        let mut worst = f32::NEG_INFINITY;
        for (index, block) in blocks.iter().enumerate() {
            window.add(*block);
            if index + 1 >= WINDOW.min(blocks.len()) {
                worst = worst.max(window.mean());
                window.remove(blocks.get(index.wrapping_sub(WINDOW - 1)).copied().unwrap_or_default());
            }
        }
        worst
    }
}

impl Detector for Score {
    fn label(&self) -> Label {
        Label::Score
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        if self.value(text) >= self.threshold {
            found.push(Finding::new(Label::Score, "score.ngram", Severity::Medium));
        }
    }

    fn window(&self) -> Option<usize> {
        None
    }
}

/// Whether this reading, or the text itself, is a code of which another reading holds all that it says.
fn is_decoded(views: &[View], at: Option<usize>) -> bool {
    let is_its = |view: &&View| view.source().view == at && !view.source().is_folded;
    views.iter().find(is_its).is_some_and(View::is_complete)
}

/// Whether this is ASCII with hardly a space, and so without words.
fn is_run_together(text: &str) -> bool {
    let spaces = || text.bytes().filter(u8::is_ascii_whitespace).count();
    text.is_ascii() && spaces() * MIN_WORD < text.len()
}

/// The features that end in one stretch of text.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    sum: i32,
    count: u32,
}

impl Block {
    const fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    const fn remove(&mut self, other: Self) {
        self.sum -= other.sum;
        self.count -= other.count;
    }

    fn mean(self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "it stays below 2^24 in a window")]
        let sum = self.sum as f32;
        sum / features::norm(self.count)
    }
}
