//! What the line counts, for Prometheus. Labels come from configuration and fixed words only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use backend::BackendError;
use core_validate::Usage;
use privacy::distinct::Tally;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::about::About;
use crate::plan::Cost;
use crate::policy::Policy;
use crate::rejection::Rejection;
use crate::ticket::{End, Used};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    operation: String,
    model: String,
    status: u32,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Asked {
    operation: String,
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Tokens {
    model: String,
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    step: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Found {
    detector: String,
    action: String,
    mode: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failed {
    backend: String,
    error: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Priced {
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Denied {
    quota: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Suspected {
    model: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Watching {
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Counted {
    model: String,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfData {
    data_set: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ending {
    within: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfBackend {
    backend: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfListener {
    listener: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ordered {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Closed {
    listener: &'static str,
    why: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Read {
    listener: &'static str,
    result: &'static str,
}

type Latency = Family<Asked, Histogram, fn() -> Histogram>;
type Estimates = Family<Tokens, Histogram, fn() -> Histogram>;

/// The counters of one pipeline. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    ended: Family<Ended, Counter>,
    latency: Latency,
    tokens: Family<Tokens, Counter>,
    estimates: Estimates,
    spend: Family<Priced, Counter>,
    refused: Family<Refused, Counter>,
    denied: Family<Denied, Counter>,
    found: Family<Found, Counter>,
    texts_known: Counter,
    queries: Family<Counted, Counter>,
    suspicions: Family<Suspected, Counter>,
    suspects: Family<Suspected, Gauge>,
    calibrated: Family<Watching, Gauge>,
    privacy_spent: Family<OfData, Counter>,
    privacy_left: Family<OfData, Gauge>,
    backend_errors: Family<Failed, Counter>,
    left_alone: Family<OfBackend, Gauge>,
    audit_failures: Counter,
    audit_writable: Gauge,
    audit_waiting: Gauge,
    audit_exported: Counter,
    audit_export_failures: Counter,
    keys_ending: Family<Ending, Gauge>,
    key_changes: Counter,
    key_changes_audible: Gauge,
    key_hashes: Counter,
    connections: Family<OfListener, Gauge>,
    connections_refused: Family<Closed, Counter>,
    certificates_read: Family<Read, Counter>,
    certificate_ends: Family<OfListener, Gauge>,
    certificates_ordered: Family<Ordered, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All counters at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let own = &mut registry;
        let latency: Latency = Family::new_with_constructor(histogram);
        let estimates: Estimates = Family::new_with_constructor(ratios);
        Self {
            connections: fresh(own, "connections", "Open connections when the last one came"),
            connections_refused: fresh(own, "connections_refused", "Connections that were closed before a request"),
            certificates_read: fresh(
                own,
                "certificates_read",
                "Times that certificates were read; after a failure the old one stays",
            ),
            certificate_ends: fresh(
                own,
                "certificate_ends_seconds",
                "When the certificate of a listener ends, in seconds since 1970",
            ),
            certificates_ordered: fresh(
                own,
                "certificates_ordered",
                "Times that an authority was asked for a certificate",
            ),
            ended: fresh(own, "requests", "Admitted requests that ended"),
            latency: known(own, "request_duration_seconds", "From arrival to the last byte", latency),
            tokens: fresh(own, "tokens", "Tokens spent"),
            estimates: known(own, "token_estimate_ratio", "Tokens estimated for each token reported", estimates),
            spend: fresh(own, "spend_millionths", "Spend in millionths of what prices are in"),
            refused: fresh(own, "refusals", "Refused requests"),
            denied: fresh(own, "quota_denials", "Requests that a quota did not hold"),
            found: fresh(own, "findings", "What detectors saw"),
            texts_known: fresh(
                own,
                "texts_known",
                "Texts of requests that were known to be clean, and were not looked at anew",
            ),
            queries: fresh(own, "queries", "Queries to models with a budget, by whether they were asked before"),
            suspicions: fresh(own, "suspicions", "Suspicions of monitors that rose"),
            suspects: fresh(own, "suspects", "Key families that monitors suspect now"),
            calibrated: fresh(own, "monitors_calibrated", "Whether monitors know honest queries"),
            privacy_spent: fresh(
                own,
                "privacy_spent_nano_rho",
                "Privacy of data sets that this gateway spent, in billionths of zCDP",
            ),
            privacy_left: fresh(
                own,
                "privacy_left_nano_rho",
                "Privacy left to data sets when this gateway looked last, in billionths of zCDP",
            ),
            backend_errors: fresh(own, "backend_errors", "Failed attempts at backends"),
            left_alone: fresh(
                own,
                "backend_left_alone",
                "Whether a backend is left alone because it failed again and again",
            ),
            audit_failures: fresh(own, "audit_failures", "Audit records that were not written"),
            audit_writable: fresh(own, "audit_writable", "Whether the audit trail can be written"),
            audit_waiting: fresh(own, "audit_waiting", "Audit records that are not durable yet"),
            audit_exported: fresh(own, "audit_exported", "Audit records that the collector took"),
            audit_export_failures: fresh(
                own,
                "audit_export_failures",
                "Messages of audit records that the collector did not take, or not whole",
            ),
            keys_ending: fresh(own, "keys_ending", "Keys that end within this time"),
            key_changes: fresh(
                own,
                "key_changes_heard",
                "Changes of keys that were heard of, the gateway's own included",
            ),
            key_changes_audible: fresh(
                own,
                "key_changes_audible",
                "Whether changes of keys by other gateways are heard",
            ),
            key_hashes: fresh(own, "key_hashes", "Argon2 hashes that were made"),
            registry: Arc::new(registry),
        }
    }

    /// How many Argon2 hashes were made so far.
    pub(crate) fn key_hashes(&self, so_far: u64) {
        self.key_hashes.inner().store(so_far, Ordering::Relaxed);
    }

    /// So many connections are open at a listener.
    pub fn connections(&self, listener: &'static str, count: usize) {
        self.connections.get_or_create(&OfListener { listener }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A connection was closed before it could ask anything.
    pub fn connection_refused(&self, listener: &'static str, why: &'static str) {
        self.connections_refused.get_or_create(&Closed { listener, why }).inc();
    }

    /// The certificate of a listener was read; when the one that is served now ends, in seconds since the Unix epoch.
    pub fn certificate_read(&self, listener: &'static str, is_good: bool, ends: i64) {
        let result = if is_good { "ok" } else { "failed" };
        self.certificates_read.get_or_create(&Read { listener, result }).inc();
        self.certificate_ends.get_or_create(&OfListener { listener }).set(ends);
    }

    /// An authority was asked for a certificate, and issued it or not.
    pub fn certificate_ordered(&self, is_issued: bool) {
        let result = if is_issued { "ok" } else { "failed" };
        self.certificates_ordered.get_or_create(&Ordered { result }).inc();
    }

    /// So many audit records arrived at the collector.
    pub fn exported(&self, records: u64) {
        self.audit_exported.inc_by(records);
    }

    /// Audit records did not arrive at the collector.
    pub fn export_failed(&self) {
        self.audit_export_failures.inc();
    }

    /// Some gateway has changed a key.
    pub fn key_change_heard(&self) {
        self.key_changes.inc();
    }

    /// Whether what other gateways change is heard.
    pub fn key_changes_audible(&self, is_audible: bool) {
        self.key_changes_audible.set(i64::from(is_audible));
    }

    /// How many keys end within this time from now.
    pub fn keys_ending(&self, within: &'static str, count: i64) {
        self.keys_ending.get_or_create(&Ending { within }).set(count);
    }

    /// The counters in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut out = String::new();
        if encode(&mut out, &self.registry).is_err() {
            out.clear();
        }
        out
    }

    pub(crate) fn ended(&self, about: &About, used: &Used, cost: &Cost, end: &End, latency_ms: u64) {
        let operation = about.operation_word().to_owned();
        let model = about.model.as_ref().map(|model| model.to_string()).unwrap_or_default();
        let code = end.code.unwrap_or("none").to_owned();
        let labels = Ended { operation: operation.clone(), model: model.clone(), status: u32::from(end.status), code };
        self.ended.get_or_create(&labels).inc();
        let seconds = std::time::Duration::from_millis(latency_ms).as_secs_f64();
        self.latency.get_or_create(&Asked { operation, model: model.clone() }).observe(seconds);
        if used.is_sent {
            let tokens = cost.usage;
            for (direction, count) in [("input", tokens.input_tokens), ("output", tokens.output_tokens)] {
                self.tokens.get_or_create(&Tokens { model: model.clone(), direction }).inc_by(count);
            }
            if let Some(spend) = cost.spend() {
                self.spend.get_or_create(&Priced { model }).inc_by(spend);
            }
        }
        self.found(about);
    }

    pub(crate) fn refused(&self, rejection: &Rejection) {
        let labels = Refused { step: rejection.step().as_str(), code: rejection.code().as_str() };
        self.refused.get_or_create(&labels).inc();
        if let Some(quota) = rejection.limit() {
            self.denied.get_or_create(&Denied { quota }).inc();
        }
    }

    /// How an estimate turned out.
    pub(crate) fn estimated(&self, about: &About, estimate: Usage, reported: Usage) {
        let model = about.model.as_ref().map(|model| model.to_string()).unwrap_or_default();
        for (direction, estimate, reported) in [
            ("input", estimate.input_tokens, reported.input_tokens),
            ("output", estimate.output_tokens, reported.output_tokens),
        ] {
            if reported > 0 {
                let labels = Tokens { model: model.clone(), direction };
                self.estimates.get_or_create(&labels).observe(estimate as f64 / reported as f64);
            }
        }
    }

    /// What the queries of a request were, for its tenant.
    pub(crate) fn counted(&self, model: &str, counted: &privacy::distinct::Counted) {
        let Some(standing) = counted.standings().first() else { return };
        let Tally { repeats, near, new } = standing.call;
        for (kind, count) in [("repeat", repeats), ("near", near), ("new", new)] {
            self.queries.get_or_create(&Counted { model: model.to_owned(), kind }).inc_by(count);
        }
    }

    /// A monitor came to suspect somebody.
    pub(crate) fn suspected(&self, model: &str, reason: &'static str) {
        self.suspicions.get_or_create(&Suspected { model: model.to_owned(), reason }).inc();
    }

    /// How many are suspected at the models that are watched now, and which of these are calibrated.
    pub(crate) fn watched(&self, policy: &Policy) {
        self.suspects.clear();
        self.calibrated.clear();
        for (name, monitoring) in policy.models.iter().filter_map(|(name, model)| Some((name, model.monitoring()?))) {
            let model = name.to_string();
            let is_calibrated = monitoring.watch.learnt().1.is_some();
            self.calibrated.get_or_create(&Watching { model: model.clone() }).set(i64::from(is_calibrated));
            for principal in monitoring.watch.principals().into_iter().filter(|one| one.suspicion.is_raised()) {
                let reason = principal.suspicion.reason().map_or("", |reason| reason.as_str());
                self.suspects.get_or_create(&Suspected { model: model.clone(), reason }).inc();
            }
        }
    }

    /// So much of a data set's privacy is left.
    pub(crate) fn privacy_left(&self, data_set: &str, nano_rho: u64) {
        let labels = OfData { data_set: data_set.to_owned() };
        self.privacy_left.get_or_create(&labels).set(i64::try_from(nano_rho).unwrap_or(i64::MAX));
    }

    /// So much of it was spent, and so much is left.
    pub(crate) fn privacy_spent(&self, data_set: &str, nano_rho: u64, left: u64) {
        self.privacy_spent.get_or_create(&OfData { data_set: data_set.to_owned() }).inc_by(nano_rho);
        self.privacy_left(data_set, left);
    }

    /// Which servers of the models are left alone now.
    pub(crate) fn left_alone(&self, policy: &Policy) {
        self.left_alone.clear();
        for server in policy.models.values().flat_map(|model| model.servers().each()).map(|it| &it.server) {
            let labels = OfBackend { backend: server.label().to_owned() };
            self.left_alone.get_or_create(&labels).set(i64::from(server.is_left_alone()));
        }
    }

    pub(crate) fn backend_failed(&self, backend: &str, error: &BackendError) {
        let error = crate::infer::to_code(error).as_str();
        self.backend_errors.get_or_create(&Failed { backend: backend.to_owned(), error }).inc();
    }

    pub(crate) fn audit_failed(&self) {
        self.audit_failures.inc();
    }

    /// Whether the trail can be written, and how many records wait for it.
    pub(crate) fn trail(&self, is_healthy: bool, waiting: u64) {
        self.audit_writable.set(i64::from(is_healthy));
        self.audit_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// So many texts were not looked at anew.
    pub(crate) fn texts_known(&self, count: u64) {
        self.texts_known.inc_by(count);
    }

    fn found(&self, about: &About) {
        for noted in &about.findings {
            let labels =
                Found { detector: noted.detector.clone(), action: noted.action.clone(), mode: noted.mode.clone() };
            self.found.get_or_create(&labels).inc();
        }
    }
}

/// A metric at zero that the registry shows.
fn fresh<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    known(registry, name, help, M::default())
}

/// A metric that the registry shows.
fn known<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Around one, where an estimate is right.
fn ratios() -> Histogram {
    Histogram::new([0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0])
}

/// From a millisecond to the longest answers.
fn histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0])
}
