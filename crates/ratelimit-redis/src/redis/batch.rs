//! Acts as the script reads them, and its answer.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::LimiterError;
use crate::decision::Seen;
use crate::op::{Act, Done, Op, Part, Slots, Step};
use crate::quota::{Kind, Refill};
use crate::redis::keys::{is_in_the_way, record_key, slots_key};
use crate::redis::takes;

/// Most keys and parts of one call: it keeps Redis busy for a fraction of a millisecond.
const MAX_KEYS: usize = 32;
const MAX_PARTS: usize = 256;

/// What the script says of an act on bytes that are no bucket.
const BROKEN: u64 = 0xffff_ffff;

/// Which script does a batch: the one for takes from buckets with so many quotas, or the one for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Short(usize),
    Long,
}

/// Acts that go to the server in one call.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(super) records: Vec<Record>,
    pub(super) slots: Vec<SlotsKey>,
    pub(super) acts: Vec<Together>,
    parts: usize,
    /// Acts by their hash, as far as they can go together.
    same: HashMap<u64, usize>,
    hasher: RandomState,
}

#[derive(Debug)]
pub(super) struct Record {
    bucket: Arc<str>,
    quotas: Vec<(&'static str, Refill)>,
}

#[derive(Debug)]
pub(super) struct SlotsKey {
    bucket: Arc<str>,
    unit: &'static str,
    lease_millis: u64,
}

/// One act, done so many times.
#[derive(Debug)]
pub(super) struct Together {
    pub(super) op: Arc<Op>,
    pub(super) times: u32,
}

/// Which act of a batch, and the how manieth of its kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    act: usize,
    nth: u32,
}

impl Batch {
    /// Adds an act; gives it back if it is one too many, or a bucket has another quota in this batch.
    pub(crate) fn push(&mut self, op: Op) -> Result<Place, Op> {
        let is_plain = op.act == Act::Take && !op.parts.iter().any(is_slots);
        // By what they mostly differ in; whether they are the same is looked at.
        let first = op.parts.first().filter(|_| is_plain);
        let hash = first.map(|part| self.hasher.hash_one((&part.bucket, part.step)));
        if let Some(act) = hash.and_then(|hash| self.same.get(&hash)).copied()
            && let Some(together) = self.acts.get_mut(act).filter(|together| together.op.parts == op.parts)
        {
            let nth = together.times;
            together.times += 1;
            return Ok(Place { act, nth });
        }
        if !self.acts.is_empty() && !self.has_room(&op) {
            return Err(op);
        }
        let act = self.acts.len();
        if let Some(hash) = hash {
            self.same.insert(hash, act);
        }
        for part in &op.parts {
            self.add(part);
        }
        self.parts += op.parts.len();
        self.acts.push(Together { op: Arc::new(op), times: 1 });
        Ok(Place { act, nth: 0 })
    }

    /// Whether it holds more than one act.
    pub(crate) fn is_several(&self) -> bool {
        self.acts.len() > 1
    }

    /// The act at a place, by its caller's permit.
    pub(crate) fn op(&self, place: Place) -> Option<&Arc<Op>> {
        self.acts.get(place.act).map(|together| &together.op)
    }

    fn has_room(&self, op: &Op) -> bool {
        let mut keys = self.records.len() + self.slots.len();
        let mut fresh: Option<&Arc<str>> = None;
        for part in &op.parts {
            // A bucket's quotas follow each other, and are one key.
            if !is_slots(part) && fresh.is_some_and(|fresh| Arc::ptr_eq(fresh, &part.bucket)) {
                continue;
            }
            let is_known = match part.kind {
                Kind::Bucket(refill) => self.record(&part.bucket).and_then(|at| self.records.get(at)).map(|record| {
                    let same = record.quotas.iter().find(|(unit, _)| *unit == part.unit);
                    same.is_none_or(|(_, other)| (other.step(), other.back()) == (refill.step(), refill.back()))
                }),
                Kind::Slots { lease_millis, .. } => {
                    let slots = self.slots_of(part).and_then(|at| self.slots.get(at));
                    slots.map(|slots| slots.lease_millis == lease_millis)
                }
            };
            match is_known {
                Some(false) => return false,
                Some(true) => {}
                None => {
                    keys += 1;
                    if !is_slots(part) {
                        fresh = Some(&part.bucket);
                    }
                }
            }
        }
        keys <= MAX_KEYS && self.parts + op.parts.len() <= MAX_PARTS
    }

