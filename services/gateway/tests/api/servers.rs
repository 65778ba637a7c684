//! Model servers that are away, come back, or only stand in for others.

use serde_json::{Value, json};
use testkit::{FakeServer, Say};

use crate::helpers::{self, App, answer, chat, chat_answer, chunk, events, last_chunk};

/// A model on these servers, in this order.
async fn on(servers: &[&FakeServer], more: &str) -> App {
    let mut text = String::new();
    for (at, server) in servers.iter().enumerate() {
        text += &format!("[backends.s{at}]\nkind = \"openai\"\nurl = \"{}\"\n", server.url());
    }
    let names: Vec<String> = (0..servers.len()).map(|at| format!("\"s{at}\"")).collect();
    text += &format!("[models.m]\nbackends = [{}]\noperations = [\"chat\"]\n{more}", names.join(", "));
    helpers::spawn(&text).await
}

/// A port on which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_server_that_fails_at_once_does_not_draw_all_requests() {
    let (broken, good) =
        (FakeServer::start(Say::status(500, "x")).await, FakeServer::start(Say::json(&chat_answer("hi"))).await);
    let app = on(&[&broken, &good], "").await;
    let key = app.key().await;
    let mut failed = 0;
    for _ in 0..30 {
        failed += usize::from(app.chat(&key, "m", "hi").await.status() != 200);
    }
    assert!(failed <= 5, "{failed} of 30 failed");
    assert!(good.asked().len() >= 25);
}

#[tokio::test]
async fn a_server_that_is_down_is_left_alone_and_tried_again() {
    let server = FakeServer::start(Say::status(502, "x")).await;
    let app = on(&[&server], "").await;
    let key = app.key().await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let response = app.chat(&key, "m", "hi").await;
        let wait = response.headers().get("retry-after").is_some();
        statuses.push((response.status().as_u16(), wait));
    }
    assert_eq!(statuses[..5], [(502, false); 5]);
    assert_eq!(statuses[5..], [(503, true); 3], "it is not asked for a while");
    let asked = |server: &FakeServer| server.asked().iter().filter(|asked| asked.line.starts_with("POST")).count();
    assert_eq!(asked(&server), 5);
    let metrics = app.admin_get("/metrics", &app.admin_key().await).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("portcullis_backend_left_alone{backend=\"s0\"} 1"), "{metrics}");
    server.always(Say::json(&chat_answer("back")));
    // It is tried again after a second; nothing tells when.
    let mut status = 503;
    for _ in 0..300 {
        status = app.chat(&key, "m", "hi").await.status().as_u16();
        if status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(status, 200);
}

/// What one caller asks does not take a server from others.
#[tokio::test]
async fn a_server_that_fails_at_some_requests_is_not_left_alone() {
    let server = FakeServer::start(Say::status(500, "x")).await;
    let app = on(&[&server], "").await;
    let key = app.key().await;
    for _ in 0..8 {
        assert_eq!(app.chat(&key, "m", "poison").await.status(), 502);
    }
    server.always(Say::json(&chat_answer("hi")));
    assert_eq!(app.chat(&key, "m", "hi").await.status(), 200);
}

#[tokio::test]
async fn others_stand_in_under_another_name_when_none_can_be_reached() {
    let fallback = FakeServer::start(Say::json(&chat_answer("instead"))).await;
    let (one, two) = (nobody(), nobody());
    let app = helpers::spawn(&format!(
        "[backends.a]\nkind = \"openai\"\nurl = \"{one}\"\n[backends.b]\nkind = \"openai\"\nurl = \"{two}\"\n\
         [backends.c]\nkind = \"openai\"\nurl = \"{}\"\n[models.m]\nbackends = [\"a\", \"b\"]\noperations = [\"chat\"]\n\
         fallbacks = [{{ backends = [\"c\"], backend_model = \"smaller\" }}]",
        fallback.url()
    ))
    .await;
    let (status, body) = answer(app.chat(&app.key().await, "m", "hi").await).await;
    assert_eq!((status, &body["model"]), (200, &json!("m")), "{body}");
    let sent: Value = serde_json::from_slice(&fallback.asked()[0].body).unwrap();
    assert_eq!(sent["model"], "smaller");
    let settings = "[backends.a]\nkind = \"echo\"\n[models.m]\nbackends = []\noperations = [\"chat\"]\nfallbacks = [{ backends = [\"b\"] }]";
    let settings = gateway::config::Settings::parse(settings).unwrap();
    let refused = gateway::Gateway::bind(settings, None).await.err().unwrap().to_string();
    assert!(refused.starts_with("models.m.fallbacks[0].backends: there is no backend b"), "{refused}");
}

