//! Release: what takes the place of infer and screen out where differential privacy is claimed of the answers. What was
//! told before is told again; else both budgets are looked at, the servers are asked, the cost is taken from both
//! budgets, and only then noise is drawn. What is spent never comes back.

use std::sync::Arc;

use audit::{DigestKey, Ended, Released};
use backend::{BackendError, InferenceResponse};
use core_validate::{InferenceAnswer, InferenceRequest, Output, Validator};
use privacy::distinct::QueryDigest;
use privacy::dp::{Aggregates, Randomness, Receipt, Release, ReleaseError, Rho, Told, ToldStore};
use privacy::vote::Vote;
use ratelimit_redis::{Decision, Limiter, LimiterError, Standing};

use crate::code::{Code, Step};
use crate::commit::Committed;
use crate::infer::refuse;
use crate::metrics::Metrics;
use crate::rejection::Rejection;
use crate::release_rule::{Claim, PrivateData, ReleaseRule, ballot};
use crate::screen_out::{Answer, AnswerBody, answer_id};
use crate::ticket::{End, Ticket};
use crate::trail::Recorded;
use crate::turns::Turns;

/// Releases answers.
pub(crate) struct Releaser {
    limiter: Arc<dyn Limiter>,
    told: Arc<dyn ToldStore>,
    turns: Turns,
}

/// What a release needs beside the request.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) validator: &'a Validator,
    pub(crate) digests: &'a DigestKey,
    pub(crate) metrics: &'a Metrics,
}