    fn add(&mut self, part: &Part) {
        match part.kind {
            Kind::Bucket(refill) => match self.record(&part.bucket).and_then(|at| self.records.get_mut(at)) {
                None => {
                    self.records.push(Record { bucket: part.bucket.clone(), quotas: vec![(part.unit, refill)] });
                }
                Some(record) => {
                    if record.quotas.iter().all(|(unit, _)| *unit != part.unit) {
                        record.quotas.push((part.unit, refill));
                    }
                }
            },
            Kind::Slots { lease_millis, .. } => {
                if self.slots_of(part).is_none() {
                    self.slots.push(SlotsKey { bucket: part.bucket.clone(), unit: part.unit, lease_millis });
                }
            }
        }
    }

    /// Looked for from the end: an act's parts of one bucket follow each other.
    fn record(&self, bucket: &Arc<str>) -> Option<usize> {
        self.records.iter().rposition(|record| Arc::ptr_eq(&record.bucket, bucket) || record.bucket == *bucket)
    }

    fn slots_of(&self, part: &Part) -> Option<usize> {
        self.slots.iter().rposition(|slots| slots.bucket == part.bucket && slots.unit == part.unit)
    }

    /// Which script does it.
    pub(crate) fn way(&self) -> Way {
        takes::quotas(self).map_or(Way::Long, Way::Short)
    }

    /// The keys.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let records = self.records.iter().map(|record| record_key(prefix, &record.bucket));
        let slots = self.slots.iter().map(|slots| slots_key(prefix, slots.unit, &slots.bucket));
        records.chain(slots).collect()
    }

    /// The arguments after the keys.
    pub(crate) fn encode(&self, way: Way) -> Vec<Vec<u8>> {
        if let Way::Short(_) = way {
            return vec![takes::encode(self)];
        }
        let (mut numbers, mut permits) = (Numbers(Vec::with_capacity(64 + 40 * self.parts)), Vec::new());
        numbers.put(self.records.len() as u64);
        for record in &self.records {
            numbers.put(record.quotas.len() as u64);
            for (_, refill) in &record.quotas {
                numbers.put(refill.back());
                numbers.put(refill.step());
            }
        }
        for slots in &self.slots {
            numbers.put(slots.lease_millis);
        }
        for Together { op, times } in &self.acts {
            self.encode_act(op, *times, permits.len() / 8, &mut numbers);
            permits.extend(op.permit.to_le_bytes());
        }
        let tags = self.records.iter().map(|record| {
            let tags = record.quotas.iter().map(|(unit, refill)| tag(unit, *refill));
            tags.flat_map(u16::to_le_bytes).collect()
        });
        [numbers.0, permits].into_iter().chain(tags).collect()
    }

    fn encode_act(&self, op: &Op, times: u32, permit: usize, numbers: &mut Numbers) {
        let keys = self.keys_of(op);
        numbers.put(match op.act {
            Act::Take => 1,
            Act::Adjust(Slots::Leave) => 2,
            Act::Adjust(Slots::Renew) => 3,
            Act::Adjust(Slots::Release) => 4,
        });
        numbers.put(u64::from(times));
        numbers.put(permit as u64);
        numbers.put(keys.len() as u64);
        for (key, parts) in keys {
            numbers.put(key as u64 + 1);
            for part in parts {
                match part.and_then(|at| op.parts.get(at)).map(|part| part.step) {
                    Some(Step::Take { cost, capacity }) => numbers.put_all(&[cost, capacity]),
                    Some(Step::Adjust { level, more, less, ceiling }) => numbers.put_all(&[level, more, less, ceiling]),
                    // A quota of the record that this act leaves out.
                    None if op.act == Act::Take => numbers.put_all(&[0, 0]),
                    None => numbers.put_all(&[0, 0, 0, 0]),
                }
            }
        }
    }

    /// The keys of an act, and for each quota of each key which part is about it.
    fn keys_of(&self, op: &Op) -> Vec<(usize, Vec<Option<usize>>)> {
        let mut keys: Vec<(usize, Vec<Option<usize>>)> = Vec::with_capacity(1);
        for (at, part) in op.parts.iter().enumerate() {
            let (key, place, quotas) = match part.kind {
                Kind::Bucket(_) => {
                    let key = self.record(&part.bucket).unwrap_or_default();
                    let quotas = self.records.get(key).map(|record| record.quotas.as_slice()).unwrap_or_default();
                    let place = quotas.iter().position(|(unit, _)| *unit == part.unit).unwrap_or_default();
                    (key, place, quotas.len())
                }
                Kind::Slots { .. } => (self.records.len() + self.slots_of(part).unwrap_or_default(), 0, 1),
            };
            if !keys.iter().any(|(other, _)| *other == key) {
                keys.push((key, vec![None; quotas]));
            }
            let parts = keys.iter_mut().find(|(other, _)| *other == key).and_then(|(_, parts)| parts.get_mut(place));
            if let Some(place) = parts {
                *place = Some(at);
            }
        }
        keys
    }

    /// Reads the answer.
    pub(crate) fn decode(&self, answer: &[u8]) -> Result<Answer<'_>, LimiterError> {
        let (numbers, _) = answer.as_chunks::<8>();
        // The script's numbers are whole and below 2^53.
        let mut numbers = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes) as u64);
        let now = numbers.next().ok_or(LimiterError::Corrupt)?;
        let mut acts = Vec::with_capacity(self.acts.len());
        let is_short = self.way() != Way::Long;
        for Together { op, .. } in &self.acts {
            let times = numbers.next().ok_or(LimiterError::Corrupt)?;
            if is_short {
                // A record has the quotas of its act, in their order.
                let used: Vec<u64> = numbers.by_ref().take(op.parts.len()).collect();
                if used.len() < op.parts.len() {
                    return Err(LimiterError::Corrupt);
                }
                acts.push((times, used));
                continue;
            }
            let mut used = vec![0; op.parts.len()];
            for part in self.keys_of(op).into_iter().flat_map(|(_, parts)| parts) {
                let number = numbers.next().ok_or(LimiterError::Corrupt)?;
                if let Some(place) = part.and_then(|at| used.get_mut(at)) {
                    *place = number;
                }
            }
            acts.push((times, used));
        }
        Ok(Answer { batch: self, now, acts })
    }
}

