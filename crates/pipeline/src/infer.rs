//! Infer: the one place that asks a backend. At most one retry, and only before the first byte.

use std::sync::Arc;
use std::time::Instant;

use audit::Ended;
use backend::{BackendError, InferenceResponse};
use core_validate::InferenceRequest;
use ratelimit_redis::Standing;

use crate::code::{Code, Step};
use crate::commit::Committed;
use crate::metrics::Metrics;
use crate::policy::{Entered, InFlight, LONGEST_REST, Model, ServedBy};
use crate::rejection::Rejection;
use crate::screening::AnswerScreen;
use crate::ticket::{End, Ticket};

/// A request that a backend has begun to answer.
pub struct Answering {
    pub(crate) ticket: Ticket,
    pub(crate) asked: InferenceRequest,
    pub(crate) wants_usage: bool,
    pub(crate) model: Arc<Model>,
    pub(crate) standings: Vec<Standing>,
    pub(crate) answer: AnswerScreen,
    pub(crate) response: InferenceResponse,
    pub(crate) in_flight: Entered,
}

impl Committed {
    /// Asks a server of the model, and another one if the first cannot be asked.
    pub(crate) async fn infer(self, metrics: &Metrics) -> Result<Answering, Rejection> {
        let Self { mut ticket, mut request, model, standings, answer } = self;
        let wants_usage = request.wants_stream_usage();
        // What is said when all servers are to be left alone.
        let mut last = match model.rests() {
            Some(wait) => BackendError::Overloaded { retry_after: Some(wait) },
            None => BackendError::Unreachable,
        };
        for (server, in_flight) in model.candidates() {
            match ask(server, in_flight, &mut request, &mut ticket).await {
                Ok((response, in_flight)) => {
                    let asked = request;
                    return Ok(Answering { ticket, asked, wants_usage, model, standings, answer, response, in_flight });
                }
                Err(error) => {
                    metrics.backend_failed(&server.label, &error);
                    tracing::warn!(request_id = ticket.about.request_id, backend = server.label, %error, "no answer");
                    if let BackendError::Overloaded { retry_after: Some(wait) } = &error {
                        model.rest(&server.label, *wait);
                    }
                    last = error;
                    if !error.is_retryable() {
                        break;
                    }
                }
            }
        }
        Err(refuse(ticket, last))
    }
}

async fn ask(
    server: &ServedBy,
    in_flight: InFlight,
    request: &mut InferenceRequest,
    ticket: &mut Ticket,
) -> Result<(InferenceResponse, Entered), BackendError> {
    request.set_model(&server.model);
    ticket.used.backend = Some(server.label.clone());
    // From here on the caller may leave at any time, and the cost is owed unless nothing was sent.
    let was_sent = std::mem::replace(&mut ticket.used.is_sent, true);
    let entered = in_flight.enter();
    let started = Instant::now();
    let request_id = ticket.about.request_id.clone();
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may, behind Committed")]
    let asked = ticket.during(server.backend.infer(request, &request_id)).await;
    match asked {
        Ok(response) => {
            ticket.used.first_byte_ms = u64::try_from(started.elapsed().as_millis()).ok();
            Ok((response, entered))
        }
        Err(error) => {
            ticket.used.is_sent = was_sent || !error.is_unsent();
            Err(error)
        }
    }
}

/// The caller learns the class of the failure, nothing of the server.
pub(crate) fn refuse(ticket: Ticket, error: BackendError) -> Rejection {
    let code = to_code(&error);
    let about = ticket.about.clone();
    ticket.close(End { ended: Some(Ended::Failed), status: code.status(), code: Some(code.as_str()) });
    let rejection = Rejection::new(about, Step::Infer, code);
    match error {
        BackendError::Overloaded { retry_after: Some(wait) } => rejection.retry_after_of(wait.min(LONGEST_REST)),
        BackendError::Overloaded { .. } | BackendError::Unreachable => {
            rejection.retry_after_of(std::time::Duration::from_secs(1))
        }
        _ => rejection,
    }
}

pub(crate) fn to_code(error: &BackendError) -> Code {
    match error {
        BackendError::Unreachable | BackendError::Overloaded { .. } | BackendError::Failed { status: 503 } => {
            Code::BackendUnavailable
        }
        BackendError::TimedOut | BackendError::Failed { status: 504 } => Code::BackendTimeout,
        BackendError::Refused => Code::BackendRefused,
        _ => Code::BackendFailed,
    }
}
