//! TLS: one version, new groups first, nothing resumed, certificates that are exchanged while connections go on.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::config::LOCAL;
use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair};
use rcgen::{KeyUsagePurpose, RevokedCertParams, SerialNumber};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, NamedGroup, RootCertStore, SupportedProtocolVersion};

use crate::helpers::{self, App};

fn config(app: &App, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(app.data().join("tls/ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots).with_no_client_auth()
}

/// A finished handshake.
fn shake(app: &App, config: ClientConfig) -> std::io::Result<ClientConnection> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(app.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    // What comes after the handshake, such as tickets, comes with the first answer at the latest.
    use std::io::{Read as _, Write as _};
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_1_3_with_new_groups_first_and_nothing_is_resumed() {
    let app = helpers::echo().await;
    let connection = shake(&app, config(&app, &[&TLS13])).unwrap();
    let group = connection.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(connection.tls13_tickets_received(), 0);
    assert!(shake(&app, config(&app, &[&TLS12])).is_err(), "TLS 1.2 is spoken");
    let mut newer = config(&app, &[&TLS13]);
    newer.alpn_protocols = vec![b"h2".to_vec()];
    assert!(shake(&app, newer).is_err(), "HTTP/2 is spoken");
    let mut either = config(&app, &[&TLS13]);
    either.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    assert_eq!(shake(&app, either).unwrap().alpn_protocol(), Some(b"http/1.1".as_slice()));
}

/// Makes a certificate as an operator would, over the one that may be there.
fn setup(folder: &Path) {
    let mut setup = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let fresh = tempfile::tempdir().unwrap();
    assert!(setup.args(["setup", "--out"]).arg(fresh.path()).output().unwrap().status.success());
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        std::fs::copy(fresh.path().join(file), folder.join(file)).unwrap();
    }
}

fn trusting(folder: &Path) -> reqwest::Client {
    let authority = reqwest::Certificate::from_pem(&std::fs::read(folder.join("ca.pem")).unwrap()).unwrap();
    reqwest::Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_exchanged_while_connections_go_on() {
    let app = helpers::echo().await;
    let folder = app.data().join("tls");
    let live = format!("https://{}/v2/health/live", app.address);
    let before = trusting(&folder);
    assert_eq!(before.get(&live).send().await.unwrap().status(), 200);
    setup(&folder);
    let after = trusting(&folder);
    // The gateway looks at the files again and again; nothing tells when it has.
    let mut is_exchanged = false;
    for _ in 0..500 {
        is_exchanged = after.get(&live).send().await.is_ok();
        if is_exchanged {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_exchanged, "the new certificate is never served");
    assert_eq!(before.get(&live).send().await.unwrap().status(), 200, "the connection that is open goes on");
    assert!(trusting(&folder).get(&live).send().await.is_ok());
    // Half of a pair is none: the old one stays, and the admin API says so.
    let key = std::fs::read(folder.join("key.pem")).unwrap();
    for (content, why) in [(&b"nonsense"[..], "not a PEM certificate chain"), (&key[..key.len() / 2], "not a PEM")] {
        std::fs::write(folder.join("key.pem"), content).unwrap();
        // As often as it is asked: who looked at the files before does not matter.
        for _ in 0..2 {
            let asked = after.post(format!("https://{}/admin/reload", app.admin_address));
            let (status, body) = helpers::answer(asked.bearer_auth(app.admin_key().await).send().await.unwrap()).await;
            assert_eq!((status, body["code"].as_str()), (400, Some("invalid_settings")), "{body}");
            assert!(body["detail"].as_str().unwrap().contains(why), "{body}");
        }
        assert!(trusting(&folder).get(&live).send().await.is_ok());
    }
    let metrics = after.get(format!("https://{}/metrics", app.admin_address)).bearer_auth(app.admin_key().await);
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("portcullis_certificates_read_total{listener=\"callers\",result=\"failed\"}"),
        "{metrics}"
    );
    assert!(metrics.contains("portcullis_certificate_ends_seconds{listener=\"operators\"}"), "{metrics}");
}

#[tokio::test]
async fn a_certificate_that_ended_or_is_not_of_its_key_stops_the_start() {
    let files = tempfile::tempdir().unwrap();
    let at = files.path().display();
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let good = params.self_signed(&key).unwrap().pem();
    params.not_after = rcgen::date_time_ymd(2024, 1, 1);
    let ended = params.self_signed(&key).unwrap().pem();
    for (cert, key, expected) in [
        (&ended, &key, "cert.pem: the certificate has ended"),
        (&good, &other, "key.pem: the key is not that of the certificate"),
    ] {
        std::fs::write(files.path().join("cert.pem"), cert).unwrap();
        std::fs::write(files.path().join("key.pem"), key.serialize_pem()).unwrap();
        let text =
            format!("[server]\ndata_dir = \"{at}/data\"\ntls_cert = \"{at}/cert.pem\"\ntls_key = \"{at}/key.pem\"");
        let settings = gateway::config::Settings::parse(&text).unwrap();
        let refused = gateway::Gateway::bind(settings, None).await.err().unwrap().to_string();
        assert!(refused.ends_with(expected), "{refused}");
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

impl Authority {
    /// A client's certificate and key, in one text.
    fn client(&self, serial: u64) -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["operator".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.signed_by(&key, &self.issuer).unwrap().pem() + &key.serialize_pem()
    }

    fn revoke(&self, serial: u64) -> String {
        let day = rcgen::date_time_ymd;
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: day(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: day(2026, 1, 1),
            next_update: day(2999, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_may_have_to_show_a_certificate() {
    let (ours, theirs) = (authority(), authority());
    let files = tempfile::tempdir().unwrap();
    let at = files.path().display();
    std::fs::write(files.path().join("clients.pem"), &ours.pem).unwrap();
    std::fs::write(files.path().join("revoked.pem"), ours.revoke(9)).unwrap();
    let lines = format!("admin_client_ca = \"{at}/clients.pem\"\nadmin_client_crl = \"{at}/revoked.pem\"");
    let app = helpers::spawn(&format!("{LOCAL}\n[server]\n{lines}")).await;
    let pem = std::fs::read(app.data().join("tls/ca.pem")).unwrap();
    let showing = |shown: Option<String>| {
        let authority = reqwest::Certificate::from_pem(&pem).unwrap();
        let mut builder = reqwest::Client::builder().tls_certs_only([authority]).no_proxy();
        if let Some(shown) = shown {
            builder = builder.identity(reqwest::Identity::from_pem(shown.as_bytes()).unwrap());
        }
        builder.build().unwrap().get(format!("https://{}/livez", app.admin_address)).send()
    };
    assert_eq!(showing(Some(ours.client(7))).await.unwrap().status(), 200);
    assert!(showing(None).await.is_err(), "nothing is shown");
    assert!(showing(Some(theirs.client(7))).await.is_err(), "somebody else signed it");
    assert!(showing(Some(ours.client(9))).await.is_err(), "it is revoked");
    assert_eq!(app.get("/v1/models", &app.key().await).send().await.unwrap().status(), 200, "callers show nothing");
}
