//! Reading the settings again while the gateway runs: all of it, or nothing changes.

use std::path::PathBuf;
use std::sync::Arc;

use pipeline::Pipeline;

use crate::config::{InvalidSettings, RedisSettings, Settings};
use crate::tls::Tls;

/// Reads the settings from where they came.
pub struct Reloader {
    source: Option<PathBuf>,
    /// What only a restart changes, as it was written at the start.
    fixed: Option<String>,
    tls: Arc<Tls>,
    pipeline: Arc<Pipeline>,
}

impl Reloader {
    pub(crate) fn new(source: Option<PathBuf>, tls: Arc<Tls>, pipeline: Arc<Pipeline>) -> Self {
        let fixed = Settings::load(source.as_deref()).ok().and_then(|settings| fixed(&settings));
        Self { source, fixed, tls, pipeline }
    }

    /// Reloads models, limits, quotas, screening and certificates, and gives the names of the models. Where listeners,
    /// certificates and the data folder are stays until a restart; a change there is logged.
    ///
    /// # Errors
    /// [`InvalidSettings`]; then the old rules still hold, all of them.
    pub fn reload(&self) -> Result<Vec<String>, InvalidSettings> {
        let settings = Settings::load(self.source.as_deref())?;
        let policy = crate::rules::policy(&settings)?;
        if fixed(&settings) != self.fixed {
            tracing::warn!("changes of [server], [redis], [database], [keys], [log] and some [limits] need a restart");
        }
        let tls = self.tls.reload(self.pipeline.metrics());
        tls.map_err(|error| InvalidSettings::new("server", error.to_string()))?;
        let models = policy.models.keys().map(ToString::to_string).collect();
        self.pipeline.set_policy(policy);
        tracing::info!("settings are reloaded");
        Ok(models)
    }

    /// Records a reload that no request asked for.
    pub async fn reload_by_signal(&self) {
        let result = self.reload();
        let mut act = crate::cli::system_act("config.reload", None);
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
    let Settings { server, log, limits, redis, database, keys, .. } = settings;
    let (server, log) = toml::to_string(server).ok().zip(toml::to_string(log).ok())?;
    // How many share is read with the quotas.
    let redis = &RedisSettings { replicas: 0, ..redis.clone() };
    let shared = toml::to_string(redis).ok()? + &toml::to_string(database).ok()? + &toml::to_string(keys).ok()?;
    Some(format!("{server}{log}{shared}{} {}", limits.failures_per_minute, limits.max_buffered_bytes))
}
