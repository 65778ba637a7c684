//! Monitors on the line: who asks what nobody honest asks is seen, over replicas, and is told less; never refused.

use std::time::Duration;

use keys::{AdminScopes, InferenceScopes, NewKey, Operation, Principal, Scopes, Tenant, Terms};
use serde_json::{Value, json};
use testkit::{FakeServer, Say};

use crate::cluster::Cluster;
use crate::helpers::{self, App, answer, header, unix_millis};

const DIMS: usize = 8;
const EXACT: [f64; 3] = [0.1234, 0.6543, 0.2223];
const ROUND: [f64; 3] = [0.1, 0.7, 0.2];

/// Random numbers that follow from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let a = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let b = (a ^ a >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((b ^ b >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn row(&mut self, spread: f64) -> Vec<f64> {
        (0..DIMS).map(|_| spread * ((0..12).map(|_| self.unit()).sum::<f64>() - 6.0)).collect()
    }
}

/// Around five centres that are the same for all.
fn honest(seed: u64, count: usize) -> Vec<Vec<f64>> {
    let centres: Vec<Vec<f64>> = (0..5).map(|centre| Random(centre).row(2.0)).collect();
    let mut random = Random(1_000 + seed);
    let mut row = || {
        let centre = &centres[(random.unit() * 5.0) as usize];
        centre.iter().zip(random.row(0.5)).map(|(centre, near)| centre + near).collect()
    };
    (0..count).map(|_| row()).collect()
}

/// Noise that fills the space.
fn gaussian(seed: u64, count: usize) -> Vec<Vec<f64>> {
    let mut random = Random(5_000 + seed);
    (0..count).map(|_| random.row(2.0)).collect()
}

/// Small steps from a few honest ones, and from those again, as Jacobian-based augmentation makes them.
fn steps(seed: u64, count: usize) -> Vec<Vec<f64>> {
    let mut random = Random(9_000 + seed);
    let mut rows = honest(seed, 30);
    while rows.len() < count {
        let from = rows[(random.unit() * rows.len() as f64) as usize].clone();
        rows.push(from.iter().map(|value| value + 0.15 * (random.unit() - 0.5).signum()).collect());
    }
    rows
}

fn settings(server: &FakeServer, disclosure: &str) -> String {
    let url = server.url();
    format!(
        "[disclosure]\nsecret = \"thirty-two bytes, or so it seems\"\n[backends.t]\nkind = \"oip\"\nurl = \"{url}\"\n\
         [models.m]\nbackends = [\"t\"]\noperations = [\"infer\"]\ntensors = \"settings\"\n[models.m.disclosure]\n\
         {disclosure}\n"
    )
}

async fn scores() -> FakeServer {
    let scores = json!({"name": "scores", "datatype": "FP64", "shape": [1, 3], "data": EXACT});
    FakeServer::start(Say::json(&json!({"model_name": "m", "outputs": [scores]}).to_string())).await
}

/// Asks all rows in one request; the scores of the answer, and the id of the request.
async fn told(app: &App, key: &str, rows: &[Vec<f64>]) -> (Vec<f64>, String) {
    told_by(app, "m", key, rows).await
}

async fn told_by(app: &App, model: &str, key: &str, rows: &[Vec<f64>]) -> (Vec<f64>, String) {
    let input = json!({"name": "x", "datatype": "FP64", "shape": [rows.len(), DIMS], "data": rows.concat()});
    let asked = app.post(&format!("/v2/models/{model}/infer"), key).body(json!({"inputs": [input]}).to_string());
    let response = asked.send().await.unwrap();
    let id = header(&response, "x-request-id").to_owned();
    let (status, body) = answer(response).await;
    assert_eq!(status, 200, "a monitor never refuses: {body}");
    let data = body["outputs"][0]["data"].as_array().unwrap();
    (data.iter().map(|value| value.as_f64().unwrap()).collect(), id)
}

async fn learn(app: &App, admin: &str) -> (u16, Value) {
    answer(app.admin_post("/admin/monitors/m/learn", admin, &json!({})).send().await.unwrap()).await
}

/// The first monitor in the list.
async fn monitor(app: &App, admin: &str) -> Value {
    let (status, mut list) = answer(app.admin_get("/admin/monitors", admin).send().await.unwrap()).await;
    assert_eq!(status, 200, "{list}");
    list["monitors"][0].take()
}

