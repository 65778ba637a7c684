//! The threshold for one's own traffic: from the scores of honest texts and how many of them may be flagged.

/// How sure the bound of a [`Calibration`] is.
const CONFIDENCE: f64 = 0.95;

/// A threshold for [`Score`](crate::Score), found from the values of texts that are known to be honest, and what it
/// promises.
///
/// ```
/// use sanitize::{Calibration, Normalized, Score};
///
/// let score = Score::new()?;
/// let honest = ["Where is my order?", "Please ignore my last mail."];
/// let values = honest.map(|text| score.value(&Normalized::new(text)));
/// let found = Calibration::new(&values, 0.01).ok_or("no texts")?;
/// assert_eq!(found.flagged(), 0);
/// assert!(found.bound() > 0.7, "two texts say little");
/// let score = score.with_threshold(found.threshold());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    threshold: f32,
    flagged: usize,
    bound: f64,
}

impl Calibration {
    /// The least threshold that at most this share of the honest texts reaches. `None` without any text.
    ///
    /// Time is that of sorting the values.
    pub fn new(honest: &[f32], share: f64) -> Option<Self> {
        let mut sorted = honest.to_vec();
        sorted.sort_by(|one, other| other.total_cmp(one));
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let allowed = (share.clamp(0.0, 1.0) * sorted.len() as f64) as usize;
        let threshold = sorted.get(allowed).or(sorted.last())?;
        let threshold = if allowed < sorted.len() { threshold.next_up() } else { *threshold };
        let flagged = sorted.iter().take_while(|value| **value >= threshold).count();
        Some(Self { threshold, flagged, bound: bound(flagged, sorted.len()) })
    }

    /// For [`Score::with_threshold`](crate::Score::with_threshold).
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// How many of the honest texts reach it.
    pub fn flagged(&self) -> usize {
        self.flagged
    }

    /// With a confidence of 95 %, at most this share of all texts like these reaches it (Clopper and Pearson, "The use
    /// of confidence or fiducial limits"). It says nothing about other kinds of texts.
    pub fn bound(&self) -> f64 {
        self.bound
    }
}

/// The share at which so few or fewer of `count` happen by chance as rarely as the confidence leaves open.
fn bound(flagged: usize, count: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    if flagged >= count {
        return high;
    }
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        match at_most(flagged, count, middle) > 1.0 - CONFIDENCE {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// The probability of at most so many of `count`, each with the probability `share`, which is neither 0 nor 1.
#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn at_most(most: usize, count: usize, share: f64) -> f64 {
    let odds = (share / (1.0 - share)).ln();
    let mut term = count as f64 * (-share).ln_1p();
    let mut sum = term.exp();
    for index in 0..most {
        term += ((count - index) as f64 / (index + 1) as f64).ln() + odds;
        sum += term.exp();
    }
    sum
}
