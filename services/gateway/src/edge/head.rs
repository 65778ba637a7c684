//! The head of a request, judged before anything else looks at it.
//!
//! What is broken (framing, double lengths, bad line ends, two hosts, heads that are too large) does not come so far.
//! This module refuses what is well-formed and not for us: two keys, bytes beyond ASCII, upgrades, odd methods, overrides
//! of them, bodies that are packed in a way that is not taken.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use core_validate::InvalidCode;
use pipeline::{Code, Packing};

/// Headers that ask for another method or path than the request does, which frameworks behind us might read.
const OVERRIDES: [&str; 5] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"];
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// Longest list of features that a caller of the Messages API names.
const MAX_BETA: usize = 1 << 10;
pub(crate) const TENSOR_HEADER: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Refuses a head that is not sound, or asks with another method.
pub(crate) fn check(request: &HttpRequest, methods: &[Method]) -> Result<(), Code> {
    let headers = request.headers();
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\t';
    if !headers.iter().all(|(_, value)| value.as_bytes().iter().all(is_plain)) {
        return Err(Code::BadRequest);
    }
    if !methods.contains(request.method()) {
        return Err(Code::MethodNotAllowed);
    }
    let once = [AUTHORIZATION, CONTENT_TYPE, TENSOR_HEADER];
    let is_override = |name: &HeaderName| OVERRIDES.contains(&name.as_str());
    if once.iter().any(|name| headers.get_all(name).count() > 1)
        || headers.contains_key(UPGRADE)
        || headers.keys().any(is_override)
    {
        return Err(Code::BadRequest);
    }
    if headers.contains_key(TENSOR_HEADER) && number(headers, &TENSOR_HEADER).is_none() {
        return Err(Code::Invalid(InvalidCode::BadHeader));
    }
    Ok(())
}

/// The same of a request to the Messages API: one key in one of two headers, a version that is a date, features in
/// words. Neither of the last two goes on: what a field does is in the tables.
pub(crate) fn check_anthropic(headers: &HeaderMap) -> Result<(), Code> {
    let keys = headers.get_all(X_API_KEY).count() + headers.get_all(AUTHORIZATION).count();
    let is_date = |value: &HeaderValue| {
        let value = value.as_bytes();
        value.len() == 10
            && value.iter().zip(0..).all(|(byte, at)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b',' | b' ');
    let mut features = headers.get_all(ANTHROPIC_BETA).flat_map(|value| value.as_bytes());
    let is_sound = keys <= 1
        && headers.get_all(ANTHROPIC_VERSION).count() <= 1
        && headers.get(ANTHROPIC_VERSION).is_none_or(is_date)
        && features.by_ref().take(MAX_BETA).all(is_word)
        && features.next().is_none();
    if is_sound { Ok(()) } else { Err(Code::BadRequest) }
}

/// How the body is packed, if it is: in one of two ways, once, and only where that is taken.
///
/// What is not unpacked is refused: what says that it is packed would be two bodies to two readers.
pub(crate) fn packing(headers: &HeaderMap, is_taken: bool) -> Result<Option<Packing>, Code> {
    let is = |value: &HeaderValue, word: &[u8]| value.as_bytes().eq_ignore_ascii_case(word);
    let mut said = headers.get_all(CONTENT_ENCODING);
    match (said.next(), said.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if is(value, b"identity") => Ok(None),
        (Some(value), None) if is_taken && is(value, b"gzip") => Ok(Some(Packing::Gzip)),
        (Some(value), None) if is_taken && is(value, b"deflate") => Ok(Some(Packing::Deflate)),
        _ => Err(Code::Invalid(InvalidCode::UnsupportedMediaType)),
    }
}

/// The one presented key: a bearer token.
pub(crate) fn presented_key(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.to_owned())
}

/// The same for the Messages API, whose libraries send a key by itself.
pub(crate) fn presented_anthropic_key(headers: &HeaderMap) -> Option<String> {
    match headers.get(X_API_KEY) {
        Some(key) => key.to_str().ok().map(str::to_owned),
        None => presented_key(headers),
    }
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