/// The list once it is as is wanted: what other gateways saw is told every two seconds.
async fn monitor_when(app: &App, admin: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..400 {
        last = monitor(app, admin).await;
        if is_so(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not come to that: {last}");
}

async fn teach(app: &App) {
    for seed in 0..24 {
        told(app, &app.key().await, &honest(seed, 80)).await;
    }
}

async fn taught(server: &FakeServer, disclosure: &str) -> (App, String) {
    let app = helpers::spawn(&settings(server, disclosure)).await;
    let admin = app.admin_key().await;
    teach(&app).await;
    let (status, learnt) = learn(&app, &admin).await;
    assert_eq!((status, learnt["is_calibrated"].as_bool()), (200, Some(true)), "{learnt}");
    (app, admin)
}

async fn metrics(app: &App, admin: &str) -> String {
    app.admin_get("/metrics", admin).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn who_asks_as_nobody_honest_does_is_seen_and_told_less() {
    let server = scores().await;
    let (app, admin) = taught(&server, "monitor = { then = [\"alert\", \"round\"] }").await;
    let (key, noise, stepping) = (app.key().await, app.key().await, app.key().await);
    for part in honest(100, 320).chunks(80) {
        assert_eq!(told(&app, &key, part).await.0, EXACT, "the honest are told all");
    }
    for (attacker, rows) in [(&noise, gaussian(1, 240)), (&stepping, steps(1, 400))] {
        assert_eq!(told(&app, attacker, &rows[..10]).await.0, EXACT, "nobody knows yet");
        for part in rows[10..].chunks(115) {
            told(&app, attacker, part).await;
        }
        let (scores, id) = told(&app, attacker, &rows[..1]).await;
        assert_eq!(scores, ROUND);
        let note = &app.records(&id, 2).await[0]["findings"][0];
        assert_eq!((note["detector"].as_str(), note["mode"].as_str()), (Some("monitor"), Some("observe")), "{note}");
        let (reason, strength) = note["label"].as_str().unwrap().split_once(' ').unwrap();
        assert!(["near", "far", "coverage", "uneven", "repeats"].contains(&reason), "{note}");
        assert!(strength.parse::<f64>().unwrap() > 0.5, "{note}");
    }
    let listed = monitor(&app, &admin).await;
    let raised: Vec<bool> =
        listed["suspects"].as_array().unwrap().iter().map(|one| one["is_raised"].as_bool().unwrap()).collect();
    assert_eq!(raised, [true, true, false], "{listed}");
    assert!(listed["suspects"][1]["suspicion"].as_f64().unwrap() > 0.5, "{listed}");
    let text = metrics(&app, &admin).await;
    let sum = |name: &str| {
        let of = text.lines().filter(|line| line.starts_with(name));
        of.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
    };
    assert_eq!((sum("portcullis_suspicions_total{model=\"m\""), sum("portcullis_suspects{model=\"m\"")), (2.0, 2.0));
    assert!(text.contains("portcullis_monitors_calibrated{model=\"m\"} 1"), "{text}");
    assert_eq!(told(&app, &key, &honest(101, 1)).await.0, EXACT, "and the honest still are");
}

#[tokio::test]
async fn only_the_budget_of_who_is_suspected_is_smaller() {
    let server = scores().await;
    let disclosure = "queries = \"5000/day\"\nmonitor = { then = [\"labels\", \"budget\"], budget_percent = 5 }";
    let (app, admin) = taught(&server, disclosure).await;
    let (key, noise) = (app.key().await, app.key().await);
    told(&app, &noise, &gaussian(1, 240)).await;
    assert!(monitor(&app, &admin).await["suspects"][0]["is_raised"].as_bool().unwrap());
    assert_eq!(told(&app, &noise, &gaussian(1, 1)).await.0, [0.0, 1.0, 0.0], "250 are not spent, and repeats are free");
    let input = json!({"name": "x", "datatype": "FP64", "shape": [20, DIMS], "data": gaussian(2, 20).concat()});
    let (status, body) = app.ask("/v2/models/m/infer", &noise, &json!({"inputs": [input]})).await;
    assert_eq!(status, 429, "{body}");
    assert!(body["error"].as_str().unwrap().contains("the budget of 250 distinct queries"), "{body}");
    told(&app, &key, &honest(100, 260)).await;
    told(&app, &key, &honest(100, 260)).await;
}

#[tokio::test]
async fn what_is_honest_is_learnt_and_forgotten_by_operators() {
    let server = scores().await;
    let app = helpers::spawn(&settings(&server, "monitor = { learn_from = [\"default\"], scale = [2.0] }")).await;
    let admin = app.admin_key().await;
    let (status, body) = learn(&app, &admin).await;
    assert_eq!((status, body["code"].as_str()), (409, Some("conflict")), "{body}");
    assert!(body["detail"].as_str().unwrap().contains("0 principals with 64 queries each are too few"), "{body}");
    let tenant: Tenant = "other".parse().unwrap();
    let (system, now) = (Principal::system(), unix_millis());
    app.issuer.add_tenant(&system, tenant.clone(), String::new(), now).await.unwrap();
    let issue = async |scopes: Scopes| {
        let new = NewKey::new("a", Terms::new(scopes)).tenant(tenant.clone());
        app.issuer.issue(&system, new, now).await.unwrap().secret().to_owned()
    };
    let other = issue(Scopes::Inference(InferenceScopes::new(["*"], [Operation::Infer]).unwrap())).await;
    told(&app, &other, &gaussian(1, 200)).await;
    teach(&app).await;
    let learning = monitor(&app, &admin).await;
    assert_eq!((learning["learnable"].as_u64(), learning["families"].as_u64()), (Some(24), Some(24)), "{learning}");
    assert_eq!(learning["since"], Value::Null);
    let health = app.key().await;
    for _ in 0..3 {
        told(&app, &health, &vec![vec![1.0; DIMS]; 100]).await;
    }
    assert_eq!(monitor(&app, &admin).await["learnable"], 24, "a health check teaches nothing");
    let response = app.admin_post("/admin/monitors/m/learn", &admin, &json!({})).send().await.unwrap();
    let id = header(&response, "x-request-id").to_owned();
    assert_eq!(response.status(), 200);
    let acts = app.records(&id, 2).await;
    assert_eq!((acts[1]["act"].as_str(), acts[1]["target"].as_str()), (Some("monitors.learn"), Some("m")));
    assert_eq!(acts[1]["after"]["families"], 24, "{acts:?}");
    let (status, body) = learn(&app, &admin).await;
    assert_eq!(status, 409, "{body}");
    for _ in 0..4 {
        told(&app, &health, &vec![vec![1.0; DIMS]; 100]).await;
    }
    told(&app, &other, &gaussian(1, 200)).await;
    let watched = monitor(&app, &admin).await;
    assert_eq!(watched["suspects"][0]["tenant"], "other", "whoever is not learnt from is watched: {watched}");
    assert!(watched["suspects"][0]["is_raised"].as_bool().unwrap(), "{watched}");
    assert_eq!(watched["suspects"][1]["suspicion"], 0.0, "a health check is no suspect: {watched}");
    let acts = ["audit:read", "config:reload"].map(|act| serde_json::from_value(json!(act)).unwrap());
    let theirs = issue(Scopes::Admin(AdminScopes::new(acts).unwrap())).await;
    assert_eq!(monitor(&app, &theirs).await["suspects"].as_array().unwrap().len(), 1, "an admin of one tenant");

    let app = helpers::spawn_in(app.stop(), &settings(&server, "monitor = { scale = [2.0] }")).await;
    assert!(monitor(&app, &admin).await["is_calibrated"].as_bool().unwrap(), "a start knows what was learnt");
    let forget = app.admin_post("/admin/monitors/m/forget", &admin, &json!({})).send().await.unwrap();
    assert_eq!(answer(forget).await.1["learnable"], 0);
    let app = helpers::spawn_in(app.stop(), &settings(&server, "monitor = { scale = [2.0] }")).await;
    let monitor = monitor(&app, &admin).await;
    assert!(!monitor["is_calibrated"].as_bool().unwrap() && monitor["since"].as_u64().unwrap() >= now, "{monitor}");
    for path in ["/admin/monitors/n/learn", "/admin/monitors/n/forget"] {
        assert_eq!(app.admin_post(path, &admin, &json!({})).send().await.unwrap().status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_model_under_two_names_is_watched_as_one_and_a_reload_forgets_nothing() {
    let server = scores().await;
    let written = |then: &str| {
        let more = "[models.also]\nbackends = [\"t\"]\nbackend_model = \"m\"\noperations = [\"infer\"]\n\
                    tensors = \"settings\"\n[models.also.disclosure]\n";
        let monitor = format!("monitor = {{ then = [\"{then}\"] }}\n");
        settings(&server, &monitor) + more + &monitor
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    std::fs::write(&file, written("round")).unwrap();
    let data = tempfile::tempdir().unwrap();
    let app = helpers::spawn_from(data, &written("round"), Some(file.clone())).await;
    let admin = app.admin_key().await;
    teach(&app).await;
    assert_eq!(learn(&app, &admin).await.0, 200);
    let noise = app.key().await;
    told(&app, &noise, &gaussian(1, 240)).await;
    assert_eq!(told_by(&app, "also", &noise, &gaussian(1, 1)).await.0, ROUND);
    let before = app.admin_get("/admin/monitors", &admin).send().await.unwrap();
    let before = answer(before).await.1;
    assert_eq!(before["monitors"][0]["suspects"], before["monitors"][1]["suspects"]);
    std::fs::write(&file, written("alert")).unwrap();
    assert_eq!(app.admin_post("/admin/reload", &admin, &json!({})).send().await.unwrap().status(), 200);
    let after = app.admin_get("/admin/monitors", &admin).send().await.unwrap();
    assert_eq!(answer(after).await.1, before);
    assert_eq!(told(&app, &noise, &gaussian(1, 1)).await.0, EXACT, "but what follows is as it is set now");
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_learnt() {
    let server = scores().await;
    let app = helpers::spawn(&settings(&server, "monitor = {}")).await;
    let admin = app.admin_key().await;
    teach(&app).await;
    std::fs::write(app.data().join("monitors"), "no folder").unwrap();
    assert_eq!(learn(&app, &admin).await.0, 500);
    assert!(!monitor(&app, &admin).await["is_calibrated"].as_bool().unwrap());
    std::fs::remove_file(app.data().join("monitors")).unwrap();
    assert_eq!(learn(&app, &admin).await.0, 200, "what was recorded is still there");
}

#[tokio::test]
async fn replicas_see_together_what_each_sees_half_of_and_go_on_without_redis() {
    let server = scores().await;
    let mut cluster = Cluster::start().await;
    let more = settings(&server, "monitor = { then = [\"round\"] }");
    let (one, other) = (cluster.gateway_with(&more).await, cluster.gateway_with(&more).await);
    let admin = one.admin_key().await;
    // Half of what is learnt from is asked at each.
    for seed in 0..24 {
        let (key, rows) = (one.key().await, honest(seed, 80));
        told(&one, &key, &rows[..40]).await;
        told(&other, &key, &rows[40..]).await;
    }
    monitor_when(&one, &admin, |monitor| monitor["learnable"] == 24).await;
    let (status, learnt) = learn(&one, &admin).await;
    assert_eq!(status, 200, "{learnt}");
    monitor_when(&other, &admin, |monitor| monitor["is_calibrated"] == true).await;

    let (noise, rows) = (one.key().await, gaussian(1, 50));
    for (app, half) in [(&one, &rows[..25]), (&other, &rows[25..])] {
        assert_eq!(told(app, &noise, half).await.0, EXACT);
    }
    for app in [&one, &other] {
        let seen = monitor_when(app, &admin, |monitor| monitor["suspects"][0]["is_raised"] == true).await;
        assert_eq!(seen["suspects"][0]["queries"], 50, "{seen}");
        assert_eq!(told(app, &noise, &rows[..1]).await.0, ROUND);
    }

    cluster.redis.kill().await;
    assert_eq!(told(&one, &noise, &rows[..1]).await.0, ROUND, "what is known stays known");
    let another = one.key().await;
    for part in gaussian(2, 240).chunks(80) {
        told(&one, &another, part).await;
    }
    assert_eq!(told(&one, &another, &rows[..1]).await.0, ROUND, "each goes on with what it sees");
    assert_eq!(told(&other, &another, &rows[..1]).await.0, EXACT);
    cluster.redis.restart().await;
    monitor_when(&other, &admin, |monitor| monitor["suspects"][1]["is_raised"] == true).await;
    assert_eq!(told(&other, &another, &rows[..1]).await.0, ROUND, "and is told of later");
}

#[tokio::test]
async fn settings_that_mean_nothing_stop_the_start() {
    let server = scores().await;
    for (disclosure, problem) in [
        ("monitor = { scale = [1.0, 0.0] }", "monitor.scale: expected numbers above 0"),
        ("monitor = { then = [\"block\"] }", "expected one of alert, round, labels, budget"),
        ("monitor = { then = [\"budget\"] }", "there is no budget of queries"),
        ("queries = \"9/day\"\nmonitor = { then = [\"budget\"], budget_percent = 100 }", "expected 1 to 99"),
        ("monitor = { budget_percent = 50 }", "monitor.then does not say budget"),
        ("monitor = { decimals = 1 }", "monitor.then does not say round"),
        ("decimals = 1\nmonitor = { then = [\"round\"] }", "expected fewer decimals than usual"),
        ("preset = \"labels\"\nmonitor = { then = [\"round\"] }", "only labels are told already"),
        ("monitor = { then = [\"round\", \"labels\"] }", "expected round or labels, not both"),
        ("monitor = { learn_from = [\"no tenant\"] }", "monitor.learn_from"),
    ] {
        let refused = match gateway::config::Settings::parse(&settings(&server, disclosure)) {
            Ok(settings) => gateway::Gateway::bind(settings, None).await.err().unwrap().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(refused.contains(problem), "{disclosure}: {refused}");
    }
    let whole = settings(&server, "monitor = {}");
    for (text, problem) in [
        (
            whole.replace("\"oip\"", "\"openai\"").replace("\"infer\"", "\"chat\""),
            "only questions of numbers are watched",
        ),
        (whole.replace("secret = \"thirty-two bytes, or so it seems\"", ""), "needs disclosure.secret_file"),
    ] {
        let settings = gateway::config::Settings::parse(&text).unwrap();
        let refused = gateway::Gateway::bind(settings, None).await.err().unwrap().to_string();
        assert!(refused.contains(problem), "{refused}");
    }
}
