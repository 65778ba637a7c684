//! Two gateways on one Redis and one Postgres.

use std::num::NonZeroU64;
use std::path::Path;
use std::process::{Command, Output};

use keys::{KeyLimits, Per, Rate};
use testkit::{PostgresServer, RedisServer};

use crate::helpers::{self, App, answer, header};

pub(crate) struct Cluster {
    pub(crate) redis: RedisServer,
    pub(crate) postgres: PostgresServer,
    /// Peppers and the keys of the trail, as `setup` makes them.
    shared: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let shared = tempfile::tempdir().unwrap();
        keys::Peppers::load_or_create(&shared.path().join("peppers")).unwrap();
        audit::SigningKey::load_or_create(&shared.path().join("audit-key")).unwrap();
        audit::DigestKey::load_or_create(&shared.path().join("digest-key")).unwrap();
        Self { redis: RedisServer::start().await, postgres: PostgresServer::start().await, shared }
    }

    fn settings(&self) -> String {
        let (redis, postgres, shared) = (self.redis.url(), self.postgres.url(), self.shared.path().display());
        format!(
            r#"{}
            [redis]
            url = "{redis}"
            deadline_milliseconds = 2000
            [database]
            url = "{postgres}"
            [keys]
            peppers_file = "{shared}/peppers"
            [audit]
            signing_key_file = "{shared}/audit-key"
            digest_key_file = "{shared}/digest-key"
            "#,
            gateway::config::LOCAL
        )
    }

    pub(crate) async fn gateway(&self) -> App {
        helpers::spawn(&self.settings()).await
    }

    pub(crate) async fn gateway_with(&self, more: &str) -> App {
        helpers::spawn(&(self.settings() + more)).await
    }

    /// The command line, with the settings of the gateways.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let file = self.shared().join("cluster.toml");
        std::fs::write(&file, self.settings()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).arg("--config").arg(file).arg("--data").arg(self.shared().join("data"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Where peppers and the like are.
    pub(crate) fn shared(&self) -> &Path {
        self.shared.path()
    }
}

#[tokio::test]
async fn gateways_share_keys_quotas_and_the_trail() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.gateway().await, cluster.gateway().await);
    let ten = NonZeroU64::new(10).unwrap();
    let limits = KeyLimits { requests: Some(Rate { units: ten, per: Per::Day, burst: ten }), ..KeyLimits::default() };
    let key = one.key_with(&["*"], limits).await;
    let mut statuses = Vec::new();
    let mut request_id = String::new();
    for asked in 0..12 {
        let at = if asked % 2 == 0 { &one } else { &two };
        let response = at.chat(&key, "echo-chat", "hello").await;
        statuses.push(response.status().as_u16());
        if asked == 1 {
            request_id = header(&response, "x-request-id").to_owned();
        }
    }
    assert_eq!(statuses, [[200; 10].as_slice(), &[429; 2]].concat());

    // What the second gateway answered, the first finds.
    let admin = two.admin_key().await;
    for _ in 0..500 {
        let found = one.admin_get(&format!("/admin/requests/{request_id}"), &admin).send().await.unwrap();
        let (status, body) = answer(found).await;
        // The outcome is recorded after the answer; nothing tells when.
        if status == 200 && body["records"].as_array().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    drop(one.stop());
    drop(two.stop());
    let explained = cluster.run(&["explain", &request_id]);
    assert_eq!(explained.status.code(), Some(0), "{explained:?}");
    let told = String::from_utf8(explained.stdout).unwrap();
    assert!(told.contains("asked     chat of echo-chat") && told.contains("ended     complete"), "{told}");
}

#[tokio::test]
async fn every_log_of_the_trail_is_verified() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.gateway().await, cluster.gateway().await);
    let key = one.key().await;
    for app in [&one, &two] {
        assert_eq!(app.chat(&key, "echo-chat", "hello").await.status(), 200);
    }
    drop(one.stop());
    drop(two.stop());
    let good = cluster.run(&["audit", "verify"]);
    let said = String::from_utf8(good.stdout).unwrap();
    assert_eq!(said.matches(": good: 2 signed records").count(), 2, "{said}");
    // All logs have one key: a copy of another in the place of one is signed, and yet not that one.
    cluster.postgres.sql("DELETE FROM audit_records WHERE log = 1").await;
    cluster.postgres.sql("CREATE TABLE kept AS SELECT checkpoint FROM audit_logs WHERE log = 1").await;
    cluster.postgres.sql("CREATE TABLE copied AS SELECT * FROM audit_records WHERE log = 2").await;
    cluster.postgres.sql("UPDATE copied SET log = 1").await;
    cluster.postgres.sql("INSERT INTO audit_records SELECT * FROM copied").await;
    let other = "UPDATE audit_logs SET checkpoint = (SELECT checkpoint FROM audit_logs WHERE log = 2) WHERE log = 1";
    cluster.postgres.sql(other).await;
    assert_eq!(cluster.run(&["audit", "verify"]).status.code(), Some(2));
    cluster.postgres.sql("UPDATE audit_logs SET checkpoint = (SELECT checkpoint FROM kept) WHERE log = 1").await;
    cluster.postgres.sql("DELETE FROM audit_records WHERE log = 1").await;
    assert_eq!(cluster.run(&["audit", "verify"]).status.code(), Some(3));
    cluster.postgres.sql("UPDATE audit_records SET record = replace(record, 'hello', 'adieu')").await;
    let bad = cluster.run(&["audit", "verify"]);
    assert_eq!(bad.status.code(), Some(2));
    let said = String::from_utf8(bad.stderr).unwrap();
    assert!(said.contains("log 1: the audit log has 0 whole records") && said.contains("log 2: "), "{said}");
    cluster.postgres.sql("TRUNCATE audit_logs, audit_records").await;
    assert_eq!(cluster.run(&["audit", "verify"]).status.code(), Some(3), "nothing is left");
}

