//! What becomes of requests and records while the trail cannot be written, and afterwards.

#[cfg(unix)]
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;
use testkit::{FakeServer, Say};

use crate::cluster::Cluster;
use crate::helpers::{self, App, answer, chat, chat_answer, chunk, header};

/// Asks once; the status, the code of a refusal, and the request id.
async fn ask(app: &App, key: &str, model: &str, text: &str) -> (u16, String, String) {
    let response = app.chat(key, model, text).await;
    let id = header(&response, "x-request-id").to_owned();
    let (status, body) = answer(response).await;
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned(), id)
}

async fn readiness(app: &App) -> (u16, Value) {
    answer(app.admin_get("/readyz", "").send().await.unwrap()).await
}

/// Waits until a question about the gateway has this answer. Nothing tells when.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    // It heals in its own time; nothing tells when.
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never {what}");
}

async fn until_ready(app: &App) {
    until("ready", async || readiness(app).await == (200, json!({"status": "ready"}))).await;
}

/// The sum of a metric over its labels.
async fn metric(app: &App, name: &str) -> u64 {
    let key = app.admin_key().await;
    let text = app.admin_get("/metrics", &key).send().await.unwrap().text().await.unwrap();
    let lines = text.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Each has an intent and an outcome, and was answered to the end.
async fn are_complete(app: &App, ids: &[String]) {
    for id in ids {
        let records = app.records(id, 2).await;
        assert_eq!((&records[0]["record"], &records[1]["ended"]), (&json!("intent"), &json!("complete")), "{id}");
    }
}

/// The trail's disk, which can be made to fail.
#[cfg(unix)]
enum Disk {
    /// A small file system of its own, which only root may mount.
    Small(PathBuf),
    /// A folder that can be taken away.
    Folder(PathBuf),
}

#[cfg(unix)]
impl Disk {
    /// Under the trail of a data folder that has none yet.
    fn under(data: &Path) -> Self {
        let at = data.join("audit");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(data, private).unwrap();
        audit::SigningKey::load_or_create(&data.join("audit-key")).unwrap();
        std::fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&at).output();
        if mounted.is_ok_and(|done| done.status.success()) { Self::Small(at) } else { Self::Folder(at) }
    }

    fn break_down(&self) {
        match self {
            Self::Small(at) => drop(std::fs::write(at.join("ballast"), vec![0; 4 << 20])),
            Self::Folder(at) => std::fs::rename(at, at.with_extension("away")).unwrap(),
        }
    }

    fn repair(&self) {
        match self {
            Self::Small(at) => std::fs::remove_file(at.join("ballast")).unwrap(),
            Self::Folder(at) => std::fs::rename(at.with_extension("away"), at).unwrap(),
        }
    }
}

