//! Commit: the intent is durable in the audit trail before a backend sees anything.

use std::sync::Arc;
use std::time::Duration;

use audit::{DigestKey, Input, Intent, Record};
use core_validate::InferenceRequest;
use ratelimit_redis::Standing;
use sanitize::Sanitizer;

use crate::about::{About, unix_millis};
use crate::code::{Code, Step};
use crate::policy::{Model, Policy};
use crate::rejection::Rejection;
use crate::screen_in::Screened;
use crate::screening::{AnswerScreen, Screening};
use crate::ticket::{End, Ticket};
use crate::trail::{Trail, Uncommitted};

/// Most bytes of input text in one record.
const TEXT_BYTES: usize = 2_048;
/// Most inputs that one record describes.
const INPUTS: usize = 32;

/// A request whose intent is on record. Only this may be sent to a backend.
pub struct Committed {
    pub(crate) ticket: Ticket,
    pub(crate) request: InferenceRequest,
    pub(crate) model: Arc<Model>,
    pub(crate) standings: Vec<Standing>,
    pub(crate) answer: AnswerScreen,
}

impl Screened {
    /// Records the intent and waits until it is durable.
    pub(crate) async fn commit(
        self,
        trail: &Trail,
        digests: &DigestKey,
        policy: &Policy,
    ) -> Result<Committed, Rejection> {
        let Self { mut ticket, mut request, model, standings, body_bytes, answer } = self;
        let alias = request.model().to_string();
        // As it is sent, so that what is digested is what the server gets.
        request.ask_stream_usage();
        if let Some(name) = model.backend_model() {
            request.set_model(name);
        }
        let mut intent = intent(&ticket.about, &request, digests, &policy.screening);
        intent.model = alias;
        intent.body_bytes = body_bytes as u64;
        intent.backend_model = model.backend_model().map(ToString::to_string).unwrap_or_default();
        intent.estimated_tokens = ticket.used.corrected.input_tokens;
        // A caller who leaves now, or a deadline, does not take the record back.
        ticket.used.is_intended = true;
        match trail.commit(&Record::Intent(intent), policy.trail).await {
            Ok(()) => Ok(Committed { ticket, request, model, standings, answer }),
            Err(why) => {
                ticket.used.is_intended = why == Uncommitted::Late;
                let (about, code) = (ticket.about.clone(), Code::AuditUnavailable);
                let end = End { ended: Some(audit::Ended::Failed), status: code.status(), code: Some(code.as_str()) };
                ticket.close(end).later();
                Err(Rejection::new(about, Step::Commit, code).retry_after_of(Duration::from_secs(1)))
            }
        }
    }
}

fn intent(about: &About, request: &InferenceRequest, digests: &DigestKey, screening: &Screening) -> Intent {
    let tenant = about.principal.as_ref().map(|principal| principal.tenant().as_str()).unwrap_or_default();
    let mut intent = Intent::new(about.request_id.clone(), unix_millis());
    intent.who = about.who();
    intent.operation = request.operation().as_str().to_owned();
    intent.dialect = request.operation().dialect().as_str().to_owned();
    intent.stream = request.is_stream() || request.wants_events();
    intent.input_digest = digests.digest(tenant, &request.to_body().bytes);
    intent.findings = about.findings.clone();
    intent.input = texts(request, &screening.audit, screening.keep_text);
    let tensors = request.tensors().into_iter().take(INPUTS).map(|tensor| Input::Tensor {
        digest: digests.digest(tenant, &tensor.data),
        name: screening.audit.check(&tensor.name).into_text().into_owned(),
        shape: tensor.shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect(),
        dtype: tensor.dtype.as_str().to_owned(),
        min: tensor.min,
        max: tensor.max,
    });
    intent.input.extend(tensors);
    intent
}

/// The newest texts first, redacted and cleaned, until the budget is spent.
fn texts(request: &InferenceRequest, redact: &Sanitizer, keep_text: bool) -> Vec<Input> {
    let all: Vec<_> = request.texts().collect();
    let mut left = if keep_text { TEXT_BYTES } else { 0 };
    let mut inputs = Vec::with_capacity(all.len().min(INPUTS));
    for text in all.iter().rev().take(INPUTS) {
        let said = text.text();
        let (kept, cut) = if left > 0 { kept(redact, &said, left) } else { (String::new(), true) };
        left = left.saturating_sub(kept.len());
        inputs.push(Input::Text {
            pointer: text.pointer().to_string(),
            origin: text.origin().as_str().to_owned(),
            bytes: said.len() as u64,
            text: (keep_text && !kept.is_empty()).then_some(kept),
            cut,
        });
    }
    inputs.reverse();
    inputs
}

/// What may be kept of a text, and whether that is less than all of it.
fn kept(redact: &Sanitizer, text: &str, left: usize) -> (String, bool) {
    /// So much more than is kept is redacted, so that no secret is cut in two before it is seen.
    const ROOM: usize = 4_096;
    let mut end = text.len().min(left + ROOM);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let redacted = redact.check(text.get(..end).unwrap_or_default()).into_text();
    let (kept, cut) = audit::clean(&redacted, left);
    (kept, cut || end < text.len())
}
