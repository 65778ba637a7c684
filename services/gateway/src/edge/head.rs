//! The head of a request, judged before anything else looks at it.
//!
//! The HTTP library refuses what is broken (framing, double lengths, bad line ends). This module
//! refuses what it lets through: two keys, bytes beyond ASCII, other authorities, upgrades, odd
//! methods, heads and paths that are too large, encoded paths, bodies that are packed.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use core_validate::InvalidCode;
use pipeline::Code;

const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Path and query together.
const MAX_PATH_BYTES: usize = 2 << 10;
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const TENSOR_HEADER: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Refuses a head that is not sound, or asks with another method.
pub(crate) fn check(request: &HttpRequest, methods: &[Method]) -> Result<(), Code> {
    let headers = request.headers();
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > MAX_HEADERS || size > MAX_HEAD_BYTES || request.uri().to_string().len() > MAX_PATH_BYTES {
        return Err(Code::HeadTooLarge);
    }
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\t';
    if !headers.iter().all(|(_, value)| value.as_bytes().iter().all(is_plain)) {
        return Err(Code::BadRequest);
    }
    if !methods.contains(request.method()) {
        return Err(Code::MethodNotAllowed);
    }
    let once = [AUTHORIZATION, HOST, CONTENT_TYPE, CONTENT_LENGTH, TENSOR_HEADER];
    if once.iter().any(|name| headers.get_all(name).count() > 1) || headers.contains_key(UPGRADE) {
        return Err(Code::BadRequest);
    }
    // What is packed is not unpacked, and what says so and is not would be two bodies to two readers.
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).any(|value| !is_plain(value)) {
        return Err(Code::Invalid(InvalidCode::UnsupportedMediaType));
    }
    if headers.contains_key(TENSOR_HEADER) && number(headers, &TENSOR_HEADER).is_none() {
        return Err(Code::Invalid(InvalidCode::BadHeader));
    }
    let is_continue = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get(EXPECT).is_some_and(|value| !is_continue(value)) {
        return Err(Code::BadRequest);
    }
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    match (request.uri().authority(), host) {
        (Some(authority), Some(host)) if authority.as_str() != host => Err(Code::Misdirected),
        _ => Ok(()),
    }
}

/// The one presented key: a bearer token.
pub(crate) fn presented_key(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.to_owned())
}

/// Whether the proxy before us says, once and clearly, that a request came to it over HTTPS.
pub(crate) fn came_by_https(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(FORWARDED_PROTO);
    said.next().is_some_and(|value| value == "https") && said.next().is_none()
}

/// Whether bytes of a body may follow the head.
pub(crate) fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || content_length(headers).is_some_and(|length| length > 0)
}

/// The announced length of the body.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(headers, &CONTENT_LENGTH)
}

/// A header that holds a whole number, in digits.
pub(crate) fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let digits = headers.get(name)?.to_str().ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
