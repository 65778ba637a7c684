//! Requests that follow each other on one connection, and what is no request at all: one answer each, in our words.

use std::io::{Read, Write as _};
use std::time::{Duration, Instant};

use gateway::config::LOCAL;
use serde_json::Value;

use crate::edge::{raw, send, tls, tls_over};
use crate::helpers::{self, App, chat};

/// A request with a key, and a body if there is one.
fn request(method: &str, path: &str, key: &str, more: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         {length}{more}\r\n{body}"
    )
}

/// Status, whether there is a body, and the body of each answer, in order.
fn answers(mut text: &str, methods: &[&str]) -> Vec<(u16, String)> {
    let mut found = Vec::new();
    for method in methods {
        let (head, rest) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method}: {text:?}"));
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = if *method == "HEAD" { 0 } else { length.unwrap().parse().unwrap() };
        found.push((head[9..12].parse().unwrap(), rest[..length].to_owned()));
        text = &rest[length..];
    }
    assert_eq!(text, "", "nobody asked for this");
    found
}

async fn patient(more: &str) -> App {
    helpers::spawn(&format!("{LOCAL}\n[server]\nidle_seconds = 1\n{more}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_its_own_answer_whatever_is_behind_it() {
    let app = patient("").await;
    let key = app.key().await;
    let post = request("POST", "/v1/chat/completions", &key, "", &chat("echo-chat", "mine").to_string());
    let head = request("HEAD", "/v1/models", &key, "", "");
    let old = "GET /v2/health/live HTTP/1.0\r\n\r\n".to_owned();
    let both = answers(&raw(&app, [post.clone(), head.clone()].concat().as_bytes()), &["POST", "HEAD"]);
    assert_eq!((both[0].0, both[1].0), (200, 200));
    assert!(both[0].1.contains("mine"), "{both:?}");
    let other = app.key().await;
    let cold = request("HEAD", "/v1/models", &other, "", "");
    let both = answers(&raw(&app, [cold, post.clone()].concat().as_bytes()), &["HEAD", "POST"]);
    assert!(both[1].1.contains("mine"), "{both:?}");
    let three = [post.clone(), post.clone(), old].concat();
    let three = answers(&raw(&app, three.as_bytes()), &["POST", "POST", "GET"]);
    assert!(three.iter().all(|(status, _)| *status == 200), "{three:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_last_request_is_not_done() {
    let app = patient("").await;
    let key = app.key().await;
    let last =
        request("POST", "/v1/chat/completions", &key, "Connection: close\r\n", &chat("echo-chat", "a").to_string());
    let after = request("POST", "/v1/chat/completions", &key, "", &chat("echo-chat", "b").to_string());
    let text = raw(&app, [last, after].concat().as_bytes());
    assert_eq!(answers(&text, &["POST"])[0].0, 200);
    // Also behind an answer that is larger than what the system takes at once.
    let large = chat("echo-chat", &"a word or two ".repeat(250_000)).to_string();
    let last = request("POST", "/v1/chat/completions", &key, "Connection: close\r\n", &large);
    let asked = request("HEAD", "/v1/models", &key, "", "");
    // To its end, however long the answer takes.
    let mut stream = tls(&app);
    stream.sock.set_read_timeout(None).unwrap();
    let text = send(&mut stream, [last, asked].concat().as_bytes());
    assert_eq!(text.matches("HTTP/1.1 200").count(), 1);
    let metrics = app.admin_get("/metrics", &app.admin_key().await).send().await.unwrap().text().await.unwrap();
    let asked = "portcullis_requests_total{operation=\"chat\",model=\"echo-chat\",status=\"200\",code=\"none\"} 2";
    assert!(metrics.contains(asked), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_in_our_words_and_after_the_answer_before_it() {
    let app = patient("").await;
    let key = app.key().await;
    let good = request("POST", "/v1/chat/completions", &key, "", &chat("echo-chat", "good").to_string());
    for bad in [
        "{}\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
    ] {
        let both = answers(&raw(&app, [&good, bad].concat().as_bytes()), &["POST", "GET"]);
        assert!(both[0].1.contains("good"), "{both:?}");
        let error: Value = serde_json::from_str(&both[1].1).unwrap();
        assert_eq!((both[1].0, &error["error"]["code"]), (400, &"bad_request".into()), "{bad:?}");
        let alone = raw(&app, bad.as_bytes());
        for header in ["x-request-id: ", "x-error-code: bad_request", "content-security-policy: ", "connection: close"]
        {
            assert!(alone.contains(header), "{header}: {alone}");
        }
    }
    let other = raw(&app, b"get /v1/models HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(other.contains("x-error-code: bad_request"), "{other}");
    let long = raw(&app, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(long.contains("HTTP/1.1 405 ") && long.contains("allow: GET, HEAD, POST"), "{long}");
    let elsewhere = raw(&app, b"GET https://b/v2/models/m HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(elsewhere.contains("{\"error\":\"misdirected_request: "), "{elsewhere}");
    let without_version = raw(&app, b"GET /v2\r\nHost: a\r\n\r\n");
    assert!(without_version.contains("{\"error\":\"bad_request: "), "{without_version}");
    let tensor = raw(&app, b"GET /v2/models/m HTTP/1.1\r\n\r\n");
    assert!(tensor.contains("{\"error\":\"bad_request: "), "{tensor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_head_and_no_body_is_waited_for_for_ever() {
    let app = patient("head_seconds = 1").await;
    let live = "GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n";
    for (sent, answered) in [
        // Half a head, at the beginning and behind another request.
        ("G".to_owned(), vec![408]),
        (format!("{live}\r\nG"), vec![200, 408]),
        // A body that nobody reads.
        (format!("{live}Transfer-Encoding: chunked\r\n\r\n"), vec![200]),
        (format!("{live}Content-Length: 10\r\n\r\n"), vec![200]),
        (String::new(), vec![]),
        (format!("{live}\r\n"), vec![200]),
    ] {
        let began = Instant::now();
        let mut stream = tls(&app);
        stream.sock.set_read_timeout(None).unwrap();
        let text = send(&mut stream, sent.as_bytes());
        let statuses: Vec<u16> =
            text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect();
        assert_eq!(statuses, answered, "{sent:?}: {text}");
        // Read to its end: the gateway closed it.
        assert!(began.elapsed().as_secs() < 20, "{sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_sending_after_a_refusal_is_left_all_the_same() {
    let app = patient("head_seconds = 1").await;
    let mut stream = tls(&app);
    stream.write_all(b"no request at all\r\n\r\n").unwrap();
    let began = Instant::now();
    // A byte now and then, for as long as somebody takes it.
    let mut is_left = false;
    while !is_left && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(200));
        is_left = stream.write_all(b"x").and_then(|()| stream.flush()).is_err();
    }
    assert!(is_left, "the connection is held for as long as its caller likes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_its_chunks_is_refused_as_a_body() {
    let app = patient("").await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        app.key().await
    );
    for body in
        ["1\r\n{\r\n0\r\nX: y\r\n\r\n", "1\r\n{\n0\r\n\r\n", "1;a=b\r\n{\r\n0\r\n\r\n", "0\r\n\nGET / HTTP/1.1\r\n"]
    {
        let text = raw(&app, [&head, body].concat().as_bytes());
        let answers = answers(&text, &["POST"]);
        assert_eq!(answers[0].0, 400, "{body:?}: {text}");
        assert!(answers[0].1.contains("body_incomplete"), "{text}");
    }
}

/// Reads until these bytes have come.
pub(crate) fn read_until(stream: &mut impl Read, end: &str) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with(end) && matches!(stream.read(&mut byte), Ok(1)) {
        text.push(byte[0].into());
    }
    text
}

/// What comes of so many chats whose answers nobody reads at first, and of one that asks whether its body is wanted and
/// does not wait to hear so.
fn long_answers_then_a_stream(app: &App, key: &str, before: usize) -> String {
    let path = "/v1/chat/completions";
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(&app.address.into()).unwrap();
    let mut stream = tls_over(app, socket.into());
    let long = chat("echo-chat", &"far and wide ".repeat(70)).to_string();
    let asked = request("POST", path, key, "", &long);
    stream.write_all(asked.repeat(before).as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut body = chat("echo-chat", "now");
    body["stream"] = serde_json::json!(true);
    let body = body.to_string();
    let more = format!("Expect: 100-continue\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    stream.write_all(request("POST", path, key, &more, "").as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_whether_a_body_is_wanted_hears_so_only_when_it_is() {
    let app = patient("[limits]\nmax_body_bytes = 1000").await;
    let key = app.key().await;
    let (expect, body) = ("Expect: 100-continue\r\n", chat("echo-chat", "wanted").to_string());
    let chat = "/v1/chat/completions";
    let (length, long) = (format!("Content-Length: {}\r\n", body.len()), "Content-Length: 1001\r\n");
    // What the head decides: one answer, and nothing before it.
    for (method, path, key, more, status) in [
        ("POST", chat, "nonsense", &length[..], 401),
        ("POST", chat, &key[..], long, 413),
        ("POST", "/v1/nothing", &key[..], &length[..], 404),
        ("GET", chat, &key[..], &length[..], 405),
        ("POST", chat, &key[..], &format!("{length}Content-Encoding: br\r\n"), 415),
        ("POST", chat, &key[..], &format!("{length}Upgrade: a\r\n"), 400),
    ] {
        let text = raw(&app, request(method, path, key, &format!("{expect}{more}"), "").as_bytes());
        assert_eq!(answers(&text, &[method])[0].0, status, "{text}");
    }
    // Twice on one connection, whatever the letters.
    let mut stream = tls(&app);
    for expect in [expect, "eXPECT:100-Continue\r\n"] {
        for framing in [&length[..], "Transfer-Encoding: chunked\r\n"] {
            stream.write_all(request("POST", chat, &key, &format!("{expect}{framing}"), "").as_bytes()).unwrap();
            assert_eq!(read_until(&mut stream, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
            match framing.contains("chunked") {
                true => write!(stream, "{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).unwrap(),
                false => stream.write_all(body.as_bytes()).unwrap(),
            }
            let head = read_until(&mut stream, "\r\n\r\n");
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let mut answer = vec![0; length.unwrap().parse().unwrap()];
            stream.read_exact(&mut answer).unwrap();
            assert!(String::from_utf8(answer).unwrap().contains("wanted"));
        }
    }
    drop(stream);
    // Who does not wait, has nothing to send, or does not know what 100 means, hears nothing of it.
    let both = [request("POST", chat, &key, expect, &body), request("GET", "/v1/models", &key, expect, "")].concat();
    let both = answers(&raw(&app, both.as_bytes()), &["POST", "GET"]);
    assert_eq!((both[0].0, both[1].0), (200, 200));
    let old = format!("POST {chat} HTTP/1.0\r\nAuthorization: Bearer {key}\r\n{length}{expect}\r\n");
    let old = raw(&app, format!("{old}{body}").as_bytes());
    assert_eq!(answers(&old, &["POST"])[0].0, 200, "{old}");
    // Who sends the body at once, behind a head that was read already, is not told in the middle of an answer.
    for before in 6..=12 {
        let text = long_answers_then_a_stream(&app, &key, before);
        let (_, stream) = text.rsplit_once("HTTP/1.1 200").unwrap();
        assert!(!stream.contains("100 Continue"), "{before}: {stream}");
        assert!(stream.ends_with("0\r\n\r\n"), "{before}: {stream}");
    }
    // Who hears it and is silent then is not waited for.
    let silent = patient("[limits]\nbody_seconds = 1").await;
    let asked = request("POST", chat, &silent.key().await, &format!("{expect}{length}"), "");
    let text = raw(&silent, asked.as_bytes());
    let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    assert_eq!(answers(text, &["POST"])[0].0, 408);
}
