//! Who is calling, by address: the peer, or what trusted proxies say of it.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;
use pipeline::Code;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const MAX_HOPS: usize = 16;

/// The caller's address. `X-Forwarded-For` counts only from a trusted peer, and is read from the
/// right: the first address that is not itself a trusted proxy is the caller.
///
/// # Errors
/// 400 when a trusted peer sends a list that cannot be read, or `Forwarded`.
pub(crate) fn client_ip(request: &HttpRequest, trusted: &[IpNet]) -> Result<IpAddr, Code> {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    resolve(peer.to_canonical(), request.headers(), trusted)
}

fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Result<IpAddr, Code> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return Ok(peer);
    }
    // A proxy that writes one of them passes on what callers write into the other.
    if headers.contains_key(FORWARDED) {
        return Err(Code::BadRequest);
    }
    let mut caller = peer;
    let mut hops = 0;
    let lines: Vec<&str> = headers.get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        hops += 1;
        let address: IpAddr = hop.trim().parse().map_err(|_| Code::BadRequest)?;
        caller = address.to_canonical();
        if hops > MAX_HOPS {
            return Err(Code::BadRequest);
        }
        if !is_trusted(&caller) {
            break;
        }
    }
    Ok(caller)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn from(peer: &str, forwarded: &[&str]) -> Result<String, Code> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        resolve(peer.parse().unwrap(), &headers, &trusted).map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(from("1.2.3.4", &["9.9.9.9"]).unwrap(), "1.2.3.4");
        assert_eq!(from("10.0.0.1", &["9.9.9.9"]).unwrap(), "9.9.9.9");
        assert_eq!(from("10.0.0.1", &["6.6.6.6, 9.9.9.9, 10.0.0.2"]).unwrap(), "9.9.9.9");
        assert_eq!(from("10.0.0.1", &["6.6.6.6", "9.9.9.9"]).unwrap(), "9.9.9.9");
        assert_eq!(from("fd00::1", &["2001:db8::1"]).unwrap(), "2001:db8::1");
        assert_eq!(from("10.0.0.1", &[]).unwrap(), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["nonsense"]), Err(Code::BadRequest));
        assert_eq!(from("10.0.0.1", &[&["10.0.0.9"; 20].join(",")]), Err(Code::BadRequest));
    }
}
