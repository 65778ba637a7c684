//! How often queries are near: copies of the digits that are moved a little, and the digits themselves, in any order;
//! and how long it takes to make a query.

use std::hint::black_box;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Instant;

use bench_privacy::digits::{Digits, sent};
use bench_privacy::random::Random;
use privacy::PrivacySecret;
use privacy::distinct::{Bucket, MemoryQueryLedger, Query, QueryBudget, QueryKey, QueryLedger, Window};

const DIGITS: usize = 100;
const COPIES: usize = 20;

/// How many of these are near one that came before.
fn near(queries: &[Query]) -> u64 {
    let ledger = MemoryQueryLedger::new(NonZeroUsize::MIN);
    let buckets = [Bucket::new("near", QueryBudget::new(NonZeroU64::MAX, Window::Month))];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for query in queries {
        runtime.block_on(ledger.count(&buckets, std::slice::from_ref(query), 0)).unwrap();
    }
    let counted = runtime.block_on(ledger.count(&buckets, &[], 0)).unwrap();
    counted.standings().first().unwrap().near
}

/// Microseconds.
fn time(make: impl Fn() -> Query) -> f64 {
    let started = Instant::now();
    for _ in 0..200 {
        black_box(make());
    }
    started.elapsed().as_secs_f64() * 5e3
}

pub(crate) fn run() {
    let (digits, mut random) = (Digits::load(), Random::new(4));
    let key = QueryKey::new(&PrivacySecret::from_bytes([5; 32]), "digits");
    let rows: Vec<Vec<f64>> = (0..digits.held_out.labels.len())
        .map(|row| sent(&digits.held_out.inputs, row).into_iter().map(f64::from).collect())
        .collect();
    let queries: Vec<Query> = rows.iter().map(|row| key.numbers(b"", row)).collect();
    println!("near, of honest digits: {:.3}", near(&queries) as f64 / queries.len() as f64);
    for jitter in [0.001, 0.02, 0.2] {
        let moved = |row: &Vec<f64>, random: &mut Random| -> Query {
            let row: Vec<f64> = row.iter().map(|number| number + jitter * random.gaussian()).collect();
            key.numbers(b"", &row)
        };
        let copies: Vec<Query> =
            (0..COPIES).flat_map(|_| rows.iter().take(DIGITS)).map(|row| moved(row, &mut random)).collect();
        // The first copy of each has none before it.
        let (first, _) = copies.split_at(DIGITS);
        let share = (near(&copies) - near(first)) as f64 / (copies.len() - DIGITS) as f64;
        println!("near, of copies moved by {jitter} deviations: {share:.3}");
    }
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(1_000);
    for bytes in [45, 4_500, 45_000] {
        let text = long.get(..bytes).unwrap();
        println!("a text of {bytes} bytes: {:.1} us", time(|| key.text(b"", text)));
    }
    for count in [64, 1_536, 150_528] {
        let row: Vec<f64> = (0..count).map(|_| random.gaussian()).collect();
        println!("a row of {count} numbers: {:.1} us", time(|| key.numbers(b"", &row)));
    }
}
