//! A model behind the gateway: the release binary, a model server of the Open Inference Protocol, and a caller. The same
//! server speaks OpenAI's API, as the model `words`: the victim's numbers are log-probabilities of words there.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::routing::post;
use nalgebra::DMatrix;
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::runtime::Runtime;

use crate::digits::sent;

/// Most rows that are asked at once.
const ROWS: usize = 1_000;

/// The scores for one input.
type Victim = Arc<dyn Fn(&[f32]) -> Vec<f64> + Send + Sync>;

/// One model under several names, each with a disclosure of its own, and keys that may ask all of them.
pub struct Gateway {
    runtime: Runtime,
    client: Client,
    url: String,
    admin_url: String,
    keys: Vec<String>,
    admin_key: String,
    _process: Child,
    /// Kept, so that what it still says has somewhere to go.
    _output: Lines<BufReader<ChildStdout>>,
    _folder: TempDir,
}

impl Gateway {
    /// Starts the binary that lies beside this one. `models` are names, and what `disclosure` says of them.
    pub fn start(
        models: &[(String, String)],
        keys: usize,
        victim: impl Fn(&[f32]) -> Vec<f64> + Send + Sync + 'static,
    ) -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let started = runtime.block_on(start(folder.path(), models, keys, Arc::new(victim)));
        let Started { client, url, admin_url, keys, admin_key, process, output } = started.unwrap();
        Self { runtime, client, url, admin_url, keys, admin_key, _process: process, _output: output, _folder: folder }
    }

    /// Lets the monitor of a model learn from all that was asked.
    pub fn learn(&self, model: &str) {
        let url = format!("{}/admin/monitors/{model}/learn", self.admin_url);
        let request = self.client.post(url).bearer_auth(&self.admin_key);
        let answer = self.runtime.block_on(async { request.send().await?.error_for_status() });
        assert!(answer.is_ok(), "{answer:?}");
    }

    /// What the model of that name answers to each row, asked with the key of that place.
    pub fn answers(&self, model: &str, key: usize, inputs: &DMatrix<f64>) -> DMatrix<f64> {
        let rows: Vec<Vec<f32>> = (0..inputs.nrows()).map(|row| sent(inputs, row)).collect();
        let asked = rows.chunks(ROWS).map(|rows| self.runtime.block_on(self.ask(model, key, rows)));
        let told: Vec<f64> = asked.flatten().collect();
        DMatrix::from_row_slice(rows.len(), told.len() / rows.len(), &told)
    }

    /// The likeliest words for a prompt, as many as are told of the twenty that are asked for.
    pub fn alternatives(&self, key: usize, prompt: usize) -> Vec<(usize, f64)> {
        let message = json!({"role": "user", "content": prompt.to_string()});
        let body = json!({"model": "words", "messages": [message], "logprobs": true, "top_logprobs": 20});
        let url = format!("{}/v1/chat/completions", self.url);
        let request = self.client.post(url).bearer_auth(&self.keys[key]).header("content-type", "application/json");
        let request = request.body(body.to_string());
        let text = self.runtime.block_on(async { request.send().await?.error_for_status()?.text().await }).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        let told = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"].as_array().unwrap().iter();
        told.map(|word| (word["token"].as_str().unwrap().parse().unwrap(), word["logprob"].as_f64().unwrap())).collect()
    }

    async fn ask(&self, model: &str, key: usize, rows: &[Vec<f32>]) -> Vec<f64> {
        let shape = [rows.len(), rows[0].len()];
        let input = json!({"name": "x", "datatype": "FP32", "shape": shape, "data": rows.concat()});
        let url = format!("{}/v2/models/{model}/infer", self.url);
        let body = json!({"inputs": [input]}).to_string();
        let request = self.client.post(url).bearer_auth(&self.keys[key]).header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{status}: {text}");
        numbers(&serde_json::from_str::<Value>(&text).unwrap()["outputs"][0]["data"])
    }
}

/// Nested or not.
fn numbers(data: &Value) -> Vec<f64> {
    let rows = data.as_array().unwrap().iter();
    rows.flat_map(|value| value.as_f64().map_or_else(|| numbers(value), |number| vec![number])).collect()
}

struct Started {
    client: Client,
    url: String,
    admin_url: String,
    keys: Vec<String>,
    admin_key: String,
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
}

