//! What one listener serves with: its certificate, exchanged as a whole while connections go on, and whom it lets in. An
//! authority that asks whether a name is ours is told apart from callers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::tls::TlsError;
use crate::tls::acme::Challenges;

/// The protocol of callers and operators.
const HTTP: &[u8] = b"http/1.1";

/// The files of a listener.
#[derive(Debug)]
pub(super) struct Files {
    /// What an authority issued: certificate and key in one file, which takes the place of the others once it is there.
    pub(super) issued: Option<PathBuf>,
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
    challenges: Challenges,
    serving: ArcSwap<Serving>,
    read: Mutex<Read>,
}

/// Of the files as they were read last.
struct Read {
    stamp: Stamp,
    is_usable: bool,
}

struct Serving {
    config: Arc<ServerConfig>,
    fingerprint: String,
    ends: i64,
}

/// What somebody who connects is answered with.
pub(crate) enum Handshake {
    Http(Arc<ServerConfig>),
    /// It is an authority that asks; there is nothing but the handshake.
    Challenge(Arc<ServerConfig>),
}

impl Certificate {
    pub(super) fn load(listener: &'static str, files: Files) -> Result<Self, TlsError> {
        let read = Mutex::new(Read { stamp: files.stamp(), is_usable: true });
        let serving = match files.read() {
            // There will be another one, and meanwhile callers should be told who this is.
            Err(error) if files.issued.is_some() => {
                tracing::error!(%error, "the certificate that was issued cannot be used");
                files.read_pair(&files.cert, &files.key)?
            }
            read => read?,
        };
        Ok(Self { listener, files, challenges: Challenges::default(), serving: ArcSwap::from_pointee(serving), read })
    }

    /// Where questions of authorities are answered from.
    pub(super) fn challenges(&self) -> Challenges {
        self.challenges.clone()
    }

    /// Whose connections these are.
    pub(super) fn listener(&self) -> &'static str {
        self.listener
    }

    /// For a connection that begins with these words.
    pub(crate) fn handshake(&self, hello: &ClientHello<'_>) -> Handshake {
        match self.challenges.answer(hello) {
            Some(config) => Handshake::Challenge(config),
            None => Handshake::Http(self.serving.load().config.clone()),
        }
    }

    /// SHA-256 over the certificate, as browsers show it.
    pub(crate) fn fingerprint(&self) -> String {
        self.serving.load().fingerprint.clone()
    }

    /// When it ends, in seconds since the Unix epoch.
    pub(super) fn ends(&self) -> i64 {
        self.serving.load().ends
    }

    /// Whether an authority's certificate takes the place of other files.
    pub(super) fn is_issued(&self) -> bool {
        self.files.issued.is_some()
    }

    /// Whether a file is another one than it was when it was read last.
    pub(super) fn has_changed(&self) -> bool {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).stamp != self.files.stamp()
    }

    /// Takes what the files hold now, unless it cannot be used; `None` if that is served already. Who comes second waits
    /// for who reads, and is told of what still cannot be used.
    pub(super) fn reload(&self) -> Option<Result<(), TlsError>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Before they are read, so that what is written in between is seen next time.
        let stamp = self.files.stamp();
        if read.is_usable && read.stamp == stamp {
            return None;
        }
        let serving = self.files.read();
        *read = Read { stamp, is_usable: serving.is_ok() };
        Some(serving.map(|serving| self.serving.store(Arc::new(serving))))
    }
}

impl Files {
    /// Certificate and key in one file, for everybody.
    pub(super) fn of_one(path: &Path) -> Self {
        Self { issued: None, cert: path.to_owned(), key: path.to_owned(), clients: None, revoked: None }
    }

    fn stamp(&self) -> Stamp {
        let others = [self.issued.as_ref(), self.clients.as_ref(), self.revoked.as_ref()];
        let stamp = |path: &PathBuf| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        [&self.cert, &self.key].into_iter().chain(others.into_iter().flatten()).map(stamp).collect()
    }

    fn read(&self) -> Result<Serving, TlsError> {
        match self.issued.as_ref().filter(|issued| issued.exists()) {
            Some(issued) => self.read_pair(issued, issued),
            None => self.read_pair(&self.cert, &self.key),
        }
    }

    fn read_pair(&self, cert: &Path, key_file: &Path) -> Result<Serving, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let content = |path: &Path| TlsError::Content { path: path.to_owned() };
        let chain = chain(cert)?;
        let first = chain.first().ok_or_else(|| content(cert))?;
        let (fingerprint, ends) = (fingerprint(first), ends(first).ok_or_else(|| content(cert))?);
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        if u64::try_from(ends).is_ok_and(|ends| ends < now) {
            return Err(TlsError::Ended { path: cert.to_owned() });
        }
        let key = PrivateKeyDer::from_pem_slice(&read_file(key_file)?).map_err(|_| content(key_file))?;
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::OtherKey { path: key_file.to_owned() },
            _ => content(key_file),
        })?;
        let config = config(provider.clone(), self.verifier(provider)?, pair, HTTP)?;
        Ok(Serving { config: Arc::new(config), fingerprint, ends })
    }

    /// Who checks the certificates of clients.
    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(clients) = &self.clients else { return Ok(WebPkiClientVerifier::no_client_auth()) };
        let content = || TlsError::Content { path: clients.clone() };
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(clients)?), provider);
        if let Some(revoked) = &self.revoked {
            verifier = verifier.with_crls(pem::<CertificateRevocationListDer<'static>>(revoked)?);
        }
        verifier.build().map_err(|_| content())
    }
}

/// TLS 1.3 without tickets: each connection begins anew, which costs no more than a ticket does.
pub(super) fn config(
    provider: Arc<CryptoProvider>,
    clients: Arc<dyn ClientCertVerifier>,
    pair: CertifiedKey,
    protocol: &[u8],
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| TlsError::Make)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

/// The certificates in a file, that of the listener first.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    pem(path)
}

/// The authorities in a file.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in chain(path)? {
        roots.add(authority).map_err(|_| TlsError::Content { path: path.to_owned() })?;
    }
    Ok(roots)
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
