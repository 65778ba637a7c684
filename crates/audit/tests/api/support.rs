//! Short ways to make records and logs in a directory.

use std::path::{Path, PathBuf};

use audit::{AuditError, Intent, Log, Outcome, Record, SegmentFile, SigningKey, VerifyingKey};
use tempfile::TempDir;

pub(crate) const ORIGIN: &str = "gateway/test";

/// A directory for a log, and the key that signs it.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::load_or_create(&self.dir.path().join("key")).unwrap()
    }

    pub(crate) fn verifying_key(&self) -> VerifyingKey {
        self.key().verifying_key()
    }

    pub(crate) async fn open(&self) -> Log {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Log, AuditError> {
        Log::open(SegmentFile::open(&self.dir())?, self.key(), ORIGIN).await
    }

    /// A closed log of so many requests, two records each, in segments of so many bytes.
    pub(crate) async fn filled(requests: u32, segment_bytes: u64) -> Self {
        let place = Self::new();
        let sink = SegmentFile::open(&place.dir()).unwrap().segment_bytes(segment_bytes);
        let log = Log::open(sink, place.key(), ORIGIN).await.unwrap();
        for request in 0..requests {
            log.append(&intent(&request.to_string())).await.unwrap();
            log.append(&outcome(&request.to_string())).await.unwrap();
        }
        log.close().await.unwrap();
        place
    }
}

pub(crate) fn intent(request_id: &str) -> Record {
    let mut intent = Intent::new(request_id, 1);
    intent.who.tenant = Some("acme".to_owned());
    intent.model = "m\u{0}\u{202e}\"\n".to_owned();
    intent.into()
}

pub(crate) fn outcome(request_id: &str) -> Record {
    Outcome::new(request_id, 2).into()
}

/// The files of a log, by name.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect()
}
