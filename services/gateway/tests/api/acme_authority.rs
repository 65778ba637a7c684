//! An authority that issues certificates by ACME, as far as a client can tell. It looks at the gateway for real, by
//! TLS-ALPN-01, and checks what is signed.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, SanType};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
pub(crate) use time::Duration as Days;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::acme_request::Asked;

/// How it treats orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Issues,
    /// Whatever it is shown, it says that it was not.
    Refuses,
    /// The client asks too often.
    Limits,
    /// Not even in the form of an error.
    Broken,
    /// For a name that nobody asked for.
    IssuesForOthers,
    /// With a certificate that does not fit the key of the request.
    IssuesForOtherKeys,
    /// It does not know the account.
    Forgets,
    /// The account was deactivated (RFC 8555, 7.3.6).
    Deactivated,
}

pub(crate) struct Authority {
    pub(crate) pem: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    issuer: Issuer<'static, KeyPair>,
    tls: Arc<ServerConfig>,
    base: String,
    told: Mutex<Told>,
    changed: Condvar,
}

pub(crate) struct Told {
    pub(crate) mood: Mood,
    /// Since certificates began, and until they end.
    pub(crate) times: (Days, Days),
    /// Where names lead.
    pub(crate) gateway: Option<SocketAddr>,
    pub(crate) accounts: Vec<Value>,
    pub(crate) orders: usize,
    pub(crate) bad_nonces: usize,
    is_stopped: bool,
    nonces: HashSet<String>,
    count: usize,
    thumbprint: String,
    key: Value,
    names: Vec<String>,
    /// Of each name: whether it is ours, and what is wrong.
    found: Vec<Option<Result<(), String>>>,
    chain: Option<String>,
}

