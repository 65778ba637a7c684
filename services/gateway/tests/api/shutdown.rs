//! Stopping: what is under way may end, what does not is ended, and everybody is told.

use serde_json::json;
use testkit::{FakeServer, Say};

use crate::helpers::{self, App, answer, chat, chat_answer, chunk, events, header};

async fn streamed(app: &App, key: &str) -> reqwest::Response {
    let body = json!({"stream": true, "model": "fake", "messages": chat("fake", "hi")["messages"]});
    app.post("/v1/chat/completions", key).body(body.to_string()).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_does_not_end_is_ended_and_told() {
    let model = FakeServer::start(Say::StuckEvents(vec![chunk("so far. ")])).await;
    let app = helpers::fake(&model, "").await;
    let response = streamed(&app, &app.key().await).await;
    let id = header(&response, "x-request-id").to_owned();
    model.wait_asked(1).await;
    let stopping = tokio::task::spawn_blocking(move || app.stop());
    let text = response.text().await.unwrap();
    let last = events(&text).last().unwrap().clone();
    let error: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(error["error"]["code"], "shutting_down", "{text}");
    assert!(!text.contains("[DONE]"), "{text}");
    let data = stopping.await.unwrap();
    let records = audit::find(&data.path().join("audit"), &id).unwrap();
    let records: Vec<_> = records.iter().map(|record| serde_json::to_value(record).unwrap()).collect();
    assert_eq!((&records[1]["ended"], &records[1]["code"]), (&json!("failed"), &json!("shutting_down")), "{records:?}");
    model.wait_open(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_is_answered_or_ended_and_told() {
    let model = FakeServer::start(Say::Silence).await;
    let app = helpers::fake(&model, "").await;
    let asked = app.post("/v1/chat/completions", &app.key().await).body(chat("fake", "hi").to_string()).send();
    let asked = tokio::spawn(asked);
    model.wait_asked(1).await;
    let stopping = tokio::task::spawn_blocking(move || app.stop());
    let (status, body) = answer(asked.await.unwrap().unwrap()).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("shutting_down")));
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_in_time_ends_as_ever_and_nothing_new_begins() {
    let model = FakeServer::start(Say::json(&chat_answer("in time"))).await;
    let app = helpers::fake(&model, "").await;
    let key = app.key().await;
    assert_eq!(app.chat(&key, "fake", "hi").await.status(), 200);
    let (address, client) = (app.address, app.client.clone());
    tokio::task::spawn_blocking(move || app.stop()).await.unwrap();
    let after = client.get(format!("https://{address}/v1/models")).bearer_auth(&key).send().await;
    assert!(after.is_err_and(|error| error.is_connect() || error.is_request()));
}