/// What came of a batch.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    batch: &'a Batch,
    now: u64,
    acts: Vec<(u64, Vec<u64>)>,
}

impl Answer<'_> {
    /// What came of the act at a place.
    pub(crate) fn of(&self, place: Place) -> Result<Done, LimiterError> {
        let Place { act, nth } = place;
        let (Some((times, used)), Some(op)) = (self.acts.get(act), self.batch.op(place)) else {
            return Err(LimiterError::Corrupt);
        };
        if *times == BROKEN {
            return Err(LimiterError::Corrupt);
        }
        // Those before it took what they cost, as far as it fitted.
        let taken = u64::from(nth).min(*times);
        let used = op.parts.iter().zip(used).map(|(part, used)| match part.step {
            Step::Take { cost, .. } => used.saturating_add(cost.saturating_mul(taken)),
            Step::Adjust { .. } => *used,
        });
        Ok(Done { is_taken: u64::from(nth) < *times, seen: Seen { now: self.now, used: used.collect() } })
    }
}

fn is_slots(part: &Part) -> bool {
    matches!(part.kind, Kind::Slots { .. })
}

/// 13 bits of the unit, 3 of the window.
pub(super) fn tag(unit: &str, refill: Refill) -> u16 {
    (crate::unit::tag(unit) << 3) | refill.window().class()
}

/// Whether the units of slots leave names their tags.
pub(crate) fn leaves_tags(op: &Op) -> bool {
    op.parts.iter().all(|part| !is_slots(part) || !is_in_the_way(part.unit))
}

pub(super) struct Numbers(pub(super) Vec<u8>);

impl Numbers {
    /// Below 2^53, so that a double holds it.
    fn put(&mut self, number: u64) {
        self.put_double(number as f64);
    }

    pub(super) fn put_double(&mut self, number: f64) {
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn put_all(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| self.put(*number));
    }
}
