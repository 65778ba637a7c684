//! A key that was revoked at one gateway, at the others; and keys that are replaced under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keys::KeyLimits;
use serde_json::json;

use crate::cluster::Cluster;
use crate::helpers::{self, App, answer};

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A number that the gateway counts.
async fn counted(at: &App, admin: &str, name: &str) -> u64 {
    let metrics = at.admin_get("/metrics", admin).send().await.unwrap().text().await.unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{metrics}"));
    value.trim().parse().unwrap()
}

async fn wait_until(at: &App, admin: &str, name: &str, is_enough: impl Fn(u64) -> bool) {
    let begun = Instant::now();
    while !is_enough(counted(at, admin, name).await) {
        assert!(begun.elapsed() < PATIENCE, "{name} stays");
        // Another task counts; nothing tells when.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const HEARD: &str = "portcullis_key_changes_heard_total ";
const AUDIBLE: &str = "portcullis_key_changes_audible ";

async fn revoke(at: &App, admin: &str, key: &str) {
    let path = format!("/admin/keys/{}/revoke", &key[..21]);
    assert_eq!(at.admin_post(&path, admin, &json!({})).send().await.unwrap().status(), 200);
}

async fn is_refused(at: &App, key: &str) -> bool {
    match at.get("/v1/models", key).send().await.unwrap().status().as_u16() {
        200 => false,
        401 => true,
        other => panic!("{other}"),
    }
}

/// Asks all until all refuse.
async fn refused_by_all(gateways: &[App], key: &str) {
    let begun = Instant::now();
    for gateway in gateways {
        while !is_refused(gateway, key).await {
            assert!(begun.elapsed() < PATIENCE, "it goes on working");
            // Nothing tells when a gateway has heard of it.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_key_revoked_at_one_gateway_is_refused_by_all() {
    let mut cluster = Cluster::start().await;
    let gateways = [cluster.gateway().await, cluster.gateway().await, cluster.gateway().await];
    let admin = gateways[0].admin_key().await;
    for gateway in &gateways {
        wait_until(gateway, &admin, AUDIBLE, |is_audible| is_audible == 1).await;
    }
    let keys = [gateways[0].key().await, gateways[0].key().await, gateways[0].key().await];
    for (gateway, key) in gateways.iter().flat_map(|gateway| keys.iter().map(move |key| (gateway, key))) {
        assert!(!is_refused(gateway, key).await);
    }
    revoke(&gateways[1], &admin, &keys[0]).await;
    assert!(is_refused(&gateways[1], &keys[0]).await, "at once where it was revoked");
    for gateway in &gateways {
        // Told, not found out: rows are not read again so soon.
        wait_until(gateway, &admin, HEARD, |heard| heard == 1).await;
        assert!(is_refused(gateway, &keys[0]).await);
    }
    assert!(!is_refused(&gateways[2], &keys[1]).await, "and no other");

    // Without Redis nobody is told, and all look sooner.
    cluster.redis.kill().await;
    for gateway in &gateways {
        wait_until(gateway, &admin, AUDIBLE, |is_audible| is_audible == 0).await;
    }
    revoke(&gateways[2], &admin, &keys[1]).await;
    refused_by_all(&gateways, &keys[1]).await;

    // What happened meanwhile has not been missed, and what happens now is heard again.
    cluster.redis.restart().await;
    let mut heard = Vec::new();
    for gateway in &gateways {
        wait_until(gateway, &admin, AUDIBLE, |is_audible| is_audible == 1).await;
        heard.push(counted(gateway, &admin, HEARD).await);
    }
    revoke(&gateways[0], &admin, &keys[2]).await;
    for (gateway, before) in gateways.iter().zip(heard) {
        wait_until(gateway, &admin, HEARD, |heard| heard > before).await;
        assert!(is_refused(gateway, &keys[2]).await);
    }
}

#[tokio::test]
async fn the_command_line_tells_running_gateways() {
    let cluster = Cluster::start().await;
    let gateways = [cluster.gateway().await, cluster.gateway().await];
    let key = gateways[0].key().await;
    for gateway in &gateways {
        assert!(!is_refused(gateway, &key).await);
    }
    let admin = gateways[0].admin_key().await;
    for gateway in &gateways {
        wait_until(gateway, &admin, AUDIBLE, |is_audible| is_audible == 1).await;
    }
    let revoked = cluster.run(&["keys", "revoke", &key[..21]]);
    assert_eq!(String::from_utf8(revoked.stdout).unwrap(), "revoked 1\n");
    for gateway in &gateways {
        wait_until(gateway, &admin, HEARD, |heard| heard == 1).await;
        assert!(is_refused(gateway, &key).await);
    }
}

/// Callers who go on with the key they know while it is replaced three times over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_refuses_nobody_and_doubles_no_budget() {
    const BUDGET: usize = 600;
    let app = Arc::new(helpers::echo().await);
    let admin = app.admin_key().await;
    let limits = KeyLimits { requests: format!("{BUDGET}/total").parse().ok(), ..KeyLimits::default() };
    let first = app.key_with(&["*"], limits).await;
    let newest = Arc::new(std::sync::Mutex::new(first));
    let (answered, spent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (app, newest) = (app.clone(), newest.clone());
            let (answered, spent) = (answered.clone(), spent.clone());
            tokio::spawn(async move {
                // Each caller learns of a newer key a while after there is one.
                let mut key = newest.lock().unwrap().clone();
                let mut asked = 0;
                while spent.load(Ordering::SeqCst) < 8 {
                    match app.chat(&key, "echo-chat", "hi").await.status().as_u16() {
                        200 => answered.fetch_add(1, Ordering::SeqCst),
                        429 => spent.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other}"),
                    };
                    asked += 1;
                    if asked % 16 == 0 {
                        key = newest.lock().unwrap().clone();
                    }
                }
            })
        })
        .collect();
    for at in [100, 200, 300] {
        while answered.load(Ordering::SeqCst) < at {
            tokio::task::yield_now().await;
        }
        let old = newest.lock().unwrap().clone();
        let path = format!("/admin/keys/{}/rotate", &old[..21]);
        let rotated = app.admin_post(&path, &admin, &json!({"grace_seconds": 600})).send().await.unwrap();
        let (status, rotated) = answer(rotated).await;
        assert_eq!(status, 200, "{rotated}");
        *newest.lock().unwrap() = rotated["key"].as_str().unwrap().to_owned();
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(answered.load(Ordering::SeqCst), BUDGET);
}
