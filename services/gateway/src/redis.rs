//! From `[redis]` to the limiter's servers, to the ledger of queries, to what was released, and to where gateways tell
//! each other of changed keys and of what monitors saw.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keys::Revocations;
use privacy::distinct::QueryLedger;
use privacy::dp::ToldStore;
use ratelimit_redis::{LimiterError, RedisConfig, RedisTls};
use store::{RedisMonitors, RedisQueryLedger, RedisRevocations, RedisToldStore};
use zeroize::Zeroizing;

use crate::config::{InvalidSettings, RedisSettings};

impl RedisSettings {
    /// Where Redis is; `None` when no address is set.
    ///
    /// # Errors
    /// [`InvalidSettings`] for a file that cannot be read, and for settings that say nothing beside others.
    pub(crate) fn config(&self) -> Result<Option<RedisConfig>, InvalidSettings> {
        let Some(url) = self.url.reveal() else {
            return self.lonely("").map_or(Ok(None), |at| Err(InvalidSettings::new(at, "there is no redis.url")));
        };
        if let Some(at) = self.lonely(url) {
            return Err(InvalidSettings::new(at, "it says nothing to the address in redis.url"));
        }
        if self.prefix.contains('{') {
            return Err(InvalidSettings::new("redis.prefix", "expected a text without braces"));
        }
        let mut config = RedisConfig::new(url).tls(self.tls()?);
        config.prefix.clone_from(&self.prefix);
        config.deadline = Duration::from_millis(self.deadline_milliseconds);
        if let Some(password) = self.sentinel_password()? {
            config = config.sentinel_login(&self.sentinel_user, &password);
        }
        config.check().map_err(|error| match error {
            LimiterError::Settings(problem) => InvalidSettings::new("redis.url", problem),
            other => InvalidSettings::new("redis", other.to_string()),
        })?;
        Ok(Some(config))
    }

    /// How gateways tell each other of changed keys; `None` when no address is set.
    ///
    /// # Errors
    /// As for [`config`](Self::config).
    pub(crate) fn revocations(&self) -> Result<Option<Arc<dyn Revocations>>, InvalidSettings> {
        let Some(url) = self.url.reveal() else { return Ok(None) };
        let password = self.sentinel_password()?;
        let login = password.as_ref().map(|password| (self.sentinel_user.as_str(), password.as_str()));
        let revocations = RedisRevocations::new(url, &self.tls()?, login, &self.prefix);
        let revocations = revocations.map_err(|error| InvalidSettings::new("redis.url", error.to_string()))?;
        Ok(Some(Arc::new(revocations)))
    }

    /// Who counts distinct queries, or nothing when no address is set.
    ///
    /// # Errors
    /// As for [`config`](Self::config).
    pub(crate) fn queries(&self) -> Result<Option<Arc<dyn QueryLedger>>, InvalidSettings> {
        let Some(url) = self.url.reveal() else { return Ok(None) };
        let password = self.sentinel_password()?;
        let login = password.as_ref().map(|password| (self.sentinel_user.as_str(), password.as_str()));
        let ledger = RedisQueryLedger::new(url, &self.tls()?, login, &self.prefix);
        Ok(Some(Arc::new(ledger.map_err(|error| InvalidSettings::new("redis.url", error.to_string()))?)))
    }

    /// How gateways tell each other what monitors saw; `None` when no address is set.
    ///
    /// # Errors
    /// As for [`config`](Self::config).
    pub(crate) fn monitors(&self) -> Result<Option<RedisMonitors>, InvalidSettings> {
        let Some(url) = self.url.reveal() else { return Ok(None) };
        let password = self.sentinel_password()?;
        let login = password.as_ref().map(|password| (self.sentinel_user.as_str(), password.as_str()));
        let monitors = RedisMonitors::new(url, &self.tls()?, login, &self.prefix);
        Ok(Some(monitors.map_err(|error| InvalidSettings::new("redis.url", error.to_string()))?))
    }

    /// Who keeps what was released, or nothing when no address is set.
    ///
    /// # Errors
    /// As for [`config`](Self::config).
    pub(crate) fn told(&self) -> Result<Option<Arc<dyn ToldStore>>, InvalidSettings> {
        let Some(url) = self.url.reveal() else { return Ok(None) };
        let password = self.sentinel_password()?;
        let login = password.as_ref().map(|password| (self.sentinel_user.as_str(), password.as_str()));
        let told = RedisToldStore::new(url, &self.tls()?, login, &self.prefix);
        Ok(Some(Arc::new(told.map_err(|error| InvalidSettings::new("redis.url", error.to_string()))?)))
    }

    fn tls(&self) -> Result<RedisTls, InvalidSettings> {
        let mut tls = RedisTls::default();
        if let Some(ca) = read("redis.tls_ca", &self.tls_ca)? {
            tls = tls.ca(ca);
        }
        match (read("redis.tls_cert", &self.tls_cert)?, read("redis.tls_key", &self.tls_key)?) {
            (Some(certificate), Some(key)) => tls = tls.client(certificate, key),
            (None, None) => {}
            _ => return Err(InvalidSettings::new("redis.tls_key", "tls_cert and tls_key go together")),
        }
        Ok(tls)
    }

    fn sentinel_password(&self) -> Result<Option<Zeroizing<String>>, InvalidSettings> {
        let password = self.sentinel_password.or_file("redis.sentinel_password", &self.sentinel_password_file)?;
        if password.is_none() && !self.sentinel_user.is_empty() {
            return Err(InvalidSettings::new("redis.sentinel_user", "there is no redis.sentinel_password"));
        }
        Ok(password)
    }

    /// The first setting that an address of this kind has no use for.
    fn lonely(&self, url: &str) -> Option<&'static str> {
        let is_set = |path: &Path| !path.as_os_str().is_empty();
        let of_tls = [
            ("redis.tls_ca", is_set(&self.tls_ca)),
            ("redis.tls_cert", is_set(&self.tls_cert)),
            ("redis.tls_key", is_set(&self.tls_key)),
        ];
        let of_sentinels = [
            ("redis.sentinel_user", !self.sentinel_user.is_empty()),
            ("redis.sentinel_password", self.sentinel_password.reveal().is_some()),
            ("redis.sentinel_password_file", is_set(&self.sentinel_password_file)),
        ];
        let (is_tls, is_sentinel) = (url.starts_with("rediss"), url.contains("+sentinel://"));
        let of_tls = of_tls.into_iter().filter(|_| !is_tls);
        let lonely = of_tls.chain(of_sentinels.into_iter().filter(|_| !is_sentinel)).find(|(_, is_set)| *is_set);
        lonely.map(|(at, _)| at)
    }
}

fn read(at: &str, file: &Path) -> Result<Option<Vec<u8>>, InvalidSettings> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let read = std::fs::read(file);
    read.map(Some).map_err(|error| InvalidSettings::new(at, format!("{}: {error}", file.display())))
}