async fn start(
    folder: &Path,
    models: &[(String, String)],
    keys: usize,
    victim: Victim,
) -> Result<Started, Box<dyn Error>> {
    let binary = std::env::current_exe()?.with_file_name("portcullis");
    if !binary.exists() {
        return Err(format!("{} is missing: build the gateway in the same profile", binary.display()).into());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let settings = settings(&folder.join("data"), &listener.local_addr()?.to_string(), models);
    let server = Router::new().route("/v2/models/{model}/infer", post(infer));
    let server = server.route("/v1/chat/completions", post(chat)).with_state(victim);
    tokio::spawn(axum::serve(listener, server).into_future());
    let config = folder.join("portcullis.toml");
    fs::write(&config, settings)?;
    let key = async |arguments: &[&str]| -> Result<String, Box<dyn Error>> {
        let mut command = Command::new(&binary);
        let output = command.arg("keys").args(arguments).arg("--config").arg(&config).output().await?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let admin_key = key(&["bootstrap"]).await?;
    let mut issued = Vec::new();
    for _ in 0..keys {
        issued.push(
            key(&["issue", "--name", "bench", "--model", "*", "--operation", "infer", "--operation", "chat"]).await?,
        );
    }
    let mut serve = Command::new(&binary);
    serve.args(["serve", "--port", "0", "--config"]).arg(&config).kill_on_drop(true);
    serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(folder.join("log"))?);
    let mut process = serve.spawn()?;
    let mut output = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
    let url = loop {
        let line = output.next_line().await?.ok_or("the gateway ended")?;
        if let Some(url) = line.strip_prefix("ready").and_then(|rest| rest.split_whitespace().next()) {
            break url.to_owned();
        }
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = Certificate::from_pem(&fs::read(folder.join("data/tls/ca.pem"))?)?;
    let client = Client::builder().tls_certs_only([authority]).no_proxy().build()?;
    let admin_url = format!("https://{}", fs::read_to_string(folder.join("data/admin-address"))?.trim());
    Ok(Started { client, url, admin_url, keys: issued, admin_key, process, output })
}

fn settings(data: &Path, backend: &str, models: &[(String, String)]) -> String {
    let mut text = format!(
        "[log]\nlevel = \"warn\"\n[server]\ndata_dir = {data:?}\n[disclosure]\nsecret = \"as good as thirty-two bytes\"\n\
         [backends.victim]\nkind = \"oip\"\nurl = \"http://{backend}\"\n\
         [backends.words]\nkind = \"openai\"\nurl = \"http://{backend}/v1\"\n\
         [models.words]\nbackends = [\"words\"]\noperations = [\"chat\"]\n"
    );
    for (name, disclosure) in models {
        let _ = write!(
            text,
            "[models.{name}]\nbackends = [\"victim\"]\noperations = [\"infer\"]\ntensors = \"settings\"\n\
             [models.{name}.disclosure]\n{disclosure}\n"
        );
    }
    text
}

/// Answers each row.
async fn infer(State(victim): State<Victim>, Json(asked): Json<Value>) -> Json<Value> {
    let input = &asked["inputs"][0];
    let width = input["shape"][1].as_u64().unwrap() as usize;
    let values: Vec<f32> = numbers(&input["data"]).into_iter().map(|value| value as f32).collect();
    let rows: Vec<Vec<f64>> = values.chunks(width).map(|row| victim(row)).collect();
    let shape = [rows.len(), rows[0].len()];
    let output = json!({"name": "scores", "datatype": "FP64", "shape": shape, "data": rows.concat()});
    Json(json!({"model_name": "victim", "outputs": [output]}))
}

/// Answers with the likeliest word.
async fn chat(State(victim): State<Victim>, Json(asked): Json<Value>) -> Json<Value> {
    let prompt: f32 = asked["messages"][0]["content"].as_str().unwrap().parse().unwrap();
    let mut words: Vec<(usize, f64)> = victim(&[prompt]).into_iter().enumerate().collect();
    words.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let told = |(word, logprob): &(usize, f64)| json!({"token": word.to_string(), "logprob": logprob});
    let best: Vec<Value> = words.iter().take(asked["top_logprobs"].as_u64().unwrap() as usize).map(told).collect();
    let token = json!({"token": best[0]["token"], "logprob": best[0]["logprob"], "top_logprobs": best});
    let choice = json!({
        "index": 0, "message": {"role": "assistant", "content": best[0]["token"]}, "finish_reason": "stop",
        "logprobs": {"content": [token]},
    });
    Json(json!({"object": "chat.completion", "created": 1, "choices": [choice]}))
}
