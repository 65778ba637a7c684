//! Backends against real sockets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "this is the seam under test")]

use std::time::Duration;

use backend::*;
use bytes::Bytes;
use core_validate::{Head, InferenceRequest, Operation, Validator};
use futures_util::StreamExt as _;
use testkit::{FakeServer, Say};

fn request(operation: Operation, body: &str) -> InferenceRequest {
    let head = Head { model: Some("m".parse().unwrap()), ..Head::default() };
    Validator::default().parse(operation, &head, &Bytes::from(body.to_owned())).unwrap()
}

fn chat() -> InferenceRequest {
    request(Operation::Chat, r#"{"model":"m","messages":[{"role":"user","content":"a b"}]}"#)
}

fn streamed() -> InferenceRequest {
    request(
        Operation::Chat,
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"a b"}]}"#,
    )
}

fn endpoint(server: &FakeServer, timeouts: Timeouts) -> Endpoint {
    Endpoint::new(&server.url(), Some("server-key".to_owned().into()), timeouts).unwrap()
}

async fn error(say: Say) -> BackendError {
    let server = FakeServer::start(say).await;
    let mut timeouts = Timeouts::default();
    timeouts.answer = Duration::from_millis(200);
    timeouts.max_bytes = 1_000;
    match OpenAiBackend::new(endpoint(&server, timeouts)).infer(&chat(), "r").await {
        Ok(_) => panic!("an error"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn an_openai_server_is_asked_with_its_own_key() {
    let server = FakeServer::start(Say::json("{}")).await;
    let backend = OpenAiBackend::new(endpoint(&server, Timeouts::default()));
    let InferenceResponse::Full(_, body) = backend.infer(&chat(), "req-1").await.unwrap() else { panic!("whole") };
    assert_eq!(body, "{}");
    let asked = server.asked().remove(0);
    assert_eq!(asked.line, "POST /chat/completions");
    assert_eq!(asked.header("authorization"), Some("Bearer server-key"));
    assert_eq!(asked.header("x-request-id"), Some("req-1"));
    assert_eq!(asked.text(), r#"{"model":"m","messages":[{"role":"user","content":"a b"}]}"#);
}

#[tokio::test]
async fn errors_say_what_failed_and_whether_to_retry() {
    assert_eq!(error(Say::status(500, "CUDA out of memory at /srv/model")).await, BackendError::Failed { status: 500 });
    assert!(error(Say::status(503, "")).await.is_retryable());
    assert_eq!(error(Say::status(400, "")).await, BackendError::Refused);
    assert_eq!(error(Say::status(401, "")).await, BackendError::Failed { status: 401 });
    let busy = Say::Answer(429, vec![("retry-after", "7".to_owned())], Vec::new());
    assert_eq!(error(busy).await, BackendError::Overloaded { retry_after: Some(Duration::from_secs(7)) });
    let moved = Say::Answer(302, vec![("location", "http://169.254.169.254/".to_owned())], Vec::new());
    assert_eq!(error(moved).await, BackendError::Failed { status: 302 });
    assert_eq!(error(Say::Silence).await, BackendError::TimedOut);
    assert_eq!(error(Say::HangUp).await, BackendError::Dropped);
    assert_eq!(error(Say::json(&"x".repeat(2_000))).await, BackendError::TooLarge);
    assert!(!BackendError::TimedOut.is_retryable());
    let nobody = OpenAiBackend::new(Endpoint::new("http://127.0.0.1:1/v1", None, Timeouts::default()).unwrap());
    assert!(matches!(nobody.infer(&chat(), "r").await, Err(BackendError::Unreachable)));
}

#[tokio::test]
async fn streams_end_at_their_mark_or_with_an_error() {
    let server = FakeServer::start(Say::Events(vec!["1".into(), "2".into()])).await;
    let backend = OpenAiBackend::new(endpoint(&server, Timeouts::default()));
    let InferenceResponse::Stream(events) = backend.infer(&streamed(), "r").await.unwrap() else { panic!("stream") };
    assert_eq!(events.collect::<Vec<_>>().await, [Ok(Bytes::from("1")), Ok(Bytes::from("2"))]);
    server.always(Say::BrokenEvents(vec!["1".into()]));
    let InferenceResponse::Stream(events) = backend.infer(&streamed(), "r").await.unwrap() else { panic!("stream") };
    assert_eq!(events.collect::<Vec<_>>().await, [Ok(Bytes::from("1")), Err(BackendError::BrokeOff)]);
    server.always(Say::json("{}"));
    assert!(matches!(backend.infer(&streamed(), "r").await, Err(BackendError::Protocol)));
}

#[tokio::test]
async fn leaving_closes_the_connection() {
    let server = FakeServer::start(Say::StuckEvents(vec!["1".into()])).await;
    let backend = OpenAiBackend::new(endpoint(&server, Timeouts::default()));
    let InferenceResponse::Stream(mut events) = backend.infer(&streamed(), "r").await.unwrap() else {
        panic!("stream")
    };
    assert!(events.next().await.is_some());
    assert_eq!(server.open(), 1);
    drop(events);
    server.wait_open(0).await;
    server.always(Say::Silence);
    let request = chat();
    let waiting = backend.infer(&request, "r");
    tokio::select! {
        _ = waiting => panic!("silence"),
        () = server.wait_asked(2) => {}
    }
    server.wait_open(0).await;
}

#[tokio::test]
async fn tensors_travel_in_both_forms() {
    let mut answer = br#"{"outputs":[]}"#.to_vec();
    let length = answer.len().to_string();
    answer.extend_from_slice(&[1, 2]);
    let server = FakeServer::start(Say::Answer(200, vec![("inference-header-content-length", length)], answer)).await;
    let backend = OipBackend::new(endpoint(&server, Timeouts::default()));
    let json = request(Operation::Infer, r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1.5]}]}"#);
    let InferenceResponse::Full(head, _) = backend.infer(&json, "r").await.unwrap() else { panic!("whole") };
    assert_eq!(head.tensor_header_length, Some(14));
    assert_eq!(server.asked()[0].line, "POST /v2/models/m/infer");
    server.always(Say::json(r#"{"name":"m","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}]}"#));
    let described = backend.describe(&"m".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(described.inputs[0].shape, [-1]);
    assert!(backend.ready(&"m".parse().unwrap()).await.is_ok());
    server.always(Say::status(503, ""));
    assert!(backend.ready(&"m".parse().unwrap()).await.is_err());
}

#[tokio::test]
async fn the_echo_model_answers_every_operation() {
    let echo = EchoBackend::new();
    let whole = async |request: &InferenceRequest| match echo.infer(request, "r").await.unwrap() {
        InferenceResponse::Full(head, body) => Validator::default().parse_answer(request, &head, &body).unwrap(),
        InferenceResponse::Stream(_) => panic!("whole"),
    };
    let answer = whole(&chat()).await;
    assert!(String::from_utf8_lossy(&answer.to_body().bytes).contains("You said: a b"));
    assert_eq!(answer.usage().map(|usage| (usage.input_tokens, usage.output_tokens)), Some((2, 4)));
    let embed = request(Operation::Embed, r#"{"model":"m","input":["a","b"],"encoding_format":"float"}"#);
    assert!(String::from_utf8_lossy(&whole(&embed).await.to_body().bytes).contains(r#""index":1"#));
    let tensor =
        request(Operation::Infer, r#"{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[5,3,1,0]}]}"#);
    assert!(String::from_utf8_lossy(&whole(&tensor).await.to_body().bytes).contains(r#""shape":[1,3]"#));
    let InferenceResponse::Stream(events) = echo.infer(&streamed(), "r").await.unwrap() else { panic!("stream") };
    let events: Vec<_> = events.map(|event| Validator::default().parse_chunk(&event.unwrap()).unwrap()).collect().await;
    let mut said = String::new();
    for mut event in events.clone() {
        event.map_texts(|slot, text| {
            if matches!(slot, core_validate::Slot::Content(_)) {
                said.push_str(text);
            }
        });
    }
    assert_eq!(said, "You said: a b");
    assert_eq!(events.last().unwrap().usage().unwrap().output_tokens, 4);
}

#[test]
fn addresses_are_checked() {
    for url in ["", "ftp://a", "http://", "127.0.0.1:80", "http://a/?b=c", "unix:/x"] {
        assert!(Endpoint::new(url, None, Timeouts::default()).is_err(), "{url}");
    }
    assert!(Endpoint::new("http://a", Some("new\nline".to_owned().into()), Timeouts::default()).is_err());
}
