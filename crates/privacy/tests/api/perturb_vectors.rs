//! What happens to embeddings.

use privacy::{Input, NotFinite, PerturbError, PerturbVectors, PrivacySecret};
use proptest::prelude::*;

const INPUT: Input<'_> = Input::Text("a sentence");

fn smooth(strength: f64) -> PerturbVectors {
    PerturbVectors::smooth(strength, &PrivacySecret::from_bytes([7; 32]), "embed@1").unwrap()
}

fn told(perturb: &PerturbVectors, vector: &[f64]) -> Vec<f64> {
    let mut vector = vector.to_vec();
    perturb.vector(INPUT, &mut vector).unwrap();
    vector
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn unit(count: u32) -> Vec<f64> {
    let vector: Vec<f64> = (0..count).map(|at| (f64::from(at) * 1.7 + 1.0).sin()).collect();
    let norm = norm(&vector);
    vector.iter().map(|value| value / norm).collect()
}

#[test]
fn a_unit_vector_stays_one() {
    for dims in [1, 2, 384, 1536] {
        for perturb in
            [smooth(0.1), smooth(1.0), PerturbVectors::decimals(0).unwrap(), PerturbVectors::decimals(2).unwrap()]
        {
            let after = told(&perturb, &unit(dims));
            assert!((norm(&after) - 1.0).abs() < 1e-6, "{dims} {perturb:?}");
        }
    }
}

#[test]
fn noise_is_as_large_as_it_says_and_the_same_again() {
    let before = unit(1536);
    let after = told(&smooth(0.1), &before);
    let cosine: f64 = before.iter().zip(&after).map(|(a, b)| a * b).sum();
    assert!((0.99..0.998).contains(&cosine), "1 / sqrt(1 + 0.1^2) is 0.995: {cosine}");
    assert_eq!(after, told(&smooth(0.1), &before));
    let mut other = before.clone();
    smooth(0.1).vector(Input::Text("another"), &mut other).unwrap();
    assert_ne!(after, other);
}

#[test]
fn few_values_are_left_by_rounding() {
    let mut after: Vec<u64> =
        told(&PerturbVectors::decimals(1).unwrap(), &unit(1536)).iter().map(|value| value.to_bits()).collect();
    after.sort_unstable();
    after.dedup();
    assert!(after.len() <= 21, "{}", after.len());
}

#[test]
fn what_has_no_meaning_is_refused() {
    assert_eq!(PerturbVectors::decimals(4).unwrap_err(), PerturbError::Decimals { decimals: 4, most: 3 });
    let secret = PrivacySecret::from_bytes([7; 32]);
    for strength in [0.0, 1.5, f64::NAN] {
        let refused = PerturbVectors::smooth(strength, &secret, "embed@1").unwrap_err();
        assert_eq!(refused, PerturbError::Strength { most: 1.0 });
    }
    assert_eq!(PerturbVectors::smooth(0.1, &secret, "").unwrap_err(), PerturbError::NoModel);
    let mut vector = [1.0, f64::NEG_INFINITY];
    assert_eq!(smooth(0.1).vector(INPUT, &mut vector), Err(NotFinite));
    assert_eq!(vector, [0.0; 2]);
}

fn any_vector() -> impl Strategy<Value = Vec<f64>> {
    use prop::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    let value = prop_oneof![POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO, -1.0..1.0_f64, Just(f64::MAX)];
    prop::collection::vec(value, 0..50)
}

fn any_form() -> impl Strategy<Value = PerturbVectors> {
    prop_oneof![Just(smooth(0.2)), Just(PerturbVectors::decimals(1).unwrap())]
}

proptest! {
    #[test]
    fn any_vector_stays_finite_and_as_long(vector in any_vector(), perturb in any_form()) {
        let after = told(&perturb, &vector);
        prop_assert!(after.iter().all(|value| value.is_finite()));
        let (before, after) = (norm(&vector), norm(&after));
        let measured = before.is_finite() && before > 1e-150;
        prop_assert!(!measured || (after / before - 1.0).abs() < 1e-6, "{before} {after}");
    }
}
