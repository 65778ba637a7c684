//! Read: the body arrives under a cap and a deadline, and becomes a checked request.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use core_validate::{Head, InferenceRequest, Invalid, ModelName, Operation};
use futures_util::StreamExt as _;
use keys::Principal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::about::About;
use crate::authenticate::Authenticated;
use crate::code::{Code, Step};
use crate::policy::Policy;
use crate::received::Unread;
use crate::rejection::Rejection;

/// Bodies above this size are parsed off the event loop: at most a millisecond of work.
const LARGE: usize = 64 << 10;
/// Bodies above this size need a permit for their memory.
const SMALL: usize = 64 << 10;
/// Bytes that one permit stands for.
const PERMIT: usize = 1 << 10;

/// How long a body may take to begin.
const BEGIN: Duration = Duration::from_secs(5);

/// The memory that all large bodies under way may take together.
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / PERMIT).min(Semaphore::MAX_PERMITS))))
    }

    /// Takes room for so many bytes; `Busy` when there is not enough.
    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Code> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT)).map_err(|_| Code::Busy)?;
        self.0.clone().try_acquire_many_owned(permits).map_err(|_| Code::Busy)
    }
}

/// A request whose body was read and checked.
pub struct Parsed {
    pub(crate) about: About,
    pub(crate) principal: Principal,
    pub(crate) request: InferenceRequest,
    pub(crate) body_bytes: usize,
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl Authenticated {
    /// Reads and checks the body, by the rules of its model when the caller may use that.
    ///
    /// # Errors
    /// 413 for more bytes than allowed, 408 when they take too long, 503 when there is no room for them, 400 and 415
    /// for a body that is not valid.
    pub(crate) async fn read(self, policy: &Arc<Policy>, room: &Room) -> Result<Parsed, Rejection> {
        let Self { mut about, principal, head, body } = self;
        let (max_bytes, deadline, pace) = (policy.max_body_bytes, policy.body_deadline, policy.body_bytes_per_second);
        let Some(operation) = about.operation else {
            return Err(Rejection::new(about, Step::Read, Code::Internal));
        };
        let (body, room) = match tokio::time::timeout(deadline, collect(body, room, max_bytes, pace)).await {
            Ok(Ok(collected)) => collected,
            Ok(Err(Code::BodyTooLarge)) => {
                let message = format!("the body exceeds maximum {max_bytes} bytes");
                return Err(Rejection::new(about, Step::Read, Code::BodyTooLarge).message_of(message));
            }
            Ok(Err(Code::Busy)) => {
                let rejection = Rejection::new(about, Step::Read, Code::Busy);
                return Err(rejection.retry_after_of(Duration::from_secs(1)));
            }
            Ok(Err(code)) => return Err(Rejection::new(about, Step::Read, code)),
            Err(_) => return Err(Rejection::new(about, Step::Read, Code::BodyTimeout)),
        };
        let body_bytes = body.len();
        match parse(policy, &principal, operation, head, body).await {
            Ok(request) => {
                about.model = Some(request.model().clone());
                Ok(Parsed { about, principal, request, body_bytes, room })
            }
            Err(Unparsed::Invalid(invalid)) => Err(Rejection::invalid(about, Step::Read, &invalid)),
            Err(Unparsed::NoModel(name)) => {
                about.model = Some(name);
                Err(Rejection::new(about, Step::Admit, Code::ModelNotFound))
            }
            Err(Unparsed::Broken) => Err(Rejection::new(about, Step::Read, Code::Internal)),
        }
    }
}

/// Reads at most `max_bytes`. An announced length beyond that is refused before the first byte.
async fn collect(
    mut body: Unread,
    room: &Room,
    max_bytes: usize,
    pace: u64,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Code> {
    if body.announced.is_some_and(|length| length > max_bytes as u64) {
        return Err(Code::BodyTooLarge);
    }
    let announced = body.announced.and_then(|length| usize::try_from(length).ok());
    let mut taken: Option<OwnedSemaphorePermit> = None;
    let mut held = 0;
    // Most bodies come in one piece, which needs no copy.
    let mut first = Bytes::new();
    let mut bytes = BytesMut::new();
    let began = Instant::now();
    let due = |count: usize| began + BEGIN + Duration::from_millis((count as u64).saturating_mul(1_000) / pace.max(1));
    while let Some(piece) = tokio::time::timeout_at(due(first.len() + bytes.len()), body.stream.next())
        .await
        .map_err(|_| Code::BodyTimeout)?
    {
        let piece = piece.map_err(|_| Code::BodyIncomplete)?;
        let length = first.len() + bytes.len() + piece.len();
        if length > max_bytes {
            return Err(Code::BodyTooLarge);
        }
        if length > SMALL && length > held {
            let more = announced.unwrap_or(length + SMALL).max(length) - held;
            let permit = room.take(more)?;
            held += more;
            match &mut taken {
                None => taken = Some(permit),
                Some(taken) => taken.merge(permit),
            }
        }
        if length == piece.len() {
            first = piece;
            continue;
        }
        if bytes.is_empty() {
            // No more than there is room for, whatever was announced.
            bytes.reserve(announced.unwrap_or(length).min(held.max(SMALL)).max(length));
            bytes.extend_from_slice(&std::mem::take(&mut first));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((if bytes.is_empty() { first } else { bytes.freeze() }, taken))
}

/// Why a body is no request.
enum Unparsed {
    Invalid(Invalid),
    /// It is for a model that is not there, or not for this caller: nobody can say what would be right.
    NoModel(ModelName),
    Broken,
}

async fn parse(
    policy: &Arc<Policy>,
    principal: &Principal,
    operation: Operation,
    head: Head,
    body: Bytes,
) -> Result<InferenceRequest, Unparsed> {
    if body.len() <= LARGE {
        return parse_now(policy, principal, operation, &head, &body);
    }
    let (policy, principal) = (policy.clone(), principal.clone());
    let parsed = tokio::task::spawn_blocking(move || parse_now(&policy, &principal, operation, &head, &body)).await;
    parsed.unwrap_or(Err(Unparsed::Broken))
}

/// A caller learns nothing of the rules of models it may not use.
fn parse_now(
    policy: &Policy,
    principal: &Principal,
    operation: Operation,
    head: &Head,
    body: &Bytes,
) -> Result<InferenceRequest, Unparsed> {
    let mut no_model = None;
    let rules = |name: &ModelName| match policy.model(principal, name, operation) {
        Some(model) => Some(model.rules_of(head.version.as_deref())),
        None => {
            no_model = Some(name.clone());
            None
        }
    };
    let parsed = policy.validator.parse_for(operation, head, body, rules);
    match no_model {
        Some(name) => Err(Unparsed::NoModel(name)),
        None => parsed.map_err(Unparsed::Invalid),
    }
}
