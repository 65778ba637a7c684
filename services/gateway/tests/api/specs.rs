//! Tensors of a model: from the settings, or learnt from its servers; requests and answers are held to them.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{FakeServer, Say};

use crate::helpers::{self, App};

fn infer(name: &str, dtype: &str, shape: &[u64], data: Value) -> Value {
    json!({"inputs": [{"name": name, "datatype": dtype, "shape": shape, "data": data}]})
}

async fn refused(app: &App, key: &str, model: &str, body: &Value) -> (u16, String) {
    let (status, body) = app.ask(&format!("/v2/models/{model}/infer"), key, body).await;
    (status, body["error"].as_str().unwrap_or_default().to_owned())
}

/// The scripted server's address is needed before the gateway starts.
async fn gateway(server: &FakeServer, model: &str) -> App {
    let url = server.url();
    helpers::spawn(&format!(
        "[backends.t]\nkind = \"oip\"\nurl = \"{url}\"\n[models.m]\nbackends = [\"t\"]\noperations = [\"infer\"]\n{model}"
    ))
    .await
}

#[tokio::test]
async fn what_the_settings_do_not_say_is_learnt_from_the_server() {
    let described = json!({
        "name": "m", "platform": "p",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}, {"name": "mask", "datatype": "BOOL", "shape": [-1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
    });
    let server = FakeServer::start(Say::json(&described.to_string())).await;
    let app = gateway(&server, "optional_inputs = [\"mask\"]").await;
    let key = app.key().await;
    let wrong = infer("x", "INT32", &[1, 2], json!([1, 2]));
    // Until it is learnt, what the scripted server says to a request is no answer: 502.
    let learnt = async {
        while refused(&app, &key, "m", &wrong).await.0 != 400 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), learnt).await.expect("learnt soon after the start");
    let (status, error) = refused(&app, &key, "m", &wrong).await;
    assert_eq!(
        (status, error.as_str()),
        (400, "wrong_dtype: expected data type FP32, got INT32 at /inputs/0/datatype")
    );
    for (body, expected) in [
        (infer("z", "FP32", &[1, 2], json!([1, 2])), "unknown_field: the model has no such input at /inputs/0/name"),
        (infer("x", "FP32", &[2], json!([1, 2])), "wrong_rank: expected 2 dimensions, got 1 at /inputs/0/shape"),
        (
            infer("x", "FP32", &[1, 3], json!([1, 2, 3])),
            "wrong_shape: expected size 2 in dimension 1, got 3 at /inputs/0/shape",
        ),
        (infer("mask", "BOOL", &[1], json!([true])), "missing_field: input x is required at /inputs"),
    ] {
        assert_eq!(refused(&app, &key, "m", &body).await, (400, expected.to_owned()));
    }
    let mut other = infer("x", "FP32", &[1, 2], json!([1, 2]));
    other["outputs"] = json!([{"name": "other"}]);
    let expected = "unknown_field: the model has no such output at /outputs/0/name";
    assert_eq!(refused(&app, &key, "m", &other).await, (400, expected.to_owned()));
    // Of another version nothing is known; a model that is not there is said to be before anything else.
    assert_eq!(refused(&app, &key, "m/versions/2", &wrong).await.0, 502);
    let unknown = json!({"model": "none", "messages": [], "guided_json": {}});
    assert_eq!(app.ask("/v1/chat/completions", &key, &unknown).await.0, 404);
    // `mask` may be absent. The scripted server goes on describing, which is no answer.
    assert_eq!(refused(&app, &key, "m", &infer("x", "FP32", &[1, 2], json!([1, 2]))).await.0, 502);
}

#[tokio::test]
async fn an_answer_that_is_not_the_models_is_not_passed_on() {
    let answer = |name: &str, dtype: &str, shape: Value, data: &str| {
        format!(r#"{{"outputs":[{{"name":"{name}","datatype":"{dtype}","shape":{shape},"data":{data}}}]}}"#)
    };
    let server = FakeServer::start(Say::json(&answer("y", "FP32", json!([2]), "[0.25, 0.75]"))).await;
    let described = "inputs = [{ name = \"x\", dtype = \"FP32\", shape = [2] }]\n\
                     outputs = [{ name = \"y\", dtype = \"FP32\", shape = [-1], min = 0.0, max = 1.0 }]";
    let app = gateway(&server, described).await;
    let key = app.key().await;
    let body = infer("x", "FP32", &[2], json!([1, 2]));
    assert_eq!(refused(&app, &key, "m", &body).await.0, 200);
    server.always(Say::json(&answer("y", "FP32", json!([0]), "[]")));
    assert_eq!(refused(&app, &key, "m", &body).await.0, 200, "nothing was found");
    for bad in [
        answer("y", "FP32", json!([2]), "[0.25, NaN]"),
        answer("y", "FP32", json!([2]), "[0.25, 1e39]"),
        answer("y", "FP32", json!([3]), "[0.25, 0.5]"),
        answer("y", "FP32", json!([1, 2]), "[0.25, 0.5]"),
        answer("y", "FP32", json!([2]), "[0.25, 1.5]"),
        answer("y", "INT32", json!([2]), "[0, 1]"),
        answer("z", "FP32", json!([1]), "[0]"),
        answer("y", "FP32", json!([1]), "[0]") + "trailing",
        r#"{"outputs": 5}"#.to_owned(),
        "Traceback (most recent call last)".to_owned(),
    ] {
        server.always(Say::json(&bad));
        let (status, error) = refused(&app, &key, "m", &body).await;
        assert_eq!(status, 502, "{bad}");
        assert!(error.starts_with("backend_failed") && !error.contains("Traceback"), "{error}");
    }
}

#[tokio::test]
async fn values_are_held_to_what_the_settings_say() {
    let server = FakeServer::start(Say::status(500, "never asked")).await;
    let tensors = "inputs = [{ name = \"x\", dtype = \"FP32\", shape = [-1, 2], normalised = 0.001 }, \
                   { name = \"class\", dtype = \"INT64\", shape = [1], allowed = [1.0, 2.0] }, \
                   { name = \"word\", dtype = \"BYTES\", shape = [1], texts = [\"yes\", \"no\"] }]\n\
                   max_elements = 8";
    let app = gateway(&server, tensors).await;
    let key = app.key().await;
    let body = |row: [f64; 2], class: i64, word: &str| {
        json!({"inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": row},
            {"name": "class", "datatype": "INT64", "shape": [1], "data": [class]},
            {"name": "word", "datatype": "BYTES", "shape": [1], "data": [word]},
        ]})
    };
    for (body, expected) in [
        (body([0.6, 0.9], 1, "yes"), "out_of_range: row 0 is not normalised: its length is not 1 at /inputs/0/data"),
        (body([0.6, 0.8], 3, "yes"), "out_of_range: value at index 0 is none of the model's at /inputs/1/data"),
        (body([0.6, 0.8], 1, "maybe"), "out_of_range: value at index 0 is none of the model's at /inputs/2/data"),
        (
            infer("x", "FP32", &[5, 2], json!(vec![0; 10])),
            "input_too_long: input length 10 exceeds maximum 8 at /inputs/0/shape",
        ),
    ] {
        assert_eq!(refused(&app, &key, "m", &body).await, (400, expected.to_owned()));
    }
    assert!(server.asked().iter().all(|asked| asked.line.starts_with("GET ")));
}
