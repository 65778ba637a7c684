//! Reading the settings again while the gateway runs: all of it, or nothing changes.

use std::path::PathBuf;
use std::sync::Arc;

use audit::{Log, Who};
use pipeline::Pipeline;
use tokio::sync::Mutex;

use crate::config::{AuditMode, AuditSettings, InvalidSettings, KeptText, LimitSettings, RedisSettings, Settings};
use crate::tls::Tls;
use crate::trail::Terms;

/// Reads the settings from where they came.
pub struct Reloader {
    source: Option<PathBuf>,
    /// What only a restart changes, as it was written at the start.
    fixed: Option<String>,
    tls: Arc<Tls>,
    audit: AuditSettings,
    max_buffered_bytes: usize,
    /// Those that hold; held while they change.
    terms: Mutex<Terms>,
    pipeline: Arc<Pipeline>,
    log: Log,
}

impl Reloader {
    pub(crate) fn new(
        source: Option<PathBuf>,
        settings: &Settings,
        tls: Arc<Tls>,
        pipeline: Arc<Pipeline>,
        log: Log,
    ) -> Self {
        let fixed = Settings::load(source.as_deref()).ok().and_then(|settings| fixed(&settings));
        let (audit, terms) = (settings.audit.clone(), Mutex::new(Terms::of(settings)));
        let max_buffered_bytes = settings.limits.max_buffered_bytes;
        Self { source, fixed, tls, audit, max_buffered_bytes, terms, pipeline, log }
    }

    /// Reloads models, limits, quotas, screening and certificates, and gives the names of the models. Where listeners,
    /// certificates and the data folder are stays until a restart; a change there is logged. What changes of what is
    /// recorded and looked for is itself recorded, as an act of `who`, or else no rule changes.
    ///
    /// # Errors
    /// [`InvalidSettings`]; then the old rules still hold, all of them.
    pub async fn reload(&self, who: Who) -> Result<Vec<String>, InvalidSettings> {
        let mut terms = self.terms.lock().await;
        let settings = Settings::load(self.source.as_deref())?;
        let held = self.holding(&settings);
        let policy = crate::rules::policy(&held)?;
        if fixed(&settings) != self.fixed {
            tracing::warn!(
                "changes of [server], [redis], [database], [keys], [log], most of [audit] and some [limits] need a restart"
            );
        }
        let tls = self.tls.reload(self.pipeline.metrics());
        tls.map_err(|error| InvalidSettings::new("server", error.to_string()))?;
        let new = Terms::of(&held);
        let followed = new.follow(&terms, &self.log, who, "by a reload").await;
        followed.map_err(|error| InvalidSettings::new("audit", format!("a change cannot be recorded: {error}")))?;
        *terms = new;
        let models = policy.models.keys().map(ToString::to_string).collect();
        self.pipeline.set_policy(policy);
        tracing::info!("settings are reloaded");
        Ok(models)
    }

    /// With what only a restart changes as it is.
    fn holding(&self, settings: &Settings) -> Settings {
        let AuditSettings { mode, text, .. } = settings.audit;
        let audit = AuditSettings { mode, text, ..self.audit.clone() };
        let limits = LimitSettings { max_buffered_bytes: self.max_buffered_bytes, ..settings.limits.clone() };
        Settings { audit, limits, ..settings.clone() }
    }

    /// Records a reload that no request asked for.
    pub async fn reload_by_signal(&self) {
        let mut act = crate::cli::system_act("config.reload", None);
        let result = self.reload(act.who.clone()).await;
        act.ok = result.is_ok();
        act.detail = Some(match &result {
            Ok(_) => "by signal".to_owned(),
            Err(error) => format!("by signal: {error}"),
        });
        if let Err(error) = &result {
            tracing::error!(%error, "settings are not reloaded, the old ones hold");
        }
        let _ = self.pipeline.record(act).await;
    }
}

/// The settings that are read once.
fn fixed(settings: &Settings) -> Option<String> {
    let Settings { server, log, limits, redis, database, keys, audit, .. } = settings;
    let (server, log) = toml::to_string(server).ok().zip(toml::to_string(log).ok())?;
    // How many share is read with the quotas.
    let redis = &RedisSettings { replicas: 0, ..redis.clone() };
    let mut audit = audit.clone();
    (audit.mode, audit.text) = (AuditMode::Strict, KeptText::Redacted);
    let shared = toml::to_string(redis).ok()? + &toml::to_string(database).ok()? + &toml::to_string(keys).ok()?;
    let shared = shared + &toml::to_string(&audit).ok()?;
    Some(format!("{server}{log}{shared}{} {}", limits.failures_per_minute, limits.max_buffered_bytes))
}
