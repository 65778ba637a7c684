//! From `[redis]` to the way to the servers.

use std::path::Path;
use std::time::Duration;

use ratelimit_redis::{RedisConfig, RedisTls};

use crate::config::{InvalidSettings, RedisSettings};

impl RedisSettings {
    /// Where Redis is; `None` when no address is set.
    ///
    /// # Errors
    /// [`InvalidSettings`] for a file that cannot be read, and for what goes together and does not.
    pub(crate) fn config(&self) -> Result<Option<RedisConfig>, InvalidSettings> {
        let Some(url) = self.url.reveal() else { return Ok(None) };
        let mut config = RedisConfig::new(url);
        config.prefix.clone_from(&self.prefix);
        config.deadline = Duration::from_millis(self.deadline_milliseconds);
        let mut tls = RedisTls::default();
        if let Some(ca) = read("redis.tls_ca", &self.tls_ca)? {
            tls = tls.ca(ca);
        }
        match (read("redis.tls_cert", &self.tls_cert)?, read("redis.tls_key", &self.tls_key)?) {
            (Some(certificate), Some(key)) => tls = tls.client(certificate, key),
            (None, None) => {}
            _ => return Err(InvalidSettings::new("redis.tls_key", "tls_cert and tls_key go together")),
        }
        config = config.tls(tls);
        let password = self.sentinel_password.or_file("redis.sentinel_password", &self.sentinel_password_file)?;
        Ok(Some(match password {
            Some(password) => config.sentinel_login(&self.sentinel_user, &password),
            None => config,
        }))
    }
}

fn read(at: &str, file: &Path) -> Result<Option<Vec<u8>>, InvalidSettings> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let read = std::fs::read(file);
    read.map(Some).map_err(|error| InvalidSettings::new(at, format!("{}: {error}", file.display())))
}
