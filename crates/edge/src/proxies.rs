//! Who is calling, by address: the peer, or what trusted proxies say of it.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// The most addresses that are read.
const MAX_HOPS: usize = 16;

/// The proxies that are believed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<[IpNet]>);

/// A trusted proxy sent an `X-Forwarded-For` that is no list of at most 16 addresses: the proxy is to blame, and asking
/// again does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a list of addresses")]
pub struct InvalidForwardedFor;

impl Proxies {
    /// Whoever connects from these networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether this is one. An IPv4 address that is written as an IPv6 one is the same address.
    pub fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The caller's address. The values of `X-Forwarded-For`, in the order of their lines, count only if `peer` is
    /// trusted, and are read from the right: the first address that is not itself a proxy is the caller. What stands
    /// left of it may be anybody's invention and is not read.
    ///
    /// # Errors
    /// [`InvalidForwardedFor`] if a trusted peer sends what cannot be read that far.
    pub fn caller<'h>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'h [u8]>,
    ) -> Result<IpAddr, InvalidForwardedFor> {
        let mut caller = peer.to_canonical();
        if !self.trust(caller) {
            return Ok(caller);
        }
        for (hops, hop) in forwarded_for.rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).enumerate() {
            let address = std::str::from_utf8(hop).map_err(|_| InvalidForwardedFor)?.trim();
            caller = address.parse::<IpAddr>().map_err(|_| InvalidForwardedFor)?.to_canonical();
            if hops == MAX_HOPS {
                return Err(InvalidForwardedFor);
            }
            if !self.trust(caller) {
                break;
            }
        }
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies() -> Proxies {
        Proxies::new(["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()))
    }

    fn from(peer: &str, forwarded: &[&str]) -> Result<String, InvalidForwardedFor> {
        let lines = forwarded.iter().map(|line| line.as_bytes());
        proxies().caller(peer.parse().unwrap(), lines).map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(from("1.2.3.4", &["9.9.9.9"]).unwrap(), "1.2.3.4");
        assert_eq!(from("1.2.3.4", &["nonsense"]).unwrap(), "1.2.3.4");
        assert_eq!(from("10.0.0.1", &["9.9.9.9"]).unwrap(), "9.9.9.9");
        assert_eq!(from("::ffff:10.0.0.1", &["::ffff:9.9.9.9"]).unwrap(), "9.9.9.9");
        assert_eq!(from("10.0.0.1", &["6.6.6.6, 9.9.9.9, 10.0.0.2"]).unwrap(), "9.9.9.9");
        assert_eq!(from("10.0.0.1", &["6.6.6.6", "9.9.9.9"]).unwrap(), "9.9.9.9");
        assert_eq!(from("fd00::1", &["2001:db8::1"]).unwrap(), "2001:db8::1");
        assert_eq!(from("10.0.0.1", &[]).unwrap(), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["nonsense, 9.9.9.9"]).unwrap(), "9.9.9.9");
        for wrong in ["nonsense", "", "9.9.9.9,", "9.9.9.9:80", "[2001:db8::1]", "\u{660}.1.1.1", "unknown"] {
            assert_eq!(from("10.0.0.1", &[wrong]), Err(InvalidForwardedFor), "{wrong:?}");
        }
        assert_eq!(from("10.0.0.1", &[&["10.0.0.9"; 16].join(",")]).unwrap(), "10.0.0.9");
        assert_eq!(from("10.0.0.1", &[&["10.0.0.9"; 17].join(",")]), Err(InvalidForwardedFor));
    }

    proptest! {
        /// Whatever a caller writes before it, what the proxies wrote decides.
        #[test]
        fn what_callers_write_does_not_count(said in "[ -~]{0,40}", proxies in 0_usize..4) {
            let mut line = format!("{said},203.0.113.9");
            (0..proxies).for_each(|_| line.push_str(", 10.9.9.9"));
            prop_assert_eq!(from("10.0.0.1", &[&line]).unwrap(), "203.0.113.9");
        }
    }
}
