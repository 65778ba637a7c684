//! A Redis server that speaks TLS only, and the certificates around it.

#![expect(clippy::panic, reason = "a test's own server fails the test")]

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::redis_server::{RedisServer, free_port, plain};

/// Where [`Certificates::write`] puts them.
pub(crate) const FILES: [&str; 6] =
    ["--tls-ca-cert-file", "ca.pem", "--tls-cert-file", "server.pem", "--tls-key-file", "server.key"];

/// A running `redis-server` on a TLS port. It stops when it is dropped.
#[derive(Debug)]
pub struct RedisTls {
    /// To be asked on its socket, without TLS.
    pub server: RedisServer,
    /// Those that it knows.
    pub certificates: Certificates,
    port: u16,
}

impl RedisTls {
    /// Starts a server, which wants to see a certificate of its clients, if `asks_clients`.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn start(asks_clients: bool) -> Self {
        let certificates = Certificates::new();
        let started = RedisServer::on_ports(free_port, |folder, port| {
            certificates.write(folder);
            let port = port.to_string();
            let asks = if asks_clients { "yes" } else { "no" };
            let tls = ["--tls-port", &port, "--tls-auth-clients", asks].into_iter().chain(FILES);
            plain(0).into_iter().chain(tls.map(str::to_owned)).collect()
        });
        let (server, port) = started.await;
        Self { server, certificates, port }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }
}

/// An authority, and what it signed for a server on this machine and for a client, in PEM.
#[derive(Debug)]
pub struct Certificates {
    /// The authority.
    pub ca: String,
    /// The client's certificate, and its key.
    pub client: (String, String),
    server: (String, String),
}

impl Certificates {
    /// New ones, which nobody else trusts.
    ///
    /// # Panics
    /// When they cannot be made.
    #[expect(clippy::new_without_default, reason = "every one is another")]
    pub fn new() -> Self {
        match make() {
            Ok(made) => made,
            Err(error) => panic!("no certificates: {error}"),
        }
    }

    pub(crate) fn write(&self, folder: &Path) {
        let (server, key) = &self.server;
        for (name, content) in [("ca.pem", &self.ca), ("server.pem", server), ("server.key", key)] {
            if std::fs::write(folder.join(name), content).is_err() {
                panic!("{name} cannot be written");
            }
        }
    }
}

fn make() -> Result<Certificates, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    // Its default would be the name of those that it signs, too.
    authority.distinguished_name.push(DnType::CommonName, "authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let ca = authority.self_signed(&key)?.pem();
    let issuer = Issuer::new(authority, key);
    let sign = |names: &[&str], purposes: &[ExtendedKeyUsagePurpose]| -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.extended_key_usages = purposes.to_vec();
        Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    };
    // Servers of a cluster are clients of each other.
    let (serve, ask) = (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
    let server = sign(&["localhost", "127.0.0.1"], &[serve, ask.clone()])?;
    let client = sign(&["limiter"], &[ask])?;
    Ok(Certificates { ca, client, server })
}
