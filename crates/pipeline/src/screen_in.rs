//! Screen in: every text that a model may read is looked at, here and by a judge elsewhere.

use std::sync::Arc;
use std::time::Duration;

use core_validate::{InferenceRequest, InvalidCode, Pointer};
use privacy::distinct::QueryLedger;
use ratelimit_redis::Standing;
use sanitize::{ClassifierError, Judgement, Mode};
use tokio::sync::Semaphore;

use crate::about::{About, unix_millis};
use crate::admit::Admitted;
use crate::code::{Code, Step};
use crate::disclosure::{NotAsked, count, past_soft};
use crate::look::{Caller, Looked, judged, look, not_scanned, plant, said};
use crate::metrics::Metrics;
use crate::monitoring::noted;
use crate::policy::Model;
use crate::rejection::Rejection;
use crate::screening::{AnswerScreen, Judge, ScreenRules, Screening};
use crate::ticket::{End, Ticket};

/// Texts of larger bodies are screened off the event loop: a millisecond of work, or fifty of the worst texts there are.
const LARGE: usize = 16 << 10;

/// A request whose texts were screened.
pub struct Screened {
    pub(crate) ticket: Ticket,
    pub(crate) request: InferenceRequest,
    pub(crate) model: Arc<Model>,
    pub(crate) standings: Vec<Standing>,
    pub(crate) body_bytes: usize,
    pub(crate) answer: AnswerScreen,
}

impl Admitted {
    /// Screens every text. System texts are left alone when the key holds `trust:system`, or their digest is known.
    /// Then it is looked up whether a monitor suspects who asks, and the queries are counted that are left.
    pub(crate) async fn screen_in(
        self,
        screening: &Screening,
        queries: &dyn QueryLedger,
        cores: &Arc<Semaphore>,
        metrics: &Metrics,
    ) -> Result<Screened, Rejection> {
        let Self { mut ticket, request, model, standings, body_bytes } = self;
        let principal = ticket.about.principal();
        let caller = Caller {
            trusts_system: principal.is_some_and(|principal| principal.scopes().trusts_system()),
            tenant: principal.map(|principal| principal.tenant().to_string()).unwrap_or_default(),
        };
        let rules = Arc::clone(screening.of(principal, model.name()));
        let looked = if body_bytes <= LARGE || request.texts().next().is_none() {
            Some(look(request, &rules, &caller))
        } else {
            // More at once would only take memory, and the cores away from those who decide and record.
            // Core and room go with the work, which goes on when the caller leaves.
            let core = cores.clone().acquire_owned().await;
            let (rules, caller, room) = (rules.clone(), caller.clone(), ticket.take_room());
            let looking = tokio::task::spawn_blocking(move || {
                let looked = look(request, &rules, &caller);
                drop(core);
                (looked, room)
            });
            looking.await.ok().map(|(looked, room)| {
                ticket.keep_room(room);
                looked
            })
        };
        let Some(Looked { mut request, findings, blocked, answer, known }) = looked else {
            return Err(refuse(ticket, Code::Internal, None));
        };
        metrics.texts_known(known);
        ticket.about.findings = findings;
        if let Some(blocked) = blocked {
            return Err(refuse(ticket, Code::PromptBlocked, Some(blocked)));
        }
        if let Some(code) = ask_judge(&request, &rules, &caller, &mut ticket).await {
            return Err(refuse(ticket, code, None));
        }
        if model.disclosure().is_evaded(&request) {
            let message = "this model gives no classes: its scores are told as its settings say".to_owned();
            let code = Code::Invalid(InvalidCode::UnsupportedContent);
            return Err(refuse(ticket, code, None).message_of(message));
        }
        if let Some(why) = model.release().and_then(|rule| rule.unfit(&request)) {
            let code = Code::Invalid(InvalidCode::UnsupportedContent);
            return Err(refuse(ticket, code, None).message_of(why.to_owned()));
        }
        if let Some(word) = answer.planted() {
            plant(&mut request, word);
        }
        suspect(&mut ticket, &model);
        if let Err(not_asked) = count_queries(&mut ticket, &model, queries, &request, metrics).await {
            return Err(refuse_queries(ticket, not_asked));
        }
        Ok(Screened { ticket, request, model, standings, body_bytes, answer })
    }
}

