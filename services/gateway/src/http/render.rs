//! The one exit: headers that every answer carries, and the shapes of an error.

use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, HttpDate, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use keys::Principal;
use pipeline::{Code, Rejection};
use ratelimit_redis::Standing;
use serde::Serialize;
use serde_json::{Value, json};

use crate::edge::body::Body;

/// The shape of an error, by who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"error": {"message", "type", "param", "code"}}`
    OpenAi,
    /// `{"type": "error", "error": {"type", "message", "param", "code"}, "request_id"}`
    Anthropic,
    /// `{"error": "message"}`, after the Open Inference Protocol.
    Oip,
    /// RFC 9457 `application/problem+json`.
    Problem,
}

impl Shape {
    /// By the path: `/v2` is the protocol's own, `/v1/messages` is Anthropic's.
    pub(crate) fn of(path: &str) -> Self {
        let is_below =
            |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_below("/v2") {
            Self::Oip
        } else if is_below("/v1/messages") {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }
}

const SECURITY: [(&str, &str); 6] = [
    ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Headers of every answer.
pub(crate) fn common(builder: &mut HttpResponseBuilder, request_id: &str) {
    for header in SECURITY {
        builder.insert_header(header);
    }
    builder.insert_header((CACHE_CONTROL, "no-store"));
    builder.insert_header(("x-request-id", request_id));
}

/// The id under the name that Anthropic's libraries look for.
pub(crate) fn anthropic_id(builder: &mut HttpResponseBuilder, request_id: &str) {
    builder.insert_header(("request-id", request_id));
}

/// How the quotas stand; `older` adds the names that OpenAI's clients know.
pub(crate) fn limits(builder: &mut HttpResponseBuilder, standings: &[Standing], older: bool) {
    if standings.is_empty() {
        return;
    }
    builder.insert_header(("ratelimit-policy", ratelimit_redis::rate_limit_policy(standings)));
    builder.insert_header(("ratelimit", ratelimit_redis::rate_limit(standings)));
    if older {
        for header in ratelimit_redis::openai_headers(standings) {
            builder.insert_header(header);
        }
    }
}

/// A JSON answer.
pub(crate) fn json(request_id: &str, body: &impl Serialize) -> HttpResponse {
    json_in(HttpResponse::Ok(), request_id, body)
}

/// JSON that is text already, for somebody who is known.
pub(crate) fn text_for(principal: &Principal, request_id: &str, text: &'static str) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    rotation(&mut builder, Some(principal));
    common(&mut builder, request_id);
    builder.content_type("application/json").body(text)
}

/// A JSON answer to somebody who is known.
pub(crate) fn json_for(principal: &Principal, request_id: &str, body: &impl Serialize) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    rotation(&mut builder, Some(principal));
    json_in(builder, request_id, body)
}

/// The same, with headers that are there already.
pub(crate) fn json_in(mut builder: HttpResponseBuilder, request_id: &str, body: &impl Serialize) -> HttpResponse {
    common(&mut builder, request_id);
    match serde_json::to_string(body) {
        Ok(body) => builder.content_type("application/json").body(body),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            builder.status(StatusCode::INTERNAL_SERVER_ERROR).finish()
        }
    }
}

/// Tells the holder of a key that was replaced: since when (RFC 9745) and until when it works (RFC 8594).
pub(crate) fn rotation(builder: &mut HttpResponseBuilder, principal: Option<&Principal>) {
    let Some(principal) = principal else { return };
    if let Some((since, until)) = principal.rotated_at().zip(principal.expires_at()) {
        builder.insert_header(("deprecation", format!("@{}", since / 1_000)));
        let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(until));
        if let Some(until) = until {
            builder.insert_header(("sunset", HttpDate::from(until).to_string()));
        }
    }
}

/// A refusal; `allowed` are the methods of its path. When its request's body is still on its way, the connection ends with it.
pub(crate) fn rejection(
    shape: Shape,
    rejection: &Rejection,
    allowed: &str,
    unread: Body,
    older_limits: bool,
) -> HttpResponse {
    let (mut builder, body) = refused(shape, rejection, allowed, older_limits);
    if unread.is_unread() {
        return builder.force_close().body(unread.held_by(body));
    }
    builder.body(body)
}

/// A refusal of what is no request yet, on a listener where these methods are allowed: the head, and the body.
pub(crate) fn written(shape: Shape, rejection: &Rejection, allowed: &str) -> (HttpResponse, String) {
    let (mut builder, body) = refused(shape, rejection, allowed, false);
    (builder.finish(), body)
}

fn refused(shape: Shape, rejection: &Rejection, allowed: &str, older_limits: bool) -> (HttpResponseBuilder, String) {
    let code = rejection.code();
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    let request_id = rejection.about().request_id();
    common(&mut builder, request_id);
    if shape == Shape::Anthropic {
        anthropic_id(&mut builder, request_id);
    }
    rotation(&mut builder, rejection.about().principal());
    limits(&mut builder, rejection.standings(), older_limits);
    if let Some(wait) = rejection.retry_after() {
        builder.insert_header((RETRY_AFTER, ratelimit_redis::retry_after(wait).max(1)));
    }
    if code == Code::InvalidApiKey {
        builder.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    if code == Code::MethodNotAllowed {
        builder.insert_header((ALLOW, allowed));
    }
    if code == Code::InsufficientQuota {
        // OpenAI's clients would ask again, as after any other 429.
        builder.insert_header((HeaderName::from_static("x-should-retry"), "false"));
    }
    builder.insert_header((HeaderName::from_static("x-error-code"), code.as_str()));
    let (content_type, body) = envelope(shape, rejection);
    builder.insert_header((CONTENT_TYPE, HeaderValue::from_static(content_type)));
    (builder, body.to_string())
}

fn envelope(shape: Shape, rejection: &Rejection) -> (&'static str, Value) {
    let (code, at) = (rejection.code(), rejection.at().as_str());
    let param = if at.is_empty() { Value::Null } else { json!(at) };
    match shape {
        Shape::OpenAi => {
            let error =
                json!({"message": rejection.message(), "type": kind(code), "param": param, "code": code.as_str()});
            ("application/json", json!({"error": error}))
        }
        Shape::Anthropic => {
            let kind = anthropic_kind(code);
            let error = json!({"type": kind, "message": rejection.message(), "param": param, "code": code.as_str()});
            let request_id = rejection.about().request_id();
            ("application/json", json!({"type": "error", "error": error, "request_id": request_id}))
        }
        Shape::Oip => {
            let place = if at.is_empty() { String::new() } else { format!(" at {at}") };
            ("application/json", json!({"error": format!("{}: {}{place}", code.as_str(), rejection.message())}))
        }
        Shape::Problem => {
            let problem = json!({
                "type": format!("urn:portcullis:error:{}", code.as_str()), "title": code.message(),
                "status": code.status(), "detail": rejection.message(), "code": code.as_str(),
            });
            ("application/problem+json", problem)
        }
    }
}

/// The error types of OpenAI's API, which its clients turn into exceptions.
fn kind(code: Code) -> &'static str {
    if code == Code::InsufficientQuota {
        return "insufficient_quota";
    }
    match code.status() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// The error types of Anthropic's API.
fn anthropic_kind(code: Code) -> &'static str {
    match code.status() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
