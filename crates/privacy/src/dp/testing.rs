//! Whether a mechanism does what it claims, seen from its samples; and mechanisms that do not.

use std::collections::BTreeMap;

use super::{DiscreteGaussian, DiscreteLaplace, Randomness};

/// How often each outcome was drawn.
pub type Histogram = BTreeMap<i64, u64>;

/// Standard deviations beyond which chance goes one time in a million.
pub const MILLIONTH: f64 = 4.753;

/// Draws so many times.
pub fn histogram(samples: u64, mut draw: impl FnMut() -> i64) -> Histogram {
    let mut histogram = Histogram::new();
    for _ in 0..samples {
        *histogram.entry(draw()).or_default() += 1;
    }
    histogram
}

/// The probability of an outcome of discrete Gaussian noise.
pub fn gaussian_pmf(gaussian: &DiscreteGaussian) -> impl Fn(i64) -> f64 {
    let (numerator, denominator) = gaussian.variance();
    let variance = numerator as f64 / denominator as f64;
    let weight = move |outcome: i64| (-(outcome as f64).powi(2) / (2.0 * variance)).exp();
    let end = (40.0 * variance.sqrt()) as i64 + 2;
    let sum: f64 = (-end..=end).map(weight).sum();
    move |outcome| weight(outcome) / sum
}

/// The probability of an outcome of discrete Laplace noise of scale `scale`.
pub fn laplace_pmf(scale: f64) -> impl Fn(i64) -> f64 {
    let ratio = (-1.0 / scale).exp();
    move |outcome| (1.0 - ratio) / (1.0 + ratio) * (-(outcome.unsigned_abs() as f64) / scale).exp()
}

/// How far samples are from the probabilities they should have, by the chi-square test, in standard deviations: beyond
/// [`MILLIONTH`] they do not fit. Outcomes that are rarely expected are one.
pub fn fit(drawn: &Histogram, pmf: impl Fn(i64) -> f64) -> f64 {
    let samples = drawn.values().sum::<u64>() as f64;
    let (Some(low), Some(high)) = (drawn.keys().next(), drawn.keys().next_back()) else { return f64::INFINITY };
    let (mut statistic, mut bins, mut rest) = (0.0, 0, (samples, samples));
    let mut add = |seen: f64, expected: f64| {
        statistic += (seen - expected).powi(2) / expected;
        bins += 1;
    };
    for outcome in *low..=*high {
        let (seen, expected) = (drawn.get(&outcome).map_or(0.0, |seen| *seen as f64), pmf(outcome) * samples);
        if expected >= 10.0 {
            add(seen, expected);
            rest = (rest.0 - seen, rest.1 - expected);
        }
    }
    if rest.1 >= 1.0 {
        add(rest.0, rest.1);
    }
    deviations(statistic, bins - 1)
}

/// The same of two histograms that should be of one distribution.
pub fn agree(one: &Histogram, other: &Histogram) -> f64 {
    let [ones, others] = [one, other].map(|histogram| histogram.values().sum::<u64>() as f64);
    let (mut statistic, mut bins, mut rest) = (0.0, 0, (0.0, 0.0));
    let mut add = |(seen, of_other): (f64, f64)| {
        statistic += (seen * (others / ones).sqrt() - of_other * (ones / others).sqrt()).powi(2) / (seen + of_other);
        bins += 1;
    };
    let both: Histogram = one.iter().chain(other).map(|(outcome, _)| (*outcome, 0)).collect();
    for outcome in both.keys() {
        let seen = [one, other].map(|histogram| histogram.get(outcome).map_or(0.0, |seen| *seen as f64));
        if seen[0] + seen[1] >= 20.0 { add((seen[0], seen[1])) } else { rest = (rest.0 + seen[0], rest.1 + seen[1]) }
    }
    if rest.0 + rest.1 >= 20.0 {
        add(rest);
    }
    deviations(statistic, bins - 1)
}