#[tokio::test]
async fn no_server_is_on_the_link_or_at_metadata() {
    for url in ["http://169.254.169.254/latest", "http://[fe80::1]:8000", "http://0.0.0.0:8000", "http://2852039166/"] {
        let settings = format!("[backends.a]\nkind = \"openai\"\nurl = \"{url}\"");
        let settings = gateway::config::Settings::parse(&settings).unwrap();
        let refused = gateway::Gateway::bind(settings, None).await.err().unwrap().to_string();
        assert!(refused.starts_with("backends.a.url: no model server is on the link"), "{url}: {refused}");
    }
}

async fn streamed(app: &App, key: &str) -> Vec<String> {
    let body = json!({"stream": true, "model": "m", "messages": chat("m", "hi")["messages"]});
    let response = app.post("/v1/chat/completions", key).body(body.to_string()).send().await.unwrap();
    events(&response.text().await.unwrap())
}

#[tokio::test]
async fn a_stream_ends_when_all_is_said_and_not_before() {
    let server = FakeServer::start(Say::Silence).await;
    let app = on(&[&server], "").await;
    let key = app.key().await;
    // Some servers write an empty reason while there is more to come.
    let open = chunk("hel").replace("\"finish_reason\":null", "\"finish_reason\":\"\"");
    server.then(Say::Events(vec![open, chunk("lo"), last_chunk("stop")]));
    let heard = streamed(&app, &key).await;
    assert_eq!((helpers::content(&heard).as_str(), heard.last().unwrap().as_str()), ("hello", "[DONE]"));
    // The end mark without an end, an error that looks like a piece, and a server that stays after the end.
    for (say, is_whole) in [
        (Say::Events(vec![chunk("hello")]), false),
        (Say::Events(vec![chunk("hello"), json!({"object": "error", "message": "/srv/x"}).to_string()]), false),
        (Say::Events(vec![chunk("hello"), json!({"detail": "/srv/x"}).to_string()]), false),
        (Say::StuckEvents(vec![chunk("hello"), last_chunk("stop")]), true),
        (Say::Events(vec![chunk("hello"), last_chunk("stop"), "junk".to_owned()]), true),
    ] {
        server.then(say.clone());
        let heard = streamed(&app, &key).await;
        let last = heard.last().unwrap();
        assert_eq!(last == "[DONE]", is_whole, "{say:?}: {heard:?}");
        assert!(is_whole || last.contains("backend_failed"), "{heard:?}");
        assert!(!heard.concat().contains("srv"));
    }
}

#[tokio::test]
async fn a_stream_that_says_too_much_ends_as_too_long() {
    let server = FakeServer::start(Say::StuckEvents(vec![chunk(&"word ".repeat(30_000)); 3])).await;
    let app = on(&[&server], "[screening.output]\nmax_bytes = 100000").await;
    let heard = streamed(&app, &app.key().await).await;
    assert_eq!(heard.last().unwrap(), "[DONE]");
    let end: Value = serde_json::from_str(&heard[heard.len() - 2]).unwrap();
    assert_eq!(end["choices"][0]["finish_reason"], "length", "{end}");
    assert!(helpers::content(&heard).len() <= 100_000);
    server.wait_open(0).await;
}
