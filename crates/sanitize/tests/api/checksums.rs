//! Data with a checksum is told by it: valid values are found, near-misses are not.

use crate::checked_types::types;

#[test]
fn valid_values_are_found_and_near_misses_are_not() {
    for kind in types() {
        let shares = kind.measure(400);
        assert!(shares.valid >= 99.0 && shares.near <= 0.5, "{}: {shares:?}", kind.rule);
    }
}
