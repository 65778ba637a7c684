//! The cases that every [`QueryLedger`] must pass.

#![expect(clippy::panic, reason = "a case that fails panics")]

use std::num::NonZeroU64;

use super::{
    Bucket, Counted, EXACT, LedgerError, MAX_BUCKETS, MAX_QUERIES, Query, QueryBudget, QueryKey, QueryLedger,
    UnixMillis, Verdict, Window,
};
use crate::PrivacySecret;

/// 2026-11-26, noon.
const NOON: UnixMillis = 1_795_694_400_000;
const DAY: UnixMillis = 86_400_000;

/// Runs every case on ledgers that `make` gives, each of them empty.
///
/// # Panics
/// With the name of the case that fails.
pub async fn suite<L: QueryLedger>(make: impl AsyncFn() -> L) {
    repeats(&make().await).await;
    soft_limit(&make().await).await;
    hard_limit(&make().await).await;
    all_or_nothing(&make().await).await;
    near_ones(&make().await).await;
    batches(&make().await).await;
    windows(&make().await).await;
    changed_limits(&make().await).await;
    wrong_calls(&make().await).await;
    exact_then_estimated(&make().await).await;
}

/// Distinct queries of this name, from one number to another.
pub fn queries(name: &str, numbers: std::ops::Range<u64>) -> Vec<Query> {
    let key = QueryKey::new(&PrivacySecret::from_bytes([7; 32]), "m");
    numbers.map(|number| key.bytes(name.as_bytes(), &number.to_le_bytes())).collect()
}

fn budget(hard: u64) -> QueryBudget {
    QueryBudget::new(NonZeroU64::new(hard).unwrap_or(NonZeroU64::MIN), Window::Month)
}

async fn ask<L: QueryLedger>(ledger: &L, name: &str, hard: u64, queries: &[Query]) -> Counted {
    ask_all(ledger, &[Bucket::new(name, budget(hard))], queries, NOON).await
}

