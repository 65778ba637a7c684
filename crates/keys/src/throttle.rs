//! Failures per address. Only failures are charged, so that a good key from a shared address works
//! as long as it is remembered.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::UnixMillis;

const WINDOW_MS: u64 = 60_000;
/// Many small maps: to look for one to drop costs little in a small map, and much in a large one that is emptied
/// from its start. Which map an address is in follows from a random number, so that nobody fills one.
const MAPS: usize = 512;
const MOST_OF_MAP: usize = 128;
/// How many entries are looked at for one to drop.
const SAMPLE: usize = 8;

type Map = Mutex<HashMap<Ipv6Addr, u64>>;

/// So many failures per minute and address, by the generic cell rate algorithm (ITU-T I.371): per
/// address one number, the time at which all its failures are forgotten. In microseconds.
pub(crate) struct Throttle {
    cost_us: u64,
    /// In memory of their own: a flood must not take the cache lines of what good keys need.
    clear_at: Box<(Map, [Map; MAPS - 1])>,
    spread: RandomState,
}

impl Throttle {
    pub(crate) fn new(failures_per_minute: NonZeroU32) -> Self {
        let cost_us = (WINDOW_MS * 1_000).div_ceil(u64::from(failures_per_minute.get()));
        let clear_at = Box::new((Map::default(), std::array::from_fn(|_| Map::default())));
        Self { cost_us, clear_at, spread: RandomState::new() }
    }

    /// How long the address must wait, if it must.
    pub(crate) fn wait(&self, from: IpAddr, now: UnixMillis) -> Option<Duration> {
        let now = now.saturating_mul(1_000);
        let network = network_of(from);
        let clear_at = self.clear_at(&self.lock(&network), network, now);
        self.wait_of(clear_at, now)
    }

    /// Notes a failure; how long the address must wait if it had used up its failures before.
    pub(crate) fn charge(&self, from: IpAddr, now: UnixMillis) -> Option<Duration> {
        let (network, now) = (network_of(from), now.saturating_mul(1_000));
        let mut addresses = self.lock(&network);
        let clear_at = self.clear_at(&addresses, network, now);
        let wait = self.wait_of(clear_at, now);
        if wait.is_none() {
            if addresses.len() >= MOST_OF_MAP && !addresses.contains_key(&network) {
                let mildest = addresses.iter().take(SAMPLE).min_by_key(|(_, clear_at)| **clear_at);
                if let Some(network) = mildest.map(|(network, _)| *network) {
                    addresses.remove(&network);
                }
            }
            addresses.insert(network, clear_at.saturating_add(self.cost_us));
        }
        wait
    }

    /// Never further away than a full window, so that a clock that steps back locks nobody out.
    fn clear_at(&self, addresses: &HashMap<Ipv6Addr, u64>, network: Ipv6Addr, now: u64) -> u64 {
        let noted = addresses.get(&network).copied().unwrap_or(now);
        noted.clamp(now, now.saturating_add(WINDOW_MS * 1_000))
    }

    fn wait_of(&self, clear_at: u64, now: u64) -> Option<Duration> {
        let room_at = clear_at.saturating_add(self.cost_us).saturating_sub(WINDOW_MS * 1_000);
        (room_at > now).then(|| Duration::from_micros(room_at - now))
    }

    fn lock(&self, network: &Ipv6Addr) -> MutexGuard<'_, HashMap<Ipv6Addr, u64>> {
        let at = self.spread.hash_one(network) as usize % MAPS;
        let (first, rest) = &*self.clear_at;
        let map = at.checked_sub(1).and_then(|at| rest.get(at)).unwrap_or(first);
        map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is counted as one address: an IPv4 address, mapped or not; of IPv6 the /64, which is one site.
pub fn network_of(address: IpAddr) -> Ipv6Addr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64),
    }
}