/// A chi-square statistic in standard deviations (Wilson and Hilferty, 1931).
fn deviations(statistic: f64, freedom: i32) -> f64 {
    let spread = 2.0 / (9.0 * f64::from(freedom.max(1)));
    ((statistic / f64::from(freedom.max(1))).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// By how much the outcomes for two neighbouring inputs break a claim of (`epsilon`, `delta`)-differential privacy: the
/// largest of `P(S) - e^epsilon Q(S) - delta` over the sets `S` of outcomes (the hockey-stick divergence),
/// estimated from so many samples of each. The set is found in one half of them and measured in the other, with
/// bounds that are wrong one time in a million, so that a mechanism that keeps its claim is below zero.
pub fn excess(samples: u64, claim: (f64, f64), mut one: impl FnMut() -> i64, mut other: impl FnMut() -> i64) -> f64 {
    let (epsilon, delta) = claim;
    let (found, against) = (histogram(samples / 2, &mut one), histogram(samples / 2, &mut other));
    let (measured, by) = (histogram(samples / 2, one), histogram(samples / 2, other));
    let is_of = |outcome: &i64, more: &Histogram, less: &Histogram| {
        let seen = |histogram: &Histogram| histogram.get(outcome).map_or(0.0, |seen| *seen as f64);
        seen(more) > epsilon.exp() * seen(less)
    };
    let of = |histogram: &Histogram, is_in: &dyn Fn(&i64) -> bool| -> f64 {
        histogram.iter().filter(|(outcome, _)| is_in(outcome)).map(|(_, seen)| *seen as f64).sum()
    };
    let half = (samples / 2) as f64;
    let beyond = |more: (&Histogram, &Histogram), less: (&Histogram, &Histogram)| {
        let is_in = |outcome: &i64| is_of(outcome, more.0, less.0);
        let (lowest, _) = wilson(of(more.1, &is_in), half);
        let (_, highest) = wilson(of(less.1, &is_in), half);
        lowest - epsilon.exp() * highest - delta
    };
    let (ones, others) = ((&found, &measured), (&against, &by));
    beyond(ones, others).max(beyond(others, ones))
}

/// The delta that zCDP claims for an epsilon: the inverse of [`Rho::epsilon`](super::Rho::epsilon).
pub fn claimed_delta(rho: super::Rho, epsilon: f64) -> f64 {
    let rho = rho.as_nano() as f64 / 1e9;
    if epsilon <= rho { 1.0 } else { (-(epsilon - rho).powi(2) / (4.0 * rho)).exp() }
}

/// Between what and what a probability lies that was seen so often (Wilson, 1927).
fn wilson(seen: f64, samples: f64) -> (f64, f64) {
    let (share, square) = (seen / samples, MILLIONTH * MILLIONTH / samples);
    let middle = share + square / 2.0;
    let spread = (share * (1.0 - share) * square + square * square / 4.0).sqrt();
    (((middle - spread) / (1.0 + square)).max(0.0), ((middle + spread) / (1.0 + square)).min(1.0))
}

/// Half the noise that was claimed.
pub fn broken_half_noise(gaussian: &DiscreteGaussian, random: &mut Randomness) -> i64 {
    gaussian.noise(random) / 2
}

/// A sum that one individual moves by two steps, with noise for one.
pub fn broken_sensitivity(laplace: &DiscreteLaplace, individual: bool, random: &mut Randomness) -> i64 {
    laplace.noise(random) + if individual { 2 } else { 0 }
}

/// Laplace noise as it is found in many places: a logarithm of a float, of which twelve bits are random. The outcome
/// is the bits of the sum.
pub fn broken_float(value: f64, scale: f64, random: &mut Randomness) -> i64 {
    let drawn = random.next();
    let uniform = ((drawn >> 52) as f64 + 0.5) / 4_096.0;
    let sign = if drawn & 1 == 0 { scale } else { -scale };
    (value + sign * uniform.ln()).to_bits().cast_signed()
}
