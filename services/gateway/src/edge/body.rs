//! A body as the line wants it: unread, and without the HTTP library's words.

use actix_web::http::header::HeaderMap;
use actix_web::web::Payload;
use futures_util::StreamExt as _;
use pipeline::{BodyError, Unread};

use crate::edge::head::content_length;

/// Hands the payload over without reading it.
pub(crate) fn unread(payload: Payload, headers: &HeaderMap) -> Unread {
    let stream = payload.map(|piece| piece.map_err(|_| BodyError::Incomplete));
    Unread::new(stream, content_length(headers))
}
