//! Distinct queries: what is the same, what is near, and the ledger in memory.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use privacy::PrivacySecret;
use privacy::distinct::{
    Bucket, LedgerError, MemoryQueryLedger, QueryBudget, QueryKey, QueryLedger, Sketch, SoftAboveHard, Window, testing,
};
use proptest::prelude::*;

fn key() -> QueryKey {
    QueryKey::new(&PrivacySecret::from_bytes([3; 32]), "m")
}

fn count(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    testing::suite(async || MemoryQueryLedger::new(NonZeroUsize::new(100).unwrap())).await;
}

#[tokio::test]
async fn memory_is_bounded_and_windows_that_ended_make_room() {
    let ledger = MemoryQueryLedger::new(NonZeroUsize::new(2).unwrap());
    let budget = QueryBudget::new(count(9), Window::Day);
    let asked = testing::queries("bounded", 0..1);
    let [a, b, c] = ["a", "b", "c"].map(|name| [Bucket::new(name, budget)]);
    assert!(ledger.count(&a, &asked, 0).await.is_ok());
    assert!(ledger.count(&b, &asked, 0).await.is_ok());
    assert_eq!(ledger.count(&c, &asked, 0).await, Err(LedgerError::Full));
    assert!(ledger.count(&a, &asked, 0).await.is_ok(), "the others go on");
    assert!(ledger.count(&c, &asked, 86_400_000).await.is_ok(), "a day later");
}

#[test]
fn a_query_is_the_same_to_the_bit_only() {
    let key = key();
    let text = |also: &str, text| key.text(also.as_bytes(), text).digest();
    assert_eq!(text("", "Hello"), text("", "Hello"));
    for other in ["hello", "Hello ", " Hello", "Hello\n", "He\u{301}llo", ""] {
        assert_ne!(text("", "Hello"), text("", other), "{other:?}");
    }
    assert_ne!(text("a", "b"), text("", "ab"), "the settings are no part of the text");
    assert_ne!(text("", "a"), key.bytes(b"", b"a").digest(), "nor is a text the same as bytes");
    for (secret, model) in [([4; 32], "m"), ([3; 32], "n")] {
        let other = QueryKey::new(&PrivacySecret::from_bytes(secret), model);
        assert_ne!(text("", "a"), other.text(b"", "a").digest(), "nor of another secret or model");
    }

    let numbers = |numbers: &[f64]| key.numbers(b"", numbers).digest();
    assert_eq!(numbers(&[0.0, 1.0]), numbers(&[-0.0, 1.0]));
    assert_ne!(numbers(&[0.0, 1.0]), numbers(&[f64::MIN_POSITIVE, 1.0]));
    assert_ne!(numbers(&[0.0, 1.0]), numbers(&[0.0, 1.0, 0.0]));
    let long: Vec<f64> = (0..1_000).map(f64::from).collect();
    let mut other = long.clone();
    other[999] = 0.5;
    assert_ne!(numbers(&long), numbers(&other), "all of a long row counts");
}

#[test]
fn some_queries_have_no_sketch() {
    let key = key();
    assert!(key.text(b"", "a").sketch().is_some() && key.text(b"", "?! \u{1F600}").sketch().is_none());
    assert!(key.bytes(b"", b"a").sketch().is_none());
    let row = |number: f64| key.numbers(b"", &[1.0; 15].into_iter().chain([number]).collect::<Vec<_>>()).sketch();
    assert!(row(2.0).is_some());
    for number in [1.0, f64::NAN, f64::INFINITY] {
        assert!(row(number).is_none(), "{number}");
    }
    assert!(key.numbers(b"", &[1.0, 2.0]).sketch().is_none());
    let huge: Vec<f64> = [f64::MAX, f64::MIN].repeat(8);
    assert!(key.numbers(b"", &huge).sketch().is_some(), "large numbers are numbers");
}

const PROMPTS: [&str; 6] = [
    "Write a short letter to my landlord about the broken heating in the kitchen, polite but firm.",
    "What is the difference between a mutex and a semaphore? Give an example in C for each of them.",
    "Translate the following sentence to French: the ferry leaves at noon unless the wind is too strong.",
    "Summarise the plot of Hamlet in three sentences for a child of ten years.",
    "My tomato plants have yellow leaves with brown spots; which disease is it and what can I do about it?",
    "Erkläre mir bitte, wie die Zinseszinsformel funktioniert und rechne ein Beispiel mit 3 Prozent vor.",
];

