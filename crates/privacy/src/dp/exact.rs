//! Coins whose probabilities are rational numbers, or exponentials of them, to the last bit (Canonne, Kamath, Steinke,
//! algorithm 1). Nothing here rounds.

use std::num::NonZeroU128;

use super::random::Randomness;

/// Two.
pub(super) const TWO: NonZeroU128 = NonZeroU128::MIN.saturating_add(1);

/// The numerator and the denominator of a number that is not negative.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratio(pub(super) u128, pub(super) NonZeroU128);

/// A number below `end`, each as likely.
pub(super) fn below(random: &mut Randomness, end: NonZeroU128) -> u128 {
    let last = end.get() - 1;
    let mask = u128::MAX.checked_shr(last.leading_zeros()).unwrap_or(0);
    loop {
        let low = u128::from(random.next());
        let drawn = if last >> 64 == 0 { low } else { low | u128::from(random.next()) << 64 };
        if drawn & mask <= last {
            return drawn & mask;
        }
    }
}

/// True with a probability of one half.
pub(super) fn coin(random: &mut Randomness) -> bool {
    random.next() & 1 == 1
}

/// True with a probability of `exp(-ratio)`.
pub(super) fn is_exp(random: &mut Randomness, Ratio(numerator, denominator): Ratio) -> bool {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    // Whoever has to win so often loses soon.
    (0..whole).all(|_| is_exp_of_part(random, None)) && (rest == 0 || is_exp_of_part(random, Some((rest, denominator))))
}

/// The same of a ratio of at most one; none is one.
fn is_exp_of_part(random: &mut Randomness, part: Option<(u128, NonZeroU128)>) -> bool {
    let (mut turn, mut is_odd) = (NonZeroU128::MIN, true);
    loop {
        // The ratio over the turn, as two coins, so that no denominator grows.
        let is_first = part.is_none_or(|(rest, denominator)| below(random, denominator) < rest);
        if !(is_first && below(random, turn) == 0) {
            return is_odd;
        }
        (turn, is_odd) = (turn.saturating_add(1), !is_odd);
    }
}
