//! A gateway of its own for each test, and a client that trusts it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::Gateway;
use gateway::config::Settings;
use keys::{AdminScopes, InferenceScopes, Issuer, KeyLimits, NewKey, Operation, Principal, Scopes, Terms};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use testkit::FakeServer;
use tokio::sync::oneshot;

/// A running gateway. It stops when it is dropped.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) admin_address: SocketAddr,
    pub(crate) trap_address: Option<SocketAddr>,
    pub(crate) issuer: Issuer,
    pub(crate) client: Client,
    data: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

/// A gateway on the built-in echo models.
pub(crate) async fn echo() -> App {
    spawn(gateway::config::LOCAL).await
}

/// A gateway in front of a scripted server, as the models `fake` and `fake-tensor`.
pub(crate) async fn fake(server: &FakeServer, more: &str) -> App {
    let url = server.url();
    spawn(&format!(
        r#"
        [backends.fake]
        kind = "openai"
        url = "{url}/v1"
        api_key = "server-side-key"
        answer_seconds = 5
        [backends.fake-oip]
        kind = "oip"
        url = "{url}"
        [models.fake]
        backends = ["fake"]
        backend_model = "inner/model.gguf"
        operations = ["chat", "complete", "embed", "respond", "message"]
        [models.fake-tensor]
        backends = ["fake-oip"]
        operations = ["infer"]
        tensors = "settings"
        {more}
        "#
    ))
    .await
}

/// A gateway with these settings over the defaults.
pub(crate) async fn spawn(settings: &str) -> App {
    spawn_in(tempfile::tempdir().unwrap(), settings).await
}

/// The same, in a data folder that exists.
pub(crate) async fn spawn_in(data: tempfile::TempDir, settings: &str) -> App {
    spawn_from(data, settings, None).await
}

/// The same, and a reload reads the settings from a file.
pub(crate) async fn spawn_from(data: tempfile::TempDir, settings: &str, file: Option<PathBuf>) -> App {
    let mut settings = Settings::parse(settings).unwrap();
    settings.server.listen = "127.0.0.1:0".parse().unwrap();
    settings.server.admin_listen = "127.0.0.1:0".parse().unwrap();
    settings.server.data_dir = data.path().to_owned();
    settings.server.workers = 2;
    settings.server.shutdown_seconds = 1;
    let (started, start) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let gateway = Gateway::bind(settings, file).await.unwrap();
            let issuer = gateway.issuer().clone();
            started.send((gateway.address(), gateway.admin_address(), gateway.trap_address(), issuer)).ok().unwrap();
            gateway.run_until(async { drop(stopped.await) }).await
        })
    });
    let (address, admin_address, trap_address, issuer) = start.await.expect("the gateway starts");
    let client = client(data.path());
    App { address, admin_address, trap_address, issuer, client, data, stop: Some(stop), thread: Some(thread) }
}

/// A client that trusts the certificate in a data folder, and nothing else.
pub(crate) fn client(data: &Path) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pem = std::fs::read(data.join("tls/ca.pem")).unwrap();
    Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

impl App {
    pub(crate) fn data(&self) -> PathBuf {
        self.data.path().to_owned()
    }