#[test]
fn texts_that_differ_a_little_are_near_and_others_are_not() {
    let key = key();
    let sketch = |text: &str| key.text(b"", text).sketch().unwrap();
    for (at, prompt) in PROMPTS.iter().enumerate() {
        let own = sketch(prompt);
        for other in [prompt.to_uppercase(), format!("  {prompt}!!"), prompt.replace(' ', "\n"), format!("{prompt} x")]
        {
            assert!(own.is_near(sketch(&other)), "{other}");
        }
        for other in PROMPTS.iter().skip(at + 1) {
            assert!(!own.is_near(sketch(other)), "{prompt} {other}");
        }
    }
    let long = PROMPTS.join(" ").repeat(200);
    assert!(sketch(&long).is_near(sketch(&format!("{long} One more word"))), "of long texts a share is looked at");
}

#[test]
fn a_budget_says_what_it_allows() {
    let budget = QueryBudget::new(count(10), Window::Day);
    assert_eq!((budget.soft_limit(), budget.hard_limit()), (10, 10));
    assert_eq!(budget.soft(11), Err(SoftAboveHard));
    let part = |percent| (budget.percent(percent).soft_limit(), budget.percent(percent).hard_limit());
    assert_eq!((part(50), part(0), part(200)), ((budget.soft_limit() / 2, 5), (0, 1), (budget.soft_limit(), 10)));
    let preset = |parameters, numbers| {
        let budget = QueryBudget::for_classical_model(count(parameters), NonZeroU32::new(numbers).unwrap());
        (budget.soft_limit(), budget.hard_limit(), budget.window())
    };
    assert_eq!(preset(585, 1), (146, 292, Window::Month));
    assert_eq!(preset(585, 9), (16, 32, Window::Month));
    assert_eq!(preset(1, 1), (0, 1, Window::Month), "one is the least");
}

#[test]
fn windows_are_those_of_the_calendar() {
    const DAY: u64 = 86_400_000;
    // Days after 1970-01-01, from `date`.
    let cases = [
        (0, "1970-01-01", 31),
        (789, "1972-02-29", 790),
        (11_016, "2000-02-29", 11_017),
        (20_512, "2026-02-28", 20_513),
        (20_818, "2026-12-31", 20_819),
        (20_819, "2027-01-01", 20_850),
        (47_540, "2100-02-28", 47_541),
        (20_783, "2026-11-26", 20_788),
    ];
    for (day, name, end) in cases {
        for now in [day * DAY, day * DAY + DAY - 1] {
            assert_eq!(Window::Day.name(now), name);
            assert!(name.starts_with(&Window::Month.name(now)));
            assert_eq!(Window::Day.end(now), (day + 1) * DAY, "{name}");
            assert_eq!(Window::Month.end(now), end * DAY, "{name}");
        }
    }
    assert!(!Window::Month.name(u64::MAX).is_empty() && Window::Month.end(u64::MAX) > 0, "no moment is too late");
}

proptest! {
    #[test]
    fn a_moment_is_in_the_window_that_ends_next(now in 0_u64..4_000_000_000_000) {
        for window in [Window::Day, Window::Month] {
            let end = window.end(now);
            prop_assert!(now < end);
            prop_assert_eq!(window.name(now), window.name(end - 1));
            prop_assert_ne!(window.name(now), window.name(end));
        }
    }

    #[test]
    fn any_text_has_a_sketch_or_none_without_trouble(text in ".{0,300}") {
        prop_assert_eq!(key().text(b"", &text), key().text(b"", &text));
    }

    #[test]
    fn rows_that_differ_a_little_are_near(row in proptest::collection::vec(-10.0_f64..10.0, 32..700), at in 0_usize..32) {
        let mut other = row.clone();
        let spread = row.iter().map(|number| number.abs()).sum::<f64>() / row.len() as f64;
        other[at] += spread * 0.02;
        let (key, factor) = (key(), 3.0);
        let scaled: Vec<f64> = row.iter().map(|number| number * factor + 100.0).collect();
        let sketch = key.numbers(b"", &row).sketch().unwrap();
        prop_assert!(sketch.is_near(key.numbers(b"", &other).sketch().unwrap()));
        prop_assert!(sketch.is_near(key.numbers(b"", &scaled).sketch().unwrap()));
    }

    #[test]
    fn sketches_within_three_bits_share_a_band(row in proptest::collection::vec(-10.0_f64..10.0, 32), scale in 0.0001_f64..0.2) {
        let other: Vec<f64> = row.iter().enumerate().map(|(at, number)| number + scale * (at as f64).sin()).collect();
        let [one, other] = [&row, &other].map(|row| key().numbers(b"", row).sketch().unwrap());
        let bits = (one.bits() ^ other.bits()).count_ones();
        prop_assert_eq!(one.is_near(other), bits <= Sketch::NEAR);
        let shared = one.slots().iter().zip(other.slots()).filter(|(one, other)| *one == other).count();
        prop_assert!(shared > 0 || bits > 3);
        prop_assert!(one.slots().iter().all(|slot| *slot < privacy::distinct::NEAR_SLOTS));
    }
}
