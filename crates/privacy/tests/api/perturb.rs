//! What happens to rows of scores.

use privacy::{Input, NotFinite, Perturb, PerturbBuilder, PerturbError, PrivacySecret};
use proptest::prelude::*;

const INPUT: Input<'_> = Input::Vector(&[0.5, -1.0, 2.0]);

fn secret() -> PrivacySecret {
    PrivacySecret::from_bytes([7; 32])
}

fn smooth(strength: f64) -> PerturbBuilder {
    Perturb::builder().smooth(strength, &secret(), "digits@1")
}

fn told(perturb: &Perturb, row: &[f64]) -> Vec<f64> {
    let mut row = row.to_vec();
    perturb.scores(INPUT, &mut row).unwrap();
    row
}

fn decimals(decimals: u8, row: &[f64]) -> Vec<f64> {
    told(&Perturb::builder().decimals(decimals).build().unwrap(), row)
}

fn top_k(count: usize, row: &[f64]) -> Vec<f64> {
    told(&Perturb::builder().top_k(count).build().unwrap(), row)
}

/// The first of the largest.
fn best(row: &[f64]) -> Option<usize> {
    (0..row.len()).reduce(|best, at| if row[at] > row[best] { at } else { best })
}

fn keeps_order(before: &[f64], after: &[f64]) -> bool {
    let mut places: Vec<usize> = (0..before.len()).collect();
    // Both zeros are equal.
    places.sort_by(|a, b| (before[*b] + 0.0).total_cmp(&(before[*a] + 0.0)).then(after[*b].total_cmp(&after[*a])));
    places.windows(2).all(|pair| after[pair[0]] >= after[pair[1]])
}

#[test]
fn labels_tell_only_the_first_of_the_best() {
    let labels = Perturb::labels();
    assert_eq!(told(&labels, &[0.2, 0.4, 0.4]), [0.0, 1.0, 0.0]);
    assert_eq!(told(&labels, &[-3.0, -1.5]), [0.0, 1.0]);
    assert_eq!(told(&labels, &[0.0, 0.0]), [1.0, 0.0]);
    assert_eq!(told(&labels, &[]), [0.0; 0]);
    assert_eq!(told(&labels, &[0.5]), [1.0], "one value is a yes or a no");
    assert_eq!(told(&labels, &[0.49]), [0.0]);
}

#[test]
fn the_best_few_of_probabilities_take_the_sum() {
    assert_eq!(top_k(2, &[0.125, 0.5, 0.125, 0.25]), [0.0, 0.5 / 0.75, 0.0, 0.25 / 0.75]);
    assert_eq!(top_k(1, &[0.25, 0.25, 0.5]), [0.0, 0.0, 1.0]);
    assert_eq!(top_k(3, &[0.9, 0.1]), [0.9, 0.1]);
}

#[test]
fn the_others_stay_behind_the_best_few_of_other_values() {
    assert_eq!(top_k(2, &[5.0, 1.0, 3.0]), [5.0, 0.0, 3.0]);
    assert_eq!(top_k(2, &[-1.0, -5.0, -2.0]), [-1.0, -3.0, -2.0]);
    assert_eq!(top_k(1, &[0.9, 0.8, 0.95]), [0.0, 0.0, 0.95]);
}

#[test]
fn rounding_keeps_what_is_best() {
    assert_eq!(decimals(2, &[0.1304, 0.1306, 0.739]), [0.13, 0.13, 0.74]);
    assert_eq!(decimals(1, &[0.41, 0.44, 0.15]), [0.3, 0.5, 0.2], "the best takes a unit");
    assert_eq!(decimals(1, &[0.449, 0.451, 0.1]), [0.4, 0.5, 0.1]);
    assert_eq!(decimals(1, &[0.48, 0.49]), [0.5, 0.6], "no sum, but the best is above");
    assert_eq!(decimals(1, &[0.98, 0.99, 0.97]), [0.9, 1.0, 0.9], "no probability is above one");
    assert_eq!(decimals(1, &[-2.31, -0.04]), [-2.3, 0.0]);
    assert_eq!(decimals(0, &[0.3, 0.4, 0.3]), [0.0, 1.0, 0.0]);
}

#[test]
fn equal_values_differ_only_where_the_sum_demands_it() {
    assert_eq!(decimals(2, &[0.125, 0.125, 0.75]), [0.13, 0.12, 0.75]);
    assert_eq!(decimals(2, &[1.0 / 3.0; 3]), [0.34, 0.33, 0.33]);
    assert_eq!(decimals(1, &[0.25; 4]), [0.3, 0.3, 0.2, 0.2]);
    assert_eq!(decimals(1, &[0.24, 0.24, 0.26, 0.26]), [0.2, 0.2, 0.3, 0.3]);
}

#[test]
fn noise_tells_no_order_but_the_best() {
    let row = [0.4, 0.12, 0.11, 0.1, 0.09, 0.08, 0.06, 0.04];
    let after = told(&smooth(1.0).build().unwrap(), &row);
    assert_eq!(best(&after), Some(0));
    assert!(!keeps_order(&row, &after), "{after:?}");
    let few = told(&smooth(1.0).top_k(2).build().unwrap(), &row);
    assert_eq!((best(&few), few.iter().filter(|score| **score > 0.0).count()), (Some(0), 2));
}

