//! Secrets that must be found nowhere: not in logs, trail, metrics, errors, databases, nor in what settings show.

use std::path::Path;
use std::process::Stdio;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::cli::Running;
use crate::cluster::Cluster;
use crate::helpers::{self, chat, header};

/// What the gateway said and stored, by where it was.
struct Leaks(Vec<(String, Vec<u8>)>);

impl Leaks {
    fn note(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), bytes.into()));
    }

    async fn note_answer(&mut self, place: &str, response: Response) {
        let head = format!("{:?}", response.headers());
        self.note(place, head + &response.text().await.unwrap());
    }

    /// Every file below the folder but those that are there to hold secrets.
    fn note_files(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => self.note_files(&path),
                false => self.note(&path.display().to_string(), std::fs::read(&path).unwrap()),
            }
        }
    }

    /// The places where a text is.
    fn of(&self, text: &str) -> Vec<&str> {
        let is_in = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        self.0.iter().filter(|(_, bytes)| is_in(bytes)).map(|(place, _)| place.as_str()).collect()
    }
}

/// The part of a key that only its holder may know.
fn secret(key: &str) -> String {
    key[22..65].to_owned()
}

struct Asker {
    client: Client,
    callers: String,
    operators: String,
}

impl Asker {
    async fn ask(&self, method: Method, url: String, key: &str, body: &Value) -> Response {
        let request = self.client.request(method, url).bearer_auth(key).header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }

    async fn chat(&self, key: &str, body: &Value) -> Response {
        self.ask(Method::POST, format!("{}/v1/chat/completions", self.callers), key, body).await
    }

    async fn operate(&self, method: Method, path: &str, key: &str, body: &Value) -> Response {
        self.ask(method, format!("{}{path}", self.operators), key, body).await
    }
}