/// Why there is no answer.
enum Unreleased {
    /// The budget of this name has no room for it.
    Spent(&'static str),
    /// Nobody knows what is spent, or what was told before.
    Unknown,
    /// The servers gave nothing that could be released.
    Backend(BackendError),
    /// A bug, or no randomness.
    Broken,
    /// The gateway stops.
    Stopping,
}

/// What the servers said, not yet private, and what makes it so.
enum Said<'r> {
    Numbers(&'r Aggregates, Vec<f64>),
    Ballots(&'r Vote, Vec<Option<usize>>),
}

impl Releaser {
    pub(crate) fn new(limiter: Arc<dyn Limiter>, told: Arc<dyn ToldStore>) -> Self {
        Self { limiter, told, turns: Turns::default() }
    }

    /// Answers with a release.
    pub(crate) async fn release(
        &self,
        mut committed: Committed,
        rule: &ReleaseRule,
        means: Means<'_>,
    ) -> Result<Answer, Rejection> {
        let Some(question) = rule.question(&committed.request) else {
            return Err(refused(committed.ticket, rule, Unreleased::Broken));
        };
        let _turn = committed.ticket.during(self.turns.of(question)).await;
        let told = match self.tell(&mut committed, rule, question, means).await {
            Ok(told) => told,
            Err(why) => return Err(refused(committed.ticket, rule, why)),
        };
        let (answer, recorded) = answer(committed, rule, &told, means.digests)?;
        recorded.durable().await;
        Ok(answer)
    }

    /// What was told before, or a release.
    async fn tell(
        &self,
        committed: &mut Committed,
        rule: &ReleaseRule,
        question: QueryDigest,
        means: Means<'_>,
    ) -> Result<Told, Unreleased> {
        let found = committed.ticket.during(self.told.find(&question)).await;
        let known = found.map_err(|error| {
            tracing::warn!(request_id = committed.ticket.about.request_id, %error, "nothing is released");
            Unreleased::Unknown
        })?;
        if let Some(told) = known {
            let data_set = rule.data.name().to_owned();
            committed.ticket.used.released = Some(Released { data_set, ..Released::default() });
            return Ok(told);
        }
        let family = committed.ticket.about.principal().map(|principal| principal.family().to_string());
        let buckets = rule.data.buckets(&family.ok_or(Unreleased::Broken)?);
        self.look(rule, &buckets, means.metrics).await?;
        let mut random = Randomness::from_system().map_err(|_| Unreleased::Broken)?;
        let Some(said) = committed.ticket.cut().before(committed.ask(rule, means)).await else {
            return Err(Unreleased::Stopping);
        };
        let said = said?;
        let receipt = self.pay(rule, &buckets, means.metrics).await?;
        let (told, spent) = private(&said, receipt, &mut random).map_err(|error| {
            tracing::error!(%error, "a release was paid for and not made");
            Unreleased::Broken
        })?;
        committed.ticket.used.released = Some(Released { data_set: rule.data.name().to_owned(), ..spent });
        Ok(self.keep(question, told).await)
    }

    /// Keeps what is paid for, also when the caller leaves now. What cannot be kept is told once.
    async fn keep(&self, question: QueryDigest, told: Told) -> Told {
        let (store, paid) = (self.told.clone(), told.clone());
        let kept = tokio::spawn(async move { store.keep(&question, paid).await }).await;
        match kept {
            Ok(Ok(kept)) => return kept,
            Ok(Err(error)) => tracing::warn!(%error, "a release is not kept; asked again, it is paid for again"),
            Err(_) => tracing::error!("the task that keeps a release failed"),
        }
        told
    }

    /// Whether both budgets have room, before a server is asked.
    async fn look(&self, rule: &ReleaseRule, buckets: &[String; 2], metrics: &Metrics) -> Result<(), Unreleased> {
        let cost = rule.claim.rho();
        let standings = self.limiter.peek(&rule.data.charges(buckets, cost)).await.map_err(|_| Unreleased::Unknown)?;
        if let Some(all) = standings.first() {
            metrics.privacy_left(rule.data.name(), all.remaining);
        }
        match standings.iter().find(|standing| standing.remaining < cost.as_nano()) {
            Some(standing) => Err(Unreleased::Spent(standing.policy)),
            None => Ok(()),
        }
    }

    /// Takes the cost from both budgets. The reservation is dropped: what is spent stays spent.
    async fn pay(&self, rule: &ReleaseRule, buckets: &[String; 2], metrics: &Metrics) -> Result<Receipt, Unreleased> {
        let cost = rule.claim.rho();
        match self.limiter.reserve(&rule.data.charges(buckets, cost)).await {
            Ok(Decision::Allow(reserved)) => {
                let left = reserved.standings().first().map_or(0, |all| all.remaining);
                metrics.privacy_spent(rule.data.name(), cost.as_nano(), left);
                Ok(Receipt::of_reserved(cost, Rho::from_nano(left).unwrap_or_default()))
            }
            Ok(Decision::Deny(denial)) if denial.is_outage() => Err(Unreleased::Unknown),
            Ok(Decision::Deny(denial)) => Err(Unreleased::Spent(denial.policy())),
            Ok(Decision::NeverFits(dear)) => Err(Unreleased::Spent(dear.policy())),
            Err(_) => Err(Unreleased::Unknown),
        }
    }

    /// How the budgets of data stand for a key family: of all first, then its own.
    pub(crate) async fn standings(&self, data: &PrivateData, family: &str) -> Result<Vec<Standing>, LimiterError> {
        self.limiter.peek(&data.charges(&data.buckets(family), Rho::ZERO)).await
    }
}

impl Committed {
    /// Asks one server for the numbers, or all of them for their votes.
    async fn ask<'r>(&mut self, rule: &'r ReleaseRule, means: Means<'_>) -> Result<Said<'r>, Unreleased> {
        match &rule.claim {
            Claim::Aggregates(aggregates) => {
                let (response, _busy) = self.ask_one(means.metrics).await.map_err(Unreleased::Backend)?;
                let output = output(means.validator, &self.request, &rule.output, response);
                match output {
                    Some(Output::Numbers(numbers)) if is_count(aggregates, &numbers) => {
                        Ok(Said::Numbers(aggregates, numbers))
                    }
                    _ => {
                        tracing::warn!(request_id = self.ticket.about.request_id, "not the numbers that were stated");
                        Err(Unreleased::Backend(BackendError::Protocol))
                    }
                }
            }
            Claim::Vote(vote) => {
                let read = |asked: &InferenceRequest, response: InferenceResponse| {
                    ballot(vote, &output(means.validator, asked, &rule.output, response)?)
                };
                let ballots = self.ask_all(means.metrics, read).await;
                let voters = ballots.iter().flatten().count();
                if voters < vote.quorum().get() {
                    let request_id = &self.ticket.about.request_id;
                    tracing::warn!(request_id, voters, quorum = vote.quorum().get(), "too few votes");
                    return Err(Unreleased::Backend(BackendError::Unreachable));
                }
                Ok(Said::Ballots(vote, ballots))
            }
        }
    }
}

fn is_count(aggregates: &Aggregates, numbers: &[f64]) -> bool {
    u32::try_from(numbers.len()) == Ok(aggregates.count().get())
}

/// The one output that counts; none of a broken answer.
fn output(validator: &Validator, asked: &InferenceRequest, name: &str, response: InferenceResponse) -> Option<Output> {
    let InferenceResponse::Full(head, bytes) = response else { return None };
    validator.parse_answer(asked, &head, &bytes).ok()?.output(name)
}

/// Draws noise; what is told, and what the trail says of it.
fn private(said: &Said<'_>, receipt: Receipt, random: &mut Randomness) -> Result<(Told, Released), ReleaseError> {
    Ok(match said {
        Said::Numbers(aggregates, numbers) => {
            let release = aggregates.release(numbers, receipt, random)?;
            let spent = spent(&release);
            (Told::Numbers(release.value), spent)
        }
        Said::Ballots(vote, ballots) => {
            let release = vote.decide(ballots, receipt, random)?;
            (Told::Place(u32::try_from(release.value).unwrap_or(u32::MAX)), spent(&release))
        }
    })
}

fn spent<T>(release: &Release<T>) -> Released {
    Released {
        data_set: String::new(),
        mechanism: Some(release.mechanism.to_string()),
        nano_rho: release.rho.as_nano(),
        left_nano_rho: Some(release.remaining.as_nano()),
    }
}

/// The answer, which holds what is told and nothing else.
fn answer(
    committed: Committed,
    rule: &ReleaseRule,
    told: &Told,
    digests: &DigestKey,
) -> Result<(Answer, Recorded), Rejection> {
    let Committed { mut ticket, request, model, standings, .. } = committed;
    let output = match (told, &rule.claim) {
        (Told::Numbers(numbers), Claim::Aggregates(_)) => Some(Output::Numbers(numbers.clone())),
        (Told::Place(place), Claim::Vote(vote)) => label(vote, *place).map(|label| Output::Texts(vec![label])),
        _ => None,
    };
    let made = output.and_then(|output| InferenceAnswer::of_output(&request, &rule.output, &output));
    let Some(mut answer) = made else { return Err(refused(ticket, rule, Unreleased::Broken)) };
    let request_id = ticket.about.request_id.clone();
    answer.rename(&answer_id(request.operation(), &request_id), model.name());
    let body = answer.to_body();
    let principal = ticket.about.principal().cloned();
    let tenant = principal.as_ref().map(|principal| principal.tenant().to_string()).unwrap_or_default();
    ticket.used.output_bytes = body.bytes.len() as u64;
    ticket.used.output_digest = digests.digest(&tenant, &body.bytes);
    let recorded = ticket.close(End { ended: Some(Ended::Complete), status: 200, code: None });
    Ok((Answer { request_id, principal, standings, body: AnswerBody::Full(body) }, recorded))
}

fn label(vote: &Vote, place: u32) -> Option<String> {
    vote.label(usize::try_from(place).ok()?).map(str::to_owned)
}

fn refused(ticket: Ticket, rule: &ReleaseRule, why: Unreleased) -> Rejection {
    let (code, name) = match why {
        Unreleased::Backend(error) => return refuse(ticket, error),
        Unreleased::Spent(name) => (Code::InsufficientQuota, name),
        Unreleased::Unknown => (Code::LimitsUnavailable, ""),
        Unreleased::Broken => (Code::Internal, ""),
        Unreleased::Stopping => (Code::ShuttingDown, ""),
    };
    let about = ticket.about.clone();
    ticket.close(End { ended: Some(Ended::Failed), status: code.status(), code: Some(code.as_str()) }).later();
    let rejection = Rejection::new(about, Step::Infer, code);
    match code {
        Code::InsufficientQuota => {
            let message = format!("the privacy budget {name} of {} is spent", rule.data.name());
            rejection.message_of(message).limits_of(name, Vec::new())
        }
        Code::LimitsUnavailable => rejection.retry_after_of(std::time::Duration::from_secs(1)),
        _ => rejection,
    }
}
