//! What was reported of the limits of other gateways, tried on ours: a test for each report.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use testkit::{FakeServer, RedisServer, Say};

use crate::cluster::Cluster;
use crate::edge;
use crate::helpers::{self, chat, chat_answer, chunk, header};
use crate::quotas::{echo_with, left, limited, priced, streamed, until_left};

/// BerriAI/litellm#40291, #27736, #13202: the limit held for each replica alone.
#[tokio::test]
async fn three_replicas_let_exactly_sixty_of_two_hundred_through() {
    let cluster = Cluster::start().await;
    let replicas = [cluster.gateway().await, cluster.gateway().await, cluster.gateway().await];
    let key = limited(&replicas[0], json!({"requests": "60/total"})).await;
    let asked = (0..200).map(|n| replicas[n % 3].chat(&key, "echo-chat", "hi"));
    let statuses: Vec<u16> = join_all(asked).await.iter().map(|response| response.status().as_u16()).collect();
    let count = |status| statuses.iter().filter(|other| **other == status).count();
    assert_eq!((count(200), count(429)), (60, 140), "{statuses:?}");
}

/// maximhq/bifrost#3547: a replica that restarted had forgotten what was used.
#[tokio::test]
async fn a_replica_that_restarts_has_forgotten_nothing() {
    let cluster = Cluster::start().await;
    let before = cluster.gateway().await;
    let key = limited(&before, json!({"requests": "3/day"})).await;
    for _ in 0..2 {
        assert_eq!(before.chat(&key, "echo-chat", "hi").await.status(), 200);
    }
    drop(before.stop());
    let after = cluster.gateway().await;
    assert_eq!(after.chat(&key, "echo-chat", "hi").await.status(), 200);
    assert_eq!(after.chat(&key, "echo-chat", "hi").await.status(), 429);
}

/// BerriAI/litellm#34732: the budget was looked at first and charged afterwards.
#[tokio::test]
async fn a_budget_for_one_call_lets_one_of_fifty_through() {
    let server = FakeServer::start(Say::json(&chat_answer("hi"))).await;
    let app = priced(&server, "").await;
    // 6 tokens to read and 8 to write are reserved, 3 and 5 used: what is given back is not enough for another.
    let key = limited(&app, json!({"budget": 31})).await;
    let mut body = chat("fake", "hello");
    body["max_tokens"] = json!(8);
    let asked = (0..50).map(|_| app.ask("/v1/chat/completions", &key, &body));
    let statuses: Vec<u16> = join_all(asked).await.into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(server.asked().len(), 1);
}

/// BerriAI/litellm#27955: a cancelled stream never gave its slot back.
#[tokio::test]
async fn a_cancelled_stream_gives_its_slot_back_within_a_second() {
    let server = FakeServer::start(Say::StuckEvents(vec![chunk("a")])).await;
    let app = priced(&server, "").await;
    let key = limited(&app, json!({"concurrent": 1})).await;
    let body = streamed("fake", 10).to_string();
    let open = app.post("/v1/chat/completions", &key).body(body).send().await.unwrap();
    assert_eq!(open.status(), 200);
    drop(open);
    let freed = tokio::time::timeout(Duration::from_secs(1), until_left(&app, &key, "concurrent", |left| left == 1));
    assert!(freed.await.is_ok());
    server.always(Say::json(&chat_answer("hi")));
    assert_eq!(app.chat(&key, "fake", "hi").await.status(), 200);
}

/// BerriAI/litellm#20256: calls that the server never answered kept a key's slots for ever.
#[tokio::test]
async fn a_server_that_hangs_takes_no_slot_away() {
    let server = FakeServer::start(Say::Silence).await;
    let app = helpers::fake(&server, "").await;
    let key = limited(&app, json!({"concurrent": 1})).await;
    let left_by_caller = tokio::time::timeout(Duration::from_millis(200), app.chat(&key, "fake", "hi")).await;
    assert!(left_by_caller.is_err());
    until_left(&app, &key, "concurrent", |left| left == 1).await;
    server.always(Say::json(&chat_answer("hi")));
    assert_eq!(app.chat(&key, "fake", "hi").await.status(), 200);
}