#[test]
fn what_is_not_finite_leaves_nothing() {
    for perturb in [Perturb::labels(), smooth(0.5).build().unwrap()] {
        let mut row = [0.25, f64::NAN, f64::INFINITY];
        assert_eq!(perturb.scores(INPUT, &mut row), Err(NotFinite));
        assert_eq!(row, [0.0; 3]);
    }
}

#[test]
fn settings_without_meaning_are_refused() {
    let refused = |builder: PerturbBuilder| builder.build().unwrap_err();
    assert_eq!(refused(Perturb::builder()), PerturbError::Nothing);
    assert_eq!(refused(Perturb::builder().top_k(0)), PerturbError::KeepsNone);
    assert_eq!(refused(Perturb::builder().decimals(4)), PerturbError::Decimals { decimals: 4, most: 3 });
    for strength in [0.0, -0.5, f64::NAN, f64::INFINITY, 5.1] {
        assert_eq!(refused(smooth(strength)), PerturbError::Strength { most: 5.0 });
    }
    assert_eq!(refused(Perturb::builder().smooth(0.5, &secret(), "")), PerturbError::NoModel);
}

#[test]
fn nothing_shows_the_secret() {
    let shown = format!("{:?} {:?}", secret(), smooth(0.5).decimals(2).build().unwrap());
    assert!(shown.contains("0.5") && !shown.contains("7, 7"), "{shown}");
}

fn distribution() -> impl Strategy<Value = Vec<f64>> {
    // Few different weights, so that equal ones are common; and powers, so that tiny ones are.
    let weight =
        prop_oneof![Just(0.0), (1..6_u8).prop_map(f64::from), 0.0..1.0_f64, (0.0..300.0_f64).prop_map(|x| (-x).exp())];
    prop::collection::vec(weight, 1..40).prop_filter_map("all zero", |weights| {
        let sum: f64 = weights.iter().sum();
        (sum > 0.0).then(|| weights.iter().map(|weight| weight / sum).collect())
    })
}

fn shares() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![0.0..=1.0_f64, Just(0.0), Just(1.0), 0.495..0.505_f64], 0..20)
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    use prop::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    let value =
        prop_oneof![POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO, -20.0..20.0_f64, Just(f64::MAX), Just(1.0)];
    prop::collection::vec(value, 0..20)
}

/// Any form, and whether it has noise.
fn form() -> impl Strategy<Value = (Perturb, bool)> {
    let noise = prop::option::of(prop_oneof![Just(0.5), Just(1.0), Just(5.0)]);
    let any = (prop::option::of(1..12_usize), prop::option::of(0..=3_u8), noise);
    any.prop_filter_map("nothing set", |(count, decimals, strength)| {
        let mut builder = Perturb::builder();
        if let Some(count) = count {
            builder = builder.top_k(count);
        }
        if let Some(decimals) = decimals {
            builder = builder.decimals(decimals);
        }
        if let Some(strength) = strength {
            builder = builder.smooth(strength, &secret(), "digits@1");
        }
        Some((builder.build().ok()?, strength.is_some()))
    })
}

proptest! {
    #[test]
    fn best_and_order_stay((form, noisy) in form(), row in prop_oneof![distribution(), shares(), values()]) {
        let after = told(&form, &row);
        prop_assert!(after.iter().all(|value| value.is_finite()), "{after:?}");
        prop_assert_eq!(best(&row), best(&after), "{:?}", after);
        prop_assert!(noisy || keeps_order(&row, &after), "{after:?}");
    }

    #[test]
    fn probabilities_stay_some((form, _) in form(), row in distribution()) {
        let after = told(&form, &row);
        prop_assert!((after.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!(after.iter().all(|value| (0.0..=1.0 + 1e-12).contains(value)));
    }

    #[test]
    fn shares_stay_shares((form, _) in form(), row in shares()) {
        prop_assert!(told(&form, &row).iter().all(|value| (0.0..=1.0).contains(value)));
    }

    #[test]
    fn noise_leaves_a_threshold_of_one_half(row in shares()) {
        prop_assume!((row.iter().sum::<f64>() - 1.0).abs() > 1e-3);
        let after = told(&smooth(1.0).build().unwrap(), &row);
        prop_assert!(row.iter().zip(&after).all(|(before, after)| (*before >= 0.5) == (*after >= 0.5)), "{after:?}");
    }

    #[test]
    fn rounded_once_is_rounded(places in 0..=3_u8, row in distribution()) {
        let unit = 10_f64.powi(i32::from(places));
        let after = decimals(places, &row);
        for (before, after) in row.iter().zip(&after) {
            prop_assert!((after * unit - (after * unit).round()).abs() < 1e-9);
            prop_assert!((before - after).abs() * unit < 2.0);
        }
        prop_assert_eq!(decimals(places, &after), after);
    }

    #[test]
    fn hardly_any_equal_values_are_parted(places in 0..=3_u8, row in distribution()) {
        let after = decimals(places, &row);
        let top = best(&row).unwrap();
        let mut parted = Vec::new();
        for (a, b) in (0..row.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            if row[a] == row[b] && after[a] != after[b] && row[a] != row[top] {
                parted.push(row[a].to_bits());
            }
        }
        parted.sort_unstable();
        parted.dedup();
        // One where the sum demands it, and one where the best took a unit.
        prop_assert!(parted.len() <= 2, "{after:?}");
    }
}
