//! The heads of requests to Anthropic's Messages API, and its form of an error.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use testkit::{FakeServer, Say};

use crate::helpers::{self, App, answer, header};
use crate::quotas::echo_with;

const PATH: &str = "/v1/messages";

fn asked() -> String {
    let hello = json!([{"role": "user", "content": "hi"}]);
    json!({"model": "echo-chat", "max_tokens": 50, "messages": hello}).to_string()
}

/// A request without any key.
fn post(app: &App) -> RequestBuilder {
    app.client.post(format!("https://{}{PATH}", app.address)).header("content-type", "application/json").body(asked())
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_key_comes_in_one_of_two_headers() {
    let app = helpers::echo().await;
    let (key, other) = (app.key().await, app.key().await);
    assert_eq!(status(post(&app).header("x-api-key", &key)).await, 200);
    assert_eq!(status(post(&app).bearer_auth(&key)).await, 200);
    for name in ["x-api-key", "X-Api-Key"] {
        let both = post(&app).header(name, &key).bearer_auth(&other);
        assert_eq!(status(both).await, 400);
    }
    assert_eq!(status(post(&app).header("x-api-key", &key).header("x-api-key", &key)).await, 400);
    for key in [String::new(), format!("Bearer {key}"), "sk-ant-wrong".to_owned(), "a".repeat(8_192)] {
        let response = post(&app).header("x-api-key", &key).send().await.unwrap();
        assert_eq!(header(&response, "x-error-code"), "invalid_api_key", "{key}");
        assert_eq!(response.status(), 401, "{key}");
    }
    assert_eq!(status(post(&app)).await, 401);
    // On other routes it is not looked at.
    let url = format!("https://{}/v1/responses", app.address);
    assert_eq!(status(app.client.post(url).header("x-api-key", &key).body("{}")).await, 401);
}

#[tokio::test]
async fn a_key_and_what_a_caller_names_do_not_go_on() {
    let server = FakeServer::start(Say::json(r#"{"type":"message","content":[{"type":"text","text":"yes"}]}"#)).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let body = asked().replace("echo-chat", "fake");
    let request = post(&app)
        .header("x-api-key", &key)
        .header("anthropic-version", "2024-10-22")
        .header("anthropic-beta", "tools-2024-04-04,other_thing")
        .body(body);
    let response = request.send().await.unwrap();
    assert_eq!(header(&response, "request-id"), header(&response, "x-request-id"));
    let (status, body) = answer(response).await;
    assert_eq!((status, &body["content"][0]["text"]), (200, &json!("yes")));
    let sent = server.asked().remove(0);
    for name in ["x-api-key", "anthropic-beta"] {
        assert_eq!(sent.header(name), None);
    }
    assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(sent.header("authorization"), Some("Bearer server-side-key"));
    assert!(!sent.text().contains(&key));
}

#[tokio::test]
async fn versions_are_dates_and_features_are_words() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let with = |name: &'static str, value: String| post(&app).header("x-api-key", &key).header(name, value);
    assert_eq!(status(with("anthropic-version", "2023-06-01".to_owned())).await, 200);
    assert_eq!(status(with("anthropic-beta", "a-1, b_2".to_owned())).await, 200);
    assert_eq!(status(with("anthropic-beta", "a".repeat(1_024))).await, 200);
    for version in ["", "2023-06-011", "2023/06/01", "latest", "2023-06-0a"] {
        assert_eq!(status(with("anthropic-version", version.to_owned())).await, 400, "{version}");
    }
    assert_eq!(
        status(with("anthropic-version", "2023-06-01".into()).header("anthropic-version", "2023-06-01")).await,
        400
    );
    for features in ["a;b".to_owned(), "a".repeat(1_025), "{}".to_owned()] {
        assert_eq!(status(with("anthropic-beta", features)).await, 400);
    }
    let two = with("anthropic-beta", "a".repeat(600)).header("anthropic-beta", "a".repeat(600));
    assert_eq!(status(two).await, 400);
}

fn kind(body: &Value) -> (&str, &str) {
    assert_eq!(body["type"], "error", "{body}");
    (body["error"]["type"].as_str().unwrap(), body["error"]["code"].as_str().unwrap())
}

#[tokio::test]
async fn an_error_has_the_form_that_the_callers_library_knows() {
    let app = echo_with("[quotas.few]\nof = \"key\"\ncounts = \"requests\"\nlimit = \"3/day\"").await;
    let key = app.key().await;
    let (status, body) = app.ask(PATH, "sk-ant-wrong", &json!({})).await;
    assert_eq!((status, kind(&body)), (401, ("authentication_error", "invalid_api_key")));
    let response = app.post(PATH, &key).body(asked().replace("50", "0")).send().await.unwrap();
    let id = header(&response, "request-id").to_owned();
    let (status, body) = answer(response).await;
    assert_eq!((status, kind(&body)), (400, ("invalid_request_error", "out_of_range")));
    assert_eq!((&body["error"]["param"], &body["request_id"]), (&json!("/max_tokens"), &json!(id)));
    let (status, body) =
        app.ask(PATH, &key, &serde_json::from_str(&asked().replace("echo-chat", "none")).unwrap()).await;
    assert_eq!((status, kind(&body)), (404, ("not_found_error", "model_not_found")));
    let (status, body) = app.ask("/v1/messages/count_tokens", &key, &json!({})).await;
    assert_eq!((status, kind(&body)), (404, ("not_found_error", "unknown_route")));
    let mut last = None;
    for _ in 0..4 {
        last = Some(app.post(PATH, &key).body(asked()).send().await.unwrap());
    }
    let response = last.unwrap();
    assert!(header(&response, "retry-after").parse::<u64>().unwrap() > 0);
    let (status, body) = answer(response).await;
    assert_eq!((status, kind(&body).0), (429, "rate_limit_error"));
    let (_, body) = app.ask("/v1/messagesx", &key, &json!({})).await;
    assert_eq!(body.get("type"), None, "another path is another API");
}
