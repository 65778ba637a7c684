//! What may be changed while the gateway runs: models, limits, screening. Swapped as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use core_validate::{ModelName, ModelRules, Operation, Validator};
use keys::{Principal, Scopes};
use privacy::Watch;
use ratelimit_redis::OnOutage;

use crate::about::About;
use crate::convert::to_operation;
use crate::disclosure::Disclosure;
use crate::estimate::{History, Price};
use crate::monitoring::Monitoring;
use crate::plan::{Plan, QuotaRule};
use crate::release_rule::{Claim, ReleaseRule};
use crate::screening::Screening;
use crate::servers::{ServedBy, Servers};
use crate::trail::TrailMode;

/// The rules that hold for requests from now on.
pub struct Policy {
    /// Reads requests and answers.
    pub validator: Validator,
    /// Most bytes of a body, but for models that take more or fewer.
    pub max_body_bytes: usize,
    /// Most bytes of a body that arrived packed, once it is unpacked, and no more than of others; none are taken at zero.
    pub max_unpacked_bytes: usize,
    /// How long a body may take to arrive.
    pub body_deadline: Duration,
    /// Bytes a second that a body must bring on average, once it had a while to begin.
    pub body_bytes_per_second: u64,
    /// How many different schemas a key family may ask for within an hour, of each gateway.
    pub max_schemas: usize,
    /// How many output tokens a request reserves when it names no smaller number.
    pub reserve_output_tokens: u32,
    /// What is screened, and how.
    pub screening: Screening,
    /// What happens while the audit trail cannot be written.
    pub trail: TrailMode,
    /// Quotas beside those that keys name themselves.
    pub quotas: Vec<QuotaRule>,
    /// What the rates that keys name themselves do while the limiter cannot be reached.
    pub on_outage: OnOutage,
    /// Whether answers also carry the older names of limit headers that OpenAI's clients read.
    pub openai_headers: bool,
    /// The models, by the name callers use.
    pub models: BTreeMap<ModelName, Arc<Model>>,
}

/// One model, as callers know it.
pub struct Model {
    name: ModelName,
    operations: Vec<Operation>,
    max_output_tokens: u32,
    max_body_bytes: Option<usize>,
    rules: ArcSwap<ModelRules>,
    /// Its servers say what its tensors are; these of its inputs may be absent.
    described: Option<Vec<String>>,
    /// The version they have, when it is one.
    only_version: ArcSwapOption<String>,
    /// They said it when they were asked last, or nobody asked yet.
    is_told: AtomicBool,
    price: Option<Price>,
    disclosure: Disclosure,
    release: Option<ReleaseRule>,
    history: History,
    servers: Servers,
    created: u64,
}

/// A model that cannot work.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// No server answers for it.
    #[error("a model needs at least one backend")]
    NoBackend,
    /// It can do nothing.
    #[error("a model needs at least one operation")]
    NoOperation,
    /// It does other things than to infer, of which no privacy can be claimed.
    #[error("texts and embeddings of a model may be perturbed, see disclosure, but no privacy can be claimed of them")]
    ReleaseOfText,
    /// One server does not vote.
    #[error("one server is no vote: what one model says depends on all of its data")]
    OneVoter,
    /// There would never be a decision.
    #[error("there are fewer servers than the quorum")]
    FewVoters,
}

impl Model {
    /// A model that does `operations` on any of `servers`.
    ///
    /// # Errors
    /// [`InvalidPolicy`] when it has no server or no operation.
    pub fn new(
        name: ModelName,
        operations: Vec<Operation>,
        max_output_tokens: u32,
        rules: ModelRules,
        servers: Vec<ServedBy>,
    ) -> Result<Self, InvalidPolicy> {
        if servers.iter().all(|server| server.is_fallback) {
            return Err(InvalidPolicy::NoBackend);
        }
        if operations.is_empty() {
            return Err(InvalidPolicy::NoOperation);
        }
        let servers = Servers::new(servers);
        let created = crate::about::unix_millis() / 1_000;
        let rules = ArcSwap::from_pointee(rules);
        let (described, price, release, history) = (None, None, None, History::default());
        let disclosure = Disclosure::default();
        let (is_told, only_version) = (AtomicBool::new(true), ArcSwapOption::empty());
        Ok(Self {
            name,
            operations,
            max_output_tokens,
            max_body_bytes: None,
            rules,
            described,
            only_version,
            is_told,
            price,
            disclosure,
            release,
            history,
            servers,
            created,
        })
    }

