//! The Open Inference Protocol.

use serde_json::{Value, json};

use crate::helpers::{self, App, answer, header};

async fn infer(app: &App, key: &str, data: &str, shape: &str) -> (u16, Value) {
    let body = format!(r#"{{"inputs":[{{"name":"input","shape":{shape},"datatype":"FP32","data":{data}}}]}}"#);
    answer(app.post("/v2/models/echo-tensor/infer", key).body(body).send().await.unwrap()).await
}

#[tokio::test]
async fn good_tensors_pass_and_bad_ones_are_named() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let (status, body) = infer(&app, &key, "[[5.1,3.5,1.4,0.2]]", "[1,4]").await;
    assert_eq!((status, body["outputs"][0]["shape"].clone()), (200, json!([1, 3])));
    assert_eq!(body["model_name"], "echo-tensor");
    for (data, shape, expected) in [
        ("[1,2,NaN,4]", "[1,4]", "non_finite: non-finite value at index 2 at /inputs/0/data"),
        ("[1,2,1e39,4]", "[1,4]", "non_finite: non-finite value at index 2 at /inputs/0/data"),
        ("[1,2,3,4]", "[4]", "wrong_rank: expected 2 dimensions, got 1 at /inputs/0/shape"),
        ("[1,2,3,4]", "[1,5]", "wrong_shape: expected 5 values, got 4 at /inputs/0/data"),
        ("[]", "[0,4]", "empty_input: input is empty at /inputs/0/shape"),
    ] {
        let (status, body) = infer(&app, &key, data, shape).await;
        assert_eq!((status, body["error"].as_str()), (400, Some(expected)));
    }
    let rows = vec!["[1,2,3,4]"; 1025].join(",");
    let (status, body) = infer(&app, &key, &format!("[{rows}]"), "[1025,4]").await;
    let expected = "input_too_long: input length 4100 exceeds maximum 4096 at /inputs/0/shape";
    assert_eq!((status, body["error"].as_str()), (400, Some(expected)));
}

#[tokio::test]
async fn binary_tensors_travel_both_ways() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let json = r#"{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}]}"#;
    let post = |values: [f32; 4]| {
        let mut body = json.as_bytes().to_vec();
        body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let url = format!("https://{}/v2/models/echo-tensor/versions/1/infer", app.address);
        let request = app.client.post(url).bearer_auth(&key).header("inference-header-content-length", json.len());
        request.body(body).send()
    };
    let response = post([5.1, 3.5, 1.4, 0.2]).await.unwrap();
    assert_eq!(response.status(), 200);
    let length: usize = header(&response, "inference-header-content-length").parse().unwrap();
    let body = response.bytes().await.unwrap();
    let head: Value = serde_json::from_slice(&body[..length]).unwrap();
    assert_eq!(head["outputs"][0]["parameters"]["binary_data_size"], 12);
    let sum: f32 = body[length..].chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    let (status, body) = answer(post([1.0, f32::NAN, 1.0, 1.0]).await.unwrap()).await;
    let expected = "non_finite: non-finite value at index 1 at /inputs/0/data";
    assert_eq!((status, body["error"].as_str()), (400, Some(expected)));
}

#[tokio::test]
async fn servers_and_models_describe_themselves() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let get = async |path: &str| answer(app.get(path, &key).send().await.unwrap()).await;
    assert_eq!(get("/v2").await.1["extensions"], json!(["binary_tensor_data"]));
    let (_, metadata) = get("/v2/models/echo-tensor").await;
    assert_eq!(metadata["inputs"], json!([{"name": "input", "datatype": "FP32", "shape": [-1, 4]}]));
    assert_eq!(metadata["outputs"][0]["name"], "probabilities");
    assert_eq!(get("/v2/models/echo-tensor/versions/7").await.1["versions"], json!(["7"]));
    assert_eq!(get("/v2/models/echo-tensor/ready").await.0, 200);
    assert_eq!(get("/v2/models/echo-tensor/versions/1/ready").await.0, 200);
    for path in ["/v2/health/live", "/v2/health/ready"] {
        assert_eq!(app.client.get(format!("https://{}{path}", app.address)).send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn embeddings_have_both_encodings() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let ask = async |format: &str| {
        let body = json!({"model": "echo-embed", "input": ["a", "b"], "encoding_format": format});
        app.ask("/v1/embeddings", &key, &body).await.1
    };
    assert_eq!(ask("float").await["data"][1]["embedding"].as_array().unwrap().len(), 64);
    assert!(ask("base64").await["data"][0]["embedding"].is_string());
}

#[tokio::test]
async fn asking_whether_a_model_is_ready_costs_a_request_and_says_when_to_come_back() {
    let app = helpers::echo().await;
    let limits = keys::KeyLimits { requests: Some("2/day".parse().unwrap()), ..keys::KeyLimits::default() };
    let key = app.key_with(&["*"], limits).await;
    let ask = || app.get("/v2/models/echo-tensor/ready", &key).send();
    for _ in 0..2 {
        assert_eq!(ask().await.unwrap().status(), 200);
    }
    let refused = ask().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(header(&refused, "retry-after").parse::<u64>().unwrap() > 0);
}