/// BerriAI/litellm#1477: malformed requests ate the slots.
#[tokio::test]
async fn malformed_requests_take_no_slot() {
    let app = helpers::echo().await;
    let key = limited(&app, json!({"concurrent": 1})).await;
    for _ in 0..3 {
        assert_eq!(app.ask("/v1/chat/completions", &key, &json!({"model": "echo-chat"})).await.0, 400);
    }
    assert_eq!(left(&app, &key, "concurrent").await, 1);
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
}

/// envoyproxy/ai-gateway#2248, wso2/api-platform#2932: a token limit counted each request as one.
#[tokio::test]
async fn answers_of_six_hundred_tokens_fit_into_a_thousand_once() {
    let used = "\"completion_tokens\":5";
    let long = chat_answer("hi").replace(used, "\"completion_tokens\":597");
    let server = FakeServer::start(Say::json(&long)).await;
    let app = helpers::fake(&server, "").await;
    let key = limited(&app, json!({"tokens": "1000/total"})).await;
    let mut body = chat("fake", "hi");
    body["max_tokens"] = json!(100);
    assert_eq!(app.ask("/v1/chat/completions", &key, &body).await.0, 200);
    until_left(&app, &key, "tokens", |left| left == 400).await;
    assert_eq!(app.ask("/v1/chat/completions", &key, &body).await.0, 200, "fits by estimate");
    until_left(&app, &key, "tokens", |left| left == 0).await;
    assert_eq!(app.ask("/v1/chat/completions", &key, &body).await.0, 429);

    // Without usage the estimate is charged: 5 to read, 100 bytes that were written.
    let silent = chat_answer(&"four".repeat(25)).replace(",\"usage\":", ",\"unknown\":");
    server.always(Say::json(&silent));
    let key = limited(&app, json!({"tokens": "1000/total"})).await;
    assert_eq!(app.ask("/v1/chat/completions", &key, &body).await.0, 200);
    until_left(&app, &key, "tokens", |left| (900..=970).contains(&left)).await;
}

/// envoyproxy/ai-gateway#1754: the header with what is left never fell.
#[tokio::test]
async fn headers_fall_with_every_call_and_agree_with_the_list() {
    let app = helpers::echo().await;
    let key = limited(&app, json!({"requests": "5/day"})).await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let response = app.chat(&key, "echo-chat", "hi").await;
        let header = header(&response, "ratelimit").to_owned();
        let told: u64 = header.split([';', '=']).nth(2).unwrap().parse().unwrap();
        assert_eq!(told, left(&app, &key, "requests").await);
        seen.push(told);
    }
    assert_eq!(seen, [4, 3, 2, 1, 0, 0]);
}

/// BerriAI/litellm#27823, #21553: 429 without Retry-After.
#[tokio::test]
async fn every_refusal_that_passes_says_when() {
    let app = helpers::spawn(&format!("{}\n[limits]\nfailures_per_minute = 1", gateway::config::LOCAL)).await;
    let wait = |response: &reqwest::Response| header(response, "retry-after").parse::<u64>().unwrap_or(0);
    for limits in [json!({"requests": "1/minute"}), json!({"tokens": "3000/minute"})] {
        let key = limited(&app, limits).await;
        assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
        let mut refused = app.chat(&key, "echo-chat", &"word ".repeat(800)).await;
        while refused.status() == 200 {
            refused = app.chat(&key, "echo-chat", &"word ".repeat(800)).await;
        }
        assert_eq!(refused.status(), 429);
        assert!((1..=61).contains(&wait(&refused)), "{}", wait(&refused));
    }
    for _ in 0..2 {
        app.chat("pck1_nonsense", "echo-chat", "hi").await;
    }
    let refused = app.chat("pck1_nonsense", "echo-chat", "hi").await;
    assert_eq!(refused.status(), 429);
    assert!((1..=61).contains(&wait(&refused)));
}

