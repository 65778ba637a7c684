//! How many connections are open, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline::Metrics;

/// Counts the connections of a listener, over all of its threads.
pub(crate) struct Connections {
    listener: &'static str,
    metrics: Metrics,
    most: usize,
    most_per_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// One open connection; dropping it says that it is closed.
pub(crate) struct Place {
    of: Arc<Connections>,
    address: Option<IpAddr>,
}

/// There are too many connections already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Connections {
    pub(crate) fn new(listener: &'static str, metrics: Metrics, most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Self { listener, metrics, most, most_per_address, open: Mutex::default() })
    }

    /// A place for a connection that nobody knows anything of yet.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Place, TooMany> {
        let mut open = self.open();
        if open.all >= self.most {
            return Err(TooMany);
        }
        open.all += 1;
        self.metrics.connections(self.listener, open.all);
        Ok(Place { of: self.clone(), address: None })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts it for the address it is from: of IPv6, for the /64.
    pub(crate) fn of(mut self, address: IpAddr) -> Result<Self, TooMany> {
        let address = network(address);
        let mut open = self.of.open();
        let count = open.by.entry(address).or_default();
        if *count >= self.of.most_per_address {
            return Err(TooMany);
        }
        *count += 1;
        drop(open);
        self.address = Some(address);
        Ok(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.open();
        open.all = open.all.saturating_sub(1);
        self.of.metrics.connections(self.of.listener, open.all);
        let Some(address) = self.address else { return };
        if let Some(count) = open.by.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.by.remove(&address);
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let connections = Connections::new("callers", Metrics::new(), 3, 2);
        let from = |address: &str| connections.enter()?.of(address.parse().unwrap());
        let one = from("2001:db8::1").unwrap();
        let two = from("2001:db8::2").unwrap();
        assert_eq!(from("2001:db8::3").err(), Some(TooMany));
        let three = from("2001:db8:0:1::1").unwrap();
        assert_eq!(connections.enter().err(), Some(TooMany));
        assert_eq!(connections.open().all, 3);
        drop((one, two));
        let mapped = from("::ffff:192.0.2.1").unwrap();
        let plain = from("192.0.2.1").unwrap();
        assert_eq!(connections.open().all, 3);
        drop(plain);
        assert!(from("192.0.2.1").is_ok());
        drop((mapped, three));
        let open = connections.open();
        assert_eq!((open.all, open.by.len()), (0, 0));
    }
}
