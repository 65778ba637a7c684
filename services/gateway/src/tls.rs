//! The certificate of the listeners: the operator's, or one made at the first start.
//!
//! TLS 1.3 only. The made certificate is signed by a small authority of its own, whose certificate
//! is what clients are told to trust; the authority's key is forgotten as soon as it has signed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::ServerSettings;

/// The names of this machine for itself.
pub(crate) const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

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
    /// A file holds no certificate or key that fits.
    #[error("{path}: not a PEM certificate chain or key that can be used")]
    Content {
        /// Which file.
        path: PathBuf,
    },
    /// The certificate cannot be made.
    #[error("a certificate cannot be made")]
    Make,
}

/// A certificate that is ready to serve.
pub(crate) struct Tls {
    /// For callers.
    pub config: ServerConfig,
    /// For operators.
    pub operators: ServerConfig,
    /// SHA-256 over the certificate, as browsers show it.
    pub fingerprint: String,
    /// What clients must trust when the certificate is our own.
    pub authority: Option<PathBuf>,
}

impl Tls {
    /// Loads the operator's certificate, or our own from the data folder, made if there is none; for operators, too,
    /// unless there is another for them.
    ///
    /// # Errors
    /// [`TlsError`] with the file in question.
    pub(crate) fn load(settings: &ServerSettings) -> Result<Self, TlsError> {
        let is_own = settings.tls_cert.as_os_str().is_empty();
        let folder = settings.data_dir.join("tls");
        let (cert, key) = match is_own {
            true => (folder.join("cert.pem"), folder.join("key.pem")),
            false => (settings.tls_cert.clone(), settings.tls_key.clone()),
        };
        let authority = folder.join("ca.pem");
        if is_own && !key.exists() {
            make(&folder, &LOOPBACK)?;
        }
        let (config, fingerprint) = read(&cert, &key)?;
        let operators = match settings.admin_tls_cert.as_os_str().is_empty() {
            true => config.clone(),
            false => read(&settings.admin_tls_cert, &settings.admin_tls_key)?.0,
        };
        Ok(Self { config, operators, fingerprint, authority: is_own.then_some(authority) })
    }
}

fn read(cert: &Path, key: &Path) -> Result<(ServerConfig, String), TlsError> {
    let content = |path: &Path| TlsError::Content { path: path.to_owned() };
    let pem = read_file(cert)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain: Vec<CertificateDer<'static>> = chain.map_err(|_| content(cert))?;
    let first = chain.first().ok_or_else(|| content(cert))?;
    let fingerprint = fingerprint(first);
    let private = PrivateKeyDer::from_pem_slice(&read_file(key)?).map_err(|_| content(key))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| TlsError::Make)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|_| content(cert))?;
    Ok((config, fingerprint))
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(certificate.as_ref());
    let pairs: Vec<String> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// Makes an authority and a certificate for these names: `ca.pem`, `cert.pem`, `key.pem`.
pub(crate) fn make(folder: &Path, names: &[&str]) -> Result<(), TlsError> {
    let file = |path: &Path, source| TlsError::File { path: path.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(|source| file(folder, source))?;
    let (authority, cert, key) = certificates(names).map_err(|_| TlsError::Make)?;
    // The key comes last: without it, whatever a crash left behind is made again.
    for (name, text, is_secret) in [("ca.pem", authority, false), ("cert.pem", cert, false), ("key.pem", key, true)] {
        let path = folder.join(name);
        let _ = std::fs::remove_file(&path);
        crate::data_dir::write_new(&path, text.as_bytes(), is_secret).map_err(|source| file(&path, source))?;
    }
    Ok(())
}

fn certificates(names: &[&str]) -> Result<(String, String, String), rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.distinguished_name = named("Portcullis local authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("Portcullis");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((authority_pem, certificate.pem(), key.serialize_pem()))
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
