//! What is kept of ACME in the data folder: the account, and the certificate with its key in one file, so that a crash
//! never leaves one without the other.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use instant_acme::AccountCredentials;
use serde::Deserialize;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::AcmeError;
use super::plan::DomainName;
use crate::data_dir::{make_private, replace};
use crate::tls::TlsError;
use crate::tls::certificate::{self, Certificate, Files};

/// A certificate is due after so much of its time, and up to so much later.
const DUE: f64 = 2.0 / 3.0;
const SPREAD: f64 = 1.0 / 30.0;

/// Where the certificate and its key are.
pub(in crate::tls) fn certificate_file(data_dir: &Path) -> PathBuf {
    data_dir.join("acme").join("certificate.pem")
}

/// The folder.
pub(super) struct Store {
    certificate: PathBuf,
    account: PathBuf,
}

/// What of an account is read before it is believed.
#[derive(Deserialize)]
struct Of {
    directory: String,
}

/// Of a certificate, in seconds since the Unix epoch.
struct Times {
    begins: i64,
    ends: i64,
}

impl Store {
    pub(super) fn open(data_dir: &Path) -> Result<Self, TlsError> {
        let certificate = certificate_file(data_dir);
        let folder = data_dir.join("acme");
        make_private(&folder).map_err(|source| TlsError::File { path: folder.clone(), source })?;
        Ok(Self { certificate, account: folder.join("account.json") })
    }

    /// How long the certificate need not be exchanged; `None` when it is due, or there is none for these names that can
    /// be used. `spread`, up to 1, is how much later than need be.
    pub(super) fn left(&self, domains: &[DomainName], spread: f64) -> Option<Duration> {
        let Times { begins, ends } = usable(&self.certificate, domains).ok()?;
        let lifetime = Duration::from_secs(u64::try_from(ends.checked_sub(begins)?).ok()?);
        let begins = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(begins).ok()?))?;
        let due = begins.checked_add(lifetime.mul_f64(DUE + SPREAD * spread))?;
        due.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero())
    }

    /// Keeps what was issued in place of what is there, if it can be used.
    pub(super) fn keep(&self, issued: &str, domains: &[DomainName]) -> Result<(), AcmeError> {
        let file = |path: &Path, source| TlsError::File { path: path.to_owned(), source };
        let new = self.certificate.with_extension("new");
        replace(&new, issued.as_bytes()).map_err(|source| file(&new, source))?;
        usable(&new, domains)?;
        std::fs::rename(&new, &self.certificate).map_err(|source| file(&self.certificate, source))?;
        Ok(())
    }

    /// The account at this directory, if there is one that can be read.
    pub(super) fn account(&self, directory: &str) -> Option<AccountCredentials> {
        let text = std::fs::read(&self.account).ok()?;
        let Of { directory: of } = serde_json::from_slice(&text).ok()?;
        serde_json::from_slice(&text).ok().filter(|_| of == directory)
    }

    pub(super) fn keep_account(&self, account: &AccountCredentials) -> Result<(), TlsError> {
        let text = zeroize::Zeroizing::new(serde_json::to_vec(account).map_err(|_| TlsError::Make)?);
        replace(&self.account, &text).map_err(|source| TlsError::File { path: self.account.clone(), source })
    }

    pub(super) fn forget_account(&self) -> Result<(), TlsError> {
        std::fs::remove_file(&self.account).map_err(|source| TlsError::File { path: self.account.clone(), source })
    }
}

/// The times of a certificate that can be served, with its key, for all of these names.
fn usable(path: &Path, domains: &[DomainName]) -> Result<Times, AcmeError> {
    Certificate::load("checked", Files::of_one(path))?;
    let content = || TlsError::Content { path: path.to_owned() };
    let chain = certificate::chain(path)?;
    let first = chain.first().ok_or_else(content)?;
    let (_, parsed) = X509Certificate::from_der(first.as_ref()).map_err(|_| content())?;
    let names = parsed.subject_alternative_name().map_err(|_| content())?.ok_or_else(content)?;
    let is_named = |domain: &DomainName| {
        let is_it = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(name) if name.eq_ignore_ascii_case(domain.as_str()));
        names.value.general_names.iter().any(is_it)
    };
    if !domains.iter().all(is_named) {
        return Err(AcmeError::OtherNames);
    }
    let validity = parsed.validity();
    Ok(Times { begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() })
}