/// Asks the judge elsewhere, if there is one; the code of the refusal that follows, if one does.
async fn ask_judge(
    request: &InferenceRequest,
    rules: &ScreenRules,
    caller: &Caller,
    ticket: &mut Ticket,
) -> Option<Code> {
    let judge = rules.judge.as_ref()?;
    let texts = said(request, rules, caller);
    if texts.is_empty() {
        return None;
    }
    let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
    match ticket.during(judgement(judge, &texts)).await {
        Ok(judgement) if judgement.is_flagged() => {
            ticket.about.findings.extend(judged(&judgement, judge.mode));
            (judge.mode == Mode::Enforce).then_some(Code::PromptBlocked)
        }
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(request_id = ticket.about.request_id, %error, "the judge did not judge");
            ticket.about.findings.push(not_scanned("judge", ""));
            // An honest request must not fail for ever because it is long; one that is not judged in time may come back.
            (!judge.lets_pass && judge.mode == Mode::Enforce).then_some(match error {
                ClassifierError::TooLong => Code::PromptBlocked,
                _ => Code::ScreeningUnavailable,
            })
        }
    }
}

async fn judgement(judge: &Judge, texts: &[&str]) -> Result<Judgement, ClassifierError> {
    if texts.iter().map(|text| text.len()).sum::<usize>() > judge.max_bytes {
        return Err(ClassifierError::TooLong);
    }
    let asked = tokio::time::timeout(judge.deadline, judge.classifier.judge(texts)).await;
    asked.unwrap_or(Err(ClassifierError::TimedOut))
}

/// Notes what monitors think of who asks, by what was asked before.
fn suspect(ticket: &mut Ticket, model: &Model) {
    let (Some(principal), Some(monitor)) = (&ticket.about.principal, &model.disclosure().monitor) else { return };
    let suspicion = monitor.suspicion(principal);
    ticket.is_suspect = suspicion.is_raised();
    ticket.about.findings.extend(noted(suspicion));
}

/// Counts the queries of a model that has a budget of them.
async fn count_queries(
    ticket: &mut Ticket,
    model: &Model,
    ledger: &dyn QueryLedger,
    request: &InferenceRequest,
    metrics: &Metrics,
) -> Result<(), NotAsked> {
    let Some(principal) = ticket.about.principal.clone() else { return Ok(()) };
    let name = model.name().as_str();
    let counting = count(model.disclosure(), ledger, request, &principal, ticket.is_suspect, model.counted_as());
    if let Some(counted) = ticket.during(counting).await? {
        metrics.counted(name, &counted);
        ticket.about.findings.extend(past_soft(&counted));
    }
    Ok(())
}

/// The budget of distinct queries does not hold those of the request, or nobody knows whether it does.
fn refuse_queries(ticket: Ticket, not_asked: NotAsked) -> Rejection {
    let now = unix_millis();
    match not_asked {
        NotAsked::Spent(standing) => {
            let (most, ends) = (standing.budget.hard_limit(), standing.ends.saturating_sub(now));
            let message = format!("the budget of {most} distinct queries is spent for {} s", ends.div_ceil(1_000));
            refuse(ticket, Code::InsufficientQuota, None).message_of(message).limits_of("queries", Vec::new())
        }
        NotAsked::TooMany(asked) => {
            let message = format!("{asked}: more than this model takes at once");
            refuse(ticket, Code::CostExceedsQuota, None).message_of(message).limits_of("queries", Vec::new())
        }
        NotAsked::Unknown(error) => {
            tracing::warn!(request_id = ticket.about.request_id, %error, "the queries are not counted");
            refuse(ticket, Code::LimitsUnavailable, None)
        }
    }
}

/// Gives the tokens back and keeps the request: nothing was sent. The refusal is recorded by the
/// pipeline's one exit.
fn refuse(ticket: Ticket, code: Code, at: Option<Pointer>) -> Rejection {
    let about: About = ticket.about.clone();
    let ended = if code == Code::PromptBlocked { audit::Ended::Blocked } else { audit::Ended::Failed };
    ticket.close(End { ended: Some(ended), status: code.status(), code: Some(code.as_str()) }).later();
    let rejection = Rejection::new(about, Step::ScreenIn, code).at_of(at.unwrap_or_default());
    match code {
        Code::ScreeningUnavailable | Code::LimitsUnavailable => rejection.retry_after_of(Duration::from_secs(1)),
        _ => rejection,
    }
}
