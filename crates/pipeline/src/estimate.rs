//! What a request will cost before anybody knows: tokens by the model's own history, spend by its price.

use std::sync::{Mutex, PoisonError};

use core_validate::Usage;

/// As many tokens count as history before there is any: a first short answer must not turn it over.
const PRIOR: f64 = 4_096.0;
/// What is older than about so many tokens is forgotten.
const MEMORY: f64 = 1_000_000.0;
/// No tokenizer is further away from four bytes a token than this; what a server reports may be.
const FURTHEST: f64 = 8.0;

/// What a model's tokens cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Millionths of the currency for a million tokens that it reads.
    pub input: u64,
    /// The same for those that it writes.
    pub output: u64,
}

impl Price {
    /// In millionths of the currency, rounded up.
    pub(crate) fn of(self, usage: Usage) -> u64 {
        let each = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = each(usage.input_tokens, self.input).saturating_add(each(usage.output_tokens, self.output));
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// How the estimates of one model, a quarter of a token for each byte, turned out.
#[derive(Debug, Default)]
pub(crate) struct History {
    input: Ratio,
    output: Ratio,
}

impl History {
    /// What was estimated, as far as the past corrects it.
    pub(crate) fn correct(&self, estimate: Usage) -> Usage {
        let Usage { input_tokens, output_tokens } = estimate;
        Usage { input_tokens: self.input.of(input_tokens), output_tokens: self.output.of(output_tokens) }
    }

    /// Learns what an estimate was in truth.
    pub(crate) fn learn(&self, estimate: Usage, truth: Usage) {
        self.input.learn(estimate.input_tokens, truth.input_tokens);
        self.output.learn(estimate.output_tokens, truth.output_tokens);
    }

    /// Goes on where another one of the same model ended.
    pub(crate) fn follow(&self, other: &Self) {
        self.input.set(other.input.get());
        self.output.set(other.output.get());
    }
}

/// Tokens reported beside tokens estimated, so that long texts weigh more than short ones, with whatever a
/// server puts around them.
#[derive(Debug)]
struct Ratio(Mutex<(f64, f64)>);

impl Default for Ratio {
    fn default() -> Self {
        Self(Mutex::new((PRIOR, PRIOR)))
    }
}

impl Ratio {
    fn get(&self) -> (f64, f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, sums: (f64, f64)) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sums;
    }

    fn of(&self, estimate: u64) -> u64 {
        let (truth, estimated) = self.get();
        // Both are far below 2^53, and a float that is too large becomes the largest number.
        (estimate as f64 * truth / estimated).ceil() as u64
    }

    fn learn(&self, estimate: u64, truth: u64) {
        if estimate == 0 || truth == 0 {
            return;
        }
        let estimate = (estimate as f64).min(MEMORY);
        let truth = (truth as f64).clamp(estimate / FURTHEST, estimate * FURTHEST);
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = 1.0 - estimate / (MEMORY + estimate);
        *sums = (sums.0 * keep + truth, sums.1 * keep + estimate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input_tokens: u64, output_tokens: u64) -> Usage {
        Usage { input_tokens, output_tokens }
    }

    #[test]
    fn estimates_follow_what_servers_report() {
        let history = History::default();
        assert_eq!(history.correct(usage(1_000, 10)), usage(1_000, 10));
        for _ in 0..1_000 {
            history.learn(usage(1_000, 100), usage(2_000, 50));
        }
        let learnt = history.correct(usage(1_000, 1_000));
        assert!((1_980..=2_000).contains(&learnt.input_tokens), "{learnt:?}");
        assert!((500..=520).contains(&learnt.output_tokens), "{learnt:?}");
        let next = History::default();
        next.follow(&history);
        assert_eq!(next.correct(usage(1_000, 1_000)), learnt);
    }

    #[test]
    fn nonsense_moves_them_a_little_and_never_breaks_them() {
        let history = History::default();
        for truth in [0, 1, u64::MAX] {
            history.learn(usage(u64::MAX, 1), usage(truth, truth));
            let learnt = history.correct(usage(100, 100));
            assert!((1..=800).contains(&learnt.input_tokens), "{learnt:?}");
        }
        assert_eq!(history.correct(usage(0, 0)), usage(0, 0));
        assert!(history.correct(usage(u64::MAX, u64::MAX)).input_tokens > 0);
    }

    #[test]
    fn prices_are_exact_and_round_up() {
        let price = Price { input: 150_000, output: 600_000 };
        assert_eq!(price.of(usage(0, 0)), 0);
        assert_eq!(price.of(usage(1, 0)), 1);
        assert_eq!(price.of(usage(1_000_000, 1_000_000)), 750_000);
        assert_eq!(Price { input: u64::MAX, output: u64::MAX }.of(usage(u64::MAX, u64::MAX)), u64::MAX);
    }
}