    /// The same at a price.
    #[must_use]
    pub fn priced(self, price: Price) -> Self {
        Self { price: Some(price), ..self }
    }

    /// The same, which takes bodies of at most so many bytes.
    #[must_use]
    pub fn taking(self, max_body_bytes: usize) -> Self {
        Self { max_body_bytes: Some(max_body_bytes), ..self }
    }

    /// The same, of which answers tell this much.
    #[must_use]
    pub fn disclosing(self, disclosure: Disclosure) -> Self {
        Self { disclosure, ..self }
    }

    /// The same, of which answers are released by this rule alone.
    ///
    /// # Errors
    /// [`InvalidPolicy`] when it does anything but infer, or has too few servers for a vote.
    pub fn releasing(self, rule: ReleaseRule) -> Result<Self, InvalidPolicy> {
        if self.operations.iter().any(|operation| *operation != Operation::Infer) {
            return Err(InvalidPolicy::ReleaseOfText);
        }
        match &rule.claim {
            Claim::Vote(_) if self.servers.voters_in_all() < 2 => Err(InvalidPolicy::OneVoter),
            Claim::Vote(vote) if self.servers.voters_in_all() < vote.quorum().get() => Err(InvalidPolicy::FewVoters),
            _ => Ok(Self { release: Some(rule), ..self }),
        }
    }

    /// The same, whose tensors are what its servers say they are; see [`Model::learn`]. `optional` inputs may be
    /// absent, which servers do not say.
    #[must_use]
    pub fn described_by_servers(self, optional: Vec<String>) -> Self {
        let infers = self.operations.contains(&Operation::Infer);
        Self { described: infers.then_some(optional), ..self }
    }

    /// Asks the servers what the model's tensors are, when it is theirs to say. From then on requests and answers are
    /// held to that; while they do not answer, to what was learnt before.
    pub async fn learn(&self) {
        let Some(optional) = &self.described else { return };
        let description = self.describe().await;
        if let Some([only]) = description.as_ref().map(|description| description.versions.as_slice()) {
            self.only_version.store(Some(Arc::new(only.clone())));
        }
        let spec = description.and_then(|description| description.to_spec(optional));
        let was_told = self.is_told.swap(spec.is_some(), Ordering::Relaxed);
        let rules = self.rules.load();
        // A server that says nothing takes nothing back.
        let Some(spec) = spec else {
            if was_told {
                let known = rules.tensors().is_some();
                tracing::warn!(
                    model = %self.name, known,
                    "no server describes the model's tensors: what was learnt holds, or else form and finiteness only"
                );
            }
            return;
        };
        if rules.tensors() != Some(&spec) {
            tracing::info!(model = %self.name, "the model's tensors are learnt from its servers");
            self.rules.store(Arc::new(rules.with_tensors(Some(spec))));
        }
    }

    /// What requests to it must keep to.
    pub fn rules(&self) -> Arc<ModelRules> {
        self.rules.load_full()
    }

    /// The same for one of its versions. What was learnt is of the version that servers take by themselves.
    pub(crate) fn rules_of(&self, version: Option<&str>) -> Arc<ModelRules> {
        let rules = self.rules();
        let only = self.only_version.load();
        let is_other = version.is_some_and(|version| only.as_ref().is_none_or(|only| **only != version));
        match is_other && self.described.is_some() {
            true => Arc::new(rules.with_tensors(None)),
            false => rules,
        }
    }

    /// The name callers use.
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// What it does.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// When this configuration of it was loaded, in seconds since the Unix epoch.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// What its tokens cost, if the settings say.
    pub fn price(&self) -> Option<Price> {
        self.price
    }

    /// How those who ask it are watched, if they are.
    pub fn monitoring(&self) -> Option<&Monitoring> {
        self.disclosure.monitor.as_ref()
    }

    /// What its answers tell.
    pub(crate) fn disclosure(&self) -> &Disclosure {
        &self.disclosure
    }

