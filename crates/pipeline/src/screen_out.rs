//! Screen out: the answer is read, reduced to what a caller may see, and its texts are screened.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

use audit::{DigestKey, Ended};
use backend::{BackendError, InferenceResponse};
use bytes::Bytes;
use core_validate::{Encoded, Head, InferenceAnswer, InferenceRequest, Operation, Slot};
use futures_core::Stream;
use keys::Principal;
use ratelimit_redis::Standing;
use sanitize::Action;
use tokio::sync::Semaphore;

use crate::code::{Code, Step};
use crate::infer::{Answering, refuse};
use crate::look::note_answer;
use crate::metrics::Metrics;
use crate::policy::{Model, Policy};
use crate::rejection::Rejection;
use crate::screening::AnswerScreen;
use crate::stream::Screening;
use crate::ticket::{End, Ticket};
use crate::trail::Recorded;

/// Answers above this size are screened off the event loop.
pub(crate) const LARGE: usize = 64 << 10;
/// The same for answers whose numbers are looked at or made less exact.
const LARGE_NUMBERS: usize = 1 << 10;
/// The same for answers to so many bytes of tensors: they are looked at, too.
const LARGE_QUESTIONS: usize = 4 << 10;

/// What goes back to the caller.
pub struct Answer {
    /// The id of the request.
    pub request_id: String,
    /// Who asked.
    pub principal: Option<Principal>,
    /// How the quotas stood once the cost was held.
    pub standings: Vec<Standing>,
    /// The answer itself.
    pub body: AnswerBody,
}

/// A whole or a streamed answer.
pub enum AnswerBody {
    /// A whole body.
    Full(Encoded),
    /// Server-sent events, framed.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl Answering {
    /// Screens a whole answer, or wraps a stream so that each piece is screened on its way.
    pub(crate) async fn screen_out(
        self,
        policy: Arc<Policy>,
        digests: DigestKey,
        cores: &Arc<Semaphore>,
        metrics: &Metrics,
    ) -> Result<Answer, Rejection> {
        let Self { mut ticket, asked, wants_usage, model, standings, answer, response, in_flight } = self;
        let request_id = ticket.about.request_id.clone();
        let principal = ticket.about.principal.clone();
        let body = match response {
            InferenceResponse::Full(head, bytes) => {
                let whole = Whole { ticket, asked, head, bytes, model, answer };
                let screened = whole.screened(policy, digests, cores, metrics).await;
                drop(in_flight);
                let (body, recorded) = screened?;
                recorded.durable().await;
                body
            }
            InferenceResponse::Stream(events) => {
                ticket.leave_room();
                let tenant = ticket.about.principal().map(|principal| principal.tenant().to_string());
                let stream = Screening {
                    validator: policy.validator.clone(),
                    answer,
                    digest: digests.digester(tenant.as_deref().unwrap_or_default()),
                    logprobs: model.disclosure().logprobs,
                    name: model.name().clone(),
                    wants_usage,
                    choices: asked.choices(),
                    cores: cores.clone(),
                };
                AnswerBody::Stream(stream.wrap(ticket, events, in_flight))
            }
        };
        Ok(Answer { request_id, principal, standings, body })
    }
}

struct Whole {
    ticket: Ticket,
    asked: InferenceRequest,
    head: Head,
    bytes: Bytes,
    model: Arc<Model>,
    answer: AnswerScreen,
}

impl Whole {
    /// Screens the answer, off the event loop when it is large.
    async fn screened(
        self,
        policy: Arc<Policy>,
        digests: DigestKey,
        cores: &Arc<Semaphore>,
        metrics: &Metrics,
    ) -> Result<(AnswerBody, Recorded), Rejection> {
        let is_small = match self.model.disclosure().reads_numbers() {
            true => self.bytes.len() <= LARGE_NUMBERS && asked_bytes(&self.asked) <= LARGE_QUESTIONS,
            false => self.bytes.len() <= LARGE,
        };
        if is_small {
            return self.screen(&policy, &digests, metrics);
        }
        let about = self.ticket.about.clone();
        let core = cores.clone().acquire_owned().await;
        let metrics = metrics.clone();
        let screened = tokio::task::spawn_blocking(move || {
            let screened = self.screen(&policy, &digests, &metrics);
            drop(core);
            screened
        });
        let screened = screened.await;
        screened.unwrap_or_else(|_| Err(Rejection::new(about, Step::ScreenOut, Code::Internal)))
    }

    fn screen(
        self,
        policy: &Policy,
        digests: &DigestKey,
        metrics: &Metrics,
    ) -> Result<(AnswerBody, Recorded), Rejection> {
        let Self { mut ticket, asked, head, bytes, model, answer: screen } = self;
        let mut answer = match policy.validator.parse_answer(&asked, &head, &bytes) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(
                    request_id = ticket.about.request_id, code = error.code().as_str(), at = %error.at(),
                    "the answer breaks the protocol"
                );
                return Err(refuse(ticket, BackendError::Protocol));
            }
        };
        if let Some(usage) = answer.usage() {
            ticket.reports(usage);
        }
        answer.rename(&answer_id(asked.operation(), &ticket.about.request_id), model.name());
        observe(&ticket, &asked, &mut answer, &model, metrics);
        if !model.disclosure().withhold(&asked, &mut answer, ticket.is_suspect) {
            return Err(refuse_blocked(ticket));
        }
        let blocked = screen_texts(&mut answer, &screen, asked.operation(), &mut ticket);
        let is_filtered = blocked.iter().all(|choice| answer.filter_choice(*choice));
        if !is_filtered {
            return Err(refuse_blocked(ticket));
        }
        let body = answer.to_body();
        let tenant = ticket.about.principal().map(|principal| principal.tenant().to_string());
        ticket.used.output_bytes = body.bytes.len() as u64;
        ticket.used.output_digest = digests.digest(tenant.as_deref().unwrap_or_default(), &body.bytes);
        let ended = if blocked.is_empty() { Ended::Complete } else { Ended::Blocked };
        let code = (!blocked.is_empty()).then_some(Code::AnswerBlocked.as_str());
        let recorded = ticket.close(End { ended: Some(ended), status: 200, code });
        if !asked.wants_events() {
            return Ok((AnswerBody::Full(body), recorded));
        }
        let events = answer.to_events().into_iter();
        let frames =
            events.map(|(name, json)| [b"event: ", name.as_bytes(), b"\ndata: ", &json, b"\n\n"].concat().into());
        Ok((AnswerBody::Stream(Box::pin(futures_util::stream::iter(frames))), recorded))
    }
}

