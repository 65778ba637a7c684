//! Read: the body arrives under a cap and a deadline, and becomes a checked request.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use core_validate::{Head, InferenceRequest, Operation, Validator};
use futures_util::StreamExt as _;
use keys::Principal;

use crate::about::About;
use crate::authenticate::Authenticated;
use crate::code::{Code, Step};
use crate::received::Unread;
use crate::rejection::Rejection;

/// Bodies above this size are parsed off the event loop: about a millisecond of work.
const LARGE: usize = 256 << 10;

/// A request whose body was read and checked.
pub struct Parsed {
    pub(crate) about: About,
    pub(crate) principal: Principal,
    pub(crate) request: InferenceRequest,
    pub(crate) body_bytes: usize,
}

impl Authenticated {
    /// Reads and checks the body.
    ///
    /// # Errors
    /// 413 beyond `max_bytes`, 408 beyond `deadline`, 400 and 415 for a body that is not valid.
    pub async fn read(self, validator: &Validator, max_bytes: usize, deadline: Duration) -> Result<Parsed, Rejection> {
        let Self { mut about, principal, head, body } = self;
        let Some(operation) = about.operation else {
            return Err(Rejection::new(about, Step::Read, Code::Internal));
        };
        let body = match tokio::time::timeout(deadline, collect(body, max_bytes)).await {
            Ok(Ok(body)) => body,
            Ok(Err(Code::BodyTooLarge)) => {
                let message = format!("the body exceeds maximum {max_bytes} bytes");
                return Err(Rejection::new(about, Step::Read, Code::BodyTooLarge).message_of(message));
            }
            Ok(Err(code)) => return Err(Rejection::new(about, Step::Read, code)),
            Err(_) => return Err(Rejection::new(about, Step::Read, Code::BodyTimeout)),
        };
        let body_bytes = body.len();
        match parse(validator, operation, head, body).await {
            Ok(request) => {
                about.model = Some(request.model().clone());
                Ok(Parsed { about, principal, request, body_bytes })
            }
            Err(Some(invalid)) => Err(Rejection::invalid(about, Step::Read, &invalid)),
            Err(None) => Err(Rejection::new(about, Step::Read, Code::Internal)),
        }
    }
}

/// Reads at most `max_bytes`. An announced length beyond that is refused before the first byte.
async fn collect(mut body: Unread, max_bytes: usize) -> Result<Bytes, Code> {
    if body.announced.is_some_and(|length| length > max_bytes as u64) {
        return Err(Code::BodyTooLarge);
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.stream.next().await {
        let piece = piece.map_err(|_| Code::BodyIncomplete)?;
        if bytes.len() + piece.len() > max_bytes {
            return Err(Code::BodyTooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

async fn parse(
    validator: &Validator,
    operation: Operation,
    head: Head,
    body: Bytes,
) -> Result<InferenceRequest, Option<core_validate::Invalid>> {
    if body.len() <= LARGE {
        return validator.parse(operation, &head, &body).map_err(Some);
    }
    let validator = validator.clone();
    let parsed = tokio::task::spawn_blocking(move || validator.parse(operation, &head, &body)).await;
    parsed.map_err(|_| None)?.map_err(Some)
}
