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
use crate::unpack::{self, Unpacker};

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
        let is_packed = body.packing.is_some();
        let Some(operation) = about.operation else {
            return Err(Rejection::new(about, Step::Read, Code::Internal));
        };
        let most = match head.model.as_ref().and_then(|name| policy.model(&principal, name, operation)) {
            Some(model) => policy.most_body_bytes(model),
            None => policy.most_body_bytes_of(&principal, operation),
        };
        let collected = collect(body, room, policy, most);
        let (body, room) = match tokio::time::timeout(policy.body_deadline, collected).await {
            Ok(Ok(collected)) => collected,
            Ok(Err(Code::BodyTooLarge)) => {
                let most = if is_packed { most.min(policy.max_unpacked_bytes) } else { most };
                return Err(too_large(about, most));
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
            Err(Unparsed::TooLarge(most)) => Err(too_large(about, most)),
            Err(Unparsed::Invalid(invalid)) => Err(Rejection::invalid(about, Step::Read, &invalid)),
            Err(Unparsed::NoModel(name)) => {
                about.model = Some(name);
                Err(Rejection::new(about, Step::Admit, Code::ModelNotFound))
            }
            Err(Unparsed::Broken) => Err(Rejection::new(about, Step::Read, Code::Internal)),
        }
    }
}

fn too_large(about: About, most: usize) -> Rejection {
    let message = format!("the body exceeds maximum {most} bytes");
    Rejection::new(about, Step::Read, Code::BodyTooLarge).message_of(message)
}

/// Reads at most `max_bytes`. An announced length beyond that is refused before the first byte.
async fn collect(body: Unread, room: &Room, policy: &Policy, max_bytes: usize) -> Result<Collected, Code> {
    let (announced, packing) = (body.announced, body.packing);
    if announced.is_some_and(|length| length > max_bytes as u64) {
        return Err(Code::BodyTooLarge);
    }
    let pieces = Pieces { body, pace: policy.body_bytes_per_second, began: Instant::now(), count: 0, max_bytes };
    let mut taken = Taken { room, permit: None, bytes: 0 };
    match packing {
        None => collect_plain(pieces, taken, announced.and_then(|length| usize::try_from(length).ok())).await,
        Some(packing) => {
            taken.cover(unpack::DECODER, unpack::DECODER)?;
            let unpacker = Unpacker::new(packing, policy.max_unpacked_bytes.min(max_bytes));
            collect_packed(pieces, taken, unpacker).await
        }
    }
}

async fn collect_plain(mut pieces: Pieces, mut taken: Taken<'_>, announced: Option<usize>) -> Result<Collected, Code> {
    // Most bodies come in one piece, which needs no copy.
    let mut first = Bytes::new();
    let mut bytes = BytesMut::new();
    while let Some(piece) = pieces.next().await? {
        let length = first.len() + bytes.len() + piece.len();
        taken.cover(length, announced.unwrap_or(length + SMALL))?;
        if length == piece.len() {
            first = piece;
            continue;
        }
        if bytes.is_empty() {
            // No more than there is room for, whatever was announced.
            bytes.reserve(announced.unwrap_or(length).min(taken.bytes.max(SMALL)).max(length));
            bytes.extend_from_slice(&std::mem::take(&mut first));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((if bytes.is_empty() { first } else { bytes.freeze() }, taken.permit))
}

async fn collect_packed(mut pieces: Pieces, mut taken: Taken<'_>, mut unpacker: Unpacker) -> Result<Collected, Code> {
    while let Some(mut piece) = pieces.next().await? {
        while !piece.is_empty() {
            (unpacker, piece) = unpacker.step(piece).await?;
            // For what there is, and for the next step.
            let soon = (unpacker.len() + unpack::STEP + unpack::BEYOND).min(unpacker.max_bytes());
            taken.cover(unpacker.len() + unpack::DECODER, soon + unpack::DECODER)?;
        }
    }
    let bytes = unpacker.finish()?;
    taken.cover(bytes.len(), bytes.len())?;
    Ok((bytes, taken.permit))
}

/// A body, and the room it has.
type Collected = (Bytes, Option<OwnedSemaphorePermit>);

/// The pieces of a body, as long as they come at some pace, and are not more than there may be.
struct Pieces {
    body: Unread,
    pace: u64,
    began: Instant,
    count: usize,
    max_bytes: usize,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, Code> {
        let earned = Duration::from_millis((self.count as u64).saturating_mul(1_000) / self.pace.max(1));
        let due = self.began + BEGIN + earned;
        let next = tokio::time::timeout_at(due, self.body.stream.next()).await.map_err(|_| Code::BodyTimeout)?;
        let piece = next.transpose().map_err(|_| Code::BodyIncomplete)?;
        self.count += piece.as_ref().map_or(0, Bytes::len);
        if self.count > self.max_bytes { Err(Code::BodyTooLarge) } else { Ok(piece) }
    }
}

/// The room that a body has.
struct Taken<'a> {
    room: &'a Room,
    permit: Option<OwnedSemaphorePermit>,
    /// Of the permit.
    bytes: usize,
}

impl Taken<'_> {
    /// Takes room for `length` bytes, unless they are few or have it; then for as many as there may soon be.
    fn cover(&mut self, length: usize, soon: usize) -> Result<(), Code> {
        if length <= SMALL || length <= self.bytes {
            return Ok(());
        }
        let more = soon.max(length) - self.bytes;
        let permit = self.room.take(more)?;
        self.bytes += more;
        match &mut self.permit {
            None => self.permit = Some(permit),
            Some(taken) => taken.merge(permit),
        }
        Ok(())
    }
}

/// Why a body is no request.
enum Unparsed {
    Invalid(Invalid),
    /// It is for a model that takes no more than so many bytes.
    TooLarge(usize),
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
    let mut not_taken = None;
    let rules = |name: &ModelName| {
        let Some(model) = policy.model(principal, name, operation) else {
            not_taken = Some(Unparsed::NoModel(name.clone()));
            return None;
        };
        let most = policy.most_body_bytes(model);
        if body.len() > most {
            not_taken = Some(Unparsed::TooLarge(most));
            return None;
        }
        Some(model.rules_of(head.version.as_deref()))
    };
    let parsed = policy.validator.parse_for(operation, head, body, rules);
    not_taken.map_or(parsed.map_err(Unparsed::Invalid), Err)
}