impl Authority {
    pub(crate) fn start() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let tls = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_no_client_auth().with_single_cert(vec![own.der().clone()], key.into()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let told = Told {
            mood: Mood::Issues,
            times: (Days::ZERO, Days::days(90)),
            gateway: None,
            accounts: Vec::new(),
            orders: 0,
            bad_nonces: 0,
            is_stopped: false,
            nonces: HashSet::new(),
            count: 0,
            thumbprint: String::new(),
            key: Value::Null,
            names: Vec::new(),
            found: Vec::new(),
            chain: None,
        };
        let base = format!("https://localhost:{}", address.port());
        let shared = Shared { issuer, tls: Arc::new(tls), base, told: Mutex::new(told), changed: Condvar::new() };
        let shared = Arc::new(shared);
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.told().is_stopped {
                    return;
                }
                let (serving, stream) = (serving.clone(), stream.unwrap());
                // A client that leaves is no fault of the authority's.
                std::thread::spawn(move || drop(serving.serve(stream)));
            }
        });
        Self { pem, address, shared }
    }

    pub(crate) fn directory(&self) -> String {
        format!("{}/directory", self.shared.base)
    }

    /// Changes what it does and knows, and shows what it was told.
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.shared.told()
    }

    /// Orders and accounts.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let told = self.told();
        (told.orders, told.accounts.len())
    }

    /// Names lead to this gateway from now on.
    pub(crate) fn leads_to(&self, gateway: SocketAddr) {
        self.told().gateway = Some(gateway);
        self.shared.changed.notify_all();
    }

    /// Nobody can reach it any more.
    pub(crate) fn stop(&self) {
        self.told().is_stopped = true;
        drop(TcpStream::connect(self.address));
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Said {
    status: u16,
    headers: String,
    body: String,
}

fn said(status: u16, body: &Value) -> Said {
    Said { status, headers: String::new(), body: body.to_string() }
}

fn problem(status: u16, kind: &str) -> Said {
    said(status, &json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "so it is"}))
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let connection = ServerConnection::new(self.tls.clone()).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let asked = Asked::read(&mut stream)?;
        let mut answer = if asked.method == "POST" { self.signed(&asked) } else { self.plain(&asked) };
        let nonce = self.told().nonce();
        answer.headers += &format!("Replay-Nonce: {nonce}\r\n");
        let Said { status, headers, body } = answer;
        let length = body.len();
        let body = if asked.method == "HEAD" { "" } else { &body };
        write!(stream, "HTTP/1.1 {status} -\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn plain(&self, asked: &Asked) -> Said {
        if self.told().mood == Mood::Broken {
            return Said { status: 500, headers: String::new(), body: "<html>\x1b[31m</html>".to_owned() };
        }
        let url = |path: &str| format!("{}/{path}", self.base);
        match asked.path.as_str() {
            "/directory" => {
                said(200, &json!({"newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("order")}))
            }
            "/nonce" => said(200, &Value::Null),
            path => panic!("{path} is asked for"),
        }
    }

    fn signed(&self, asked: &Asked) -> Said {
        assert_eq!(asked.head["url"], format!("{}{}", self.base, asked.path));
        {
            let mut told = self.told();
            let key = if asked.path == "/account" { &asked.head["jwk"] } else { &told.key };
            assert!(asked.is_signed_by(key));
            let is_known = told.nonces.remove(asked.head["nonce"].as_str().unwrap());
            // Whoever comes first has to come again.
            if !is_known || told.bad_nonces == 0 {
                told.bad_nonces += 1;
                return problem(400, "badNonce");
            }
        }
        let path: Vec<&str> = asked.path.split('/').skip(1).collect();
        match path.as_slice() {
            ["account"] => self.account(asked),
            ["order"] => self.order(asked),
            ["order", "1"] => said(200, &self.state()),
            ["authorization", number] => said(200, &self.authorization(number.parse().unwrap())),
            ["challenge", number] => self.challenge(number.parse().unwrap()),
            ["finalize"] => self.finalize(asked),
            ["certificate"] => Said { status: 200, headers: String::new(), body: self.told().chain.clone().unwrap() },
            path => panic!("{path:?} is asked for"),
        }
    }

    fn account(&self, asked: &Asked) -> Said {
        let key = &asked.head["jwk"];
        let (crv, kty, x, y) = (&key["crv"], &key["kty"], &key["x"], &key["y"]);
        let thumb = format!("{{\"crv\":{crv},\"kty\":{kty},\"x\":{x},\"y\":{y}}}");
        let mut told = self.told();
        told.thumbprint = BASE64.encode(Sha256::digest(thumb));
        told.key = key.clone();
        told.accounts.push(asked.payload.clone());
        let headers = format!("Location: {}/account/1\r\n", self.base);
        Said { headers, ..said(201, &json!({"status": "valid"})) }
    }

    fn order(&self, asked: &Asked) -> Said {
        assert_eq!(asked.head["kid"], format!("{}/account/1", self.base));
        let names = asked.payload["identifiers"].as_array().unwrap();
        let mut told = self.told();
        told.orders += 1;
        match told.mood {
            Mood::Limits => {
                let headers = "Retry-After: 100000\r\n".to_owned();
                return Said { headers, ..problem(429, "rateLimited") };
            }
            Mood::Forgets => return problem(400, "accountDoesNotExist"),
            Mood::Deactivated => return problem(401, "unauthorized"),
            _ => {}
        }
        told.names = names.iter().map(|name| name["value"].as_str().unwrap().to_owned()).collect();
        told.found = vec![None; told.names.len()];
        told.chain = None;
        drop(told);
        let headers = format!("Location: {}/order/1\r\n", self.base);
        Said { headers, ..said(201, &self.state()) }
    }

    fn state(&self) -> Value {
        let told = self.told();
        let status = match &told.found {
            _ if told.chain.is_some() => "valid",
            found if found.iter().any(|found| matches!(found, Some(Err(_)))) => "invalid",
            found if found.iter().all(|found| matches!(found, Some(Ok(())))) => "ready",
            _ => "pending",
        };
        let questions: Vec<String> =
            (0..told.names.len()).map(|number| format!("{}/authorization/{number}", self.base)).collect();
        let mut state = json!({
            "status": status, "authorizations": questions, "finalize": format!("{}/finalize", self.base),
        });
        if told.chain.is_some() {
            state["certificate"] = json!(format!("{}/certificate", self.base));
        }
        state
    }

    fn authorization(&self, number: usize) -> Value {
        let told = self.told();
        let status = match &told.found[number] {
            None => "pending",
            Some(Ok(())) => "valid",
            Some(Err(_)) => "invalid",
        };
        let challenge = |kind: &str| {
            let mut challenge = json!({
                "type": kind, "status": status, "token": format!("token-{number}"),
                "url": format!("{}/challenge/{number}", self.base),
            });
            if let Some(Err(why)) = &told.found[number] {
                challenge["error"] = json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": why});
            }
            challenge
        };
        json!({
            "status": status, "identifier": {"type": "dns", "value": told.names[number]},
            "challenges": [challenge("http-01"), challenge("tls-alpn-01")],
        })
    }

    fn challenge(&self, number: usize) -> Said {
        let told = self.told();
        let told = self.changed.wait_while(told, |told| told.gateway.is_none() && !told.is_stopped).unwrap();
        let (gateway, name, mood) = (told.gateway.unwrap(), told.names[number].clone(), told.mood);
        let expected = Sha256::digest(format!("token-{number}.{}", told.thumbprint));
        drop(told);
        let found = match mood {
            Mood::Refuses => Err("nothing is\r\nthere".to_owned()),
            _ => look(gateway, &name, &expected),
        };
        self.told().found[number] = Some(found);
        let url = format!("{}/challenge/{number}", self.base);
        said(200, &json!({"type": "tls-alpn-01", "status": "processing", "token": "t", "url": url}))
    }

    fn finalize(&self, asked: &Asked) -> Said {
        let request = BASE64.decode(asked.payload["csr"].as_str().unwrap()).unwrap();
        let mut request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request)).unwrap();
        let mut told = self.told();
        let (since, left) = told.times;
        request.params.not_before = OffsetDateTime::now_utc() - since;
        request.params.not_after = OffsetDateTime::now_utc() + left;
        let asked_for: Vec<SanType> =
            told.names.iter().map(|name| SanType::DnsName(name.as_str().try_into().unwrap())).collect();
        assert_eq!(request.params.subject_alt_names, asked_for);
        if told.mood == Mood::IssuesForOthers {
            request.params.subject_alt_names = vec![SanType::DnsName("other.test".try_into().unwrap())];
        }
        let issued = match told.mood {
            Mood::IssuesForOtherKeys => request.params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap(),
            _ => request.signed_by(&self.issuer).unwrap(),
        };
        told.chain = Some(issued.pem());
        drop(told);
        said(200, &self.state())
    }
}