async fn ask_all<L: QueryLedger>(ledger: &L, buckets: &[Bucket<'_>], queries: &[Query], now: UnixMillis) -> Counted {
    match ledger.count(buckets, queries, now).await {
        Ok(counted) => counted,
        Err(error) => panic!("a ledger that is there counts: {error}"),
    }
}

/// Distinct queries, repeats, near ones.
fn totals(counted: &Counted) -> Vec<(u64, u64, u64)> {
    counted.standings().iter().map(|standing| (standing.distinct, standing.repeats, standing.near)).collect()
}

/// Repeats, near ones, new ones of the call.
fn calls(counted: &Counted) -> Vec<(u64, u64, u64)> {
    let of = |standing: &super::Standing| (standing.call.repeats, standing.call.near, standing.call.new);
    counted.standings().iter().map(of).collect()
}

async fn repeats<L: QueryLedger>(ledger: &L) {
    let [one, two] = [queries("repeats", 0..1), queries("repeats", 1..2)];
    for (again, distinct, repeats) in [(&one, 1, 0), (&one, 1, 1), (&two, 2, 1), (&one, 2, 2)] {
        let counted = ask(ledger, "{t}a", 10, again).await;
        assert_eq!(totals(&counted), [(distinct, repeats, 0)], "repeats: they cost nothing");
        assert_eq!(counted.verdict(), Verdict::Within, "repeats: within");
    }
    assert_eq!(totals(&ask(ledger, "{t}b", 10, &one).await), [(1, 0, 0)], "repeats: of this bucket only");
}

async fn soft_limit<L: QueryLedger>(ledger: &L) {
    let Ok(budget) = budget(4).soft(2) else { panic!("soft limit: below the hard one") };
    let buckets = [Bucket::new("{t}a", budget)];
    for (number, verdict) in [(0, Verdict::Within), (1, Verdict::Within), (2, Verdict::PastSoft)] {
        let counted = ask_all(ledger, &buckets, &queries("soft", number..number + 1), NOON).await;
        assert_eq!(counted.verdict(), verdict, "soft limit: query {number}");
    }
    let repeated = ask_all(ledger, &buckets, &queries("soft", 0..1), NOON).await;
    assert_eq!(repeated.verdict(), Verdict::PastSoft, "soft limit: of the bucket, not of the query");
}

async fn hard_limit<L: QueryLedger>(ledger: &L) {
    for number in 0..3 {
        let counted = ask(ledger, "{t}a", 3, &queries("hard", number..number + 1)).await;
        assert_ne!(counted.verdict(), Verdict::Refused, "hard limit: up to it");
        assert_eq!(counted.refused_by(), None, "hard limit: nobody refuses");
    }
    for _ in 0..2 {
        let counted = ask(ledger, "{t}a", 3, &queries("hard", 3..4)).await;
        assert_eq!((counted.verdict(), counted.refused_by()), (Verdict::Refused, Some(0)), "hard limit: not beyond");
        assert_eq!(totals(&counted), [(3, 0, 0)], "hard limit: what is refused is not counted");
    }
    let counted = ask(ledger, "{t}a", 3, &queries("hard", 1..2)).await;
    assert_eq!((counted.verdict(), totals(&counted)), (Verdict::Within, vec![(3, 1, 0)]), "hard limit: but repeats");
}

async fn all_or_nothing<L: QueryLedger>(ledger: &L) {
    let buckets = |hard| [Bucket::new("{t}family", budget(10)), Bucket::new("{t}tenant", budget(hard))];
    ask_all(ledger, &buckets(3), &queries("all", 0..2), NOON).await;
    ask(ledger, "{t}tenant", 3, &queries("all", 2..3)).await;
    let counted = ask_all(ledger, &buckets(3), &queries("all", 3..4), NOON).await;
    assert_eq!((counted.verdict(), counted.refused_by()), (Verdict::Refused, Some(1)), "all or nothing: the second");
    assert_eq!(totals(&counted), [(2, 0, 0), (3, 0, 0)], "all or nothing: nothing");
    // New to the family, but not to the tenant, which has no room for new ones.
    let counted = ask_all(ledger, &buckets(3), &queries("all", 2..3), NOON).await;
    assert_eq!(counted.verdict(), Verdict::Within, "all or nothing: a repeat of the tenant");
    assert_eq!(calls(&counted), [(0, 0, 1), (1, 0, 0)], "all or nothing: each bucket by itself");
    assert_eq!(totals(&counted), [(3, 0, 0), (3, 1, 0)], "all or nothing: all");
}

async fn near_ones<L: QueryLedger>(ledger: &L) {
    let key = QueryKey::new(&PrivacySecret::from_bytes([7; 32]), "m");
    let row =
        |shift: f64| -> Vec<f64> { (0..64).map(|at| f64::from(at * 37 % 64) + shift * f64::from(at % 3)).collect() };
    let near = |shift| [key.numbers(b"", &row(shift))];
    assert_eq!(calls(&ask(ledger, "{t}a", 3, &near(0.0)).await), [(0, 0, 1)], "near ones: the first is new");
    let counted = ask(ledger, "{t}a", 3, &near(0.001)).await;
    assert_eq!((calls(&counted), totals(&counted)), (vec![(0, 1, 0)], vec![(2, 0, 1)]), "near ones: cost one");
    assert_eq!(calls(&ask(ledger, "{t}a", 3, &near(0.001)).await), [(1, 0, 0)], "near ones: repeats are repeats");
    assert_eq!(calls(&ask(ledger, "{t}a", 3, &near(0.002)).await), [(0, 1, 0)], "near ones: the last one");
    let counted = ask(ledger, "{t}a", 3, &near(0.003)).await;
    assert_eq!(counted.verdict(), Verdict::Refused, "near ones: jitter ends at the limit");
    assert_eq!(totals(&counted), [(3, 1, 2)], "near ones: what is refused is not counted");
    let mirrored: Vec<f64> = row(0.0).iter().rev().copied().collect();
    let counted = ask(ledger, "{t}a", 4, &[key.numbers(b"", &mirrored)]).await;
    assert_eq!(calls(&counted), [(0, 0, 1)], "near ones: others are new");
    let counted = ask(ledger, "{t}b", 9, &[near(0.0), near(0.001), near(0.001), near(0.002)].concat()).await;
    assert_eq!(calls(&counted), [(1, 2, 1)], "near ones: of one call, too");
}

async fn batches<L: QueryLedger>(ledger: &L) {
    assert_eq!(totals(&ask(ledger, "{t}a", 5, &[]).await), [(0, 0, 0)], "batches: nothing asked");
    let twice = [queries("batch", 0..3), queries("batch", 1..3)].concat();
    let counted = ask(ledger, "{t}a", 5, &twice).await;
    assert_eq!((calls(&counted), totals(&counted)), (vec![(2, 0, 3)], vec![(3, 2, 0)]), "batches: twice is a repeat");
    let counted = ask(ledger, "{t}a", 5, &queries("batch", 2..6)).await;
    assert_eq!((counted.verdict(), totals(&counted)), (Verdict::Refused, vec![(3, 2, 0)]), "batches: whole or not");
    let counted = ask(ledger, "{t}a", 5, &queries("batch", 2..5)).await;
    assert_eq!((counted.verdict(), totals(&counted)), (Verdict::Within, vec![(5, 3, 0)]), "batches: up to the limit");
}

async fn windows<L: QueryLedger>(ledger: &L) {
    let one = queries("windows", 0..1);
    let daily = QueryBudget::new(NonZeroU64::MIN, Window::Day);
    let buckets = [Bucket::new("{t}day", daily), Bucket::new("{t}month", budget(2))];
    let first = ask_all(ledger, &buckets, &one, NOON).await;
    let ends: Vec<UnixMillis> = first.standings().iter().map(|standing| standing.ends).collect();
    assert_eq!(ends, [NOON + DAY / 2, NOON + 4 * DAY + DAY / 2], "windows: midnight, and the first of December");
    let counted = ask_all(ledger, &buckets, &queries("windows", 1..2), NOON + DAY / 2 - 1).await;
    assert_eq!(counted.refused_by(), Some(0), "windows: the day is not over");
    let counted = ask_all(ledger, &buckets, &one, NOON + DAY / 2).await;
    assert_eq!(calls(&counted), [(0, 0, 1), (1, 0, 0)], "windows: a new day of the same month");
    let counted = ask_all(ledger, &buckets, &one, NOON + 5 * DAY).await;
    assert_eq!(calls(&counted), [(0, 0, 1), (0, 0, 1)], "windows: a new month");
}

async fn changed_limits<L: QueryLedger>(ledger: &L) {
    ask(ledger, "{t}a", 4, &queries("changed", 0..4)).await;
    let lowered = ask(ledger, "{t}a", 2, &queries("changed", 4..5)).await;
    assert_eq!((lowered.verdict(), totals(&lowered)), (Verdict::Refused, vec![(4, 0, 0)]), "changed: lowered");
    let repeated = ask(ledger, "{t}a", 2, &queries("changed", 0..1)).await;
    assert_eq!(repeated.verdict(), Verdict::PastSoft, "changed: repeats are free below what there is, too");
    let raised = ask(ledger, "{t}a", 5, &queries("changed", 4..5)).await;
    assert_eq!((raised.verdict(), totals(&raised)), (Verdict::Within, vec![(5, 1, 0)]), "changed: raised");
}

async fn wrong_calls<L: QueryLedger>(ledger: &L) {
    let long = "n".repeat(super::MAX_NAME_BYTES + 1);
    let names: Vec<String> = (0..=MAX_BUCKETS).map(|number| format!("{{t}}{number}")).collect();
    let many: Vec<Bucket<'_>> = names.iter().map(|name| Bucket::new(name, budget(1))).collect();
    let [one, other] = [Bucket::new("{t}a", budget(1)), Bucket::new(&long, budget(1))];
    for buckets in [&[] as &[Bucket<'_>], &[one, one], &[other], &many] {
        let counted = ledger.count(buckets, &[], NOON).await;
        assert_eq!(counted, Err(LedgerError::Call), "wrong calls: {} buckets", buckets.len());
    }
    let queries = queries("wrong", 0..MAX_QUERIES as u64 + 1);
    assert_eq!(ledger.count(&[one], &queries, NOON).await, Err(LedgerError::Call), "wrong calls: queries");
}

async fn exact_then_estimated<L: QueryLedger>(ledger: &L) {
    let hard = EXACT * 2;
    let mut asked = 0;
    loop {
        let part = queries("many", asked..asked + 100);
        let counted = ask(ledger, "{t}a", hard, &part).await;
        if counted.verdict() == Verdict::Refused {
            break;
        }
        asked += part.len() as u64;
        let Some(standing) = counted.standings().first() else { panic!("exact: one bucket, one standing") };
        assert_eq!(standing.is_exact, asked <= EXACT, "exact: at {asked}");
        assert!(asked > EXACT || standing.distinct == asked, "exact: {} at {asked}", standing.distinct);
        let again = ask(ledger, "{t}a", hard, &part).await;
        let (before, after) = (standing.distinct, again.standings().first().map(|standing| standing.distinct));
        assert!(asked > EXACT || calls(&again) == [(100, 0, 0)], "exact: repeats are known");
        assert_eq!(after, Some(before), "exact: repeats are not counted, known or not");
        assert!(asked < hard * 2, "estimated: never refused");
    }
    let off = asked.abs_diff(hard) as f64 / hard as f64;
    assert!(off <= 0.02, "estimated: refused at {asked} of {hard}");
}
