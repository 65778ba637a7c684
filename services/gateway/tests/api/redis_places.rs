//! Quotas behind TLS, sentinels, and in a cluster.

use gateway::Gateway;
use gateway::config::{LOCAL, Settings};
use serde_json::json;
use testkit::{RedisCluster, RedisSentinels, RedisTls};

use crate::helpers::{App, answer};
use crate::quotas::{echo_with, left, limited};

/// Quotas of four subjects, three of which share no slot.
const QUOTAS: &str = "
[quotas.a-tenant]
of = \"tenant\"
counts = \"tokens\"
limit = \"1000000/total\"
[quotas.an-address]
of = \"address\"
counts = \"requests\"
limit = \"3/day\"
[quotas.everybody]
of = \"all\"
counts = \"requests\"
limit = \"50/day\"
each_model = true
";

async fn counts_in_every_quota(app: &App) {
    let key = limited(app, json!({"requests": "5/day", "concurrent": 2})).await;
    for _ in 0..3 {
        let (status, body) = answer(app.chat(&key, "echo-chat", "hi").await).await;
        assert_eq!(status, 200, "{body}");
    }
    let (_, refused) = answer(app.chat(&key, "echo-chat", "hi").await).await;
    assert_eq!(refused["error"]["message"], "the quota an-address is used up for now");
    assert_eq!(left(app, &key, "requests").await, 2, "what was refused is charged to none");
    assert_eq!(left(app, &key, "an-address").await, 0);
}

async fn start(settings: &str) -> Result<(), String> {
    let data = tempfile::tempdir().unwrap();
    let mut settings = Settings::parse(&format!("{LOCAL}\n{settings}")).unwrap();
    settings.server.data_dir = data.path().join("data");
    settings.server.listen.set_port(0);
    settings.server.admin_listen.set_port(0);
    Gateway::bind(settings, None).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn over_tls_with_a_certificate_of_the_gateway() {
    let redis = RedisTls::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let ca = file("ca.pem", &redis.certificates.ca);
    let (certificate, key) = &redis.certificates.client;
    let (certificate, key) = (file("cert.pem", certificate), file("key.pem", key));
    let place = format!("[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000\n", redis.url());
    let tls = format!("tls_ca = \"{ca}\"\ntls_cert = \"{certificate}\"\ntls_key = \"{key}\"\n");
    counts_in_every_quota(&echo_with(&format!("{place}{tls}{QUOTAS}")).await).await;
    assert_eq!(
        start(&place).await.unwrap_err(),
        "redis.url: the server's certificate is not trusted, or it does not trust ours"
    );
    let half = start(&format!("{place}tls_ca = \"{ca}\"\ntls_cert = \"{certificate}\"\n")).await.unwrap_err();
    assert_eq!(half, "redis.tls_key: tls_cert and tls_key go together");
    let missing = start(&format!("{place}tls_ca = \"/nowhere/ca.pem\"\n")).await.unwrap_err();
    assert!(missing.starts_with("redis.tls_ca: /nowhere/ca.pem: "), "{missing}");
}

#[tokio::test]
async fn by_way_of_sentinels_that_ask_for_a_password() {
    let redis = RedisSentinels::start(Some("sentinel-secret")).await;
    let place = format!("[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000\n", redis.url());
    let app = echo_with(&format!("{place}sentinel_password = \"sentinel-secret\"\n{QUOTAS}")).await;
    counts_in_every_quota(&app).await;
    let refused = start(&format!("{place}sentinel_password = \"wrong-secret\"\n")).await.unwrap_err();
    assert_eq!(refused, "redis.url: the server refuses the user, the password or a right");
    assert!(!refused.contains("wrong-secret"));
}

#[tokio::test]
async fn in_a_cluster_whose_slots_no_script_spans() {
    let redis = RedisCluster::start().await;
    let place = format!("[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000\n", redis.url());
    counts_in_every_quota(&echo_with(&format!("{place}{QUOTAS}")).await).await;
}
