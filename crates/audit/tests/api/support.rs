//! Short ways to make records and logs in a directory.

use std::path::{Path, PathBuf};

use audit::{
    AuditError, Intent, KeyChange, Log, Outcome, Record, SegmentFile, SigningKey, Verified, VerifyError, VerifyingKey,
};
use tempfile::TempDir;

pub(crate) const ORIGIN: &str = "gateway/test";

/// A directory for a log, and the key that signs it.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.key();
        place
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::load_or_create(&self.dir.path().join("key")).unwrap()
    }

    /// Takes the key of another place.
    pub(crate) fn share_key(&self, other: &Self) {
        std::fs::copy(other.dir.path().join("key"), self.dir.path().join("key")).unwrap();
    }

    /// Signs with a new key from here on, which is the one of the place then.
    pub(crate) async fn change_key(&self, log: &Log) -> VerifyingKey {
        let path = self.dir.path().join("new-key");
        let key = SigningKey::load_or_create(&path).unwrap();
        let verifying = key.verifying_key();
        log.change_key(key, KeyChange::new("change", 3)).await.unwrap();
        std::fs::rename(path, self.dir.path().join("key")).unwrap();
        verifying
    }

    pub(crate) async fn open_with_segments(&self, bytes: u64) -> Log {
        let sink = SegmentFile::open(&self.dir()).unwrap().segment_bytes(bytes);
        Log::open(sink, self.key(), ORIGIN).await.unwrap()
    }

    pub(crate) fn verify(&self) -> Result<Verified, VerifyError> {
        audit::verify(&self.dir(), &self.verifying_key())
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
        let log = place.open_with_segments(segment_bytes).await;
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