fn asked_bytes(asked: &InferenceRequest) -> usize {
    asked.tensors().iter().map(|tensor| tensor.data.len()).sum()
}

/// Lets the monitor of a model see what was asked and answered.
fn observe(ticket: &Ticket, asked: &InferenceRequest, answer: &mut InferenceAnswer, model: &Model, metrics: &Metrics) {
    let (Some(principal), Some(monitor)) = (ticket.about.principal(), &model.disclosure().monitor) else { return };
    let Some(observed) = monitor.observe(principal, asked, answer).filter(|observed| observed.has_risen) else {
        return;
    };
    let reason = observed.suspicion.reason().map_or("", |reason| reason.as_str());
    metrics.suspected(model.name().as_str(), reason);
    if monitor.alerts {
        tracing::warn!(
            request_id = ticket.about.request_id, model = %model.name(), tenant = %principal.tenant(),
            family = %principal.family(), suspicion = observed.suspicion.value(), reason,
            "what is asked does not look honest"
        );
    }
}

/// Screens every text, and those that a caller's library may put together; the choices that must not be handed out.
fn screen_texts(
    answer: &mut InferenceAnswer,
    screen: &AnswerScreen,
    operation: Operation,
    ticket: &mut Ticket,
) -> BTreeSet<u32> {
    let (mut blocked, mut seen) = (BTreeSet::new(), 0);
    let mut parts: BTreeMap<Slot, (Vec<String>, BTreeSet<u32>)> = BTreeMap::new();
    answer.map_texts(|slot, text| {
        seen += text.len();
        let mut cleaner = screen.cleaner(slot);
        let cleaned = cleaner.push(text).and_then(|start| Ok(start + &cleaner.finish()?));
        note_answer(&mut ticket.about.findings, cleaner.findings(), &place(operation, slot));
        if cleaned.is_err() {
            blocked.insert(slot.choice());
        }
        let said = std::mem::replace(text, cleaned.unwrap_or_default());
        let together = match slot {
            Slot::Label(_) | Slot::Element(..) => return,
            // The items of a response and the blocks of a message are put together, too.
            Slot::Content(_) if matches!(operation, Operation::Respond | Operation::Message) => Slot::Content(0),
            slot => slot,
        };
        let (texts, choices) = parts.entry(together).or_default();
        texts.push(said);
        choices.insert(slot.choice());
    });
    for (slot, (parts, choices)) in parts.into_iter().filter(|(_, (parts, _))| parts.len() > 1) {
        // Each was cleaned by itself; values that were put back are left out here.
        let whole: String = parts.iter().map(|part| screen.sanitizer().check(part).into_text()).collect();
        let verdict = screen.sanitizer().check(&whole);
        if verdict.action() != Action::Allow {
            note_answer(&mut ticket.about.findings, verdict.findings(), &place(operation, slot));
            blocked.extend(choices);
        }
    }
    ticket.saw(seen);
    blocked
}

/// An answer without choices cannot say that it was filtered.
fn refuse_blocked(ticket: Ticket) -> Rejection {
    let code = Code::AnswerBlocked;
    let about = ticket.about.clone();
    ticket.close(End { ended: Some(Ended::Blocked), status: code.status(), code: Some(code.as_str()) }).later();
    Rejection::new(about, Step::ScreenOut, code)
}

/// The place of a slot, for the audit trail.
pub(crate) fn place(operation: Operation, slot: Slot) -> String {
    match operation {
        Operation::Respond => return format!("/output/{}", slot.choice()),
        Operation::Message => return format!("/content/{}", slot.choice()),
        _ => {}
    }
    match slot {
        Slot::Content(choice) => format!("/choices/{choice}/content"),
        Slot::Reasoning(choice) | Slot::Thinking(choice) => format!("/choices/{choice}/reasoning"),
        Slot::Refusal(choice) => format!("/choices/{choice}/refusal"),
        Slot::Arguments(choice, call) => format!("/choices/{choice}/tool_calls/{call}"),
        Slot::Element(tensor, element) => format!("/outputs/{tensor}/data/{element}"),
        _ => format!("/choices/{}", slot.choice()),
    }
}

/// Our own id for the answer, so that a caller's report leads to the audit trail.
pub(crate) fn answer_id(operation: Operation, request_id: &str) -> String {
    match operation {
        Operation::Complete => format!("cmpl-{request_id}"),
        Operation::Respond => format!("resp_{request_id}"),
        Operation::Message => format!("msg_{request_id}"),
        _ => format!("chatcmpl-{request_id}"),
    }
}
