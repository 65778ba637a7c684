//! Answers of which differential privacy is claimed: numbers with noise, a noisy vote, and the budgets they spend.

use serde_json::{Value, json};
use testkit::{FakeServer, RedisServer, Say};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use crate::helpers::{self, App, header};

const SECRET: &str = "[disclosure]\nsecret = \"thirty-two bytes, or so it seems\"\n";

/// Two means between 0 and 10, on a grid of hundredths.
const MEANS: &str = r#"
    data_set = "patients"
    output = "mean"
    count = 2
    low = 0.0
    high = 10.0
    step = 0.01
    mechanism = "gaussian"
    rho = "0.1""#;

fn means(numbers: [f64; 2]) -> Say {
    let tensor = |name: &str, data: Value| json!({"name": name, "datatype": "FP32", "shape": [1, 2], "data": data});
    let outputs = [tensor("raw", json!(numbers)), tensor("mean", json!(numbers))];
    Say::json(&json!({"model_name": "m", "model_version": "7", "outputs": outputs}).to_string())
}

fn data_set(budget: &str, per_key: &str) -> String {
    format!("[data_sets.patients]\nbudget = \"{budget}\"\nbudget_per_key = \"{per_key}\"\ndanger_in_memory = true\n")
}

fn model(url: &str, release: &str) -> String {
    format!(
        "[backends.t]\nkind = \"oip\"\nurl = \"{url}\"\n[models.m]\nbackends = [\"t\"]\noperations = [\"infer\"]\n\
         tensors = \"settings\"\n{release}"
    )
}

async fn aggregates(server: &FakeServer, budget: &str, per_key: &str) -> App {
    let release = format!("[models.m.release.aggregates]{MEANS}");
    helpers::spawn(&format!("{SECRET}{}{}", data_set(budget, per_key), model(&server.url(), &release))).await
}

fn ask(question: f64) -> Value {
    json!({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [question, 0.5]}]})
}

async fn told(app: &App, key: &str, question: f64) -> (u16, Value) {
    app.ask("/v2/models/m/infer", key, &ask(question)).await
}

