//! From where a key may be used.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Networks in CIDR notation (RFC 4632, RFC 4291), such as `192.0.2.0/24` or `2001:db8::/32`; none means
/// anywhere.
///
/// An address alone is a network of one. IPv4 addresses that came as IPv6 ones (`::ffff:192.0.2.1`) count as
/// IPv4, and networks of those are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<String>", try_from = "Vec<String>")]
pub struct Networks(Vec<IpNet>);

/// Networks that cannot be meant.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetworks {
    /// A text that is no network.
    #[error("a network is written like 192.0.2.0/24 or 2001:db8::/32, with no bits set after the prefix")]
    Text,
    /// Too many.
    #[error("a key has at most {} networks", Networks::MAX)]
    TooMany,
}

impl Networks {
    /// Most networks of one key.
    pub const MAX: usize = 64;

    /// These networks.
    ///
    /// # Errors
    /// [`InvalidNetworks`] for a text that is no network, and for too many.
    pub fn new(networks: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, InvalidNetworks> {
        let networks: Vec<_> = networks.into_iter().map(|text| read(text.as_ref())).collect::<Result<_, _>>()?;
        if networks.len() > Self::MAX { Err(InvalidNetworks::TooMany) } else { Ok(Self(networks)) }
    }

    /// Whether any address will do.
    pub fn is_anywhere(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the address is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.is_anywhere() || self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether all of these lie in one of the others each.
    pub(crate) fn are_within(&self, most: &Self) -> bool {
        most.is_anywhere() || (!self.is_anywhere() && self.0.iter().all(|network| most.hold(network)))
    }

    fn hold(&self, network: &IpNet) -> bool {
        self.0.iter().any(|own| own.contains(network))
    }

    /// What lies in both; `None` when nothing does. Two networks have all of one in common, or nothing.
    pub(crate) fn clipped_to(&self, most: &Self) -> Option<Self> {
        if self.is_anywhere() || most.is_anywhere() {
            return Some(if self.is_anywhere() { most.clone() } else { self.clone() });
        }
        let mut common: Vec<_> = self.0.iter().filter(|network| most.hold(network)).copied().collect();
        common.extend(most.0.iter().filter(|network| self.hold(network)));
        common.sort_unstable();
        common.dedup();
        (!common.is_empty()).then_some(Self(common))
    }
}

/// The addresses as std reads them: other parsers take `010.0.0.0` for 10.0.0.0, where some take it for 8.0.0.0.
fn read(text: &str) -> Result<IpNet, InvalidNetworks> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| InvalidNetworks::Text)?;
    let network = match prefix {
        None => IpNet::from(address),
        Some(prefix) => {
            let is_plain =
                prefix.bytes().all(|byte| byte.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
            let bits = prefix.parse().ok().filter(|_| is_plain).ok_or(InvalidNetworks::Text)?;
            IpNet::new(address, bits).map_err(|_| InvalidNetworks::Text)?
        }
    };
    let is_mapped = matches!(network, IpNet::V6(v6) if v6.prefix_len() >= 96 && is_mapped(v6.network()));
    if is_mapped || network.trunc() != network { Err(InvalidNetworks::Text) } else { Ok(network) }
}

fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_anywhere() {
            return f.write_str("anywhere");
        }
        for (at, network) in self.0.iter().enumerate() {
            write!(f, "{}{network}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl From<Networks> for Vec<String> {
    fn from(networks: Networks) -> Self {
        networks.0.iter().map(ToString::to_string).collect()
    }
}

impl TryFrom<Vec<String>> for Networks {
    type Error = InvalidNetworks;

    fn try_from(texts: Vec<String>) -> Result<Self, InvalidNetworks> {
        Self::new(texts)
    }
}
