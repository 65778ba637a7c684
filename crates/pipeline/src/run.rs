//! The line itself, from the first step to the last.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use audit::{Act, AuditError, DigestKey, Log, Record};
use core_validate::ModelName;
use keys::{Principal, Verifier};
use privacy::distinct::{LedgerError, QueryLedger};
use privacy::dp::ToldStore;
use ratelimit_redis::{Charge, Decision, Limiter, LimiterError, MAX_CHARGES, Quota, Standing};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;

use crate::about::About;
use crate::admit;
use crate::authenticate::verify;
use crate::closer::Tickets;
use crate::code::{Code, Step};
use crate::metrics::Metrics;
use crate::plan::{Cost, Plan, Planned};
use crate::policy::Policy;
use crate::privacy_stand::PrivacyStand;
use crate::query_stand::QueryStand;
use crate::read::Room;
use crate::received::Received;
use crate::refusals::Refusals;
use crate::rejection::Rejection;
use crate::release::{Means, Releaser};
use crate::schemas::Schemas;
use crate::screen_out::Answer;
use crate::servers;
use crate::trail::{Trail, TrailStand};

/// What a pipeline is built from.
pub struct Parts {
    /// Checks keys.
    pub verifier: Arc<Verifier>,
    /// Keeps quotas.
    pub limiter: Arc<dyn Limiter>,
    /// Counts distinct queries.
    pub queries: Arc<dyn QueryLedger>,
    /// Keeps what was released.
    pub told: Arc<dyn ToldStore>,
    /// Keeps the audit trail.
    pub log: Log,
    /// Makes digests for the audit trail.
    pub digests: DigestKey,
    /// The rules to begin with.
    pub policy: Policy,
    /// Bytes that all large bodies under way may take together.
    pub max_buffered_bytes: usize,
}

/// How one quota stands.
pub struct Stand {
    /// How much is left.
    pub standing: Standing,
    /// What it is about.
    pub planned: Planned,
}

/// The line: takes a received request, gives an answer or a refusal.
pub struct Pipeline {
    verifier: Arc<Verifier>,
    limiter: Arc<dyn Limiter>,
    queries: Arc<dyn QueryLedger>,
    releaser: Releaser,
    log: Log,
    trail: Trail,
    digests: DigestKey,
    policy: ArcSwap<Policy>,
    metrics: Metrics,
    refusals: Arc<Refusals>,
    schemas: Schemas,
    tickets: Tickets,
    room: Room,
    /// For work on large texts.
    cores: Arc<Semaphore>,
    closer: Mutex<Option<JoinHandle<()>>>,
}

impl Pipeline {
    /// Starts the closer task, so call it inside a runtime that outlives every request.
    pub fn start(parts: Parts) -> Self {
        let Parts { verifier, limiter, queries, told, log, digests, mut policy, max_buffered_bytes } = parts;
        policy.join_watches(None);
        let room = Room::new(max_buffered_bytes);
        let metrics = Metrics::new();
        let refusals = Arc::<Refusals>::default();
        let trail = Trail::new(log.clone(), metrics.clone());
        let (tickets, closer) = Tickets::start(limiter.clone(), trail.clone(), metrics.clone(), refusals.clone());
        let closer = Mutex::new(Some(closer));
        let policy = ArcSwap::from_pointee(policy);
        let cores = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
        let schemas = Schemas::default();
        let releaser = Releaser::new(limiter.clone(), told);
        Self {
            verifier,
            limiter,
            queries,
            releaser,
            log,
            trail,
            digests,
            policy,
            metrics,
            refusals,
            schemas,
            tickets,
            room,
            cores,
            closer,
        }
    }

    /// Walks the line. A refusal has been counted and recorded when it is returned.
    ///
    /// # Errors
    /// [`Rejection`] from whichever step refused.
    pub async fn run(&self, received: Received) -> Result<Answer, Rejection> {
        let walked = self.walk(received).await;
        if let Err(rejection) = &walked {
            self.refused(rejection);
        }
        walked
    }