fn numbers(body: &Value) -> Vec<f64> {
    body["outputs"][0]["data"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

async fn left(app: &App, key: &str) -> Vec<(String, u64)> {
    let (status, body) = helpers::answer(app.get("/v1/limits", key).send().await.unwrap()).await;
    assert_eq!(status, 200, "{body}");
    let of_data = body["data"].as_array().unwrap().iter().filter(|limit| limit["name"] == "patients");
    of_data.map(|limit| (limit["of"].as_str().unwrap().to_owned(), limit["remaining"].as_u64().unwrap())).collect()
}

fn budgets(all: u64, family: u64) -> Vec<(String, u64)> {
    vec![("all".to_owned(), all), ("family".to_owned(), family)]
}

#[tokio::test]
async fn only_noisy_numbers_on_the_grid_leave_until_the_budget_is_spent() {
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let app = aggregates(&server, "0.55", "0.5").await;
    let (one, other) = (app.key().await, app.key().await);
    assert_eq!(left(&app, &one).await, budgets(550_000_000, 500_000_000));
    let mut seen = Vec::new();
    for question in 0..5 {
        let key = if question % 2 == 0 { &one } else { &other };
        let (status, body) = told(&app, key, f64::from(question)).await;
        assert_eq!(status, 200, "{body}");
        let outputs = body["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), 1, "nothing else leaves: {body}");
        assert_eq!((&outputs[0]["name"], &outputs[0]["shape"]), (&json!("mean"), &json!([2])));
        assert_eq!(body.get("model_version"), None);
        for number in numbers(&body) {
            assert!((number * 100.0 - (number * 100.0).round()).abs() < 1e-9, "{number} is not on the grid");
            seen.push(number);
        }
    }
    let exact = seen.iter().filter(|number| [2.5, 7.25].contains(*number)).count();
    assert!(exact < seen.len(), "noise was added: {seen:?}");
    let asked = server.asked().len();
    for key in [&one, &other] {
        let refused = app.post("/v2/models/m/infer", key).body(ask(99.0).to_string()).send().await.unwrap();
        assert_eq!((refused.status().as_u16(), header(&refused, "x-error-code")), (429, "insufficient_quota"));
        assert_eq!(header(&refused, "x-should-retry"), "false");
        let (_, body) = helpers::answer(refused).await;
        assert!(body["error"].as_str().unwrap().contains("data_set of patients is spent"), "{body}");
    }
    assert_eq!(server.asked().len(), asked, "what cannot be paid is not asked");
    assert_eq!(left(&app, &one).await, budgets(50_000_000, 200_000_000));
}

#[tokio::test]
async fn what_was_told_before_costs_nothing_whoever_asks() {
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let app = aggregates(&server, "0.1", "0.1").await;
    let (one, other) = (app.key().await, app.key().await);
    let first = app.post("/v2/models/m/infer", &one).body(ask(1.0).to_string()).send().await.unwrap();
    let id = header(&first, "x-request-id").to_owned();
    let (_, first) = helpers::answer(first).await;
    for key in [&one, &other] {
        let mut named = ask(1.0);
        named["id"] = json!("another");
        let again = app.post("/v2/models/m/infer", key).body(named.to_string()).send().await.unwrap();
        let again_id = header(&again, "x-request-id").to_owned();
        let (status, body) = helpers::answer(again).await;
        assert_eq!((status, &body["id"]), (200, &json!("another")));
        assert_eq!(numbers(&body), numbers(&first));
        let records = app.records(&again_id, 2).await;
        assert_eq!(records[1]["released"], json!({"data_set": "patients", "nano_rho": 0}));
    }
    assert_eq!(server.asked().len(), 1);
    let records = app.records(&id, 2).await;
    let released = json!({
        "data_set": "patients", "mechanism": "discrete_gaussian", "nano_rho": 100_000_000, "left_nano_rho": 0});
    assert_eq!(records[1]["released"], released);
    assert_eq!(told(&app, &other, 2.0).await.0, 429, "another question is not paid for");
    let metrics = app.admin_get("/metrics", &app.admin_key().await).send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("portcullis_privacy_spent_nano_rho_total{data_set=\"patients\"} 100000000\n"),
        "{metrics}"
    );
    assert!(metrics.contains("portcullis_privacy_left_nano_rho{data_set=\"patients\"} 0\n"), "{metrics}");
}

#[tokio::test]
async fn an_answer_that_was_told_before_still_counts_as_a_request() {
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let app = aggregates(&server, "0.1", "0.1").await;
    let limits = keys::KeyLimits { requests: Some("2/day".parse().unwrap()), ..keys::KeyLimits::default() };
    let key = app.key_with(&["*"], limits).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(told(&app, &key, 1.0).await.0);
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn a_key_spends_its_part_and_leaves_the_rest_to_others() {
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let app = aggregates(&server, "1.0", "0.2").await;
    let (one, other) = (app.key().await, app.key().await);
    for (question, status) in [(1.0, 200), (2.0, 200), (3.0, 429)] {
        let (answered, body) = told(&app, &one, question).await;
        assert_eq!(answered, status, "{body}");
        assert!(status == 200 || body["error"].as_str().unwrap().contains("data_set_per_key of patients"), "{body}");
    }
    assert_eq!(left(&app, &one).await, budgets(800_000_000, 0));
    assert_eq!(told(&app, &other, 3.0).await.0, 200);
    assert_eq!(left(&app, &one).await, budgets(700_000_000, 0));
}

#[tokio::test]
async fn those_who_ask_the_same_at_once_pay_once() {
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let app = aggregates(&server, "0.1", "0.1").await;
    let key = app.key().await;
    let answers = futures_util::future::join_all((0..8).map(|_| told(&app, &key, 1.0))).await;
    assert!(answers.iter().all(|(status, body)| *status == 200 && *body == answers[0].1), "{answers:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn many_at_once_spend_no_more_than_there_is() {
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let app = aggregates(&server, "0.55", "0.55").await;
    let (one, other) = (app.key().await, app.key().await);
    let ask = |question: u8| told(&app, if question.is_multiple_of(2) { &one } else { &other }, f64::from(question));
    let answers = futures_util::future::join_all((0..12).map(ask)).await;
    let with = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
    assert_eq!((with(200), with(429)), (5, 7), "{answers:?}");
    assert_eq!(left(&app, &one).await[0], ("all".to_owned(), 50_000_000));
}

#[tokio::test]
async fn a_broken_or_another_answer_is_refused_and_costs_nothing() {
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let app = aggregates(&server, "0.1", "0.1").await;
    let key = app.key().await;
    let of = |name: &str, dtype: &str, data: Value| {
        let count = data.as_array().unwrap().len();
        let outputs = json!([{"name": name, "datatype": dtype, "shape": [count], "data": data}]);
        Say::json(&json!({"outputs": outputs}).to_string())
    };
    for say in [
        of("mean", "FP32", json!([1.0])),
        of("mean", "FP32", json!([1.0, 2.0, 3.0])),
        of("mean", "BYTES", json!(["1.0", "2.0"])),
        of("raw", "FP32", json!([1.0, 2.0])),
        Say::status(500, "a secret"),
        Say::json("{"),
    ] {
        server.then(say.clone());
        let (status, body) = told(&app, &key, 1.0).await;
        assert_eq!(status, 502, "{body}");
        assert_eq!(body["error"], "backend_failed: the model server failed", "{say:?}");
    }
    let asked = server.asked().len();
    let rows = json!({"inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 2], "data": [1, 2, 3, 4]}]});
    let mut other = ask(1.0);
    other["outputs"] = json!([{"name": "raw"}]);
    let mut classes = ask(1.0);
    classes["outputs"] = json!([{"name": "mean", "parameters": {"classification": 2}}]);
    for wrong in [rows, other, classes] {
        let (status, body) = app.ask("/v2/models/m/infer", &key, &wrong).await;
        assert_eq!((status, body["error"].as_str().unwrap().split(':').next()), (400, Some("unsupported_content")));
    }
    assert_eq!(server.asked().len(), asked);
    assert_eq!(left(&app, &key).await, budgets(100_000_000, 100_000_000));
    assert_eq!(told(&app, &key, 1.0).await.0, 200);
}

#[tokio::test]
async fn who_hangs_up_before_the_answer_spends_nothing() {
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let app = aggregates(&server, "0.1", "0.1").await;
    let key = app.key().await;
    server.then(Say::Silence);
    let asking = app.post("/v2/models/m/infer", &key).body(ask(1.0).to_string()).send();
    tokio::select! {
        answered = asking => panic!("{answered:?}"),
        () = server.wait_asked(1) => {}
    }
    server.wait_open(0).await;
    assert_eq!(left(&app, &key).await, budgets(100_000_000, 100_000_000));
    assert_eq!(told(&app, &key, 1.0).await.0, 200, "and keeps nobody waiting");
}

#[tokio::test]
async fn binary_answers_hold_the_same() {
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let app = aggregates(&server, "0.1", "0.1").await;
    let key = app.key().await;
    let mut binary = ask(1.0);
    binary["parameters"] = json!({"binary_data_output": true});
    let response = app.post("/v2/models/m/infer", &key).body(binary.to_string()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let length: usize = header(&response, "inference-header-content-length").parse().unwrap();
    let body = response.bytes().await.unwrap();
    let head: Value = serde_json::from_slice(&body[..length]).unwrap();
    assert_eq!((&head["outputs"][0]["datatype"], body.len() - length), (&json!("FP64"), 16));
    for number in body[length..].chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())) {
        assert!((number * 100.0 - (number * 100.0).round()).abs() < 1e-9, "{number}");
    }
}

#[tokio::test]
async fn gateways_that_share_a_redis_share_the_budget_and_what_was_told_and_without_it_nothing_leaves() {
    let mut redis = RedisServer::start().await;
    let server = FakeServer::start(means([2.5, 7.25])).await;
    let settings = format!(
        "{SECRET}[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000\nreplicas = 2\n{}{}",
        redis.url(),
        data_set("0.2", "0.2").replace("danger_in_memory = true\n", ""),
        model(&server.url(), &format!("[models.m.release.aggregates]{MEANS}"))
    );
    let (one, other) = (helpers::spawn(&settings).await, helpers::spawn(&settings).await);
    let (key, another) = (one.key().await, other.key().await);
    let (_, first) = told(&one, &key, 1.0).await;
    let (status, again) = told(&other, &another, 1.0).await;
    assert_eq!((status, numbers(&again)), (200, numbers(&first)));
    assert_eq!(server.asked().len(), 1);
    assert_eq!(told(&other, &another, 2.0).await.0, 200);
    assert_eq!(told(&one, &key, 3.0).await.0, 429);
    let asked = server.asked().len();
    redis.kill().await;
    for question in [1.0, 3.0] {
        let refused = one.post("/v2/models/m/infer", &key).body(ask(question).to_string()).send().await.unwrap();
        assert_eq!((refused.status().as_u16(), header(&refused, "x-error-code")), (503, "limits_unavailable"));
    }
    assert_eq!(server.asked().len(), asked);
}

/// A model server that takes one request and answers once it may.
async fn slow(may: oneshot::Receiver<()>, is_asked: oneshot::Sender<()>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4_096];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        is_asked.send(()).unwrap();
        may.await.unwrap();
        let Say::Answer(_, _, body) = means([2.5, 7.25]) else { panic!("an answer") };
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    });
    url
}

#[tokio::test]
async fn redis_that_goes_while_a_server_thinks_lets_no_number_out() {
    let mut redis = RedisServer::start().await;
    let ((go, may), (is_asked, asked)) = (oneshot::channel(), oneshot::channel());
    let settings = format!(
        "{SECRET}[redis]\nurl = \"{}\"\nreplicas = 1\n{}{}",
        redis.url(),
        data_set("0.2", "0.2").replace("danger_in_memory = true\n", ""),
        model(&slow(may, is_asked).await, &format!("[models.m.release.aggregates]{MEANS}"))
    );
    let app = helpers::spawn(&settings).await;
    let key = app.key().await;
    let killing = async {
        asked.await.unwrap();
        redis.kill().await;
        go.send(()).unwrap();
    };
    let ((status, body), ()) = tokio::join!(told(&app, &key, 1.0), killing);
    assert_eq!(status, 503, "{body}");
    assert!(body["error"].as_str().unwrap().starts_with("limits_unavailable"), "{body}");
}