/// fabriziosalmi/certmate#420, hyperdxio/hyperdx#2775: buckets were named after what was sent, not after who
/// was verified.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_one_bucket_however_it_is_spelt() {
    let redis = RedisServer::start().await;
    let app = echo_with(&format!("[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000", redis.url())).await;
    let key = limited(&app, json!({"requests": "10/day"})).await;
    for spelt in ["Bearer KEY", "bearer KEY", "BEARER KEY", "Bearer  KEY", "Bearer KEY "] {
        let value = spelt.replace("KEY", &key);
        let head =
            format!("GET /v2/models/echo-tensor/ready HTTP/1.1\r\nHost: localhost\r\nAuthorization: {value}\r\n");
        let answer = edge::raw(&app, format!("{head}Connection: close\r\n\r\n").as_bytes());
        assert!(["200", "401"].contains(&edge::status(&answer)), "{spelt}: {answer}");
    }
    for n in 0..20 {
        let _ = app.chat(&format!("pck1_unknown{n}"), "echo-chat", "hi").await;
    }
    assert_eq!(redis.ask("DBSIZE").await, ":1", "one bucket, and none for keys that are none");
}

/// majiayu000/litellm-rs#53: weak hashes of names let callers share buckets.
#[tokio::test]
async fn buckets_are_named_in_full() {
    let redis = RedisServer::start().await;
    let app = echo_with(&format!("[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000", redis.url())).await;
    let keys = [limited(&app, json!({"requests": "10/day"})).await, limited(&app, json!({"requests": "10/day"})).await];
    for key in &keys {
        assert_eq!(app.chat(key, "echo-chat", "hi").await.status(), 200);
        let family = &key[5..21];
        let name = format!("portcullis:b:{{default}}family:{family}");
        assert_eq!(redis.ask(&format!("EXISTS {name}")).await, ":1", "{name}");
        assert!(!name.contains(&key[22..]), "the secret is not in it");
    }
}

/// JuanLunaIA/aegis-latent-core#67: whatever Redis said wrong was no limit at all.
#[tokio::test]
async fn no_fault_of_redis_is_permission() {
    let mut redis = RedisServer::start().await;
    let app = echo_with(&format!("[redis]\nurl = \"{}\"\ndeadline_milliseconds = 300", redis.url())).await;
    let key = limited(&app, json!({"requests": "100000/total"})).await;
    let status = async || app.chat(&key, "echo-chat", "hi").await.status().as_u16();
    // Until the breaker, which was opened by the fault before, lets somebody ask.
    let recovers = async || {
        for _ in 0..500 {
            if status().await == 200 {
                return;
            }
            // It is open for a quarter of a second.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not recover");
    };
    recovers().await;
    redis.freeze(true).await;
    assert_eq!(status().await, 503);
    redis.freeze(false).await;
    recovers().await;
    redis.ask("SCRIPT FLUSH").await;
    assert_eq!(status().await, 200, "the script is sent again");
    redis.ask("REPLICAOF 127.0.0.1 1").await;
    assert_eq!(status().await, 503);
    redis.ask("REPLICAOF NO ONE").await;
    recovers().await;
    redis.kill().await;
    assert_eq!(status().await, 503);
    redis.restart().await;
    recovers().await;
}

/// maximhq/bifrost#2873, BerriAI/litellm#12789: other spellings of a route passed by the limits.
#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_route_passes_by_its_limits() {
    let app = helpers::echo().await;
    let key = limited(&app, json!({"requests": "1/total"})).await;
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    let body = chat("echo-chat", "hi").to_string();
    for path in [
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/V1/chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/completions%2f",
        "/v1/%2e/chat/completions",
        "/v1/./chat/completions",
        "/v1/chat%2fcompletions",
        "/v1/chat/completions;a=b",
        "/v1/chat/completions?key=none",
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n");
        let rest = format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = edge::raw(&app, (head + &rest).as_bytes());
        let wanted = if path.contains('?') { "429" } else { "404" };
        assert_eq!(edge::status(&answer), wanted, "{path}: {answer}");
    }
}
