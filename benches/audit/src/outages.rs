//! A4, through a gateway: its disk is full, its database hangs, or is killed and started again while it is asked. How soon a
//! request is refused, how soon after the fault one is answered again, and whether anything that was answered is not on
//! record. The faults of one disk that root may not bring about are those of `faults`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use store::PostgresTrail;
use testkit::PostgresServer;

use crate::faults::Seen;
use crate::gateway::{Caller, Site};

/// Longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn run() -> Vec<f64> {
    let mut figures = Vec::new();
    if let Some(seen) = full().await {
        figures.extend(seen.print("a gateway: disk full (a tmpfs of 2 MiB)"));
    } else {
        println!("a gateway: disk full: only root may mount a small file system");
    }
    for (name, seen) in database().await {
        figures.extend(seen.print(name));
    }
    figures
}

/// Asks until it is answered or refused as it should be; the ids of answers are kept. Gives how long the last took.
async fn until(status: u16, caller: &Caller, answered: &mut Vec<String>) -> Duration {
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = caller.ask(false).await;
        if let Some((200, id, true)) = &answer {
            answered.push(id.clone());
        }
        if answer.is_some_and(|(seen, _, _)| seen == status) {
            return asked.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "never {status}");
    }
}

/// A small file system under the trail.
struct Small(PathBuf);

impl Small {
    fn under(data: &std::path::Path) -> Option<Self> {
        let at = data.join("audit");
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}

async fn full() -> Option<Seen> {
    let mut site = Site::new("").await;
    private(&site.data());
    audit::SigningKey::load_or_create(&site.data().join("audit-key")).unwrap();
    let disk = Small::under(&site.data())?;
    site.issue();
    let gateway = site.start();
    let mut answered = Vec::new();
    until(200, &gateway.caller, &mut answered).await;
    let ballast = disk.0.join("ballast");
    // As much as there is room for.
    drop(fs::write(&ballast, vec![0; 4 << 20]));
    let refused = until(503, &gateway.caller, &mut answered).await;
    fs::remove_file(ballast).unwrap();
    let ended = Instant::now();
    until(200, &gateway.caller, &mut answered).await;
    let healed = ended.elapsed();
    gateway.stop();
    let folder = disk.0.clone();
    let is_lost = |id: &&String| audit::find(&folder, id).unwrap().len() != 2;
    let lost = answered.iter().filter(is_lost).count() + usize::from(!site.verifies());
    Some(Seen { refused, healed, lost })
}

fn private(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}

async fn database() -> Vec<(&'static str, Seen)> {
    let mut server = PostgresServer::start().await;
    let shared = tempfile::tempdir().unwrap();
    let made = |name: &str| shared.path().join(name);
    fs::write(made("peppers"), format!("a {}\n", "5e".repeat(32))).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(made("peppers"), fs::Permissions::from_mode(0o600)).unwrap();
    audit::SigningKey::load_or_create(&made("audit-key")).unwrap();
    audit::DigestKey::load_or_create(&made("digest-key")).unwrap();
    let (url, at) = (server.url(), shared.path().display().to_string());
    let more = format!(
        "[database]\nurl = \"{url}\"\n[keys]\npeppers_file = \"{at}/peppers\"\n\
         [audit]\nsigning_key_file = \"{at}/audit-key\"\ndigest_key_file = \"{at}/digest-key\"\n"
    );
    let mut site = Site::new(&more).await;
    site.issue();
    let gateway = site.start();
    let mut answered = Vec::new();
    until(200, &gateway.caller, &mut answered).await;

    let mut locked = sqlx::postgres::PgConnection::connect(&url).await.unwrap();
    let mut lock = locked.begin().await.unwrap();
    sqlx::query("LOCK TABLE audit_logs").execute(&mut *lock).await.unwrap();
    let refused = until(503, &gateway.caller, &mut answered).await;
    lock.rollback().await.unwrap();
    let ended = Instant::now();
    until(200, &gateway.caller, &mut answered).await;
    let hung = Seen { refused, healed: ended.elapsed(), lost: 0 };

    // In the middle of what is written for others.
    let is_over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let (caller, is_over) = (gateway.caller.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut answered = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    if let Some((200, id, true)) = caller.ask(false).await {
                        answered.push(id);
                    }
                }
                answered
            })
        })
        .collect();
    site.whole.wait_asked(site.whole.asked().len() + 200).await;
    server.kill().await;
    let refused = until(503, &gateway.caller, &mut answered).await;
    server.restart().await;
    let ended = Instant::now();
    until(200, &gateway.caller, &mut answered).await;
    let healed = ended.elapsed();
    is_over.store(true, Ordering::Relaxed);
    for asking in asking {
        answered.extend(asking.await.unwrap());
    }
    gateway.stop();
    let trail = PostgresTrail::connect(&url).await.unwrap();
    let mut lost = usize::from(!site.verifies());
    for id in &answered {
        lost += usize::from(trail.find(id).await.unwrap().len() != 2);
    }
    let restarted = Seen { refused, healed, lost };
    vec![("a gateway: Postgres hangs (a locked table)", hung), ("a gateway: Postgres killed and restarted", restarted)]
}
