//! A1: a gateway is killed two hundred times while it answers. No server may have seen a request without a durable intent,
//! and no caller a whole answer without its outcome. A page cache outlives a killed process: `syscalls` looks at the disk.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;

use crate::gateway::Site;
use crate::mutants::Random;

const KILLS: usize = 200;
const CALLERS: usize = 16;

#[derive(Deserialize)]
struct Record {
    record: String,
    request_id: String,
    #[serde(default)]
    ended: String,
}

/// Gives the count of violations.
pub(crate) async fn run() -> usize {
    let mut site = Site::new("").await;
    site.issue();
    let mut random = Random::new(11);
    let answered = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..KILLS {
        let gateway = site.start();
        let (whole, streamed) = (site.whole.asked().len(), site.streamed.asked().len());
        let asking: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (asker, answered) = (gateway.caller.clone(), answered.clone());
                tokio::spawn(async move {
                    while let Some((status, id, is_whole)) = asker.ask(caller % 2 == 1).await {
                        if status == 200 && is_whole {
                            answered.lock().unwrap().push(id);
                        }
                    }
                })
            })
            .collect();
        site.whole.wait_asked(whole + 1 + random.below(60)).await;
        site.streamed.wait_asked(streamed + 1 + random.below(20)).await;
        tokio::time::sleep(Duration::from_micros(random.below(5_000) as u64)).await;
        drop(gateway);
        for asking in asking {
            asking.await.unwrap();
        }
    }
    // What was open is closed by the next start.
    site.start().stop();
    assert!(site.verifies(), "the trail does not verify");
    let (intents, outcomes) = read(&site.data().join("audit"));
    let asked: Vec<_> = site.whole.asked().into_iter().chain(site.streamed.asked()).collect();
    let is_off = |id: &&str| !intents.contains(*id);
    let off_record = asked.iter().filter_map(|asked| asked.header("x-request-id")).filter(is_off).count();
    let answered = answered.lock().unwrap();
    let lost = answered.iter().filter(|id| outcomes.get(*id).is_none_or(|ended| ended != "complete")).count();
    let unknown = outcomes.values().filter(|ended| *ended == "unknown").count();
    println!(
        "{KILLS} kills: servers saw {} requests, {off_record} of them without an intent; {} whole answers were given, \
         {lost} of them without an outcome; {unknown} outcomes are unknown",
        asked.len(),
        answered.len()
    );
    off_record + lost
}

fn read(trail: &Path) -> (HashSet<String>, HashMap<String, String>) {
    let (mut intents, mut outcomes) = (HashSet::new(), HashMap::new());
    for entry in std::fs::read_dir(trail).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let Record { record, request_id, ended } = serde_json::from_str(line).unwrap();
            match record.as_str() {
                "intent" => drop(intents.insert(request_id)),
                "outcome" => drop(outcomes.insert(request_id, ended)),
                _ => {}
            }
        }
    }
    (intents, outcomes)
}
