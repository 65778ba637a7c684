//! The noise itself: what it depends on, how much there is, and how smooth it is.

use privacy::{Input, Perturb, PrivacySecret};
use proptest::prelude::*;

const CLASSES: usize = 10;

/// Noise of variance one on ten values.
struct Noise(Perturb);

/// Values of 0, 1000, 2000 and so on are so far apart that noise cannot change which is best. It grows with how far they
/// lie from their mean, 250 for each, when that is more than 2.
fn strength(values: usize) -> f64 {
    2.0 / (250.0 * values as f64)
}

impl Noise {
    fn new(secret: u8, model: &str) -> Self {
        let secret = PrivacySecret::from_bytes([secret; 32]);
        Self(Perturb::builder().smooth(strength(CLASSES), &secret, model).build().unwrap())
    }

    fn on(&self, input: Input<'_>) -> Vec<f64> {
        let logits: Vec<f64> = (0..CLASSES).map(|class| 1000.0 * class as f64).collect();
        let mut row = logits.clone();
        self.0.scores(input, &mut row).unwrap();
        row.iter().zip(logits).map(|(noisy, logit)| noisy - logit).collect()
    }

    fn at(&self, vector: &[f64]) -> Vec<f64> {
        self.on(Input::Vector(vector))
    }
}

/// Nearly Gaussian numbers that follow from a seed.
fn gaussian(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..count).map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0).collect()
}

/// How alike two noises are, over many inputs: 1 for the same, 0 for unrelated ones.
fn likeness(one: impl Fn(u64) -> Vec<f64>, other: impl Fn(u64) -> Vec<f64>) -> f64 {
    let mut both = 0.0;
    for seed in 1..=60 {
        both += one(seed).iter().zip(other(seed)).map(|(a, b)| a * b).sum::<f64>();
    }
    both / (60 * CLASSES) as f64
}

fn moved(vector: &[f64], seed: u64, by: f64) -> Vec<f64> {
    let by = gaussian(seed + 1000, vector.len()).into_iter().map(|step| step * by);
    vector.iter().zip(by).map(|(value, by)| value + by).collect()
}

#[test]
fn its_variance_is_one() {
    let noise = Noise::new(1, "m@1");
    for dims in [1, 4, 64, 1000] {
        let at = |seed| noise.at(&gaussian(seed, dims));
        let variance = likeness(at, at);
        assert!((0.75..1.25).contains(&variance), "{dims}: {variance}");
    }
}

#[test]
fn it_is_nearly_the_same_nearby() {
    let noise = Noise::new(1, "m@1");
    for dims in [4, 64, 5000] {
        let at = |seed| noise.at(&gaussian(seed, dims));
        let near = |by| likeness(at, |seed| noise.at(&moved(&gaussian(seed, dims), seed, by)));
        let (same, beside, near, far) = (near(0.0), near(0.02), near(0.2), near(10.0));
        assert!(beside > 0.99 * same && near > 0.9 * same && far < 0.2, "{dims}: {same} {beside} {near} {far}");
    }
}

#[test]
fn multiples_of_an_input_have_other_noise() {
    let noise = Noise::new(1, "m@1");
    let times = |factor: f64| move |seed| gaussian(seed, 64).iter().map(|value| value * factor).collect::<Vec<f64>>();
    let alike = |factor| likeness(|seed| noise.at(&times(1.0)(seed)), |seed| noise.at(&times(factor)(seed)));
    assert!(alike(1.01) > 0.8);
    assert!(alike(10.0).abs() < 0.2, "{}", alike(10.0));
}

#[test]
fn it_depends_on_the_secret_and_the_model() {
    let noise = Noise::new(1, "m@1");
    let at = |seed| noise.at(&gaussian(seed, 64));
    for other in [Noise::new(2, "m@1"), Noise::new(1, "m@2")] {
        let alike = likeness(at, |seed| other.at(&gaussian(seed, 64)));
        assert!(alike.abs() < 0.2, "{alike}");
    }
    let again = Noise::new(1, "m@1");
    assert_eq!(noise.at(&gaussian(5, 64)), again.at(&gaussian(5, 64)), "and on nothing else");
}

#[test]
fn classes_have_noise_of_their_own() {
    let noise = Noise::new(1, "m@1");
    let at = |seed| noise.at(&gaussian(seed, 64));
    let turned = |seed| {
        let mut noise = noise.at(&gaussian(seed, 64));
        noise.rotate_left(1);
        noise
    };
    let alike = likeness(at, turned);
    assert!(alike.abs() < 0.2, "{alike}");
}

#[test]
fn it_grows_with_the_logits() {
    let secret = PrivacySecret::from_bytes([1; 32]);
    let perturb = Perturb::builder().smooth(0.01, &secret, "m@1").build().unwrap();
    let moved_by = |factor: f64| {
        let logits = [-factor, factor];
        let mut row = logits;
        perturb.scores(Input::Text("a prompt"), &mut row).unwrap();
        (row[0] - logits[0]).abs() + (row[1] - logits[1]).abs()
    };
    assert!((moved_by(2.0) - moved_by(1.0)).abs() < 1e-9, "not below 2");
    assert!((moved_by(40.0) / moved_by(2.0) - 20.0).abs() < 1e-6);
}

#[test]
fn texts_that_say_the_same_have_the_same_noise() {
    let noise = Noise::new(1, "m@1");
    let text = |text: &str| noise.on(Input::Text(text));
    assert_eq!(text("What is\n a Model? "), text("what is a model?"));
    assert_ne!(text("what is a model?"), text("what is a mode l?"));
    let alike = likeness(|seed| text(&format!("question {seed}")), |seed| text(&format!("question {seed}!")));
    assert!(alike.abs() < 0.2, "{alike}");
}

#[test]
fn a_row_of_thousands_has_its_noise() {
    let secret = PrivacySecret::from_bytes([1; 32]);
    let perturb = Perturb::builder().smooth(strength(5000), &secret, "m@1").build().unwrap();
    let logits: Vec<f64> = (0..5000).map(|class| 1000.0 * f64::from(class)).collect();
    let mut row = logits.clone();
    perturb.scores(Input::Text("a prompt"), &mut row).unwrap();
    let noise: Vec<f64> = row.iter().zip(&logits).map(|(noisy, logit)| noisy - logit).collect();
    let variance = noise.iter().map(|noise| noise * noise).sum::<f64>() / 5000.0;
    assert!((0.8..1.2).contains(&variance), "{variance}");
    for stride in [1, 512, 1024, 2500] {
        let alike: f64 = noise.iter().zip(&noise[stride..]).map(|(a, b)| a * b).sum::<f64>() / (5000 - stride) as f64;
        assert!(alike.abs() < 0.1, "{stride}: {alike}");
    }
}

proptest! {
    #[test]
    fn it_is_finite_for_any_input(vector in prop::collection::vec(prop::num::f64::ANY, 0..600)) {
        let noise = Noise::new(1, "m@1").at(&vector);
        prop_assert!(noise.iter().all(|value| value.abs() < 25.0), "{noise:?}");
    }
}