impl Told {
    fn nonce(&mut self) -> String {
        self.count += 1;
        let nonce = format!("nonce-{}", self.count);
        self.nonces.insert(nonce.clone());
        nonce
    }
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// RFC 8737, 3: what there must be behind a name.
fn look(gateway: SocketAddr, name: &str, expected: &[u8]) -> Result<(), String> {
    let mut stream = shake(gateway, name, &[b"acme-tls/1"]).map_err(|error| error.to_string())?;
    if stream.conn.alpn_protocol() != Some(b"acme-tls/1") {
        return Err("another protocol".to_owned());
    }
    let shown = stream.conn.peer_certificates().unwrap()[0].clone().into_owned();
    let (_, shown) = X509Certificate::from_der(&shown).map_err(|error| error.to_string())?;
    let names = &shown.subject_alternative_name().unwrap().ok_or("no name")?.value.general_names;
    if !matches!(names.as_slice(), [GeneralName::DNSName(only)] if *only == name) {
        return Err("another name".to_owned());
    }
    let digest = shown.extensions().iter().find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
    let digest = digest.filter(|digest| digest.critical).ok_or("no digest")?;
    // An octet string of 32 bytes.
    if digest.value.strip_prefix(&[4, 32]) != Some(expected) {
        return Err("another digest".to_owned());
    }
    // And nothing else is served.
    let mut answer = Vec::new();
    let _ = stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let _ = stream.read_to_end(&mut answer);
    if answer.is_empty() { Ok(()) } else { Err("something else is served".to_owned()) }
}

/// A finished handshake with who says to have this name, whoever it is.
pub(crate) fn shake(
    gateway: SocketAddr,
    name: &str,
    protocols: &[&[u8]],
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(gateway)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        // The certificate itself has an extension that rustls does not know.
        let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
