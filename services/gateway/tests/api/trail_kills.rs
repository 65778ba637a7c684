//! A gateway is killed again and again while it answers: no backend was asked without a durable intent, and no whole
//! answer was given without its outcome. `just bench-audit kills` does it two hundred times.

use std::collections::{HashMap, HashSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::{FakeServer, Say};

use crate::cli::{Running, portcullis, run, text};
use crate::helpers::{self, chat, chat_answer, chunk, last_chunk};

const KILLS: usize = 3;
const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gateway_has_asked_and_answered_nothing_off_the_record() {
    let whole = FakeServer::start(Say::json(&chat_answer("fine"))).await;
    let streamed = FakeServer::start(Say::Events(vec![chunk("so "), chunk("far"), last_chunk("stop")])).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = String::new();
    for (name, server) in [("whole", &whole), ("streamed", &streamed)] {
        settings += &format!(
            "[backends.{name}]\nkind = \"openai\"\nurl = \"{}/v1\"\n\
             [models.{name}]\nbackends = [\"{name}\"]\noperations = [\"chat\"]\n",
            server.url()
        );
    }
    std::fs::write(folder.path().join("p.toml"), settings).unwrap();
    let issued = run(folder.path(), &["keys", "issue", "--name", "a", "--config", "p.toml"]);
    let key = text(&issued.stdout).trim().to_owned();
    let answered = Arc::new(Mutex::new(Vec::new()));
    for kill in 0..KILLS {
        let serve = portcullis(folder.path(), &["serve", "--config", "p.toml"]);
        let running = Running::with_log(serve, Stdio::null());
        let url = format!("{}/v1/chat/completions", running.ready.split_whitespace().nth(1).unwrap());
        let client = helpers::client(&folder.path().join("data"));
        let (asked, asked_for_streams) = (whole.asked().len(), streamed.asked().len());
        let asking: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (client, url, key, answered) = (client.clone(), url.clone(), key.clone(), answered.clone());
                tokio::spawn(async move {
                    let is_stream = caller % 2 == 1;
                    let mut body = chat(if is_stream { "streamed" } else { "whole" }, "hello");
                    body["stream"] = json!(is_stream);
                    let asked = || client.post(&url).bearer_auth(&key).body(body.to_string());
                    while let Ok(response) = asked().header("content-type", "application/json").send().await {
                        assert_eq!(response.status(), 200);
                        let id = helpers::header(&response, "x-request-id").to_owned();
                        let Ok(body) = response.text().await else { break };
                        if !is_stream || body.ends_with("data: [DONE]\n\n") {
                            answered.lock().unwrap().push(id);
                        }
                    }
                })
            })
            .collect();
        whole.wait_asked(asked + 11 + 17 * kill).await;
        streamed.wait_asked(asked_for_streams + 7 + 5 * kill).await;
        // SIGKILL.
        drop(running);
        for asking in asking {
            asking.await.unwrap();
        }
    }
    // What was open is closed by the next start.
    Running::with_log(portcullis(folder.path(), &["serve", "--config", "p.toml"]), Stdio::null()).stop();
    let verified = run(folder.path(), &["audit", "verify", "--config", "p.toml"]);
    assert!(verified.status.success(), "{verified:?}");

    let (mut intents, mut outcomes) = (HashSet::new(), HashMap::new());
    for entry in std::fs::read_dir(folder.path().join("data/audit")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let id = record["request_id"].as_str().unwrap().to_owned();
            match record["record"].as_str() {
                Some("intent") => drop(intents.insert(id)),
                Some("outcome") => drop(outcomes.insert(id, record["ended"].as_str().unwrap().to_owned())),
                _ => {}
            }
        }
    }
    for asked in whole.asked().iter().chain(&streamed.asked()) {
        let id = asked.header("x-request-id").unwrap();
        assert!(intents.contains(id), "a server was asked without an intent: {id}");
    }
    assert_eq!(intents.len(), outcomes.len(), "every intent has an outcome");
    let answered = answered.lock().unwrap();
    assert!(answered.len() >= KILLS * CALLERS, "{} were answered", answered.len());
    for id in answered.iter() {
        assert_eq!(outcomes[id], "complete", "an answer ended before its outcome was on record: {id}");
    }
}
