//! What was released is kept and told again.

use std::num::NonZeroUsize;

use privacy::dp::{MemoryToldStore, Told, ToldStore as _, told_testing};
use proptest::prelude::*;

fn memory(most: usize) -> MemoryToldStore {
    MemoryToldStore::new(NonZeroUsize::new(most).unwrap())
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    told_testing::suite(async || memory(10)).await;
}

#[tokio::test]
async fn memory_is_bounded_and_forgets_the_oldest() {
    let store = memory(2);
    for number in 0..3 {
        store.keep(&told_testing::question(number), Told::Place(number as u32)).await.unwrap();
    }
    let mut found = Vec::new();
    for number in 0..3 {
        found.push(store.find(&told_testing::question(number)).await.unwrap());
    }
    assert_eq!(found, [None, Some(Told::Place(1)), Some(Told::Place(2))]);
}

proptest! {
    #[test]
    fn bytes_are_read_as_they_were_written(numbers in prop::collection::vec(any::<f64>(), 0..9), place: u32) {
        let bits = |told: Option<Told>| match told {
            Some(Told::Numbers(numbers)) => numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let written = Told::Numbers(numbers.clone()).to_bytes();
        prop_assert_eq!(bits(Told::from_bytes(&written)), bits(Some(Told::Numbers(numbers))));
        prop_assert_eq!(Told::from_bytes(&Told::Place(place).to_bytes()), Some(Told::Place(place)));
    }

    #[test]
    fn other_bytes_are_nothing_or_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some(told) = Told::from_bytes(&bytes) {
            prop_assert_eq!(told.to_bytes(), bytes);
        }
    }
}