    async fn walk(&self, received: Received) -> Result<Answer, Rejection> {
        let policy = self.policy.load_full();
        let authenticated = received.authenticate(&self.verifier).await?;
        let principal = authenticated.principal.clone();
        let authenticated = match authenticated.in_scope(&policy) {
            Ok(authenticated) => authenticated,
            Err(rejection) => return Err(self.charge_one(&principal, rejection).await),
        };
        let parsed = match authenticated.read(&policy, &self.room).await {
            Ok(parsed) => parsed,
            Err(rejection) => return Err(self.charge_one(&principal, rejection).await),
        };
        let admitted = match parsed.admit(&policy, &self.schemas, &self.tickets).await {
            Ok(admitted) => admitted,
            Err(rejection) => return Err(self.charge_one(&principal, rejection).await),
        };
        let screened = admitted.screen_in(&policy.screening, &*self.queries, &self.cores, &self.metrics).await?;
        let committed = screened.commit(&self.trail, &self.digests, &policy).await?;
        let model = committed.model.clone();
        if let Some(rule) = model.release() {
            let means = Means { validator: &policy.validator, digests: &self.digests, metrics: &self.metrics };
            return self.releaser.release(committed, rule, means).await;
        }
        let answering = committed.infer(&self.metrics).await?;
        answering.screen_out(policy, self.digests.clone(), &self.cores, &self.metrics).await
    }

    /// A request that is wrong in itself costs one request on its way out, so that looking for what
    /// passes is not free.
    async fn charge_one(&self, principal: &Principal, rejection: Rejection) -> Rejection {
        if !(400..=415).contains(&rejection.code().status()) {
            return rejection;
        }
        match self.reserve_one(rejection.about(), principal).await {
            Ok(Decision::Deny(denial)) => admit::denied(rejection.into_about(), &denial),
            Ok(_) => rejection,
            Err(error) => {
                tracing::warn!(%error, "malformed request is not charged");
                rejection
            }
        }
    }

    /// One request of the quotas that count any, whatever it asks for.
    async fn reserve_one(&self, about: &About, principal: &Principal) -> Result<Decision, LimiterError> {
        let plan = self.policy.load().plan(about, principal, None);
        self.limiter.reserve(&plan.charges(&Cost::default())).await
    }

    /// Checks the key of a request that asks no model anything.
    ///
    /// # Errors
    /// [`Rejection`] as from the line's own first step; counted and recorded.
    pub async fn authenticate(&self, about: &mut About, presented: Option<String>) -> Result<Principal, Rejection> {
        let verified = verify(&self.verifier, presented, about).await;
        if let Err(rejection) = &verified {
            self.refused(rejection);
        }
        verified
    }

    /// Counts and records a refusal that was made outside the line, and gives it back.
    pub fn refuse(&self, about: About, step: Step, code: Code) -> Rejection {
        self.noted(Rejection::new(about, step, code))
    }

    /// The same, for a refusal with more to say.
    pub fn noted(&self, rejection: Rejection) -> Rejection {
        self.refused(&rejection);
        rejection
    }

    /// Records an act of an operator and waits until it is durable.
    ///
    /// # Errors
    /// When it cannot be recorded; also counted and logged.
    pub async fn record(&self, act: Act) -> Result<(), AuditError> {
        match self.log.append(&Record::Act(act)).await {
            Ok(_receipt) => Ok(()),
            Err(error) => {
                self.metrics.audit_failed();
                tracing::error!(%error, "act is not recorded");
                Err(error)
            }
        }
    }

    fn refused(&self, rejection: &Rejection) {
        self.metrics.refused(rejection);
        // What was sent, or may be on record as intended, has an outcome instead.
        if !matches!(rejection.step(), Step::Commit | Step::Infer | Step::ScreenOut) {
            self.refusals.note(rejection, &self.policy.load().screening.audit);
        }
        tracing::info!(
            request_id = rejection.about().request_id(),
            step = rejection.step().as_str(),
            code = rejection.code().as_str(),
            at = rejection.at().as_str(),
            reason = rejection.reason(),
            key = rejection.about().principal().map(|principal| principal.key_id().to_string()),
            "request refused"
        );
    }

    /// Takes one request of the quotas, for what asks a model server without asking a model.
    ///
    /// # Errors
    /// 429 when the quota is used up, 503 when it cannot be checked.
    pub async fn spend_one(&self, about: &About, principal: &Principal) -> Result<(), Rejection> {
        Err(self.noted(match self.reserve_one(about, principal).await {
            Ok(Decision::Allow(_)) => return Ok(()),
            Ok(Decision::Deny(denial)) => admit::denied(about.clone(), &denial),
            Ok(Decision::NeverFits(_)) => Rejection::new(about.clone(), Step::Admit, Code::CostExceedsQuota),
            Err(_) => Rejection::new(about.clone(), Step::Admit, Code::LimitsUnavailable),
        }))
    }

