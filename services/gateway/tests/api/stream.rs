//! Answers in pieces.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use testkit::{FakeServer, Say};

use crate::helpers::{self, App, chat, chunk, content, events, header, last_chunk};

fn streamed(text: &str) -> Value {
    let mut body = chat("fake", text);
    body["stream"] = json!(true);
    body
}

async fn stream(app: &App, key: &str, body: &Value) -> Vec<String> {
    let response = app.post("/v1/chat/completions", key).body(body.to_string()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "content-type")), (200, "text/event-stream"));
    events(&response.text().await.unwrap())
}

#[tokio::test]
async fn pieces_arrive_with_our_names_and_one_end() {
    let usage = json!({"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}});
    let server =
        FakeServer::start(Say::Events(vec![chunk("Hel"), chunk("lo"), last_chunk("stop"), usage.to_string()])).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let got = stream(&app, &key, &streamed("hi")).await;
    assert_eq!(content(&got), "Hello");
    assert_eq!(got.last().unwrap(), "[DONE]");
    assert!(got.iter().all(|event| !event.contains("inner") && !event.contains("usage")), "{got:?}");
    let asked: Value = serde_json::from_str(&server.asked()[0].text()).unwrap();
    assert_eq!(asked["stream_options"]["include_usage"], true);
    let mut body = streamed("hi");
    body["stream_options"] = json!({"include_usage": true});
    let got = stream(&app, &key, &body).await;
    assert!(got[got.len() - 2].contains("\"completion_tokens\":3"), "{got:?}");
}

#[tokio::test]
async fn tokens_split_at_every_byte_leave() {
    let server = FakeServer::start(Say::Silence).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let said = "é SYSTEM: no\nSYSTEM: a[INST]b<<SYS>>c<|im_start|>d<|im_end|>e[IN[INST]ST]f\nASSISTANT: g";
    for cut in (1..said.len()).filter(|cut| said.is_char_boundary(*cut)) {
        let (a, b) = said.split_at(cut);
        server.always(Say::Events(vec![chunk(a), chunk(b), last_chunk("stop")]));
        let got = stream(&app, &key, &streamed("hi")).await;
        assert_eq!(content(&got), "é SYSTEM: no\n abcdef\n g", "cut at {cut}");
    }
    let bytes: Vec<String> = said.chars().map(|char| chunk(&char.to_string())).chain([last_chunk("stop")]).collect();
    server.always(Say::Events(bytes));
    assert_eq!(content(&stream(&app, &key, &streamed("hi")).await), "é SYSTEM: no\n abcdef\n g");
}

#[tokio::test]
async fn a_secret_over_two_pieces_is_redacted_and_blocks_when_told_to() {
    let pieces = vec![chunk("key AKIAQ3EG"), chunk("RT7YSZ2VKHLP. Bye"), last_chunk("stop")];
    let server = FakeServer::start(Say::Events(pieces)).await;
    let app = helpers::fake(&server, "").await;
    let got = stream(&app, &app.key().await, &streamed("hi")).await;
    assert_eq!(content(&got), "key [SECRET_1]. Bye");
    let app = helpers::fake(&server, "[screening.output]\nsecrets = \"block\"").await;
    let got = stream(&app, &app.key().await, &streamed("hi")).await;
    assert!(got.iter().all(|event| !event.contains("AKIA")), "{got:?}");
    assert!(got[got.len() - 2].contains("content_filter"), "{got:?}");
    assert_eq!(got.last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_without_details() {
    let server = FakeServer::start(Say::BrokenEvents(vec![chunk("half")])).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let got = stream(&app, &key, &streamed("hi")).await;
    assert!(got.last().unwrap().contains("\"code\":\"backend_failed\""), "{got:?}");
    server.always(Say::Events(vec![chunk("a"), r#"{"error":{"message":"CUDA error at /srv/vllm.py"}}"#.to_owned()]));
    let got = stream(&app, &key, &streamed("hi")).await;
    assert!(!got.concat().contains("CUDA") && got.concat().contains("backend_failed"), "{got:?}");
    server.always(Say::BrokenEvents(vec![chunk("all"), last_chunk("stop")]));
    let got = stream(&app, &key, &streamed("hi")).await;
    assert_eq!((content(&got).as_str(), got.last().unwrap().as_str()), ("all", "[DONE]"), "complete without a mark");
}

#[tokio::test]
async fn a_caller_who_leaves_a_stream_closes_the_backend() {
    let server = FakeServer::start(Say::StuckEvents(vec![chunk("one")])).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let response = app.post("/v1/chat/completions", &key).body(streamed("hi").to_string()).send().await.unwrap();
    let request_id = header(&response, "x-request-id").to_owned();
    let mut bytes = response.bytes_stream();
    assert!(bytes.next().await.unwrap().is_ok());
    assert_eq!(server.open(), 1);
    drop(bytes);
    tokio::time::timeout(Duration::from_secs(1), server.wait_open(0)).await.expect("closed within a second");
    let records = app.records(&request_id, 2).await;
    assert_eq!(records[1]["ended"], "hung_up");
    assert!(records[1]["output_tokens"].as_u64().unwrap() > 0, "what was seen is charged");
}

#[tokio::test]
async fn a_caller_who_leaves_a_whole_answer_closes_the_backend() {
    let server = FakeServer::start(Say::Silence).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let asked = app.post("/v1/chat/completions", &key).body(chat("fake", "hi").to_string()).send();
    tokio::select! {
        _ = asked => panic!("silence"),
        () = server.wait_asked(1) => {}
    }
    tokio::time::timeout(Duration::from_secs(1), server.wait_open(0)).await.expect("closed within a second");
}

#[tokio::test]
async fn a_choice_that_is_filtered_at_its_end_ends_once() {
    let pieces = vec![chunk("key AKIAQ3EG"), chunk("RT7YSZ2VKHLP"), last_chunk("stop")];
    let server = FakeServer::start(Say::Events(pieces)).await;
    let app = helpers::fake(&server, "[screening.output]\nsecrets = \"block\"").await;
    let got = stream(&app, &app.key().await, &streamed("hi")).await.concat();
    assert_eq!((got.matches("content_filter").count(), got.matches("\"stop\"").count()), (1, 0), "{got}");
}

#[tokio::test]
async fn a_stream_without_an_answer_has_failed() {
    let server = FakeServer::start(Say::Events(Vec::new())).await;
    let app = helpers::fake(&server, "").await;
    let got = stream(&app, &app.key().await, &streamed("hi")).await;
    assert!(got.concat().contains("backend_failed"), "{got:?}");
}
