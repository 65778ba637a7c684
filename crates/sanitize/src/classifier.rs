//! The seam for a stronger judge elsewhere: a model that is asked about whole texts.

use std::future::Future;
use std::pin::Pin;

/// A judgement that is still to come.
pub type Judging<'a> = Pin<Box<dyn Future<Output = Result<Judgement, ClassifierError>> + Send + 'a>>;

/// A judge of whole texts that takes its time and can fail, such as a classifying model on another machine.
///
/// Ask it after the local detectors, with a deadline, and decide beforehand what an error means: there is no judgement
/// then, which is not a good one.
pub trait Classifier: Send + Sync {
    /// Judges texts that belong together. `texts` are in the order in which a model would read them.
    fn judge<'a>(&'a self, texts: &'a [&'a str]) -> Judging<'a>;
}

/// What a judge says.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    is_flagged: bool,
    categories: Vec<String>,
}

impl Judgement {
    /// The longest name of a category that is kept, in bytes, and how many are.
    const CATEGORY: (usize, usize) = (48, 16);

    /// Nothing is wrong with the texts.
    pub fn clean() -> Self {
        Self { is_flagged: false, categories: Vec::new() }
    }

    /// Something is wrong with the texts. Of the names only letters, digits and `._-/ ` are kept: they come from elsewhere.
    pub fn flagged(categories: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let (longest, most) = Self::CATEGORY;
        let is_plain = |ch: &char| ch.is_ascii_alphanumeric() || "._-/ ".contains(*ch);
        let plain = |name: &str| name.chars().filter(is_plain).take(longest).collect::<String>();
        let categories = categories.into_iter().take(most).map(|name| plain(name.as_ref()));
        Self { is_flagged: true, categories: categories.filter(|name| !name.is_empty()).collect() }
    }

    /// Whether something is wrong.
    pub fn is_flagged(&self) -> bool {
        self.is_flagged
    }

    /// What is wrong, in the judge's words.
    pub fn categories(&self) -> &[String] {
        &self.categories
    }
}

/// There is no judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassifierError {
    /// The judge was not reached, or broke off. Another try may help.
    #[error("the judge cannot be reached")]
    Unreachable,
    /// It did not answer in time. Another try may help.
    #[error("the judge took too long")]
    TimedOut,
    /// Its answer cannot be understood, or it refused the question. Another try does not help.
    #[error("the judge's answer cannot be used")]
    Unusable,
    /// The texts are longer than it is asked about. Another try does not help.
    #[error("the texts are too long for the judge")]
    TooLong,
}
