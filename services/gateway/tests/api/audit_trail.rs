//! What is on record.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{FakeServer, Say};

use crate::helpers::{self, answer, chat, chat_answer, header};

#[tokio::test]
async fn a_request_has_an_intent_before_the_server_sees_it_and_an_outcome_after() {
    let server = FakeServer::start(Say::Silence).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let asked =
        tokio::spawn(app.post("/v1/chat/completions", &key).body(chat("fake", "hello there").to_string()).send());
    server.wait_asked(1).await;
    let request_id = server.asked()[0].header("x-request-id").unwrap().to_owned();
    let intent = app.records(&request_id, 1).await.remove(0);
    assert_eq!((intent["record"].as_str(), intent["model"].as_str()), (Some("intent"), Some("fake")));
    assert_eq!(intent["input"][0]["text"], "hello there");
    assert_eq!(intent["who"]["key_id"], json!(&key[..21]));
    asked.abort();
    let outcome = app.records(&request_id, 2).await.remove(1);
    assert_eq!((outcome["record"].as_str(), outcome["ended"].as_str()), (Some("outcome"), Some("hung_up")));
}

#[tokio::test]
async fn inputs_are_redacted_bounded_and_can_be_left_out() {
    let server = FakeServer::start(Say::json(&chat_answer("fine"))).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let text = format!("key AKIAQ3EGRT7YSZ2VKHLP \u{202e}\0{}", "é".repeat(3_000));
    let response = app.chat(&key, "fake", &text).await;
    let request_id = header(&response, "x-request-id").to_owned();
    let records = app.records(&request_id, 2).await;
    let kept = records[0]["input"][0]["text"].as_str().unwrap();
    assert!(kept.starts_with("key [redacted] \\u{202e}\\u{0}é") && kept.len() <= 2_048, "{kept}");
    assert_eq!(records[0]["input"][0]["cut"], true);
    assert_eq!((records[1]["status"].as_u64(), records[1]["output_tokens"].as_u64()), (Some(200), Some(5)));
    assert!(!records[0]["input_digest"].as_str().unwrap().is_empty());

    let app = helpers::fake(&server, "[audit]\ntext = \"digest\"").await;
    let response = app.chat(&app.key().await, "fake", "hello there").await;
    let request_id = header(&response, "x-request-id").to_owned();
    let records = app.records(&request_id, 2).await;
    assert!(!json!(records).to_string().contains("hello there"));
    assert_eq!(records[0]["input"][0]["bytes"], 11);
}

#[tokio::test]
async fn tensors_are_described_and_refusals_recorded() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let tensor =
        |data: Value| json!({"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": data}]});
    let post = |data| app.post("/v2/models/echo-tensor/infer", &key).body(tensor(data).to_string()).send();
    let response = post(json!([1, 2, 3, -4.5])).await.unwrap();
    let intent = app.records(header(&response, "x-request-id"), 2).await.remove(0);
    let input = &intent["input"][0];
    assert_eq!((input["min"].as_f64(), input["max"].as_f64()), (Some(-4.5), Some(3.0)));
    assert_eq!((input["shape"].clone(), input["dtype"].as_str()), (json!([1, 4]), Some("FP32")));
    let response = post(json!([1, 2, 3])).await.unwrap();
    let refusal = app.records(header(&response, "x-request-id"), 1).await.remove(0);
    assert_eq!((refusal["step"].as_str(), refusal["code"].as_str()), (Some("read"), Some("wrong_shape")));
    let response = app.chat("nonsense", "m", "hi").await;
    let refusal = app.records(header(&response, "x-request-id"), 1).await.remove(0);
    assert_eq!((refusal["status"].as_u64(), refusal["detail"].as_str()), (Some(401), Some("malformed")));
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_not_written() {
    let app = helpers::echo().await;
    let asked = (0..200).map(|_| app.get("/nothing", "x").send());
    for response in futures_util::future::join_all(asked).await {
        assert_eq!(response.unwrap().status(), 404);
    }
    let data = app.stop();
    let trail = std::fs::read_dir(data.path().join("audit")).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|end| end == "jsonl").then(|| std::fs::read_to_string(path).unwrap())
    });
    let (mut in_full, mut similar) = (0, 0);
    for line in trail.collect::<String>().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        if record["code"] == "unknown_route" {
            in_full += u64::from(record["request_id"] != "");
            similar += record["similar"].as_u64().unwrap();
        }
    }
    assert_eq!(in_full + similar, 200);
    assert!(in_full < 100, "{in_full}");
}

#[cfg(unix)]
#[tokio::test]
async fn without_a_trail_nothing_is_asked_and_the_gateway_is_not_ready() {
    let server = FakeServer::start(Say::json(&chat_answer("hi"))).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    assert_eq!(app.chat(&key, "fake", "hi").await.status(), 200);
    assert_eq!(app.admin_get("/readyz", "").send().await.unwrap().status(), 200);
    std::fs::remove_dir_all(app.data().join("audit")).unwrap();
    let response = app.chat(&key, "fake", "hi").await;
    let (status, body) = answer(response).await;
    assert_eq!((status, body["error"]["code"].as_str()), (503, Some("audit_unavailable")));
    assert_eq!(server.asked().len(), 1, "the server was not asked again");
    assert_eq!(app.admin_get("/readyz", "").send().await.unwrap().status(), 503);
    assert_eq!(app.admin_get("/livez", "").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_trail_of_a_stopped_gateway_verifies_and_goes_on() {
    let app = helpers::echo().await;
    let key = app.key().await;
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    let data = app.stop();
    let signing = audit::SigningKey::load_or_create(&data.path().join("audit-key")).unwrap();
    let before = audit::verify(&data.path().join("audit"), &signing.verifying_key()).unwrap();
    assert_eq!((before.records, before.unsigned), (2, 0));
    let app = helpers::spawn_in(data, gateway::config::LOCAL).await;
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200, "keys outlive a restart");
    tokio::time::timeout(Duration::from_secs(5), async {
        while audit::verify(&app.data().join("audit"), &signing.verifying_key()).unwrap().records < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("two more records");
}

#[tokio::test]
async fn a_key_in_the_place_of_a_model_is_not_kept() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let response = app.chat(&key, &key, "hi").await;
    assert_eq!(response.status(), 404);
    let records = json!(app.records(header(&response, "x-request-id"), 1).await).to_string();
    assert!(!records.contains(&key[22..]), "{records}");
}