    /// How its answers are released, if privacy is claimed of them.
    pub(crate) fn release(&self) -> Option<&ReleaseRule> {
        self.release.as_ref()
    }

    /// How its estimates turned out.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn max_output_tokens(&self) -> u32 {
        self.max_output_tokens
    }

    /// Who answers for it.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Asks the servers in turn whether one is ready.
    pub async fn is_ready(&self) -> bool {
        self.servers.is_ready().await
    }

    /// The name that its distinct queries are counted under: under two names it is still one model.
    pub(crate) fn counted_as(&self) -> &str {
        self.backend_model().unwrap_or(self.name()).as_str()
    }

    /// The server's name for the model that is asked first.
    pub(crate) fn backend_model(&self) -> Option<&ModelName> {
        self.servers.name()
    }

    /// Asks the servers in turn for the model's tensors.
    pub async fn describe(&self) -> Option<backend::Description> {
        self.servers.describe().await
    }
}

impl Policy {
    /// Most bytes of a body for this model.
    pub(crate) fn most_body_bytes(&self, model: &Model) -> usize {
        model.max_body_bytes.unwrap_or(self.max_body_bytes)
    }

    /// Most bytes of a body that may be for any model that does the operation and that the principal may ask.
    pub(crate) fn most_body_bytes_of(&self, principal: &Principal, operation: Operation) -> usize {
        let own = self.models.values().filter(|model| model.max_body_bytes.is_some());
        let asked = own.filter_map(|model| self.model(principal, model.name(), operation));
        asked.map(|model| self.most_body_bytes(model)).fold(self.max_body_bytes, usize::max)
    }

    /// The quotas that count a request to a model, or to none.
    pub(crate) fn plan(&self, about: &About, principal: &Principal, model: Option<&ModelName>) -> Plan {
        Plan::of(principal, about.address, &self.quotas, self.on_outage, model)
    }

    /// Each model that is watched has one watch under all its names: that of the rules before, if it was watched there.
    /// For rules that nobody has yet.
    pub(crate) fn join_watches(&mut self, before: Option<&Self>) {
        let before = before.into_iter().flat_map(|policy| policy.models.values());
        let watches = before.filter_map(|model| model.monitoring()).map(|monitor| monitor.watch.clone());
        let mut known: BTreeMap<String, Arc<Watch>> = watches.map(|watch| (watch.name(), watch)).collect();
        for model in self.models.values_mut().filter_map(Arc::get_mut) {
            if let Some(monitor) = &mut model.disclosure.monitor {
                let own = &monitor.watch;
                monitor.watch = known.entry(own.name()).or_insert_with(|| own.clone()).clone();
            }
        }
    }

    /// Goes on with what was learnt about the models under other rules.
    pub(crate) fn follow(&self, other: &Self) {
        for (name, model) in &self.models {
            if let Some(same) = other.models.get(name) {
                model.history.follow(&same.history);
                if model.described.is_some() && same.described.is_some() {
                    let known = same.rules.load().tensors().cloned();
                    model.rules.rcu(|rules| rules.with_tensors(known.clone()));
                }
            }
        }
    }

    /// The model of this name, if it does the operation and the principal may ask it to.
    pub(crate) fn model(&self, principal: &Principal, name: &ModelName, operation: Operation) -> Option<&Arc<Model>> {
        let model = self.models.get(name)?;
        let permitted = to_operation(operation).is_some_and(|op| principal.scopes().permits(op, name.as_str()));
        (permitted && model.operations.contains(&operation)).then_some(model)
    }

    /// Every model the principal may use for anything.
    pub fn models_for<'a>(&'a self, scopes: &'a Scopes) -> impl Iterator<Item = &'a Arc<Model>> {
        self.models.values().filter(move |model| may_use(scopes, model))
    }

    /// One model, if the principal may use it for anything.
    pub fn model_for(&self, scopes: &Scopes, name: &ModelName) -> Option<&Arc<Model>> {
        self.models.get(name).filter(|model| may_use(scopes, model))
    }
}

fn may_use(scopes: &Scopes, model: &Model) -> bool {
    model
        .operations
        .iter()
        .filter_map(|operation| to_operation(*operation))
        .any(|operation| scopes.permits(operation, model.name.as_str()))
}
