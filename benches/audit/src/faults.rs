//! A4: what a log does on a full disk, and over a sink that fails or hangs: how soon an append is answered, whether
//! anything is lost, and how soon it works again. The disk is a small file system of its own, which only root may mount;
//! without, and for the other faults, it is a sink that fails as it is told.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use audit::testing::MemorySink;
use audit::{AuditError, Log, SegmentFile, SigningKey, verify};

use crate::{intent, outcome};

/// By when a request is refused, and by when the log must work again.
const REFUSED: Duration = Duration::from_millis(250);
const HEALED: Duration = Duration::from_secs(5);
const KEPT: usize = 20;

/// What one fault did.
pub(crate) struct Seen {
    pub(crate) refused: Duration,
    pub(crate) healed: Duration,
    pub(crate) lost: usize,
}

impl Seen {
    pub(crate) fn print(&self, name: &str) -> [f64; 3] {
        let (refused, healed) = (self.refused.as_secs_f64() * 1e3, self.healed.as_secs_f64());
        println!("{name:<44} refused after {refused:>6.1} ms  works again after {healed:.2} s  {} lost", self.lost);
        let lost = if self.lost == 0 { 0.0 } else { f64::INFINITY };
        [refused / (REFUSED.as_secs_f64() * 1e3), healed / HEALED.as_secs_f64(), lost]
    }
}

pub(crate) async fn run() -> Vec<f64> {
    let mut figures = Vec::new();
    match Disk::mount() {
        Some(disk) => {
            figures.extend(full(&disk).await.print("disk full (a tmpfs of 2 MiB)"));
        }
        None => figures.extend(failing(ErrorKind::StorageFull).await.print("disk full (a sink that is told)")),
    }
    // A file system with open files cannot be made read-only.
    figures.extend(failing(ErrorKind::ReadOnlyFilesystem).await.print("disk read-only (a sink that is told)"));
    figures.extend(failing(ErrorKind::Other).await.print("EIO (a sink that is told)"));
    figures.extend(hanging().await.print("hang (a sink that is held)"));
    figures
}

/// A file system of its own, unmounted when dropped.
struct Disk {
    at: PathBuf,
    _dir: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_owned();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Self { at, _dir: dir })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Left mounted, it goes with the machine.
        drop(Command::new("umount").arg(&self.at).status());
    }
}

async fn full(disk: &Disk) -> Seen {
    let (dir, key) = (disk.at.join("full"), SigningKey::generate().unwrap());
    let verifying = key.verifying_key();
    let log = Log::open(SegmentFile::open(&dir).unwrap(), key, "bench/audit").await.unwrap();
    fs::write(disk.at.join("ballast"), vec![0; 1 << 20]).unwrap();
    let mut durable = 0_usize;
    let refused = loop {
        let asked = Instant::now();
        match log.append(&intent(&durable.to_string())).await {
            Ok(_) => durable += 1,
            Err(_) => break asked.elapsed(),
        }
    };
    let seen = heal(&log, refused, || fs::remove_file(disk.at.join("ballast")).unwrap()).await;
    log.close().await.unwrap();
    let found = verify(&dir, &verifying).unwrap().records;
    Seen { lost: (durable + 1).abs_diff(found as usize), ..seen }
}

/// A sink in memory that fails until it is told otherwise.
async fn failing(kind: ErrorKind) -> Seen {
    let (sink, key) = (MemorySink::new(), SigningKey::generate().unwrap());
    let log = Log::open(sink.clone(), key, "bench/audit").await.unwrap();
    sink.break_with(kind);
    let asked = Instant::now();
    assert!(matches!(log.append(&intent("refused")).await, Err(AuditError::Unavailable)));
    let refused = asked.elapsed();
    let kept: Vec<_> = (0..KEPT).map(|at| log.keep(&intent(&at.to_string())).unwrap()).collect();
    let seen = heal(&log, refused, || sink.set_broken(false)).await;
    drop(kept);
    log.close().await.unwrap();
    Seen { lost: (KEPT + 1).abs_diff(sink.records().len()), ..seen }
}

/// A sink that does not come back from a write. The caller gives up, as the gateway does; the record may be written
/// later, and no other is lost.
async fn hanging() -> Seen {
    let (sink, key) = (MemorySink::new(), SigningKey::generate().unwrap());
    let log = Log::open(sink.clone(), key, "bench/audit").await.unwrap();
    let held = sink.hold();
    let asked = Instant::now();
    assert!(tokio::time::timeout(REFUSED - Duration::from_millis(20), log.append(&intent("given up"))).await.is_err());
    let refused = asked.elapsed();
    let kept: Vec<_> = (0..KEPT).map(|at| log.keep(&intent(&at.to_string())).unwrap()).collect();
    // Nobody is told when health changes: it is asked.
    while log.is_healthy() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(log.waiting(), KEPT as u64 + 1);
    let seen = heal(&log, refused, || drop(held)).await;
    drop(kept);
    log.close().await.unwrap();
    Seen { lost: (KEPT + 2).abs_diff(sink.records().len()), ..seen }
}

/// Ends the fault, and waits until the log says itself that it works again, and a record is durable.
async fn heal(log: &Log, refused: Duration, end: impl FnOnce()) -> Seen {
    assert!(!log.is_healthy());
    let ended = Instant::now();
    end();
    while !log.is_healthy() && ended.elapsed() < 2 * HEALED {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    log.append(&outcome("healed")).await.unwrap();
    Seen { refused, healed: ended.elapsed(), lost: 0 }
}