    /// Stops the gateway and gives its data folder back.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        self.end();
        std::mem::replace(&mut self.data, tempfile::tempdir().unwrap())
    }

    /// Waits until it stops by itself.
    pub(crate) fn ended(mut self) -> std::io::Result<()> {
        self.thread.take().unwrap().join().unwrap()
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// A key for everything, without limits.
    pub(crate) async fn key(&self) -> String {
        self.key_with(&["*"], KeyLimits::default()).await
    }

    /// A key for these models.
    pub(crate) async fn key_with(&self, models: &[&str], limits: KeyLimits) -> String {
        let models = models.iter().map(|model| (*model).to_owned());
        let scopes = InferenceScopes::new(models, Operation::ALL.iter().copied()).unwrap();
        self.issue(Scopes::Inference(scopes), limits).await
    }

    pub(crate) async fn admin_key(&self) -> String {
        self.issue(Scopes::Admin(AdminScopes::all()), KeyLimits::default()).await
    }

    pub(crate) async fn issue(&self, scopes: Scopes, limits: KeyLimits) -> String {
        let new = NewKey::new("test", Terms::new(scopes).limits(limits));
        let issued = self.issuer.issue(&Principal::system(), new, unix_millis()).await.unwrap();
        issued.secret().to_owned()
    }

    pub(crate) fn post(&self, path: &str, key: &str) -> RequestBuilder {
        let url = format!("https://{}{path}", self.address);
        self.client.post(url).bearer_auth(key).header("content-type", "application/json")
    }

    pub(crate) fn get(&self, path: &str, key: &str) -> RequestBuilder {
        self.client.get(format!("https://{}{path}", self.address)).bearer_auth(key)
    }

    pub(crate) fn admin_get(&self, path: &str, key: &str) -> RequestBuilder {
        self.client.get(format!("https://{}{path}", self.admin_address)).bearer_auth(key)
    }

    pub(crate) fn admin_post(&self, path: &str, key: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("https://{}{path}", self.admin_address)).bearer_auth(key).body(body.to_string())
    }

    /// A chat with one user message.
    pub(crate) async fn chat(&self, key: &str, model: &str, text: &str) -> Response {
        self.post("/v1/chat/completions", key).body(chat(model, text).to_string()).send().await.unwrap()
    }

    /// Posts a body and gives status and JSON.
    pub(crate) async fn ask(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        answer(self.post(path, key).body(body.to_string()).send().await.unwrap()).await
    }

    /// The audit records of a request, once there are `count` of them.
    pub(crate) async fn records(&self, request_id: &str, count: usize) -> Vec<Value> {
        for _ in 0..500 {
            let found = audit::find(&self.data.path().join("audit"), request_id).unwrap();
            if found.len() >= count {
                return found.iter().map(|record| serde_json::to_value(record).unwrap()).collect();
            }
            // The trail is a file that another thread writes; nothing tells when.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{request_id} has no {count} records");
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn chat(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// A whole chat answer of an OpenAI-style server.
pub(crate) fn chat_answer(text: &str) -> String {
    json!({
        "id": "inner-id", "object": "chat.completion", "created": 1, "model": "inner/model.gguf",
        "system_fingerprint": "fp_inner",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    })
    .to_string()
}

/// One event of a streamed chat answer.
pub(crate) fn chunk(text: &str) -> String {
    event(json!({"content": text}), Value::Null)
}

/// The event that ends a choice.
pub(crate) fn last_chunk(reason: &str) -> String {
    event(json!({}), json!(reason))
}

fn event(delta: Value, reason: Value) -> String {
    json!({
        "id": "inner-id", "object": "chat.completion.chunk", "created": 1, "model": "inner/model.gguf",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    })
    .to_string()
}

/// Status and JSON body of a response.
pub(crate) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}")))
}

pub(crate) fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

pub(crate) fn unix_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Name and data of every event, where all have both.
pub(crate) fn named_events(text: &str) -> Vec<(String, Value)> {
    let event = |event: &str| {
        let (name, data) = event.split_once("\ndata: ")?;
        Some((name.strip_prefix("event: ")?.to_owned(), serde_json::from_str(data).ok()?))
    };
    text.split_terminator("\n\n").map(|text| event(text).unwrap()).collect()
}

/// The `data:` payloads of an event stream.
pub(crate) fn events(text: &str) -> Vec<String> {
    text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(str::to_owned).collect()
}

/// All content of a streamed answer, joined.
pub(crate) fn content(events: &[String]) -> String {
    let mut content = String::new();
    for event in events.iter().filter(|event| *event != "[DONE]") {
        let event: Value = serde_json::from_str(event).unwrap();
        content.push_str(event.pointer("/choices/0/delta/content").and_then(Value::as_str).unwrap_or_default());
    }
    content
}
