//! P1: noise against its exact probabilities and its claims, at a million samples, and three broken mechanisms that
//! must be seen.

use std::num::NonZeroU32;

use bench_privacy::Goal;
use privacy::dp::testing::{
    MILLIONTH, broken_float, broken_half_noise, broken_sensitivity, claimed_delta, excess, fit, gaussian_pmf,
    histogram, laplace_pmf,
};
use privacy::dp::{DiscreteGaussian, DiscreteLaplace, NoisyMax, Randomness};

const SAMPLES: u64 = 1_000_000;

fn over(claims: &[(f64, f64)], mut one: impl FnMut() -> i64, mut other: impl FnMut() -> i64) -> f64 {
    let all = claims.iter().map(|claim| excess(SAMPLES, *claim, &mut one, &mut other));
    all.fold(f64::NEG_INFINITY, f64::max)
}

pub(crate) fn run() {
    let mut goal = Goal::new("P1");
    let [mut one, mut other] = [1, 2].map(Randomness::danger_from_seed);
    let gaussian = DiscreteGaussian::new(NonZeroU32::MIN, "0.5".parse().unwrap()).unwrap();
    let laplace = DiscreteLaplace::new(NonZeroU32::MIN, "1".parse().unwrap());
    let noisy_max = NoisyMax::new(NonZeroU32::MIN, "1".parse().unwrap());

    let wide = DiscreteGaussian::new(NonZeroU32::MIN.saturating_add(99), "0.5".parse().unwrap()).unwrap();
    for (what, gaussian) in [("discrete Gaussian, deviation 1", &gaussian), ("discrete Gaussian, deviation 100", &wide)]
    {
        let off = fit(&histogram(SAMPLES, || gaussian.noise(&mut one)), gaussian_pmf(gaussian));
        goal.at_most(&format!("chi-square of {what}, deviations"), off, MILLIONTH);
    }
    let off = fit(&histogram(SAMPLES, || laplace.noise(&mut one)), laplace_pmf(1.0));
    goal.at_most("chi-square of discrete Laplace, deviations", off, MILLIONTH);

    // Beyond 0 is beyond the claim; 1 is added, so that there is a ratio.
    let claims = [1.0, 1.5, 2.0, 2.5, 3.0].map(|epsilon| (epsilon, claimed_delta(gaussian.rho(), epsilon)));
    let pure = [(1.0, 0.0)];
    let kept = over(&claims, || gaussian.noise(&mut one), || gaussian.noise(&mut other) + 1);
    goal.at_most("hockey stick of discrete Gaussian, 1 is the claim", 1.0 + kept, 1.0);
    let kept = over(&pure, || laplace.noise(&mut one), || laplace.noise(&mut other) + 1);
    goal.at_most("hockey stick of discrete Laplace, 1 is the claim", 1.0 + kept, 1.0);
    let choose = |scores: &[i64], random: &mut Randomness| noisy_max.choose(scores, random).unwrap() as i64;
    let kept = over(&pure, || choose(&[13, 12, 0], &mut one), || choose(&[12, 13, 0], &mut other));
    goal.at_most("hockey stick of noisy max, 1 is the claim", 1.0 + kept, 1.0);

    let half =
        over(&claims, || broken_half_noise(&gaussian, &mut one), || broken_half_noise(&gaussian, &mut other) + 1);
    let sensitivity = over(
        &pure,
        || broken_sensitivity(&laplace, false, &mut one),
        || broken_sensitivity(&laplace, true, &mut other),
    );
    let float = over(&pure, || broken_float(0.0, 1.0, &mut one), || broken_float(1.0, 1.0, &mut other));
    println!("beyond the claim: half the noise {half:.3}, wrong sensitivity {sensitivity:.3}, floats {float:.3}");
    let seen = [half, sensitivity, float].iter().filter(|beyond| **beyond > 0.0).count();
    goal.at_least("broken mechanisms that are seen", seen as f64, 3.0);
    goal.end();
}
