//! What a connection goes through before a request, and that it must take what it is sent.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use gateway::config::LOCAL;
use serde_json::json;
use testkit::{FakeServer, Say};

use crate::edge::{raw, send, status, tls, tls_over};
use crate::helpers::{self, App, chat, chunk};

const MODELS: &str = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";

async fn server(more: &str) -> App {
    helpers::spawn(&format!("{LOCAL}\n[server]\n{more}")).await
}

/// A plain connection that gives up waiting for bytes after a while.
fn plain(app: &App) -> TcpStream {
    let socket = TcpStream::connect(app.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections() {
    let app = server("max_connections_per_address = 2").await;
    let key = app.key().await;
    let request = format!("{MODELS}Authorization: Bearer {key}\r\n\r\n");
    let (mut one, two) = (tls(&app), tls(&app));
    // They are there once the handshake is done.
    one.conn.complete_io(&mut one.sock).unwrap();
    let mut two = two;
    two.conn.complete_io(&mut two.sock).unwrap();
    assert_eq!(raw(&app, request.as_bytes()), "", "nobody is told why");
    assert_eq!(status(&send(one, request.as_bytes())), "200");
    // The gateway closed that one itself, so its place is free.
    assert_eq!(status(&raw(&app, request.as_bytes())), "200");
    drop(two);
    let metrics = app.admin_get("/metrics", &app.admin_key().await).send().await.unwrap().text().await.unwrap();
    let refused = "portcullis_connections_refused_total{listener=\"callers\",why=\"too many\"} 1";
    assert!(metrics.contains(refused), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_of_an_answer_is_left() {
    let events = vec![chunk(&"all work and no play ".repeat(5_000)); 300];
    let model = FakeServer::start(Say::Events(events)).await;
    let app = helpers::fake(&model, "[server]\nstall_seconds = 1\n[screening.output]\nmax_bytes = 50000000").await;
    let body = json!({"stream": true, "model": "fake", "messages": chat("fake", "hi")["messages"]}).to_string();
    let mut stream = tls(&app);
    write!(
        stream,
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        app.key().await,
        body.len()
    )
    .unwrap();
    let mut head = [0; 1024];
    let count = stream.read(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head[..count]).to_ascii_lowercase();
    let id = head.split("x-request-id: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    let records = app.records(&id, 2).await;
    assert_eq!(records[1]["ended"], "hung_up", "{records:?}");
    model.wait_open(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_must_come_at_some_pace() {
    let app = helpers::spawn(&format!(
        "{LOCAL}\n[limits]\nbody_seconds = 60\nbody_bytes_per_second = 1000000\n[server]\nstall_seconds = 60"
    ))
    .await;
    let mut stream = tls(&app);
    stream.sock.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 9000\r\n\r\n{{",
        app.key().await
    );
    let answer = send(&mut stream, head.as_bytes());
    assert_eq!(status(&answer), "408", "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_ends_tls_each_request_says_so() {
    let app = server("danger_plaintext_behind_proxy = true\ntrusted_proxies = [\"127.0.0.1/32\"]").await;
    let request = format!("{MODELS}Authorization: Bearer {}\r\n", app.key().await);
    for (more, expected) in [
        ("X-Forwarded-Proto: https\r\nX-Forwarded-For: 198.51.100.7\r\n", "200"),
        ("", "403"),
        ("X-Forwarded-Proto: http\r\n", "403"),
        ("X-Forwarded-Proto: HTTPS, http\r\n", "403"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n", "403"),
    ] {
        let answer = send(plain(&app), format!("{request}{more}\r\n").as_bytes());
        assert_eq!(status(&answer), expected, "{more}: {answer}");
        assert_eq!(answer.contains("https_only"), expected == "403", "{answer}");
    }
    let app = server("danger_plaintext_behind_proxy = true\ntrusted_proxies = [\"192.0.2.0/24\"]").await;
    let from_elsewhere = format!("{request}X-Forwarded-Proto: https\r\n\r\n");
    assert_eq!(send(plain(&app), from_elsewhere.as_bytes()), "");
}

#[tokio::test]
async fn nobody_may_connect_is_no_setting() {
    for (more, expected) in [
        ("proxy_protocol = true", "server.proxy_protocol: nobody may connect"),
        ("danger_plaintext_behind_proxy = true", "server.danger_plaintext_behind_proxy: nobody may connect"),
        ("plaintext_trap = \"80\"", "server.plaintext_trap: expected an address"),
        ("admin_client_crl = \"x\"", "server.admin_client_crl: there is no admin_client_ca"),
        ("admin_client_key = \"x\"", "server.admin_client_key: admin_client_cert and admin_client_key go together"),
        ("stall_seconds = 0", "server.stall_seconds: expected a number of 1 or more"),
    ] {
        let settings = gateway::config::Settings::parse(&format!("[server]\n{more}")).unwrap();
        let refused = gateway::Gateway::bind(settings, None).await.err().unwrap().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
}

/// The header of a TCP proxy, version 2, for a caller of IPv4.
fn proxy_header(from: [u8; 4]) -> Vec<u8> {
    let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    [head.as_slice(), &from, &[192, 0, 2, 1], &4711_u16.to_be_bytes(), &443_u16.to_be_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tcp_proxy_names_the_caller_of_each_connection() {
    let app = server("proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1/32\"]").await;
    // Who says more than the proxy is not believed.
    let request = format!("{MODELS}X-Forwarded-For: 203.0.113.9\r\nAuthorization: Bearer nonsense\r\n\r\n");
    let mut socket = plain(&app);
    socket.write_all(&proxy_header([198, 51, 100, 7])).unwrap();
    let answer = send(tls_over(&app, socket), request.as_bytes());
    assert_eq!(status(&answer), "401", "{answer}");
    let id = answer.split("x-request-id: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    let records = app.records(&id, 1).await;
    assert_eq!(records[0]["who"]["address"], "198.51.100.7", "{records:?}");
    assert_eq!(raw(&app, request.as_bytes()), "", "no header, no connection");
    let app = server("proxy_protocol = true\ntrusted_proxies = [\"192.0.2.0/24\"]").await;
    let mut socket = plain(&app);
    socket.write_all(&proxy_header([198, 51, 100, 7])).unwrap();
    assert_eq!(send(tls_over(&app, socket), request.as_bytes()), "", "only proxies may say who calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_sent_in_clear_is_revoked() {
    let app = server("plaintext_trap = \"127.0.0.1:0\"").await;
    let (sent, other) = (app.key().await, app.key().await);
    let trap = |request: String| {
        let socket = TcpStream::connect(app.trap_address.unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        send(socket, request.as_bytes())
    };
    // A key that is not ours in its last letters is nobody's.
    let last = if other.ends_with('x') { 'y' } else { 'x' };
    let spoilt = format!("{}{last}", &other[..other.len() - 1]);
    for word in [&spoilt, "nonsense"] {
        let answer = trap(format!("{MODELS}Authorization: Bearer {word}\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.contains("https_only"), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("location"), "{answer}");
    }
    for key in [&sent, &other] {
        assert_eq!(app.get("/v1/models", key).send().await.unwrap().status(), 200);
    }
    let answer = trap(format!("GET /v1/models?key={sent} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(!answer.contains(&sent));
    assert_eq!(app.get("/v1/models", &sent).send().await.unwrap().status(), 401);
    assert_eq!(app.get("/v1/models", &other).send().await.unwrap().status(), 200);
    let answer = trap(format!("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {other}\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains(&other), "{answer}");
    assert_eq!(app.get("/v1/models", &other).send().await.unwrap().status(), 401);
}
