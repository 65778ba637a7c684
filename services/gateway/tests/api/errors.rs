//! Errors say what a caller needs and nothing of what is inside.

use testkit::{FakeServer, Say};

use crate::helpers::{self, answer, chat, chat_answer, header};

const LEAK: &str = "Traceback (most recent call last): File \"/srv/vllm/engine.py\" CUDA weights.safetensors";

#[tokio::test]
async fn failures_of_a_backend_are_classes() {
    let server = FakeServer::start(Say::Silence).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let answer_with =
        |status| Say::Answer(status, vec![("server", "vllm/0.9".into()), ("x-node", "gpu7".into())], LEAK.into());
    for (say, status, code) in [
        (answer_with(500), 502, "backend_failed"),
        (answer_with(401), 502, "backend_failed"),
        (answer_with(400), 400, "backend_refused"),
        (answer_with(404), 502, "backend_failed"),
        (answer_with(429), 503, "backend_unavailable"),
        (answer_with(503), 503, "backend_unavailable"),
        (answer_with(504), 504, "backend_timeout"),
        (answer_with(200), 502, "backend_failed"),
        (Say::json("{\"choices\":[]}"), 502, "backend_failed"),
        (Say::HangUp, 502, "backend_failed"),
    ] {
        server.always(say.clone());
        let response = app.chat(&key, "fake", "hi").await;
        let headers = format!("{:?}", response.headers());
        assert!(!headers.contains("vllm") && !headers.contains("gpu7"), "{headers}");
        let (got, body) = answer(response).await;
        assert_eq!((got, body["error"]["code"].as_str()), (status, Some(code)), "{say:?}");
        let text = body.to_string();
        assert!(!text.contains("Traceback") && !text.contains("srv") && !text.contains("inner"), "{text}");
    }
}

#[tokio::test]
async fn the_server_sees_its_own_key_and_name_and_not_the_callers() {
    let server = FakeServer::start(Say::json(&chat_answer("hi"))).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let response = app
        .post("/v1/chat/completions", &key)
        .header("x-forwarded-for", "1.2.3.4")
        .header("cookie", "a=b")
        .header("x-request-id", "callers-own")
        .body(chat("fake", "hi").to_string())
        .send()
        .await
        .unwrap();
    assert_ne!(header(&response, "x-request-id"), "callers-own");
    let (_, body) = answer(response).await;
    assert_eq!(body["model"], "fake");
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-01"), "{body}");
    let asked = server.asked().remove(0);
    assert_eq!(asked.line, "POST /v1/chat/completions");
    assert_eq!(asked.header("authorization"), Some("Bearer server-side-key"));
    assert!(asked.text().contains("\"model\":\"inner/model.gguf\""));
    let all = format!("{asked:?}");
    assert!(!all.contains(&key[5..21]) && !all.contains("1.2.3.4") && !all.contains("callers-own"), "{all}");
    assert_eq!((asked.header("cookie"), asked.header("user-agent")), (None, None));
}

#[tokio::test]
async fn every_answer_carries_the_same_careful_headers() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let refused = app.get("/nothing", &key).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), header(&refused, "x-error-code")), (404, "unknown_route"));
    let wrong_method = app.get("/v1/chat/completions", &key).send().await.unwrap();
    assert_eq!((wrong_method.status().as_u16(), header(&wrong_method, "x-error-code")), (405, "method_not_allowed"));
    let good = app.chat(&key, "echo-chat", "hi").await;
    let admin = app.admin_get("/livez", &key).send().await.unwrap();
    for response in [refused, wrong_method, good, admin] {
        assert!(header(&response, "strict-transport-security").starts_with("max-age=63072000"));
        assert_eq!(header(&response, "content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert!(!header(&response, "x-request-id").is_empty());
        assert_eq!(header(&response, "server"), "");
    }
}