#[tokio::test]
async fn the_command_line_writes_a_log_of_its_own_beside_running_gateways() {
    let cluster = Cluster::start().await;
    let app = cluster.gateway().await;
    let welcome = ["welcome", "--authority", "ca.pem"];
    let first = String::from_utf8(cluster.run(&welcome).stdout).unwrap();
    let admin = first.lines().find_map(|line| line.strip_prefix("admin key  ")).expect("the first admin key");
    assert_eq!(app.admin_get("/admin/keys", admin).send().await.unwrap().status(), 200, "it works at the gateway");
    let second = String::from_utf8(cluster.run(&welcome).stdout).unwrap();
    assert!(second.contains("demo key   pck1_") && !second.contains("admin key  "), "{second}");
    drop(app.stop());
    let verified = cluster.run(&["audit", "verify"]);
    let said = String::from_utf8(verified.stdout).unwrap();
    assert_eq!(said.matches(": good: ").count(), 2, "one log of the gateway, one of commands: {said}");
}

#[tokio::test]
async fn without_the_database_nothing_is_asked_and_with_it_again_everything_is() {
    let mut cluster = Cluster::start().await;
    let app = cluster.gateway().await;
    let (key, unseen) = (app.key().await, app.key().await);
    assert_eq!(app.chat(&key, "echo-chat", "hello").await.status(), 200);
    cluster.postgres.kill().await;
    for (key, code) in [(&key, "audit_unavailable"), (&unseen, "keys_unavailable")] {
        let (status, body) = answer(app.chat(key, "echo-chat", "hello").await).await;
        assert_eq!((status, body["error"]["code"].as_str()), (503, Some(code)));
    }
    assert_eq!(app.admin_get("/readyz", "").send().await.unwrap().status(), 503);
    cluster.postgres.restart().await;
    let mut asked = 0;
    while app.admin_get("/readyz", "").send().await.unwrap().status() != 200 {
        // The trail is tried again every second.
        asked += 1;
        assert!(asked < 100, "it never is ready again");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(app.chat(&unseen, "echo-chat", "hello").await.status(), 200);
}

#[tokio::test]
async fn what_gateways_must_share_is_asked_for() {
    let cluster = Cluster::start().await;
    for (without, named) in [
        ("peppers_file", "keys.peppers_file"),
        ("signing_key_file", "audit.signing_key_file"),
        ("digest_key_file", "audit.digest_key_file"),
    ] {
        let text: String =
            cluster.settings().lines().filter(|line| !line.contains(without)).map(|line| format!("{line}\n")).collect();
        let data = tempfile::tempdir().unwrap();
        let mut settings = gateway::config::Settings::parse(&text).unwrap();
        settings.server.data_dir = data.path().to_owned();
        let error = gateway::Gateway::bind(settings, None).await.err().expect(without).to_string();
        assert!(error.starts_with(&format!("{named}: gateways that share a database share")), "{error}");
    }
}

#[tokio::test]
async fn a_gateway_whose_log_is_taken_over_stops_by_itself() {
    let cluster = Cluster::start().await;
    let app = cluster.gateway().await;
    let key = app.key().await;
    let trail = store::PostgresTrail::connect(&cluster.postgres.url()).await.unwrap();
    cluster.postgres.sql("UPDATE audit_logs SET held_until = '-infinity'").await;
    let taken = trail.claim().await.unwrap();
    assert_eq!(taken.number(), 1);
    // It finds out when it next writes.
    assert_eq!(app.chat(&key, "echo-chat", "hello").await.status(), 503);
    let ended = app.ended().unwrap_err();
    assert_eq!(ended.kind(), std::io::ErrorKind::ResourceBusy);
}