#[cfg(unix)]
impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Small(at) = self {
            drop(Command::new("umount").arg(at).status());
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn on_a_full_disk_nothing_is_asked_and_what_was_under_way_is_recorded_once_there_is_room() {
    let server = FakeServer::start(Say::json(&chat_answer("hi"))).await;
    let data = tempfile::tempdir().unwrap();
    let disk = Disk::under(data.path());
    let url = server.url();
    let settings = format!(
        "[backends.fake]\nkind = \"openai\"\nurl = \"{url}/v1\"\n\
         [models.fake]\nbackends = [\"fake\"]\noperations = [\"chat\"]\n"
    );
    let app = helpers::spawn_in(data, &settings).await;
    let key = app.key().await;
    let (status, _, before) = ask(&app, &key, "fake", "before").await;
    assert_eq!(status, 200);
    let mut answered = vec![before];
    server.then(Say::StuckEvents(vec![chunk("so far")]));
    let mut streamed = chat("fake", "under way");
    streamed["stream"] = json!(true);
    let mut under_way = app.post("/v1/chat/completions", &key).body(streamed.to_string()).send().await.unwrap();
    let id = header(&under_way, "x-request-id").to_owned();
    assert!(under_way.chunk().await.unwrap().is_some());

    disk.break_down();
    // What is left of the last page still takes some.
    let refused = loop {
        let (status, code, id) = ask(&app, &key, "fake", "during").await;
        if status != 200 {
            break (status, code);
        }
        answered.push(id);
        assert!(answered.len() < 50, "there is always room");
    };
    assert_eq!(refused, (503, "audit_unavailable".to_owned()));
    assert_eq!(readiness(&app).await.0, 503);
    assert_eq!(metric(&app, "portcullis_audit_writable").await, 0);
    assert_eq!(server.asked().len(), answered.len() + 1, "the server was not asked what was refused");
    // The caller leaves: how it ended is kept.
    drop(under_way);
    until("kept", async || metric(&app, "portcullis_audit_waiting").await > 0).await;

    disk.repair();
    until_ready(&app).await;
    let (status, _, after) = ask(&app, &key, "fake", "after").await;
    assert_eq!(status, 200);
    answered.push(after);
    are_complete(&app, &answered).await;
    assert_eq!(app.records(&id, 2).await[1]["ended"], "hung_up");
    assert_eq!(metric(&app, "portcullis_audit_waiting").await, 0);
    let signing = audit::SigningKey::load_or_create(&app.data().join("audit-key")).unwrap();
    let data = app.stop();
    audit::verify(&data.path().join("audit"), &signing.verifying_key()).unwrap();
    drop(disk);
}

#[tokio::test]
async fn in_available_mode_records_wait_as_long_as_there_is_room_and_none_is_lost() {
    let server = FakeServer::start(Say::json(&chat_answer("hi"))).await;
    let app = helpers::fake(&server, "[audit]\nmode = \"available\"\nmax_waiting_bytes = 1048576").await;
    let key = app.key().await;
    let (audit, away) = (app.data().join("audit"), app.data().join("away"));
    let mut answered = vec![ask(&app, &key, "fake", "before").await.2];
    std::fs::rename(&audit, &away).unwrap();
    let long = "many words ".repeat(180);
    let refused = loop {
        let (status, code, id) = ask(&app, &key, "fake", &long).await;
        if status != 200 {
            break (status, code);
        }
        answered.push(id);
        if answered.len() == 5 {
            let (status, body) = readiness(&app).await;
            assert_eq!((status, &body["trail"]), (200, &json!("records wait in memory")));
            assert_eq!(metric(&app, "portcullis_audit_writable").await, 0);
            assert!(metric(&app, "portcullis_audit_waiting").await >= 8);
        }
        assert!(answered.len() < 2_000, "there is always room");
    };
    assert_eq!(refused, (503, "audit_unavailable".to_owned()));
    assert!(answered.len() > 100, "{}", answered.len());
    assert_eq!(readiness(&app).await.0, 503, "the room is used up");
    assert_eq!(server.asked().len(), answered.len());

    std::fs::rename(&away, &audit).unwrap();
    until_ready(&app).await;
    are_complete(&app, &answered).await;
    assert_eq!(metric(&app, "portcullis_audit_waiting").await, 0);
    let counted = metric(&app, "portcullis_requests_total{operation=\"chat\",model=\"fake\",status=\"200\"").await;
    assert_eq!(counted, answered.len() as u64, "the counters say the same as the trail");
}

#[tokio::test]
async fn a_database_that_fails_or_hangs_is_waited_for_and_loses_nothing() {
    let cluster = Cluster::start().await;
    let app = cluster.gateway().await;
    let key = app.key().await;
    let failing = |code: &str| {
        format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'it fails' USING ERRCODE = '{code}'; END $$; \
             CREATE TRIGGER fail BEFORE UPDATE ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION fail()"
        )
    };
    let repair = "DROP TRIGGER fail ON audit_logs; DROP FUNCTION fail".to_owned();
    let reload = "SELECT pg_reload_conf()".to_owned();
    let faults = [
        ("disk full", vec![failing("53100")], vec![repair.clone()]),
        ("EIO", vec![failing("58030")], vec![repair]),
        (
            "read-only",
            vec!["ALTER SYSTEM SET default_transaction_read_only = on".to_owned(), reload.clone()],
            vec!["ALTER SYSTEM RESET default_transaction_read_only".to_owned(), reload],
        ),
        ("hang", Vec::new(), Vec::new()),
    ];
    let mut answered = Vec::new();
    for (name, begin, end) in faults {
        until_ready(&app).await;
        let (status, _, id) = ask(&app, &key, "echo-chat", "before").await;
        assert_eq!(status, 200, "{name}");
        answered.push(id);
        let mut locked = sqlx::postgres::PgConnection::connect(&cluster.postgres.url()).await.unwrap();
        let mut lock = locked.begin().await.unwrap();
        if begin.is_empty() {
            sqlx::query("LOCK TABLE audit_logs").execute(&mut *lock).await.unwrap();
        }
        for sql in &begin {
            cluster.postgres.sql(sql).await;
        }
        until(name, async || ask(&app, &key, "echo-chat", "during").await.1 == "audit_unavailable").await;
        until(name, async || readiness(&app).await.0 == 503).await;
        lock.rollback().await.unwrap();
        for sql in &end {
            cluster.postgres.sql(sql).await;
        }
    }
    until_ready(&app).await;
    let (status, _, id) = ask(&app, &key, "echo-chat", "after").await;
    assert_eq!(status, 200);
    answered.push(id);
    drop(app.stop());
    all_are_in(&cluster, &answered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_restarted_under_load_loses_nothing_that_was_answered() {
    let mut cluster = Cluster::start().await;
    let app = std::sync::Arc::new(cluster.gateway().await);
    let key = app.key().await;
    let (answers, mut answered) = tokio::sync::watch::channel(Vec::<String>::new());
    let answers = std::sync::Arc::new(answers);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (app, key, answers) = (app.clone(), key.clone(), answers.clone());
            tokio::spawn(async move {
                while !answers.is_closed() {
                    let (status, _, id) = ask(&app, &key, "echo-chat", "on and on").await;
                    if status == 200 {
                        answers.send_modify(|answered| answered.push(id));
                    }
                }
            })
        })
        .collect();
    for _ in 0..2 {
        let so_far = answered.borrow().len();
        answered.wait_for(|answered| answered.len() >= so_far + 50).await.unwrap();
        cluster.postgres.kill().await;
        cluster.postgres.restart().await;
    }
    let so_far = answered.borrow().len();
    let all = answered.wait_for(|answered| answered.len() >= so_far + 50).await.unwrap().clone();
    drop(answered);
    for asking in asking {
        asking.await.unwrap();
    }
    drop(std::sync::Arc::into_inner(app).unwrap().stop());
    all_are_in(&cluster, &all).await;
}

/// Each has an intent and an outcome in the database, and the logs verify.
async fn all_are_in(cluster: &Cluster, answered: &[String]) {
    let trail = store::PostgresTrail::connect(&cluster.postgres.url()).await.unwrap();
    for id in answered {
        let found: Vec<Value> = trail.find(id).await.unwrap().iter().map(|(_, _, record)| json!(record)).collect();
        let kinds: Vec<&Value> = found.iter().map(|record| &record["record"]).collect();
        assert_eq!(kinds, ["intent", "outcome"], "{id}");
        assert_eq!(found[1]["ended"], "complete", "{id}");
    }
    let verified = cluster.run(&["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}
