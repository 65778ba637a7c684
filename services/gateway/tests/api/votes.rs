//! The noisy vote of several servers, of which a label comes back.

use serde_json::{Value, json};
use testkit::{FakeServer, Say};

use crate::helpers::{self, App};

fn scores(row: [f64; 3]) -> Say {
    let outputs = json!([{"name": "scores", "datatype": "FP32", "shape": [1, 3], "data": row}]);
    Say::json(&json!({"model_name": "m", "model_version": "7", "outputs": outputs}).to_string())
}

fn label(text: &str) -> Say {
    let outputs = json!([{"name": "scores", "datatype": "BYTES", "shape": [1], "data": [text]}]);
    Say::json(&json!({"model_name": "m", "outputs": outputs}).to_string())
}

struct Voters(Vec<FakeServer>);

impl Voters {
    async fn start(say: impl Fn(usize) -> Say) -> Self {
        let mut servers = Vec::new();
        for voter in 0..5 {
            servers.push(FakeServer::start(say(voter)).await);
        }
        Self(servers)
    }

    fn asked(&self) -> Vec<usize> {
        self.0.iter().map(|server| server.asked().len()).collect()
    }

    /// At an epsilon at which the label of three voters more is missed with a probability of exp(-150).
    async fn gateway(&self) -> App {
        let mut settings = "[disclosure]\nsecret = \"thirty-two bytes, or so it seems\"\n\
            [data_sets.scans]\nbudget = \"100000\"\nbudget_per_key = \"100000\"\ndanger_in_memory = true\n\
            [models.m]\nbackends = [\"b0\", \"b1\", \"b2\", \"b3\", \"b4\"]\noperations = [\"infer\"]\ntensors = \"settings\"\n\
            [models.m.release.vote]\ndata_set = \"scans\"\noutput = \"scores\"\nlabels = [\"cat\", \"dog\", \"owl\"]\n\
            quorum = 4\nepsilon = \"100\"\n"
            .to_owned();
        for (voter, server) in self.0.iter().enumerate() {
            let url = server.url();
            settings += &format!("[backends.b{voter}]\nkind = \"oip\"\nurl = \"{url}\"\nanswer_seconds = 5\n");
        }
        helpers::spawn(&settings).await
    }
}

async fn vote(app: &App, key: &str, question: f64) -> (u16, Value) {
    let input = json!({"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [question]});
    app.ask("/v2/models/m/infer", key, &json!({"inputs": [input]})).await
}

async fn spent(app: &App, key: &str) -> u64 {
    let (_, body) = helpers::answer(app.get("/v1/limits", key).send().await.unwrap()).await;
    let limits = body["data"].as_array().unwrap();
    let all = limits.iter().find(|limit| limit["of"] == "all").unwrap();
    all["limit"].as_u64().unwrap() - all["remaining"].as_u64().unwrap()
}

/// 100^2 / 8.
const COST: u64 = 1_250_000_000_000;

#[tokio::test]
async fn the_label_of_most_servers_comes_back_and_nothing_else() {
    // Scores of four, a label by its text of one.
    let voters = Voters::start(|voter| match voter {
        0 => scores([0.7, 0.2, 0.1]),
        4 => label("dog"),
        _ => scores([0.1, 0.8, 0.1]),
    })
    .await;
    let app = voters.gateway().await;
    let key = app.key().await;
    let (status, body) = vote(&app, &key, 1.0).await;
    let outputs = json!([{"name": "scores", "datatype": "BYTES", "shape": [1], "data": ["dog"]}]);
    assert_eq!((status, &body), (200, &json!({"model_name": "m", "outputs": outputs})));
    assert_eq!(voters.asked(), [1; 5]);
    assert_eq!(spent(&app, &key).await, COST);
    assert_eq!(vote(&app, &key, 1.0).await.1, body);
    assert_eq!((voters.asked(), spent(&app, &key).await), (vec![1; 5], COST), "the same costs nothing");
}

#[tokio::test]
async fn servers_that_fail_abstain_and_below_the_quorum_nothing_is_spent() {
    let voters = Voters::start(|_| scores([0.1, 0.8, 0.1])).await;
    let app = voters.gateway().await;
    let key = app.key().await;
    for say in
        [Say::HangUp, Say::status(500, "a secret"), Say::json("{"), scores([0.0, 0.0, 0.0]), label("cow"), label("cat")]
    {
        voters.0[2].then(say);
    }
    for question in 0..6 {
        let (status, body) = vote(&app, &key, f64::from(question)).await;
        assert_eq!((status, &body["outputs"][0]["data"]), (200, &json!(["dog"])), "{body}");
    }
    assert_eq!(spent(&app, &key).await, 6 * COST);
    voters.0[0].then(Say::HangUp);
    voters.0[1].then(label("cow"));
    let (status, body) = vote(&app, &key, 7.0).await;
    assert_eq!(status, 503, "{body}");
    assert!(body["error"].as_str().unwrap().starts_with("backend_unavailable"), "{body}");
    assert_eq!(spent(&app, &key).await, 6 * COST);
    assert_eq!(vote(&app, &key, 7.0).await.0, 200, "asked again, it is decided");
}

#[tokio::test]
async fn all_are_asked_at_once() {
    // Nobody answers until all are asked: each waits for the caller to leave.
    let voters = Voters::start(|_| Say::Silence).await;
    let app = voters.gateway().await;
    let key = app.key().await;
    let asked = async {
        for voter in &voters.0 {
            voter.wait_asked(1).await;
        }
    };
    tokio::select! {
        answered = vote(&app, &key, 1.0) => panic!("{answered:?}"),
        () = asked => {}
    }
    for voter in &voters.0 {
        voter.wait_open(0).await;
    }
    assert_eq!(spent(&app, &key).await, 0);
}
