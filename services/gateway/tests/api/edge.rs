//! Heads and bodies that are not sound, over a raw TLS connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::helpers::{self, App};

/// A TLS connection to the callers' listener.
pub(crate) fn tls(app: &App) -> StreamOwned<ClientConnection, TcpStream> {
    tls_over(app, TcpStream::connect(app.address).unwrap())
}

/// The same, over a connection that is there already.
pub(crate) fn tls_over(app: &App, socket: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(app.data().join("tls/ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    StreamOwned::new(connection, socket)
}

/// Sends bytes over TLS and reads until the server closes or is silent for four seconds.
pub(crate) fn raw(app: &App, bytes: &[u8]) -> String {
    send(tls(app), bytes)
}

/// The same, over a connection that is there already.
pub(crate) fn send(mut stream: impl Read + Write, bytes: &[u8]) -> String {
    let _ = stream.write_all(bytes);
    let _ = stream.flush();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

#[tokio::test(flavor = "multi_thread")]
async fn unsound_heads_are_refused() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let get = |more: &str| format!("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
    let auth = format!("Authorization: Bearer {key}\r\n");
    let many: String = (0..70).map(|n| format!("X-{n}: a\r\n")).collect();
    let cases = [
        (get(&auth), "200"),
        (get(&format!("{auth}{auth}")), "400"),
        (get(&format!("{auth}X-A: caf\u{e9}\r\n")), "400"),
        (get(&format!("{auth}Upgrade: websocket\r\n")), "400"),
        (get(&format!("{auth}Expect: miracles\r\n")), "400"),
        (get(&format!("{auth}X-Long: {}\r\n", "a".repeat(17 << 10))), "431"),
        (get(&format!("{auth}{many}")), "431"),
        (
            format!(
                "GET https://other.example/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{auth}\r\n"
            ),
            "421",
        ),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{auth}\r\n", "a".repeat(3 << 10)), "431"),
        (format!("TRACE /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{auth}\r\n"), "405"),
        (format!("GET /v1/%6dodels HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{auth}\r\n"), "404"),
        (format!("GET /v1/x/../models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{auth}\r\n"), "404"),
    ];
    for (request, expected) in cases {
        let answer = raw(&app, request.as_bytes());
        assert_eq!(status(&answer), expected, "{}: {answer}", request.get(..80).unwrap_or(&request));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_in_size_and_time() {
    let app =
        helpers::spawn(&format!("{}\n[limits]\nmax_body_bytes = 1000\nbody_seconds = 1", gateway::config::LOCAL)).await;
    let key = app.key().await;
    let post = |more: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n{more}"
        )
    };
    let announced = raw(&app, post("Content-Length: 5000\r\n\r\n{").as_bytes());
    assert_eq!(status(&announced), "413");
    assert!(announced.contains("the body exceeds maximum 1000 bytes"), "{announced}");
    let chunk = format!("Transfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n0\r\n\r\n", " ".repeat(2_000));
    assert_eq!(status(&raw(&app, post(&chunk).as_bytes())), "413");
    let slow = raw(&app, post("Content-Length: 50\r\n\r\n{").as_bytes());
    assert_eq!(status(&slow), "408", "{slow}");
    let broken = raw(&app, post("Transfer-Encoding: chunked\r\n\r\nzz\r\n").as_bytes());
    assert_eq!(status(&broken), "400", "{broken}");
    assert!(!broken.contains("payload"), "{broken}");
}

#[tokio::test]
async fn a_model_may_take_larger_bodies_or_smaller_ones_than_others() {
    let more = r#"
        [limits]
        max_body_bytes = 2000
        [models.large]
        backends = ["echo"]
        operations = ["chat"]
        max_body_bytes = 6000
        [models.small]
        backends = ["echo"]
        operations = ["chat", "infer"]
        max_body_bytes = 500
    "#;
    let app = helpers::spawn(&format!("{}{more}", gateway::config::LOCAL)).await;
    let key = app.key().await;
    for (model, bytes, most) in [
        ("small", 100, None),
        ("small", 1_000, Some(500)),
        ("echo-chat", 1_000, None),
        ("echo-chat", 4_000, Some(2_000)),
        ("large", 4_000, None),
        ("large", 7_000, Some(6_000)),
        ("nobody", 7_000, Some(6_000)),
    ] {
        let (status, body) = helpers::answer(app.chat(&key, model, &"x ".repeat(bytes / 2)).await).await;
        let expected = most.map(|most| format!("the body exceeds maximum {most} bytes"));
        assert_eq!(status, if most.is_some() { 413 } else { 200 }, "{model} {bytes}: {body}");
        assert_eq!(body["error"]["message"].as_str().map(str::to_owned), expected, "{model} {bytes}");
    }
    // Who may not ask it hears nothing of what it takes.
    let other = app.key_with(&["echo-*"], keys::KeyLimits::default()).await;
    let (status, body) = helpers::answer(app.chat(&other, "large", &"x ".repeat(2_000)).await).await;
    let expected = "the body exceeds maximum 2000 bytes";
    assert_eq!((status, body["error"]["message"].as_str()), (413, Some(expected)), "{body}");
    // The path names the model, so that not a byte of the body is waited for.
    let announced = format!(
        "POST /v2/models/small/infer HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: 501\r\n\r\n{{"
    );
    let answer = tokio::task::spawn_blocking(move || raw(&app, announced.as_bytes())).await.unwrap();
    assert!(answer.contains("the body exceeds maximum 500 bytes"), "{answer}");
    let text = format!(
        "{}\n[models.wide]\nbackends = [\"echo\"]\noperations = [\"chat\"]\nmax_body_bytes = 300000000",
        gateway::config::LOCAL
    );
    let settings = gateway::config::Settings::parse(&text).unwrap();
    let error = gateway::Gateway::bind(settings, None).await.err().unwrap().to_string();
    assert!(error.contains("models.wide.max_body_bytes: expected at most limits.max_buffered_bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_byte_is_needed_to_refuse_a_stranger() {
    let app = helpers::echo().await;
    let request = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n";
    let answer = raw(&app, request.as_bytes());
    assert_eq!(status(&answer), "401");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
}

/// Sends chunks for as long as the server takes them, for at most ten seconds; gives the answer, and
/// whether the server ended it.
fn endless(app: &App, head: &str) -> (String, bool) {
    let mut stream = tls(app);
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let started = std::time::Instant::now();
    let mut is_over = false;
    while !is_over && started.elapsed() < Duration::from_secs(10) {
        is_over = stream.write_all(chunk.as_bytes()).is_err() || stream.flush().is_err();
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
    }
    (String::from_utf8_lossy(&answer).into_owned(), is_over)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_without_an_end_is_not_read() {
    let app = helpers::echo().await;
    let key = app.key_with(&["echo-chat"], keys::KeyLimits::default()).await;
    let head = |path: &str, key: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
    };
    for (path, key) in [
        ("/v1/chat/completions", "nonsense"),
        ("/nothing", "nonsense"),
        ("/v2/models/echo-tensor/infer", key.as_str()),
        ("/v1/chat/completions", key.as_str()),
    ] {
        let (_, is_over) = endless(&app, &head(path, key));
        assert!(is_over, "{path} is read for ever");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_answers_in_plain_text() {
    let app = helpers::echo().await;
    for address in [app.address, app.admin_address] {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let _ = socket.shutdown(Shutdown::Both);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
}

#[tokio::test]
async fn operators_may_have_a_certificate_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().display();
    let mut setup = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
    assert!(setup.args(["setup", "--out"]).arg(folder.path()).status().unwrap().success());
    let files = format!("admin_tls_cert = \"{shared}/cert.pem\"\nadmin_tls_key = \"{shared}/key.pem\"");
    let app = helpers::spawn(&format!("{}\n[server]\n{files}", gateway::config::LOCAL)).await;
    let theirs = reqwest::Certificate::from_pem(&std::fs::read(folder.path().join("ca.pem")).unwrap()).unwrap();
    let operator = reqwest::Client::builder().tls_certs_only([theirs]).no_proxy().build().unwrap();
    let probe = format!("https://{}/livez", app.admin_address);
    assert_eq!(operator.get(&probe).send().await.unwrap().status(), 200);
    assert!(app.client.get(&probe).send().await.is_err(), "the callers' authority is another");
    let models = format!("https://{}/v1/models", app.address);
    assert_eq!(app.client.get(&models).send().await.unwrap().status(), 401);
    assert!(operator.get(&models).send().await.is_err());
    let half = gateway::config::Settings::parse("[server]\nadmin_tls_cert = \"x\"").unwrap();
    let refused = gateway::Gateway::bind(half, None).await.err().unwrap().to_string();
    assert_eq!(refused, "server.admin_tls_key: admin_tls_cert and admin_tls_key go together");
}