#[tokio::test]
async fn no_secret_is_found_anywhere() {
    let cluster = Cluster::start().await;
    let admin = String::from_utf8(cluster.run(&["keys", "bootstrap"]).stdout).unwrap().trim().to_owned();
    let log = cluster.shared().join("log");
    let mut command = cluster.command(&["serve", "--port", "0"]);
    command.env("PORTCULLIS__LOG__LEVEL", "trace").env("PORTCULLIS__BACKENDS__CANARY__API_KEY", "canary-of-a-backend");
    command.env("PORTCULLIS__BACKENDS__CANARY__KIND", "openai");
    command.env("PORTCULLIS__BACKENDS__CANARY__URL", "http://127.0.0.1:9/v1");
    command.env("RUST_BACKTRACE", "full");
    let running = Running::with_log(command, Stdio::from(std::fs::File::create(&log).unwrap()));
    let mut words = running.ready.split_whitespace().skip(1).step_by(2).map(str::to_owned);
    let asker = Asker {
        client: helpers::client(&cluster.shared().join("data")),
        callers: words.next().unwrap(),
        operators: words.next().unwrap(),
    };

    let mut leaks = Leaks(Vec::new());
    let mut secrets = vec![secret(&admin)];
    let form = json!({"name": "canary", "scopes": {"inference": {"models": ["*"], "operations": ["chat"]}}});
    let request = asker.client.post(format!("{}/admin/keys", asker.operators)).bearer_auth(&admin);
    let issued = request.header("idempotency-key", "canary").body(form.to_string()).send().await.unwrap();
    let request_id = header(&issued, "x-request-id").to_owned();
    let key = helpers::answer(issued).await.1["key"].as_str().unwrap().to_owned();
    let path = format!("/admin/keys/{}", &key[..21]);
    let rotated = asker.operate(Method::POST, &format!("{path}/rotate"), &admin, &json!({})).await;
    let newer = helpers::answer(rotated).await.1["key"].as_str().unwrap().to_owned();
    secrets.extend([secret(&key), secret(&newer)]);

    let wrong = key.replace(&key[70..], &key[70..].chars().rev().collect::<String>());
    let mut with_key = chat("echo-chat", "hi");
    with_key["metadata"] = json!({"key": key});
    for (place, response) in [
        ("an answer", asker.chat(&key, &chat("echo-chat", "hi")).await),
        ("an answer to the newer key", asker.chat(&newer, &chat("echo-chat", "hi")).await),
        ("a wrong key", asker.chat(&wrong, &chat("echo-chat", "hi")).await),
        ("a key as a model", asker.chat(&newer, &chat(&key, "hi")).await),
        ("a key in a body", asker.chat(&newer, &with_key).await),
        ("a body that is none", asker.chat(&newer, &json!([key])).await),
        ("a key in a path", asker.operate(Method::GET, &format!("/admin/keys/{key}"), &admin, &Value::Null).await),
        (
            "a key in a query",
            asker.operate(Method::GET, &format!("/admin/keys?after={key}"), &admin, &Value::Null).await,
        ),
        ("a key in a form", asker.operate(Method::PATCH, &path, &admin, &json!({"scopes": key})).await),
        ("a list", asker.operate(Method::GET, "/admin/keys", &admin, &Value::Null).await),
        ("a change", asker.operate(Method::PATCH, &path, &admin, &json!({"name": "changed"})).await),
        (
            "a revocation",
            asker.operate(Method::POST, &format!("{path}/revoke"), &admin, &json!({"family": true})).await,
        ),
        ("a revoked key", asker.chat(&key, &chat("echo-chat", "hi")).await),
        (
            "the record of an issue",
            asker.operate(Method::GET, &format!("/admin/requests/{request_id}"), &admin, &Value::Null).await,
        ),
        ("metrics", asker.operate(Method::GET, "/metrics", &admin, &Value::Null).await),
        ("openapi", asker.operate(Method::GET, "/admin/openapi.json", &admin, &Value::Null).await),
    ] {
        leaks.note_answer(place, response).await;
    }
    running.stop();
    leaks.note("the log", std::fs::read(&log).unwrap());
    let shown = cluster.command(&["config", "show"]).env("PORTCULLIS__KEYS__PEPPERS", "canary-of-a-pepper").output();
    leaks.note("config show", shown.unwrap().stdout);
    note_postgres(&mut leaks, &cluster.postgres.url()).await;
    for name in cluster.redis.ask_lines("KEYS *").await {
        let dump = cluster.redis.ask(&format!("DUMP {name}")).await;
        leaks.note("redis", name + &dump);
    }
    leaks.note_files(&cluster.shared().join("data").join("tls").join(".."));
    leaks.0.retain(|(place, _)| !place.ends_with("key.pem"));

    assert!(leaks.0.iter().filter(|(place, _)| place == "postgres").count() > 10);
    let lines = std::fs::read_to_string(&log).unwrap().lines().count();
    assert!(lines > 8, "the log has {lines} lines");
    secrets.extend(["canary-of-a-backend".to_owned(), "canary-of-a-pepper".to_owned()]);
    let peppers = std::fs::read_to_string(cluster.shared().join("peppers")).unwrap();
    secrets.extend(peppers.split_whitespace().filter(|word| word.len() == 64).map(str::to_owned));
    assert_eq!(secrets.len(), 6);
    for secret in &secrets {
        assert_eq!(leaks.of(secret), [""; 0]);
    }
    // What is no secret is found in the same places.
    let of_id = leaks.of(&key[..21]);
    assert!(["postgres", "the log", "a list"].iter().all(|place| of_id.contains(place)), "{of_id:?}");
}

/// Every row of every table as text.
async fn note_postgres(leaks: &mut Leaks, url: &str) {
    let mut connection = sqlx::postgres::PgConnection::connect(url).await.unwrap();
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    assert!(tables.iter().any(|table| table == "keys") && tables.iter().any(|table| table == "issued_once"));
    for table in tables {
        let rows = sqlx::AssertSqlSafe(format!("SELECT t::text FROM \"{table}\" t"));
        let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(&mut connection).await.unwrap();
        for row in rows {
            leaks.note("postgres", row);
        }
    }
}
