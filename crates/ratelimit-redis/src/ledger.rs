//! Buckets and slots in memory: what the script in `redis/` does, in Rust.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::bucket::{adjusted, fits, from, refilled, rescaled};
use crate::decision::Seen;
use crate::op::{Act, Done, Op, Part, Slots, Step};
use crate::quota::{Kind, Refill};

/// Fewest buckets before full ones are swept out.
const SWEEP_FROM: usize = 4_096;

/// All buckets of a limiter in memory.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    records: HashMap<Arc<str>, Record>,
    slots: HashMap<(Arc<str>, &'static str), HashMap<u64, u64>>,
    sweep_at: usize,
}

/// All quotas of one bucket, and when they were last changed.
#[derive(Debug, Clone, Default)]
struct Record {
    at: u64,
    used: Vec<Used>,
}

#[derive(Debug, Clone)]
struct Used {
    unit: &'static str,
    refill: Refill,
    ticks: u64,
}

impl Record {
    /// The bucket as it is at `now`, under the quotas of `parts`.
    fn refill(&mut self, parts: &[&Part], now: u64) {
        self.at = from(self.at, now);
        for part in parts {
            let Kind::Bucket(refill) = part.kind else { continue };
            match self.used.iter_mut().find(|used| used.unit == part.unit) {
                Some(used) => {
                    let ticks = rescaled(used.ticks, used.refill.window(), refill.window());
                    used.ticks = refilled(ticks, self.at, now, refill);
                    used.refill = refill;
                }
                None => self.used.push(Used { unit: part.unit, refill, ticks: 0 }),
            }
        }
        self.at = self.at.max(now);
    }

    fn get_mut(&mut self, unit: &str) -> Option<&mut u64> {
        self.used.iter_mut().find(|used| used.unit == unit).map(|used| &mut used.ticks)
    }
}

impl Ledger {
    /// Does one act. `now` is in microseconds.
    pub(crate) fn run(&mut self, op: &Op, now: u64) -> Done {
        let mut records = self.load(op, now);
        let used: Vec<u64> = op.parts.iter().map(|part| self.used(&records, part, now)).collect();
        let does_fit = |(part, used): (&Part, &u64)| match part.step {
            Step::Take { cost, capacity } => fits(*used, cost, capacity, 1) == 1,
            Step::Adjust { .. } => true,
        };
        let is_taken = op.parts.iter().zip(&used).all(does_fit);
        let done = Done { is_taken, seen: Seen { now, used } };
        if !is_taken || op.is_idle() {
            return done;
        }
        let mut changed: HashSet<&Arc<str>> = HashSet::new();
        for (part, used) in op.parts.iter().zip(&done.seen.used) {
            match part.kind {
                Kind::Bucket(_) => {
                    let ticks = records.get_mut(&part.bucket).and_then(|record| record.get_mut(part.unit));
                    let after = after(*used, part.step);
                    if let Some(ticks) = ticks.filter(|_| after != *used) {
                        *ticks = after;
                        changed.insert(&part.bucket);
                    }
                }
                Kind::Slots { lease_millis, .. } => self.hold(op, part, now, now.saturating_add(lease_millis * 1_000)),
            }
        }
        // What did not change is not written: what it refills by is known to those who change it only.
        for (bucket, record) in records.into_iter().filter(|(bucket, _)| changed.contains(bucket)) {
            if record.used.iter().all(|used| used.ticks == 0) {
                self.records.remove(&bucket);
            } else {
                self.records.insert(bucket, record);
            }
        }
        self.sweep(now);
        done
    }

    fn load(&self, op: &Op, now: u64) -> HashMap<Arc<str>, Record> {
        let mut records: HashMap<Arc<str>, Record> = HashMap::new();
        for part in op.parts.iter().filter(|part| matches!(part.kind, Kind::Bucket(_))) {
            if !records.contains_key(&part.bucket) {
                let fresh = || Record { at: now, used: Vec::new() };
                let mut record = self.records.get(&part.bucket).cloned().unwrap_or_else(fresh);
                let ours: Vec<&Part> = op.parts.iter().filter(|other| other.bucket == part.bucket).collect();
                record.refill(&ours, now);
                records.insert(part.bucket.clone(), record);
            }
        }
        records
    }

    fn used(&self, records: &HashMap<Arc<str>, Record>, part: &Part, now: u64) -> u64 {
        match part.kind {
            Kind::Bucket(_) => {
                let used =
                    records.get(&part.bucket).and_then(|record| record.used.iter().find(|used| used.unit == part.unit));
                used.map_or(0, |used| used.ticks)
            }
            Kind::Slots { .. } => {
                let held = self.slots.get(&(part.bucket.clone(), part.unit));
                held.map_or(0, |held| held.values().filter(|until| **until > now).count() as u64)
            }
        }
    }

    fn hold(&mut self, op: &Op, part: &Part, now: u64, until: u64) {
        let key = (part.bucket.clone(), part.unit);
        match (op.act, part.step) {
            (Act::Take, Step::Take { cost, .. }) if cost > 0 => {
                let held = self.slots.entry(key).or_default();
                held.retain(|_, until| *until > now);
                held.insert(op.permit, until);
            }
            // Also when the lease is over: its holder lives.
            (Act::Adjust(Slots::Renew), Step::Adjust { more, .. }) if more > 0 => {
                self.slots.entry(key).or_default().insert(op.permit, until);
            }
            (Act::Adjust(Slots::Release), _) => {
                if let Some(held) = self.slots.get_mut(&key) {
                    held.remove(&op.permit);
                    if held.is_empty() {
                        self.slots.remove(&key);
                    }
                }
            }
            _ => {}
        }
    }

    /// Forgets full buckets and slots whose lease is over, when there are twice as many as after the last
    /// time.
    fn sweep(&mut self, now: u64) {
        if self.len() < self.sweep_at.max(SWEEP_FROM) {
            return;
        }
        self.records.retain(|_, record| {
            let at = from(record.at, now);
            record.used.iter().any(|used| refilled(used.ticks, at, now, used.refill) > 0)
        });
        self.slots.retain(|_, held| {
            held.retain(|_, until| *until > now);
            !held.is_empty()
        });
        self.sweep_at = self.len() * 2;
    }

    /// Buckets that are kept.
    pub(crate) fn len(&self) -> usize {
        self.records.len() + self.slots.len()
    }
}

fn after(used: u64, step: Step) -> u64 {
    match step {
        Step::Take { cost, .. } => used.saturating_add(cost),
        Step::Adjust { level, more, less, ceiling } => adjusted(used, level, more, less, ceiling),
    }
}
