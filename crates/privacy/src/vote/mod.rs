//! A noisy vote: several models, trained on disjoint shards of the data, each name a label, and the one that most of
//! them name is told, almost (Papernot et al., "Semi-supervised Knowledge Transfer for Deep Learning from Private
//! Training Data", 2017).
//!
//! One individual is in one shard, so it changes one vote: one label loses it, another gets it, and no count changes
//! by more than 1. That is all that is claimed, and only if the shards are disjoint and nothing else of
//! the answers is shown: no scores, no counts, not who voted how. Whether a model answers at all is not
//! protected; it must not depend on the data.

use std::num::{NonZeroU32, NonZeroUsize};

use crate::dp::{Epsilon, Mechanism, NoisyMax, Randomness, Receipt, Release, ReleaseError, Rho};

/// Most labels of a vote.
pub const MAX_LABELS: usize = 4_096;

/// Labels that no vote can be held about.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoVote {
    /// Fewer than two, more than [`MAX_LABELS`], or one twice.
    #[error("a vote has 2 to {MAX_LABELS} labels, each of them once")]
    Labels,
}

/// What is voted about, and how much each decision tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    labels: Box<[Box<str>]>,
    quorum: NonZeroUsize,
    noisy_max: NoisyMax,
}

impl Vote {
    /// About these labels, which are stated and not learnt from answers; at least `quorum` must name one of them.
    /// Each decision is `epsilon`-differentially private.
    ///
    /// # Errors
    /// [`NoVote`].
    pub fn new<L: AsRef<str>>(labels: &[L], quorum: NonZeroUsize, epsilon: Epsilon) -> Result<Self, NoVote> {
        let labels: Box<[Box<str>]> = labels.iter().map(|label| Box::from(label.as_ref())).collect();
        let mut sorted: Vec<_> = labels.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != labels.len() || !(2..=MAX_LABELS).contains(&labels.len()) {
            return Err(NoVote::Labels);
        }
        Ok(Self { labels, quorum, noisy_max: NoisyMax::new(NonZeroU32::MIN, epsilon) })
    }

    /// What a decision costs: what to reserve.
    pub fn rho(&self) -> Rho {
        self.noisy_max.rho()
    }

    /// The ballot of a voter who says this; none, if it is no label, which is an abstention.
    pub fn ballot(&self, said: &str) -> Option<usize> {
        self.labels.iter().position(|label| **label == *said)
    }

    /// The ballot of a voter who gives each label a score, in the order of the labels: the place of the best, the first
    /// of several. None, if there are not as many as labels, or one is no number.
    pub fn ballot_of(&self, scores: &[f64]) -> Option<usize> {
        if scores.len() != self.labels.len() || scores.iter().any(|score| score.is_nan()) {
            return None;
        }
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        scores.iter().position(|score| *score == best)
    }

    /// How many must name a label, so that there is a decision.
    pub const fn quorum(&self) -> NonZeroUsize {
        self.quorum
    }

    /// A label by its place.
    pub fn label(&self, place: usize) -> Option<&str> {
        self.labels.get(place).map(|label| &**label)
    }

    /// Decides: the place of a label. A voter who did not answer, or not with a label, is `None`; a place that no label
    /// has is one, too.
    ///
    /// # Errors
    /// [`ReleaseError::Quorum`], [`ReleaseError::Underpaid`].
    pub fn decide(
        &self,
        ballots: &[Option<usize>],
        receipt: Receipt,
        random: &mut Randomness,
    ) -> Result<Release<usize>, ReleaseError> {
        let mut counts = vec![0_i64; self.labels.len()];
        let mut voters = 0;
        for place in ballots.iter().flatten() {
            if let Some(count) = counts.get_mut(*place) {
                *count += 1;
                voters += 1;
            }
        }
        if voters < self.quorum.get() {
            return Err(ReleaseError::Quorum);
        }
        let choose = || self.noisy_max.choose(&counts, random).unwrap_or_default();
        Release::paid(Mechanism::NoisyMax, self.rho(), receipt, choose)
    }
}
