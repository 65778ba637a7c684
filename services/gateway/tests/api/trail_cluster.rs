//! The trail of gateways that share a database: they keep an eye on each other, and the command line works as on files.

use std::process::Output;
use std::time::Duration;

use audit::{Act, Log, SigningKey};
use serde_json::{Value, json};
use store::PostgresTrail;
use testkit::{FakeServer, Say};

use crate::cluster::Cluster;
use crate::helpers::{App, header};

fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn trail(cluster: &Cluster) -> PostgresTrail {
    PostgresTrail::connect(&cluster.postgres.url()).await.unwrap()
}

async fn asked(app: &App, key: &str) -> String {
    let response = app.chat(key, "echo-chat", "hello").await;
    assert_eq!(response.status(), 200);
    header(&response, "x-request-id").to_owned()
}

fn signing(cluster: &Cluster) -> SigningKey {
    SigningKey::load_or_create(&cluster.shared().join("audit-key")).unwrap()
}

#[tokio::test]
async fn a_log_that_is_written_anew_is_found_by_what_its_peers_recorded() {
    let cluster = Cluster::start().await;
    let one = cluster.gateway().await;
    let key = one.key().await;
    for _ in 0..3 {
        asked(&one, &key).await;
    }
    drop(one.stop());
    // The command line keeps the first log, so that the gateway takes the second.
    let trail = trail(&cluster).await;
    let held = trail.claim().await.unwrap();
    assert_eq!(held.number(), 1);
    let two = cluster.gateway().await;
    let mut peers = Vec::new();
    // Upkeep records it in its own time; nothing tells when.
    for _ in 0..500 {
        peers = trail.newest_beside(1, "peer").await.unwrap();
        if !peers.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(peers.len(), 1);
    drop(two.stop());
    let good = said(cluster.run(&["audit", "verify"]));
    assert!(good.contains("log 1: the same as in 1 records of other gateways"), "{good}");

    // Whoever has the signing key and the database writes a log that is good by itself.
    cluster.postgres.sql("DELETE FROM audit_records WHERE log = 1").await;
    cluster
        .postgres
        .sql("UPDATE audit_logs SET size = 0, checkpoint = NULL, held_until = '-infinity' WHERE log = 1")
        .await;
    let rows = trail.claim().await.unwrap();
    assert_eq!(rows.number(), 1);
    let log = Log::open(rows, signing(&cluster), "portcullis/cluster/1").await.unwrap();
    for at in 0..20 {
        log.append(&Act::new(at.to_string(), 1).into()).await.unwrap();
    }
    log.close().await.unwrap();
    let bad = cluster.run(&["audit", "verify"]);
    assert_eq!(bad.status.code(), Some(2), "{bad:?}");
    assert!(String::from_utf8(bad.stderr).unwrap().contains("log 1: the audit log was changed"));
    drop(held);
}

#[tokio::test]
async fn records_of_a_database_are_proved_exported_and_compared_as_those_of_files() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.gateway().await, cluster.gateway().await);
    let key = one.key().await;
    let ids = [asked(&one, &key).await, asked(&two, &key).await];
    let trail = trail(&cluster).await;
    drop(one.stop());
    let older = trail.signed(1).await.unwrap().0.unwrap();
    let file = |name: &str| cluster.shared().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("older"), &older).unwrap();
    said(cluster.run(&["audit", "verify", "--mark", &file("marks")]));
    let indexes = |text: String| -> Vec<(String, u64)> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (line["log"].as_str().unwrap().to_owned(), line["index"].as_u64().unwrap())).collect()
    };
    let export = || indexes(said(cluster.run(&["audit", "export", "--cursor", &file("cursor")])));
    let first = export();
    assert!(first.contains(&("portcullis/cluster/1".to_owned(), 0)), "{first:?}");
    assert!(export().is_empty());
    let again = cluster.gateway().await;
    asked(&again, &key).await;
    drop((again.stop(), two.stop()));
    std::fs::write(file("newer"), trail.signed(1).await.unwrap().0.unwrap()).unwrap();
    let second = export();
    assert!(!second.is_empty() && second.iter().all(|line| !first.contains(line)), "{second:?}");

    for (number, id) in (1..).zip(&ids) {
        let proved = said(cluster.run(&["audit", "prove", id, "--out", &file(".")]));
        let verifier = signing(&cluster).verifying_key().to_string();
        let pairs: Vec<Vec<&str>> = proved
            .lines()
            .filter(|line| line.ends_with("proof"))
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(pairs.len(), 2, "an intent and an outcome: {proved}");
        for pair in pairs {
            let good = said(cluster.run(&["audit", "check", pair[0], pair[1], "--key", &verifier]));
            assert!(good.contains(&format!("portcullis/cluster/{number}")), "{good}");
        }
    }
    assert!(said(cluster.run(&["audit", "diff", &file("older"), &file("newer")])).contains(" records were added to "));
    let since = said(cluster.run(&["audit", "verify", "--since", &file("marks")]));
    // The newest records of a gateway that runs may have been unsigned when the marks were made.
    assert!(since.contains(", read from ") && since.matches(": good: ").count() == 2, "{since}");
    let kept = said(cluster.run(&["audit", "verify", "--checkpoint", &file("older")]));
    assert_eq!(kept.matches(": good: ").count(), 2, "{kept}");
    let all = said(cluster.run(&["audit", "verify", "--since", "2020-01-01T00:00:00Z"]));
    let none = said(cluster.run(&["audit", "verify", "--since", "2120-01-01T00:00:00Z"]));
    let total = first.len() + second.len();
    assert!(all.contains(&format!("{total} of all these are from this time on")), "{all}");
    assert!(none.contains("0 of all these are from this time on"), "{none}");
    assert_eq!(said(cluster.run(&["audit", "open"])), "");

    cluster.postgres.sql("UPDATE audit_records SET record = replace(record, 'echo-chat', 'evil-chat')").await;
    for arguments in [
        vec!["verify"],
        vec!["verify", "--checkpoint", "older"],
        vec!["diff", "older", "newer"],
        vec!["prove", &ids[0], "--out", "."],
    ] {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|part| if ["older", "newer"].contains(part) { file(part) } else { (*part).to_owned() })
            .collect();
        let arguments: Vec<&str> = ["audit"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        assert_eq!(cluster.run(&arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn old_rows_are_removed_and_the_rest_verifies() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.gateway().await, cluster.gateway().await);
    let key = one.key().await;
    let old = [asked(&one, &key).await, asked(&two, &key).await];
    drop((one.stop(), two.stop()));
    cluster.postgres.sql("UPDATE audit_records SET written_at = now() - interval '3 days'").await;
    let more = "keep_days = 2\n";
    // The settings end within [audit]. Of the two logs it writes the first, and nobody writes the second.
    let again = cluster.gateway_with(more).await;
    let trail = trail(&cluster).await;
    for id in &old {
        // Upkeep removes it in its own time; nothing tells when.
        for _ in 0..500 {
            if trail.find(id).await.unwrap().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(trail.find(id).await.unwrap().is_empty(), "{id}");
    }
    let new = asked(&again, &key).await;
    drop(again.stop());
    let good = said(cluster.run(&["audit", "verify"]));
    assert_eq!(good.matches(", read from ").count(), 2, "{good}");
    let acts: Vec<Value> =
        trail.find("audit.settings").await.unwrap().iter().map(|(_, _, record)| json!(record)).collect();
    // The change, and before each removal that it still holds, so that it is never gone.
    let kept: Vec<&Value> = acts.iter().map(|act| &act["after"]["audit"]["keep_days"]).collect();
    assert_eq!(kept, [&json!(2); 3]);
    // And goes on.
    let again = cluster.gateway_with(more).await;
    assert_eq!(trail.find(&new).await.unwrap().len(), 2);
    drop(again);
}

#[tokio::test]
async fn records_of_a_log_that_nobody_writes_reach_the_collector_too() {
    let cluster = Cluster::start().await;
    let collector = FakeServer::start(Say::HangUp).await;
    // The settings end within [audit].
    let more = format!("[audit.otlp]\nurl = \"{}\"\n", collector.url());
    let (one, two) = (cluster.gateway_with(&more).await, cluster.gateway_with(&more).await);
    let key = one.key().await;
    let ids = [asked(&one, &key).await, asked(&two, &key).await];
    drop((one.stop(), two.stop()));
    // What it hung up on it has not taken.
    let before = collector.asked().len();
    collector.always(Say::json("{}"));
    // It writes the first log, and nobody the second.
    let again = cluster.gateway_with(&more).await;
    let mut is_sent = [false; 2];
    // They are sent every two seconds or so, by turns that nobody hears of.
    for _ in 0..500 {
        let sent: String = collector.asked().iter().skip(before).map(testkit::Asked::text).collect();
        is_sent = [0, 1].map(|at| sent.contains(&ids[at]));
        if is_sent == [true; 2] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(is_sent, [true; 2]);
    drop(again);
}
