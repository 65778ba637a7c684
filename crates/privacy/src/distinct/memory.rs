//! A ledger in memory, for one process.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use super::cardinality::Cardinality;
use super::key::{Query, QueryDigest};
use super::ledger::{
    BoxFuture, Bucket, Counted, EXACT, LedgerError, QueryLedger, Standing, Tally, UnixMillis, check_call, fits,
};
use super::near::NearTable;
use super::sketch::Sketch;

/// Counts in memory and forgets on restart. A bucket takes 64 KiB once it has seen a sketch, about 50 bytes a
/// distinct query up to [`EXACT`], and 32 KiB beyond.
pub struct MemoryQueryLedger {
    most: NonZeroUsize,
    windows: Mutex<HashMap<(Box<str>, String), Counts>>,
}

/// What a bucket holds in one window.
struct Counts {
    known: HashSet<QueryDigest>,
    /// The same, in places of which one is given to another query when there are more than [`EXACT`].
    places: Vec<QueryDigest>,
    beyond: Option<Beyond>,
    last: Option<NearTable>,
    repeats: u64,
    near: u64,
    ends: UnixMillis,
}

/// What is counted beyond [`EXACT`].
struct Beyond {
    cardinality: Cardinality,
    /// What was estimated when the exact number was [`EXACT`].
    before: f64,
}

impl MemoryQueryLedger {
    /// Holds so many buckets and windows at most; those that ended make room for others.
    pub fn new(buckets: NonZeroUsize) -> Self {
        Self { most: buckets, windows: Mutex::default() }
    }

    fn count_now(&self, buckets: &[Bucket<'_>], queries: &[Query], now: UnixMillis) -> Result<Counted, LedgerError> {
        check_call(buckets, queries)?;
        let names: Vec<_> =
            buckets.iter().map(|bucket| (Box::from(bucket.name), bucket.budget.window().name(now))).collect();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = names.iter().filter(|name| !windows.contains_key(*name)).count();
        if windows.len().saturating_add(missing) > self.most.get() {
            windows.retain(|_, counts| counts.ends > now);
        }
        if windows.len().saturating_add(missing) > self.most.get() {
            return Err(LedgerError::Full);
        }
        let mut standings = Vec::with_capacity(buckets.len());
        for (name, bucket) in names.iter().zip(buckets) {
            let fresh = || Counts::new(bucket.budget.window().end(now));
            let counts = windows.entry(name.clone()).or_insert_with(fresh);
            standings.push(counts.standing(bucket, counts.tally(queries)));
        }
        let is_refused = !standings.iter().all(|seen| fits(seen.distinct, seen.call.cost(), seen.budget));
        if !is_refused {
            for ((name, bucket), standing) in names.iter().zip(buckets).zip(&mut standings) {
                if let Some(counts) = windows.get_mut(name) {
                    counts.add(queries, standing.call);
                    *standing = counts.standing(bucket, standing.call);
                }
            }
        }
        Ok(Counted::new(is_refused, standings))
    }
}

impl QueryLedger for MemoryQueryLedger {
    fn count<'a>(
        &'a self,
        buckets: &'a [Bucket<'a>],
        queries: &'a [Query],
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>> {
        Box::pin(std::future::ready(self.count_now(buckets, queries, now)))
    }
}

impl fmt::Debug for MemoryQueryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueryLedger").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Counts {
    fn new(ends: UnixMillis) -> Self {
        let known = HashSet::new();
        Self { known, places: Vec::new(), beyond: None, last: None, repeats: 0, near: 0, ends }
    }

    /// What these queries would be, one after the other.
    fn tally(&self, queries: &[Query]) -> Tally {
        let mut tally = Tally::default();
        let (mut digests, mut slots) = (HashSet::with_capacity(queries.len()), HashMap::new());
        for query in queries {
            if self.known.contains(&query.digest()) || !digests.insert(query.digest()) {
                tally.repeats += 1;
                continue;
            }
            let at = |slot| slots.get(&slot).copied().or_else(|| self.last.as_ref()?.at(slot));
            let is_near = |sketch: Sketch| sketch.slots().into_iter().filter_map(at).any(|it| it.is_near(sketch));
            if query.sketch().is_some_and(is_near) {
                tally.near += 1;
            } else {
                tally.new += 1;
            }
            if let Some(sketch) = query.sketch() {
                slots.extend(sketch.slots().map(|slot| (slot, sketch)));
            }
        }
        tally
    }

    fn add(&mut self, queries: &[Query], tally: Tally) {
        self.repeats = self.repeats.saturating_add(tally.repeats);
        self.near = self.near.saturating_add(tally.near);
        for query in queries {
            if self.known.contains(&query.digest()) {
                continue;
            }
            self.remember(query.digest());
            if let Some(sketch) = query.sketch() {
                self.last.get_or_insert_with(NearTable::new).remember(sketch);
            }
        }
    }

    fn remember(&mut self, digest: QueryDigest) {
        if (self.places.len() as u64) < EXACT {
            self.places.push(digest);
        } else {
            let beyond = self.beyond.get_or_insert_with(|| Beyond::new(&self.places));
            beyond.cardinality.add(&digest);
            // Digests are random numbers: so is the place of this one.
            let place = u128::from_le_bytes(*digest.as_bytes()) % u128::from(EXACT);
            if let Some(place) = self.places.get_mut(place as usize) {
                self.known.remove(&std::mem::replace(place, digest));
            }
        }
        self.known.insert(digest);
    }

    fn distinct(&self) -> u64 {
        match &self.beyond {
            None => self.places.len() as u64,
            Some(beyond) => EXACT.saturating_add((beyond.cardinality.estimate() - beyond.before).round() as u64),
        }
    }

    fn standing(&self, bucket: &Bucket<'_>, call: Tally) -> Standing {
        let is_exact = self.beyond.is_none();
        let (distinct, budget) = (self.distinct(), bucket.budget);
        Standing { distinct, is_exact, call, repeats: self.repeats, near: self.near, budget, ends: self.ends }
    }
}

impl Beyond {
    fn new(known: &[QueryDigest]) -> Self {
        let mut cardinality = Cardinality::new();
        known.iter().for_each(|digest| cardinality.add(digest));
        Self { before: cardinality.estimate(), cardinality }
    }
}
