//! What an authority is shown that asks whether a name is ours (TLS-ALPN-01, RFC 8737): a certificate with its question's
//! digest, to who asks for it by the protocol `acme-tls/1`. Nothing else is said on such a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use crate::tls::{TlsError, certificate};

/// By which it is told from callers.
const PROTOCOL: &[u8] = b"acme-tls/1";

/// The questions that are open, by name.
#[derive(Clone, Default)]
pub(crate) struct Challenges(Arc<Mutex<HashMap<String, Arc<ServerConfig>>>>);

/// A question is answered until this is dropped.
pub(super) struct Offered {
    challenges: Challenges,
    name: String,
}

impl Challenges {
    /// Shows this digest to who asks for `name`.
    pub(super) fn offer(&self, name: &str, digest: &[u8; 32]) -> Result<Offered, TlsError> {
        let config = config(name, digest)?;
        self.open().insert(name.to_owned(), Arc::new(config));
        Ok(Offered { challenges: self.clone(), name: name.to_owned() })
    }

    /// What to show, when this is an authority that asks, and there is a question.
    pub(crate) fn answer(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(PROTOCOL) || protocols.next().is_some() {
            return None;
        }
        self.open().get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<ServerConfig>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        self.challenges.open().remove(&self.name);
    }
}

fn config(name: &str, digest: &[u8; 32]) -> Result<ServerConfig, TlsError> {
    let (chain, key) = shown(name, digest).map_err(|_| TlsError::Make)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = provider.key_provider.load_private_key(key).map_err(|_| TlsError::Make)?;
    // Nobody who checks certificates takes this one: its extension is critical, and unknown to most.
    let pair = CertifiedKey::new(vec![chain], key);
    certificate::config(provider, WebPkiClientVerifier::no_client_auth(), pair, PROTOCOL)
}

fn shown(name: &str, digest: &[u8; 32]) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.der().clone(), key.into()))
}
