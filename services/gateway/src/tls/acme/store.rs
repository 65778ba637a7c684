//! What is kept of ACME in the data folder: the account, and the certificate with its key and the directory that it came
//! from in one file, so that a crash never leaves one without the others.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::plan::Plan;
use super::{AcmeError, TlsError};
use crate::data_dir::{make_private, replace};
use crate::tls::certificate::{self, Certificate, Files};

/// A certificate is due after so much of its time, and up to so much later.
const DUE: f64 = 2.0 / 3.0;
const SPREAD: f64 = 1.0 / 30.0;
/// More than a chain, its key and an account take.
const ROOM: usize = 256 << 10;
/// Begins the first line of a certificate's file; what stands before PEM is no part of it (RFC 7468, 2).
const DIRECTORY: &str = "Directory: ";

/// Where the certificate and its key are.
pub(in crate::tls) fn certificate_file(data_dir: &Path) -> PathBuf {
    data_dir.join("acme").join("certificate.pem")
}

/// The folder.
pub(super) struct Store {
    folder: PathBuf,
    certificate: PathBuf,
    account: PathBuf,
}

/// What of an account is read before it is believed.
#[derive(Deserialize)]
struct Of {
    directory: String,
    #[serde(default)]
    binding: Option<String>,
}

#[derive(Serialize)]
struct Kept<'a> {
    #[serde(flatten)]
    account: &'a AccountCredentials,
    /// Of which customer's account it is.
    binding: Option<&'a str>,
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
        Ok(Self { certificate, account: folder.join("account.json"), folder })
    }

    /// How long the certificate need not be exchanged; `None` when it is due, or there is none of this authority for these
    /// names that can be used. `spread`, up to 1, is how much later than need be.
    pub(super) fn left(&self, plan: &Plan, spread: f64) -> Option<Duration> {
        let Times { begins, ends } = usable(&self.certificate, plan).ok()?;
        let lifetime = Duration::from_secs(u64::try_from(ends.checked_sub(begins)?).ok()?);
        let begins = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(begins).ok()?))?;
        let due = begins.checked_add(lifetime.mul_f64(DUE + SPREAD * spread))?;
        due.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero())
    }

    /// Whether what an authority gives can be kept, tried before it is asked: what it issues counts against its limits.
    pub(super) fn probe(&self) -> Result<(), TlsError> {
        let new = self.new_certificate();
        let written = write(&new, &vec![0; ROOM]);
        remove(&new).and(written)
    }

    /// Keeps what was issued in place of what is there, if it can be used.
    pub(super) fn keep(&self, issued: &str, plan: &Plan) -> Result<(), AcmeError> {
        let new = self.new_certificate();
        let text = zeroize::Zeroizing::new(format!("{DIRECTORY}{}\n{issued}", plan.directory()));
        let kept = write(&new, text.as_bytes()).map_err(AcmeError::from);
        let kept = kept.and_then(|()| usable(&new, plan)).and_then(|_| {
            std::fs::rename(&new, &self.certificate).map_err(|source| file(&self.certificate, source))?;
            Ok(self.sync()?)
        });
        if kept.is_err() {
            // It holds a key. Why it is not kept says more than why it is not removed.
            let _ = remove(&new);
        }
        kept
    }

    /// The account at this directory, and of this customer, if there is one that can be read.
    pub(super) fn account(&self, plan: &Plan) -> Option<AccountCredentials> {
        let text = zeroize::Zeroizing::new(std::fs::read(&self.account).ok()?);
        let of: Of = serde_json::from_slice(&text).ok()?;
        let is_it = of.directory == plan.directory() && of.binding.as_deref() == plan.binding_id();
        serde_json::from_slice(&text).ok().filter(|_| is_it)
    }

    pub(super) fn keep_account(&self, account: &AccountCredentials, plan: &Plan) -> Result<(), TlsError> {
        let kept = Kept { account, binding: plan.binding_id() };
        let text = zeroize::Zeroizing::new(serde_json::to_vec(&kept).map_err(|_| TlsError::Make)?);
        write(&self.account, &text)?;
        self.sync()
    }

    pub(super) fn forget_account(&self) -> Result<(), TlsError> {
        remove(&self.account)
    }

    fn new_certificate(&self) -> PathBuf {
        self.certificate.with_extension("new")
    }

    /// Sees to it that names of files outlast a crash.
    #[cfg(unix)]
    fn sync(&self) -> Result<(), TlsError> {
        let synced = std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| file(&self.folder, source))
    }

    #[cfg(not(unix))]
    fn sync(&self) -> Result<(), TlsError> {
        Ok(())
    }
}

fn file(path: &Path, source: io::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), source }
}

/// Writes all of a file or nothing; of what there was no room for, nothing stays, for it is part of a key.
fn write(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    replace(path, bytes).map_err(|source| {
        let _ = remove(&path.with_extension("part"));
        file(path, source)
    })
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> Result<(), TlsError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(file(path, source)),
        _ => Ok(()),
    }
}

/// The times of a certificate of this authority that can be served, with its key, for these names and no others.
fn usable(path: &Path, plan: &Plan) -> Result<Times, AcmeError> {
    Certificate::load("checked", Files::of_one(path))?;
    let content = || TlsError::Content { path: path.to_owned() };
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(path).map_err(|source| file(path, source))?);
    if text.lines().next().and_then(|line| line.strip_prefix(DIRECTORY)) != Some(plan.directory()) {
        return Err(AcmeError::OtherDirectory);
    }
    let chain = certificate::chain(path)?;
    let first = chain.first().ok_or_else(content)?;
    let (_, parsed) = X509Certificate::from_der(first.as_ref()).map_err(|_| content())?;
    let names = parsed.subject_alternative_name().map_err(|_| content())?.ok_or_else(content)?;
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    let named: Option<BTreeSet<String>> = names.value.general_names.iter().map(name).collect();
    let wanted = plan.domains().iter().map(|domain| domain.as_str().to_owned()).collect();
    if named != Some(wanted) {
        return Err(AcmeError::OtherNames);
    }
    let validity = parsed.validity();
    Ok(Times { begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() })
}
