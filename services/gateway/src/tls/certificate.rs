//! What one listener serves with: its certificate, exchanged as a whole while connections go on, and whom it lets in.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::tls::TlsError;

/// The files of a listener.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
    /// The authorities of those who may connect; everybody may, if absent.
    pub(super) clients: Option<PathBuf>,
    /// Lists of their certificates that were revoked.
    pub(super) revoked: Option<PathBuf>,
}

/// When each file was written, and how large it is.
type Stamp = Vec<Option<(SystemTime, u64)>>;

/// The certificate of a listener.
pub(crate) struct Certificate {
    listener: &'static str,
    files: Files,
    serving: ArcSwap<Serving>,
    /// Of the files as they were read last, whether or not they could be used.
    read: Mutex<Stamp>,
}

struct Serving {
    config: Arc<ServerConfig>,
    fingerprint: String,
    ends: i64,
}

impl Certificate {
    pub(super) fn load(listener: &'static str, files: Files) -> Result<Self, TlsError> {
        let read = Mutex::new(files.stamp());
        let serving = ArcSwap::from_pointee(files.read()?);
        Ok(Self { listener, files, serving, read })
    }

    /// Whose connections these are.
    pub(super) fn listener(&self) -> &'static str {
        self.listener
    }

    /// For the next connection.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.serving.load().config.clone()
    }

    /// SHA-256 over the certificate, as browsers show it.
    pub(crate) fn fingerprint(&self) -> String {
        self.serving.load().fingerprint.clone()
    }

    /// When it ends, in seconds since the Unix epoch.
    pub(super) fn ends(&self) -> i64 {
        self.serving.load().ends
    }

    /// Whether a file is another one than it was when it was read last.
    pub(super) fn has_changed(&self) -> bool {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) != self.files.stamp()
    }

    /// Takes what the files hold now, unless it cannot be used.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        // Before they are read, so that what is written in between is seen next time.
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = self.files.stamp();
        self.serving.store(Arc::new(self.files.read()?));
        Ok(())
    }
}

impl Files {
    fn stamp(&self) -> Stamp {
        let files = [Some(&self.cert), Some(&self.key), self.clients.as_ref(), self.revoked.as_ref()];
        let stamp = |path: &PathBuf| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        files.into_iter().flatten().map(stamp).collect()
    }

    fn read(&self) -> Result<Serving, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let content = |path: &Path| TlsError::Content { path: path.to_owned() };
        let chain: Vec<CertificateDer<'static>> = pem(&self.cert)?;
        let first = chain.first().ok_or_else(|| content(&self.cert))?;
        let (fingerprint, ends) = (fingerprint(first), ends(first).ok_or_else(|| content(&self.cert))?);
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        if u64::try_from(ends).is_ok_and(|ends| ends < now) {
            return Err(TlsError::Ended { path: self.cert.clone() });
        }
        let key = PrivateKeyDer::from_pem_slice(&read_file(&self.key)?).map_err(|_| content(&self.key))?;
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::OtherKey { path: self.key.clone() },
            _ => content(&self.key),
        })?;
        let config = config(provider.clone(), self.verifier(provider)?, pair)?;
        Ok(Serving { config: Arc::new(config), fingerprint, ends })
    }

    /// Who checks the certificates of clients.
    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(clients) = &self.clients else { return Ok(WebPkiClientVerifier::no_client_auth()) };
        let content = || TlsError::Content { path: clients.clone() };
        let mut roots = RootCertStore::empty();
        for authority in pem(clients)? {
            roots.add(authority).map_err(|_| content())?;
        }
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if let Some(revoked) = &self.revoked {
            verifier = verifier.with_crls(pem::<CertificateRevocationListDer<'static>>(revoked)?);
        }
        verifier.build().map_err(|_| content())
    }
}

/// TLS 1.3 without tickets: each connection begins anew, which costs no more than a ticket does.
fn config(
    provider: Arc<CryptoProvider>,
    clients: Arc<dyn ClientCertVerifier>,
    pair: CertifiedKey,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| TlsError::Make)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Everything of that kind in a file; at least one.
fn pem<T: PemObject>(path: &Path) -> Result<Vec<T>, TlsError> {
    let text = read_file(path)?;
    let found: Result<Vec<T>, _> = T::pem_slice_iter(&text).collect();
    let content = || TlsError::Content { path: path.to_owned() };
    found.ok().filter(|found| !found.is_empty()).ok_or_else(content)
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

fn ends(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate.as_ref()).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(certificate.as_ref());
    let pairs: Vec<String> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}
