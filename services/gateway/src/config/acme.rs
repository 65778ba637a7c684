//! `[server.acme]`: whose certificate is asked for, and where.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{InvalidSettings, Secret};

/// `[server.acme]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct AcmeSettings {
    pub domains: Vec<String>,
    pub contact: String,
    pub agree_to_terms: bool,
    pub directory: String,
    pub directory_ca: PathBuf,
    pub account_id: String,
    pub account_key: Secret,
    pub account_key_file: PathBuf,
}

impl AcmeSettings {
    /// The text of the key that binds the account to one elsewhere, if it is given.
    ///
    /// # Errors
    /// As [`Secret::or_file`].
    pub fn account_key(&self) -> Result<Option<Zeroizing<String>>, InvalidSettings> {
        self.account_key.or_file("server.acme.account_key", &self.account_key_file)
    }
}