    /// How the quotas stand that count requests of a principal, each with what it is about: those over all
    /// models first, then those over one.
    ///
    /// # Errors
    /// When the limiter cannot be reached.
    pub async fn standings(&self, about: &About, principal: &Principal) -> Result<Vec<Stand>, LimiterError> {
        let policy = self.policy.load_full();
        let models = policy.models_for(principal.scopes()).map(|model| Some(model.name()));
        let plan = |model| (policy.plan(about, principal, model), model);
        let plans: Vec<(Plan, Option<&ModelName>)> = std::iter::once(None).chain(models).map(plan).collect();
        // Each bucket once, however many models it is about.
        let mut seen = HashSet::new();
        let (mut charges, mut planned) = (Vec::new(), Vec::new());
        for (plan, model) in &plans {
            for (charge, what) in plan.charges(&Cost::default()).into_iter().zip(plan.planned(&policy.quotas, *model)) {
                if seen.insert((what.bucket.clone(), charge.unit())) {
                    charges.push(charge);
                    planned.push(what);
                }
            }
        }
        let mut standings = Vec::with_capacity(charges.len());
        for charges in charges.chunks(MAX_CHARGES) {
            standings.extend(self.limiter.peek(charges).await?);
        }
        Ok(standings.into_iter().zip(planned).map(|(standing, planned)| Stand { standing, planned }).collect())
    }

    /// How the budgets of privacy stand of the models that a principal may use.
    ///
    /// # Errors
    /// When the limiter cannot be reached.
    pub async fn privacy_standings(&self, principal: &Principal) -> Result<Vec<PrivacyStand>, LimiterError> {
        let policy = self.policy.load_full();
        let models = policy.models_for(principal.scopes());
        PrivacyStand::of(&self.releaser, models, &principal.family().to_string()).await
    }

    /// How the budgets of distinct queries stand of the models that a principal may use.
    ///
    /// # Errors
    /// When the ledger cannot be reached.
    pub async fn query_standings(&self, principal: &Principal) -> Result<Vec<QueryStand>, LedgerError> {
        let policy = self.policy.load_full();
        QueryStand::of(&*self.queries, policy.models_for(principal.scopes()), principal).await
    }

    /// Connects the runtime it is called in with the limiter, so that its first request does not have to.
    pub async fn warm_up(&self) {
        let nothing = Charge::new("warm-up", "requests", Quota::per_second(NonZeroU32::MIN), 0);
        if let Err(error) = self.limiter.peek(&[nothing]).await {
            tracing::warn!(%error, "the limiter is not reached yet");
        }
    }

    /// Asks model servers whether they are ready: those that were left alone because they failed, and those that are
    /// to be asked now and then. Call it every second or so.
    pub async fn check_servers(&self) {
        let policy = self.policy.load_full();
        servers::check(policy.models.values().flat_map(|model| model.servers().each())).await;
    }

    /// The rules that hold now.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Replaces all rules at once; requests under way keep theirs.
    pub fn set_policy(&self, mut policy: Policy) {
        let before = self.policy.load();
        policy.join_watches(Some(&before));
        policy.follow(&before);
        self.policy.store(Arc::new(policy));
    }

    /// Whether the audit trail can be written, and if not, whether requests are answered.
    pub fn trail_stand(&self) -> TrailStand {
        self.trail.stand(self.policy.load().trail)
    }

    /// Waits until the audit trail takes no more records: another gateway writes it now, or the pipeline
    /// was closed.
    pub async fn trail_ended(&self) {
        self.log.ended().await;
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        self.metrics.key_hashes(self.verifier.hashes());
        self.metrics.watched(&self.policy.load());
        self.metrics.left_alone(&self.policy.load());
        self.metrics.trail(self.log.is_healthy(), self.log.waiting());
        &self.metrics
    }

    /// Ends the requests that still wait for an answer, and tells their callers.
    pub fn cut(&self) {
        self.tickets.cut();
    }

    /// Opens no more tickets, waits at most `patience` until those that are open are closed, then
    /// closes the audit trail.
    pub async fn close(&self, patience: Duration) {
        self.tickets.stop();
        let closer = self.closer.lock().await.take();
        if let Some(closer) = closer {
            match tokio::time::timeout(patience, closer).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::error!("the closer task failed"),
                Err(_) => tracing::error!("requests are still open; their outcome will be recorded as unknown"),
            }
        }
        if let Err(error) = self.log.close().await {
            tracing::error!(%error, "the audit trail is not closed cleanly");
        }
    }
}
