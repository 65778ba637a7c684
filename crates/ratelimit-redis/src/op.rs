//! What is done to buckets, in ticks: the words in which both limiters are told.

use std::sync::Arc;
use std::time::Duration;

use crate::charge::Held;
use crate::decision::{Seen, capacity};
use crate::quota::{Kind, MOST};

/// One act on a set of buckets, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Op {
    pub(crate) act: Act,
    pub(crate) parts: Vec<Part>,
    /// Whose slots are meant.
    pub(crate) permit: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    /// Take every cost, if all fit.
    Take,
    /// Change what is used, whatever fits; look, if nothing changes.
    Adjust(Slots),
}

/// What an adjustment does with slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Slots {
    Leave,
    Renew,
    Release,
}

/// What an act does to one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) bucket: Arc<str>,
    pub(crate) unit: &'static str,
    pub(crate) kind: Kind,
    pub(crate) step: Step,
}

/// In ticks, or slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Fits, if no more than `capacity` is in use with it.
    Take { cost: u64, capacity: u64 },
    /// At least `level` is in use, then `more`, but not above `ceiling`, then `less` no longer.
    Adjust { level: u64, more: u64, less: u64, ceiling: u64 },
}

/// What came of an act.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) is_taken: bool,
    pub(crate) seen: Seen,
}

impl Op {
    pub(crate) fn take(charges: &[Held], permit: u64) -> Self {
        let step = |held: &Held| match held.quota.kind() {
            Kind::Bucket(refill) => Step::Take { cost: refill.ticks(held.cost), capacity: capacity(held) },
            Kind::Slots { .. } => Step::Take { cost: held.cost, capacity: capacity(held) },
        };
        Self { act: Act::Take, parts: parts(charges, step), permit }
    }

    /// Replaces the cost of each charge by what `actual` says.
    pub(crate) fn replace(charges: &[Held], actual: impl Fn(&Held) -> u64, slots: Slots, permit: u64) -> Self {
        let step = |held: &Held| match held.quota.kind() {
            Kind::Bucket(refill) => {
                let actual = actual(held);
                let more = refill.ticks(actual.saturating_sub(held.cost.saturating_add(held.doubt)));
                let less = refill.ticks(held.cost.saturating_sub(actual));
                Step::Adjust { level: 0, more, less, ceiling: refill.debt() }
            }
            // Whether there is a slot to renew or release.
            Kind::Slots { .. } => Step::Adjust { level: 0, more: held.cost.min(1), less: 0, ceiling: 0 },
        };
        Self { act: Act::Adjust(slots), parts: parts(charges, step), permit }
    }

    pub(crate) fn look(charges: &[Held]) -> Self {
        Self { act: Act::Adjust(Slots::Leave), parts: parts(charges, |_| LOOK), permit: 0 }
    }

    /// Empties buckets, so that one unit fits after the wait and not before. Budgets and slots would never
    /// come back.
    pub(crate) fn penalize(charges: &[Held], wait: Duration) -> Self {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        let step = |held: &Held| match held.quota.kind() {
            Kind::Bucket(refill) if refill.back() > 0 => {
                let back = micros.div_ceil(refill.step()).saturating_mul(refill.back());
                let level = refill.capacity().saturating_sub(refill.ticks(1)).saturating_add(back).min(MOST);
                Step::Adjust { level, more: 0, less: 0, ceiling: MOST }
            }
            _ => LOOK,
        };
        Self { act: Act::Adjust(Slots::Leave), parts: parts(charges, step), permit: 0 }
    }

    #[cfg(feature = "redis")]
    /// What gives back all that a take took.
    pub(crate) fn undo(&self) -> Self {
        let back = |part: &Part| {
            let less = if let Step::Take { cost, .. } = part.step { cost } else { 0 };
            Part { step: Step::Adjust { level: 0, more: 0, less, ceiling: 0 }, ..part.clone() }
        };
        Self { act: Act::Adjust(Slots::Release), parts: self.parts.iter().map(back).collect(), permit: self.permit }
    }

    /// Whether it would change nothing.
    pub(crate) fn is_idle(&self) -> bool {
        let leaves_slots = self.act == Act::Adjust(Slots::Leave);
        self.parts.iter().all(|part| match (part.kind, part.step) {
            (Kind::Slots { .. }, Step::Adjust { .. }) if leaves_slots => true,
            (_, Step::Adjust { level, more, less, .. }) => (level, more, less) == (0, 0, 0),
            (_, Step::Take { .. }) => false,
        })
    }
}

const LOOK: Step = Step::Adjust { level: 0, more: 0, less: 0, ceiling: 0 };

fn parts(charges: &[Held], step: impl Fn(&Held) -> Step) -> Vec<Part> {
    let part =
        |held: &Held| Part { bucket: held.bucket.clone(), unit: held.unit, kind: held.quota.kind(), step: step(held) };
    charges.iter().map(part).collect()
}
