//! Who is calling, by address, as the headers of a request and the proxies before us say.

use std::net::{IpAddr, Ipv4Addr};

use ::edge::Proxies;
use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use pipeline::Code;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// The caller's address.
///
/// # Errors
/// 400 when a trusted peer sends a list that cannot be read, or `Forwarded`: a proxy that writes one of them passes on what
/// callers write into the other.
pub(crate) fn client_ip(request: &HttpRequest, proxies: &Proxies) -> Result<IpAddr, Code> {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    if proxies.trust(peer) && request.headers().contains_key(FORWARDED) {
        return Err(Code::BadRequest);
    }
    let lines: Vec<_> = request.headers().get_all(FORWARDED_FOR).map(HeaderValue::as_bytes).collect();
    proxies.caller(peer, lines.into_iter()).map_err(|_| Code::BadRequest)
}
