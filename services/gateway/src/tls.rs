//! The certificates of the listeners: the operator's, one that an authority issues, or one made at the first start. TLS
//! 1.3 only.
//!
//! A listener's files are read again when they change. What cannot be used changes nothing: the listener goes on
//! with what it has, and says so.

mod acme;
mod certificate;
mod own;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use acme::{Acme, Plan};
use certificate::Files;
pub(crate) use certificate::{Certificate, Handshake};
pub(crate) use own::make;
use pipeline::Metrics;

use crate::app::StartError;
use crate::config::ServerSettings;

/// The names of this machine for itself.
pub(crate) const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// What a log says of files that cannot be used.
const KEPT: &str = "a certificate is not exchanged, the old one stays";
/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// TLS cannot be set up.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no certificate, key or list that can be used.
    #[error("{path}: not a PEM certificate chain, key or list that can be used")]
    Content {
        /// Which file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together.
    #[error("{path}: the key is not that of the certificate")]
    OtherKey {
        /// The file of the key.
        path: PathBuf,
    },
    /// The certificate has ended.
    #[error("{path}: the certificate has ended")]
    Ended {
        /// Which file.
        path: PathBuf,
    },
    /// The certificate cannot be made.
    #[error("a certificate cannot be made")]
    Make,
}

/// What both listeners serve with.
pub(crate) struct Tls {
    callers: Arc<Certificate>,
    operators: Arc<Certificate>,
    authority: Option<PathBuf>,
}

impl Tls {
    /// Loads the operator's certificate, or our own from the data folder, made if there is none; for operators, too,
    /// unless there is another for them.
    ///
    /// # Errors
    /// [`TlsError`] with the file in question.
    pub(crate) fn load(settings: &ServerSettings) -> Result<Self, TlsError> {
        let is_own = settings.tls_cert.as_os_str().is_empty();
        let issued = (!settings.acme.domains.is_empty()).then(|| acme::certificate_file(&settings.data_dir));
        let folder = settings.data_dir.join("tls");
        let (cert, key) = match is_own {
            true => (folder.join("cert.pem"), folder.join("key.pem")),
            false => (settings.tls_cert.clone(), settings.tls_key.clone()),
        };
        let authority = folder.join("ca.pem");
        if is_own && !key.exists() {
            make(&folder, &LOOPBACK)?;
        }
        let (admin_cert, admin_key) = match settings.admin_tls_cert.as_os_str().is_empty() {
            true => (cert.clone(), key.clone()),
            false => (settings.admin_tls_cert.clone(), settings.admin_tls_key.clone()),
        };
        let clients = named(&settings.admin_client_ca);
        let revoked = named(&settings.admin_client_crl);
        let authority = (is_own && issued.is_none()).then_some(authority);
        let callers = Files { issued, cert, key, clients: None, revoked: None };
        let operators = Files { issued: None, cert: admin_cert, key: admin_key, clients, revoked };
        Ok(Self {
            callers: Arc::new(Certificate::load("callers", callers)?),
            operators: Arc::new(Certificate::load("operators", operators)?),
            authority,
        })
    }

    /// For callers.
    pub(crate) fn callers(&self) -> Arc<Certificate> {
        self.callers.clone()
    }

    /// For operators.
    pub(crate) fn operators(&self) -> Arc<Certificate> {
        self.operators.clone()
    }

    /// What clients must trust when the certificate is our own.
    pub(crate) fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// What sees to it that callers are served with a certificate of an authority, if the settings ask for one.
    ///
    /// # Errors
    /// [`StartError`] when they cannot be used, or the data folder cannot.
    pub(crate) fn acme(&self, settings: &ServerSettings) -> Result<Option<Acme>, StartError> {
        let Some(plan) = Plan::of(settings)? else { return Ok(None) };
        Ok(Some(Acme::new(plan, &settings.data_dir, self.callers.challenges())?))
    }

    /// Reads files again that have changed, or that could not be used; a listener whose files still cannot keeps what it
    /// has.
    ///
    /// # Errors
    /// [`TlsError`] of the first listener that does, unless its files are not the operator's: what an authority issued is
    /// mended by asking again.
    pub(crate) fn reload(&self, metrics: &Metrics) -> Result<(), TlsError> {
        let mut reloaded = Ok(());
        for listener in self.listeners() {
            match reload(listener, metrics) {
                Some(Err(error)) if listener.is_issued() => tracing::error!(%error, "{KEPT}"),
                Some(Err(error)) => reloaded = reloaded.and(Err(error)),
                None | Some(Ok(())) => {}
            }
        }
        reloaded
    }

    /// Reads files again whenever they have changed, for ever.
    pub(crate) async fn follow(self: Arc<Self>, metrics: Metrics) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        for certificate in self.listeners() {
            metrics.certificate_read(certificate.listener(), true, certificate.ends());
        }
        loop {
            ticks.tick().await;
            for certificate in self.listeners().into_iter().filter(|certificate| certificate.has_changed()) {
                let listener = certificate.listener();
                match reload(certificate, &metrics) {
                    None => {}
                    Some(Ok(())) => {
                        let fingerprint = certificate.fingerprint();
                        tracing::info!(listener, fingerprint, "a certificate is exchanged");
                    }
                    Some(Err(error)) => {
                        tracing::error!(listener, %error, "{KEPT}");
                    }
                }
            }
        }
    }

    fn listeners(&self) -> [&Certificate; 2] {
        [&self.callers, &self.operators]
    }
}

fn reload(certificate: &Certificate, metrics: &Metrics) -> Option<Result<(), TlsError>> {
    let read = certificate.reload()?;
    metrics.certificate_read(certificate.listener(), read.is_ok(), certificate.ends());
    Some(read)
}

/// Whether the operator's own files can be used.
///
/// # Errors
/// [`TlsError`] with the first one that cannot.
pub(crate) fn check(settings: &ServerSettings) -> Result<(), TlsError> {
    let pairs = [(&settings.tls_cert, &settings.tls_key), (&settings.admin_tls_cert, &settings.admin_tls_key)];
    for (cert, key) in pairs {
        if let (Some(cert), Some(key)) = (named(cert), named(key)) {
            let (clients, revoked) = (named(&settings.admin_client_ca), named(&settings.admin_client_crl));
            Certificate::load("checked", Files { issued: None, cert, key, clients, revoked })?;
        }
    }
    Ok(())
}

/// A path, unless it is empty.
fn named(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}
