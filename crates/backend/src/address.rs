//! Where a model server may be. Whoever can change what a name means must not lead requests, and the server's key with
//! them, to the link, to a cloud's metadata, or to everybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata of clouds beside the link-local ones: of Alibaba, Azure, Oracle, Amazon and Google.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254)),
];
/// Addresses of IPv4 behind a translator (RFC 6052), and 6to4 (RFC 3056).
const TRANSLATED: u128 = 0x0064_ff9b_u128 << 96;
const SIX_TO_FOUR: u128 = 0x2002 << 112;

/// Whether a server may be there. Loopback and private networks are where most are.
pub(crate) fn is_allowed(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return false;
    }
    match address {
        IpAddr::V4(v4) => !(v4.octets()[0] == 0 || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            let inner = match () {
                () if bits >> 32 == TRANSLATED >> 32 => Some(bits as u32),
                () if bits >> 112 == SIX_TO_FOUR >> 112 => Some((bits >> 80) as u32),
                () => None,
            };
            inner.is_none_or(|v4| is_allowed(Ipv4Addr::from_bits(v4).into()))
                && !(v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast())
        }
    }
}

/// The system's names, without the addresses where no server may be.
pub(crate) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| is_allowed(address.ip())).collect();
            match allowed.is_empty() {
                true => Err("the name leads to no address where a model server may be".into()),
                false => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_on_networks_of_ours_or_of_others() {
        for address in ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "fd12::1", "203.0.113.9", "2606:4700::1"] {
            assert!(is_allowed(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn they_are_not_on_the_link_at_metadata_or_everywhere() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "::ffff:100.100.100.200",
            "168.63.129.16",
            "fd20:ce::254",
            "fe80::1",
            "ff02::1",
            "::",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(!is_allowed(address.parse().unwrap()), "{address}");
        }
    }
}
