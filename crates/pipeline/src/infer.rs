//! Infer: the one place that asks a backend, with at most one retry, and only before the first byte; or all backends of
//! a model at once.

use std::sync::Arc;
use std::time::Instant;

use audit::Ended;
use backend::{BackendError, InferenceResponse};
use core_validate::InferenceRequest;
use futures_util::future::join_all;
use ratelimit_redis::Standing;

use crate::code::{Code, Step};
use crate::commit::Committed;
use crate::metrics::Metrics;
use crate::policy::Model;
use crate::rejection::Rejection;
use crate::screening::AnswerScreen;
use crate::servers::{Entered, LONGEST_REST, ServedBy};
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
    pub(crate) async fn infer(mut self, metrics: &Metrics) -> Result<Answering, Rejection> {
        let Some(asked) = self.ticket.cut().before(self.ask_one(metrics)).await else {
            return Err(refuse_as(self.ticket, Code::ShuttingDown));
        };
        match asked {
            Ok((response, in_flight)) => {
                let Self { ticket, request: asked, model, standings, answer } = self;
                let wants_usage = asked.wants_stream_usage();
                Ok(Answering { ticket, asked, wants_usage, model, standings, answer, response, in_flight })
            }
            Err(error) => Err(refuse(self.ticket, error)),
        }
    }

    /// The same, when the answer is not for the caller as it is.
    pub(crate) async fn ask_one(&mut self, metrics: &Metrics) -> Result<(InferenceResponse, Entered), BackendError> {
        let Self { ticket, request, model, .. } = self;
        // What is said when all servers are to be left alone.
        let mut last = match model.servers().rests() {
            Some(wait) => BackendError::Overloaded { retry_after: Some(wait) },
            None => BackendError::Unreachable,
        };
        let mut is_second = false;
        for server in model.servers().candidates() {
            let Some(entered) = Entered::at(server) else { continue };
            match ask(server, entered, request, ticket).await {
                Ok(answered) => return Ok(answered),
                Err(error) => {
                    failed(ticket, model, server, &error, metrics);
                    last = error;
                    if !last.is_retryable() || is_second && !last.is_unsent() {
                        break;
                    }
                    // Those that could not be reached have computed nothing.
                    is_second |= !last.is_unsent();
                }
            }
        }
        Err(last)
    }

    /// Asks all servers at once and reads each answer as it comes; none of those that fail, or say nothing to read.
    pub(crate) async fn ask_all<T>(
        &mut self,
        metrics: &Metrics,
        read: impl Fn(&InferenceRequest, InferenceResponse) -> Option<T>,
    ) -> Vec<Option<T>> {
        let Self { ticket, request, model, .. } = self;
        let (read, request_id) = (&read, ticket.about.request_id.clone());
        let asked = model.servers().voters().filter_map(|server| Some((server, Entered::at(server)?)));
        let asked = asked.map(|(server, mut entered)| {
            let (mut request, request_id) = (request.clone(), request_id.as_str());
            request.set_model(&server.model);
            async move {
                #[expect(clippy::disallowed_methods, reason = "this file is the one place that may, behind Committed")]
                let answered = server.backend().infer(&request, request_id).await;
                entered.note(&answered);
                (server, answered.map(|response| read(&request, response)))
            }
        });
        // From here on the caller may leave at any time, and the cost is owed unless nothing was sent.
        ticket.used.is_sent = true;
        let answered = ticket.during(join_all(asked)).await;
        let is_sent = |answered: &Result<_, BackendError>| answered.as_ref().map_or_else(|e| !e.is_unsent(), |_| true);
        ticket.used.is_sent = answered.iter().any(|(_, answered)| is_sent(answered));
        let heard = answered.into_iter().map(|(server, answered)| match answered {
            Ok(read) => read,
            Err(error) => {
                failed(ticket, model, server, &error, metrics);
                None
            }
        });
        heard.collect()
    }
}

/// Counts and tells that a server gave no answer, and leaves it alone if it says so.
fn failed(ticket: &Ticket, model: &Model, server: &ServedBy, error: &BackendError, metrics: &Metrics) {
    metrics.backend_failed(server.label(), error);
    tracing::warn!(request_id = ticket.about.request_id, backend = server.label(), %error, "no answer");
    if let BackendError::Overloaded { retry_after: Some(wait) } = error {
        model.servers().rest(server.label(), *wait);
    }
}

async fn ask(
    server: &ServedBy,
    mut entered: Entered,
    request: &mut InferenceRequest,
    ticket: &mut Ticket,
) -> Result<(InferenceResponse, Entered), BackendError> {
    request.set_model(&server.model);
    ticket.used.backend = Some(server.label().to_owned());
    // From here on the caller may leave at any time, and the cost is owed unless nothing was sent.
    let was_sent = std::mem::replace(&mut ticket.used.is_sent, true);
    let started = Instant::now();
    let request_id = ticket.about.request_id.clone();
    #[expect(clippy::disallowed_methods, reason = "this file is the one place that may, behind Committed")]
    let asked = ticket.during(server.backend().infer(request, &request_id)).await;
    entered.note(&asked);
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
    let rejection = refuse_as(ticket, to_code(&error));
    match error {
        BackendError::Overloaded { retry_after: Some(wait) } => rejection.retry_after_of(wait.min(LONGEST_REST)),
        BackendError::Overloaded { .. } | BackendError::Unreachable | BackendError::Failed { status: 503 } => {
            rejection.retry_after_of(std::time::Duration::from_secs(1))
        }
        _ => rejection,
    }
}

fn refuse_as(ticket: Ticket, code: Code) -> Rejection {
    let about = ticket.about.clone();
    ticket.close(End { ended: Some(Ended::Failed), status: code.status(), code: Some(code.as_str()) }).later();
    Rejection::new(about, Step::Infer, code)
}

pub(crate) fn to_code(error: &BackendError) -> Code {
    match error {
        BackendError::Unreachable
        | BackendError::Address
        | BackendError::Overloaded { .. }
        | BackendError::Failed { status: 503 } => Code::BackendUnavailable,
        BackendError::TimedOut | BackendError::Failed { status: 504 } => Code::BackendTimeout,
        BackendError::Refused => Code::BackendRefused,
        _ => Code::BackendFailed,
    }
}
