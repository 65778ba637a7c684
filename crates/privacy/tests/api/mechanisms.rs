//! What mechanisms draw: against exact probabilities, against OpenDP, and against what they claim.

use std::num::NonZeroU32;

use privacy::dp::testing::{
    Histogram, MILLIONTH, agree, broken_float, broken_half_noise, broken_sensitivity, claimed_delta, excess, fit,
    gaussian_pmf, histogram, laplace_pmf,
};
use privacy::dp::{DiscreteGaussian, DiscreteLaplace, NoisyMax, Randomness, Rho};

/// The benchmark draws a million.
const SAMPLES: u64 = 30_000;

fn random() -> Randomness {
    Randomness::danger_from_seed(7)
}

fn gaussian(sensitivity: u32, rho: &str) -> DiscreteGaussian {
    DiscreteGaussian::new(NonZeroU32::new(sensitivity).unwrap(), rho.parse().unwrap()).unwrap()
}

fn laplace(sensitivity: u32, epsilon: &str) -> DiscreteLaplace {
    DiscreteLaplace::new(NonZeroU32::new(sensitivity).unwrap(), epsilon.parse().unwrap())
}

#[test]
fn noise_has_the_probabilities_of_the_paper() {
    let mut random = random();
    for (sensitivity, rho, other) in [(1, "2", "1.8"), (1, "0.5", "0.45"), (3, "0.1", "0.09"), (1_000, "4000", "3600")]
    {
        let gaussian = gaussian(sensitivity, rho);
        let drawn = histogram(SAMPLES, || gaussian.noise(&mut random));
        let off = fit(&drawn, gaussian_pmf(&gaussian));
        assert!(off < MILLIONTH, "{sensitivity} {rho}: {off}");
        assert!(fit(&drawn, gaussian_pmf(&self::gaussian(sensitivity, other))) > MILLIONTH, "and no others");
    }
    for (sensitivity, epsilon) in [(1, "4"), (1, "1"), (7, "0.5"), (1, "0.3")] {
        let laplace = laplace(sensitivity, epsilon);
        let scale = f64::from(sensitivity) / epsilon.parse::<f64>().unwrap();
        let drawn = histogram(SAMPLES, || laplace.noise(&mut random));
        let off = fit(&drawn, laplace_pmf(scale));
        assert!(off < MILLIONTH, "{sensitivity} {epsilon}: {off}");
        assert!(fit(&drawn, laplace_pmf(scale * 1.1)) > MILLIONTH, "and no others");
    }
}

/// How often 200,000 draws of OpenDP 0.16 gave an outcome: `make_laplace` with a scale of 2 and `make_gaussian`
/// with a scale of 3 on integers, and `make_noisy_max` for scores of 7, 5, 4, 0,
/// a scale of 2 and zCDP.
#[test]
fn noise_is_that_of_opendp() {
    let mut random = random();
    let opendp = |first: i64, seen: &[u64]| -> Histogram { (first..).zip(seen.iter().copied()).collect() };
    let of_laplace = opendp(
        -25,
        &[
            1, 0, 0, 0, 3, 3, 3, 7, 11, 20, 28, 38, 64, 113, 191, 342, 511, 942, 1511, 2408, 4084, 6608, 11036, 18200,
            29356, 49096, 29751, 17985, 10850, 6617, 4128, 2427, 1422, 864, 511, 350, 208, 134, 58, 41, 34, 20, 10, 3,
            4, 3, 1, 0, 2, 1,
        ],
    );
    let of_gaussian = opendp(
        -12,
        &[
            10, 35, 95, 299, 768, 1734, 3725, 6603, 10763, 16399, 21156, 25278, 26723, 25162, 21207, 16096, 10791,
            6705, 3527, 1729, 741, 296, 107, 38, 10, 2, 0, 0, 1,
        ],
    );
    let of_noisy_max = opendp(0, &[123_075, 45_715, 27_444, 3_766]);
    let (laplace, gaussian) = (laplace(2, "1"), gaussian(3, "0.5"));
    let noisy_max = NoisyMax::new(NonZeroU32::MIN, "1".parse().unwrap());
    let laplace = histogram(SAMPLES, || laplace.noise(&mut random));
    let gaussian = histogram(SAMPLES, || gaussian.noise(&mut random));
    let places = histogram(SAMPLES, || noisy_max.choose(&[7, 5, 4, 0], &mut random).unwrap() as i64);
    for (ours, theirs) in [(&laplace, &of_laplace), (&gaussian, &of_gaussian), (&places, &of_noisy_max)] {
        let off = agree(ours, theirs);
        assert!(off < MILLIONTH, "{off}");
    }
    assert!(agree(&laplace, &of_gaussian) > MILLIONTH, "and not another");
}

#[test]
fn mechanisms_keep_their_claims_and_broken_ones_do_not() {
    let [mut one, mut other] = [1, 2].map(Randomness::danger_from_seed);
    let (gaussian, laplace) = (gaussian(1, "0.5"), laplace(1, "1"));
    let claims = [1.5, 2.5].map(|epsilon| (epsilon, claimed_delta(gaussian.rho(), epsilon)));
    let over = |claims: &[(f64, f64)], one: &mut dyn FnMut() -> i64, other: &mut dyn FnMut() -> i64| {
        let all = claims.iter().map(|claim| excess(SAMPLES, *claim, &mut *one, &mut *other));
        all.fold(f64::NEG_INFINITY, f64::max)
    };
    let kept = over(&claims, &mut || gaussian.noise(&mut one), &mut || gaussian.noise(&mut other) + 1);
    assert!(kept <= 0.0, "discrete Gaussian: {kept}");
    let pure = [(1.0, 0.0)];
    let kept = over(&pure, &mut || laplace.noise(&mut one), &mut || laplace.noise(&mut other) + 1);
    assert!(kept <= 0.0, "discrete Laplace: {kept}");
    let noisy_max = NoisyMax::new(NonZeroU32::MIN, "1".parse().unwrap());
    let choose = |scores: &[i64], random: &mut Randomness| noisy_max.choose(scores, random).unwrap() as i64;
    let kept = over(&pure, &mut || choose(&[3, 2], &mut one), &mut || choose(&[2, 3], &mut other));
    assert!(kept <= 0.0, "noisy max: {kept}");

    let broken = over(&claims, &mut || broken_half_noise(&gaussian, &mut one), &mut || {
        broken_half_noise(&gaussian, &mut other) + 1
    });
    assert!(broken > 0.0, "half the noise: {broken}");
    let broken = over(&pure, &mut || broken_sensitivity(&laplace, false, &mut one), &mut || {
        broken_sensitivity(&laplace, true, &mut other)
    });
    assert!(broken > 0.0, "another sensitivity: {broken}");
    let broken = over(&pure, &mut || broken_float(0.0, 1.0, &mut one), &mut || broken_float(1.0, 1.0, &mut other));
    assert!(broken > 0.0, "floats: {broken}");
    assert!(claimed_delta(Rho::ZERO, 0.1) < 1e-9 && claimed_delta(gaussian.rho(), 0.4) == 1.0);
}
