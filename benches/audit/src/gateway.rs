//! A gateway of its own, as people start it, in front of a scripted server, and callers of it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::{FakeServer, Say};

/// What every gateway answers.
const ANSWER: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":
    {"role":"assistant","content":"fine"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;
const EVENTS: [&str; 2] = [
    r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"fine"},"finish_reason":null}]}"#,
    r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
];

/// The binary beside this one.
fn binary() -> PathBuf {
    let binary = std::env::current_exe().unwrap().with_file_name("portcullis");
    assert!(binary.exists(), "there is no gateway; build it in the same profile: cargo build --package gateway");
    binary
}

/// Where gateways are started: a folder with settings, servers, a key.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) whole: FakeServer,
    pub(crate) streamed: FakeServer,
    key: String,
}

impl Site {
    /// With more settings than the models.
    pub(crate) async fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let whole = FakeServer::start(Say::json(ANSWER)).await;
        let streamed = FakeServer::start(Say::Events(EVENTS.map(str::to_owned).to_vec())).await;
        let mut site = Self { folder, whole, streamed, key: String::new() };
        site.set(more);
        site
    }

    fn set(&mut self, more: &str) {
        let mut settings = String::new();
        for (name, server) in [("whole", &self.whole), ("streamed", &self.streamed)] {
            settings += &format!(
                "[backends.{name}]\nkind = \"openai\"\nurl = \"{}/v1\"\n\
                 [models.{name}]\nbackends = [\"{name}\"]\noperations = [\"chat\"]\n",
                server.url()
            );
        }
        std::fs::write(self.folder.path().join("p.toml"), settings + more).unwrap();
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where other files may be.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the key that callers show.
    pub(crate) fn issue(&mut self) {
        let issued = self.command(&mut Command::new(binary()), &["keys", "issue", "--name", "bench"]).output().unwrap();
        assert!(issued.status.success(), "{issued:?}");
        String::from_utf8(issued.stdout).unwrap().trim().clone_into(&mut self.key);
    }

    /// Whether the trail verifies.
    pub(crate) fn verifies(&self) -> bool {
        self.command(&mut Command::new(binary()), &["audit", "verify"]).output().unwrap().status.success()
    }

    fn command<'c>(&self, command: &'c mut Command, arguments: &[&str]) -> &'c mut Command {
        command.args(arguments).args(["--config", "p.toml", "--data", "data", "--port", "0"]);
        command.current_dir(self.folder.path()).env_remove("PORTCULLIS_ADMIN_KEY")
    }

    pub(crate) fn start(&self) -> Gateway {
        self.start_by(Command::new(binary()))
    }

    /// Under a program that starts the one that is named last.
    pub(crate) fn start_under(&self, mut program: Command) -> Gateway {
        program.arg(binary());
        self.start_by(program)
    }

    fn start_by(&self, mut command: Command) -> Gateway {
        let command = self.command(&mut command, &["serve"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let ready = lines.find(|line| line.starts_with("ready")).unwrap();
        let url = ready.split_whitespace().nth(1).unwrap();
        let pem = std::fs::read(self.data().join("tls/ca.pem")).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        Gateway { child, caller: Caller { client, url: format!("{url}/v1/chat/completions"), key: self.key.clone() } }
    }
}

/// A running gateway. It is killed when it is dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) caller: Caller,
}

impl Gateway {
    pub(crate) fn stop(mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // SIGKILL, or it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Clone)]
pub(crate) struct Caller {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl Caller {
    /// The port that it asks.
    pub(crate) fn port(&self) -> u16 {
        self.url.split('/').nth(2).and_then(|host| host.rsplit(':').next()?.parse().ok()).unwrap()
    }

    /// Asks once; the status, the request id, and whether the whole answer came. None if nobody answers.
    pub(crate) async fn ask(&self, is_stream: bool) -> Option<(u16, String, bool)> {
        let model = if is_stream { "streamed" } else { "whole" };
        let body =
            format!(r#"{{"model":"{model}","stream":{is_stream},"messages":[{{"role":"user","content":"hello"}}]}}"#);
        let request = self.client.post(&self.url).bearer_auth(&self.key).header("content-type", "application/json");
        let response = request.body(body).send().await.ok()?;
        let status = response.status().as_u16();
        let id = response.headers().get("x-request-id")?.to_str().ok()?.to_owned();
        let text = response.text().await.ok();
        let is_whole = text.is_some_and(|text| !is_stream || text.ends_with("data: [DONE]\n\n"));
        Some((status, id, is_whole))
    }
}
