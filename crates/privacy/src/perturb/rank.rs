//! The order of the values of a row: largest first, of equal ones the first first.

/// The places of a row, best first.
pub(super) fn ranked(row: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..row.len()).collect();
    places.sort_by(|a, b| value(row, *b).total_cmp(&value(row, *a)));
    places
}

/// The place of the best value; 0 of an empty row.
pub(super) fn best(row: &[f64]) -> usize {
    let better = |best: (usize, f64), (at, value): (usize, &f64)| if *value > best.1 { (at, *value) } else { best };
    row.iter().enumerate().fold((0, f64::NEG_INFINITY), better).0
}

pub(super) fn value(row: &[f64], at: usize) -> f64 {
    // Nothing compares as 0 and -0 here: both are 0.
    row.get(at).map_or(0.0, |value| value + 0.0)
}

/// Puts values back so that the best stays it: it gets the largest, and the others follow in the order of their own.
/// Returns the new order.
pub(super) fn put_back(row: &mut [f64], ranked: &[usize], values: &[f64]) -> Vec<usize> {
    let mut order = ranked.to_vec();
    if let [_, others @ ..] = order.as_mut_slice() {
        others.sort_by(|a, b| value(values, *b).total_cmp(&value(values, *a)));
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    for (at, value) in order.iter().zip(sorted) {
        if let Some(place) = row.get_mut(*at) {
            *place = value;
        }
    }
    order
}
