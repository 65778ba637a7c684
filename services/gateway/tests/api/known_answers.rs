//! Known failures of other servers and gateways, continued: answers, sizes, and tensors that hide something.

use serde_json::{Value, json};
use testkit::{FakeServer, Say};

use crate::edge::{raw, status};
use crate::helpers::{self, answer, chat, chat_answer, header};

const TENSOR: &str = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#;
const INFER: &str = "/v2/models/fake-tensor/infer";

/// An answer in the binary form.
fn packed(values: [f32; 2]) -> Say {
    let output = r#"{"name":"y","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}}"#;
    let json = format!(r#"{{"outputs":[{output}]}}"#);
    let headers = vec![
        ("content-type", "application/octet-stream".to_owned()),
        ("inference-header-content-length", json.len().to_string()),
    ];
    let mut body = json.into_bytes();
    body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Say::Answer(200, headers, body)
}

/// Report 50, pytorch/serve#1304, openvinotoolkit/model_server PR 4337: numbers in an answer that are none.
#[tokio::test]
async fn an_answer_with_nan_is_an_error_in_sound_json() {
    let server = FakeServer::start(Say::Silence).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let tensor: Value = serde_json::from_str(TENSOR).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for values in [[bad, 1.0], [1.0, bad]] {
            server.always(packed(values));
            let failed = "backend_failed: the model server failed";
            assert_eq!(app.ask(INFER, &key, &tensor).await, (502, json!({"error": failed})), "{values:?}");
        }
    }
    server.always(packed([1.0, 2.0]));
    let good = app.post(INFER, &key).body(TENSOR).send().await.unwrap();
    assert_eq!(good.status(), 200);
    assert!(good.bytes().await.unwrap().ends_with(&2.0_f32.to_le_bytes()));

    let embed = json!({"model": "fake", "input": "a"});
    let vector = |data: &str| {
        Say::json(&format!(r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":{data}}}]}}"#))
    };
    for data in ["[0.5,NaN]", "[Infinity,0.5]", "[0.5,1e999]", "[0.5,null]"] {
        server.always(vector(data));
        let (status, body) = app.ask("/v1/embeddings", &key, &embed).await;
        assert_eq!((status, body["error"]["code"].as_str()), (502, Some("backend_failed")), "{data}");
    }
    server.always(vector("[0.5,-0.25]"));
    let (status, body) = app.ask("/v1/embeddings", &key, &embed).await;
    assert_eq!((status, &body["data"][0]["embedding"]), (200, &json!([0.5, -0.25])));

    let spoken = chat_answer("hi").replace(
        "\"finish_reason\"",
        "\"logprobs\":{\"content\":[{\"token\":\"hi\",\"logprob\":NaN}]},\"finish_reason\"",
    );
    server.always(Say::json(&spoken));
    let (status, body) = app.ask("/v1/chat/completions", &key, &chat("fake", "hi")).await;
    assert_eq!((status, body["error"]["code"].as_str()), (502, Some("backend_failed")));
}

/// Beside 27: an answer has every output that the model gives, or that was asked for.
#[tokio::test]
async fn an_answer_that_lacks_an_output_is_not_passed_on() {
    let server = FakeServer::start(Say::Silence).await;
    let two = "[models.two]\nbackends = [\"fake-oip\"]\noperations = [\"infer\"]\n\
               inputs = [{ name = \"x\", dtype = \"FP32\", shape = [1] }]\n\
               outputs = [{ name = \"y\", dtype = \"FP32\", shape = [1] }, { name = \"z\", dtype = \"FP32\", shape = [1] }]";
    let app = helpers::fake(&server, two).await;
    let key = app.key().await;
    let output = |name: &str| json!({"name": name, "datatype": "FP32", "shape": [1], "data": [0.5]});
    let asked = |outputs: Value| {
        let mut body: Value = serde_json::from_str(TENSOR).unwrap();
        body["outputs"] = outputs;
        body
    };
    let (all, one) = (asked(Value::Null), asked(json!([{"name": "z"}])));
    let ask = async |said: Value, body: &Value| {
        server.always(Say::json(&json!({"outputs": said}).to_string()));
        app.ask("/v2/models/two/infer", &key, body).await.0
    };
    assert_eq!(ask(json!([output("y"), output("z")]), &all).await, 200);
    assert_eq!(ask(json!([output("z")]), &one).await, 200);
    assert_eq!(ask(json!([output("y")]), &one).await, 502, "nobody asked for it");
    assert_eq!(ask(json!([output("y"), output("y")]), &all).await, 502, "twice");
    assert_eq!(ask(json!([output("y")]), &all).await, 502, "z is missing");
    assert_eq!(ask(json!([]), &all).await, 502, "all are missing");
    assert_eq!(ask(json!([]), &one).await, 502, "what was asked for is missing");
}

/// Reports 43, 47 and 50: a tensor without dimensions whose data comes before its shape.
#[tokio::test]
async fn a_tensor_without_dimensions_hides_nothing() {
    let hidden = r#"{"name":"x","data":[[NaN,nonsense]],"shape":[],"datatype":"FP32"}"#;
    let server = FakeServer::start(Say::json(&format!(r#"{{"outputs":[{hidden}]}}"#))).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    let body = format!(r#"{{"inputs":[{hidden}]}}"#);
    let response = app.post(INFER, &key).body(body).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(server.asked().is_empty());
    let (status, body) = answer(app.post(INFER, &key).body(TENSOR).send().await.unwrap()).await;
    assert_eq!((status, body["error"].as_str()), (502, Some("backend_failed: the model server failed")));
}

/// Report 51, kserve/kserve#3377: a body of another version of the protocol gave a traceback.
#[tokio::test]
async fn a_body_of_another_protocol_is_refused_in_our_own_words() {
    let server = FakeServer::start(Say::json("{}")).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    for (path, body, expected) in [
        (INFER, r#"{"instances":[[1,2]]}"#, "unknown_field: field instances is not accepted here at /instances"),
        (INFER, "{}", "missing_field: field is required at /inputs"),
        (INFER, "[]", "wrong_type: expected an object"),
        (INFER, "", "empty_input: body is empty"),
        (INFER, "nonsense", "invalid_json: body is not valid JSON (line 1, column 1)"),
    ] {
        let told = answer(app.post(path, &key).body(body).send().await.unwrap()).await;
        assert_eq!(told, (400, json!({"error": expected})), "{body}");
    }
    assert!(server.asked().is_empty());
}

/// Report 52, envoyproxy/ai-gateway#827: honest prompts that were too long for a buffer.
#[tokio::test]
async fn long_prompts_pass_whole() {
    let server = FakeServer::start(Say::json(&chat_answer("hi"))).await;
    let app = helpers::fake(&server, "").await;
    let key = app.key().await;
    for length in [33 << 10, 1 << 20] {
        let text = "a long but honest text. ".repeat(length / 24 + 1);
        assert_eq!(app.chat(&key, "fake", &text).await.status(), 200, "{length}");
        let asked = server.asked().pop().unwrap();
        let seen: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(seen["messages"][0]["content"].as_str().unwrap().len(), text.len());
    }
}

/// Report 52, the other side: what is too long is refused before it is read, with a body that is JSON.
#[tokio::test(flavor = "multi_thread")]
async fn prompts_of_twenty_mebibytes_are_refused_unread() {
    let app = helpers::echo().await;
    let key = app.key().await;
    for path in ["/v1/chat/completions", "/v1/embeddings", "/v2/models/echo-tensor/infer"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{{",
            20 << 20
        );
        let said = raw(&app, request.as_bytes());
        assert_eq!(status(&said), "413", "{said}");
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.to_ascii_lowercase().contains("x-error-code: body_too_large"), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(body["error"].to_string().contains("the body exceeds maximum 8388608 bytes"), "{body}");
    }
}

/// Report 52, envoyproxy/ai-gateway#1662: answers with large vectors, and the bound on them.
#[tokio::test]
async fn answers_have_a_bound_that_is_set() {
    let vector = |count: usize| {
        let data = vec!["0.123456789"; count].join(",");
        Say::json(&format!(r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[{data}]}}]}}"#))
    };
    let server = FakeServer::start(vector(100_000)).await;
    let url = server.url();
    let small = format!(
        "[backends.small]\nkind = \"openai\"\nurl = \"{url}/v1\"\nmax_answer_bytes = 4096\n\
         [models.small]\nbackends = [\"small\"]\noperations = [\"embed\"]"
    );
    let app = helpers::fake(&server, &small).await;
    let key = app.key().await;
    let ask = async |model: &str| app.ask("/v1/embeddings", &key, &json!({"model": model, "input": "a"})).await;
    let (status, body) = ask("fake").await;
    assert_eq!((status, body["data"][0]["embedding"].as_array().map(Vec::len)), (200, Some(100_000)));
    let (status, body) = ask("small").await;
    assert_eq!((status, body["error"]["code"].as_str()), (502, Some("backend_failed")));
    server.always(vector(100));
    assert_eq!(ask("small").await.0, 200);
    let response = app.post("/v1/embeddings", &key).body(json!({"model": "small", "input": "a"}).to_string());
    assert_eq!(header(&response.send().await.unwrap(), "content-type"), "application/json");
}
