//! Which slots the buckets of a call lie in.

use redis_place::RedisPlace;

use crate::charge::Held;
use crate::redis::keys::slot;

/// Charges of one call that lie in one slot, and where they stood.
pub(crate) struct Group {
    pub(crate) slot: u16,
    pub(crate) charges: Vec<Held>,
    pub(crate) places: Vec<usize>,
}

/// The slot of a bucket; always 0 where there is one server.
pub(crate) fn slot_in(place: &RedisPlace, bucket: &str) -> u16 {
    if place.is_cluster() { slot(bucket) } else { 0 }
}

/// The charges slot by slot, in the order in which every call goes through them.
pub(crate) fn split(place: &RedisPlace, charges: &[Held]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::with_capacity(1);
    for (at, held) in charges.iter().enumerate() {
        let slot = slot_in(place, &held.bucket);
        match groups.iter_mut().find(|group| group.slot == slot) {
            Some(group) => {
                group.charges.push(held.clone());
                group.places.push(at);
            }
            None => groups.push(Group { slot, charges: vec![held.clone()], places: vec![at] }),
        }
    }
    groups.sort_by_key(|group| group.slot);
    groups
}

/// The one slot of all charges.
pub(crate) fn same_slot(place: &RedisPlace, charges: &[Held]) -> Option<u16> {
    if !place.is_cluster() {
        return Some(0);
    }
    let mut slots = charges.iter().map(|held| slot(&held.bucket));
    let first = slots.next().unwrap_or_default();
    slots.all(|slot| slot == first).then_some(first)
}
