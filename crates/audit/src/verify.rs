//! Whether the log of a directory is what was signed, and what can be proved of it.

use std::io;
use std::path::Path as FilePath;
use std::time::SystemTime;

use crate::checkpoint::Checkpoint;
use crate::folder::{self, Stopped};
use crate::key::VerifyingKey;
use crate::path::Path;
use crate::proof::{Growth, Proof};
use crate::remove::Removal;
use crate::start::{Mark, Start};
use crate::verification::{Fault, Verification, Verified};

/// How often reading begins anew because records were removed meanwhile.
const ATTEMPTS: usize = 4;

/// A log that is not what was signed, or of which what was asked cannot be said.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something was changed.
    #[error("the audit log was changed at or before record {at}")]
    Tampered {
        /// Index of the last record of the range in which something is wrong, from 0.
        at: u64,
    },
    /// Records, or the checkpoint, are missing.
    #[error("the audit log has {have} whole records; its checkpoint covers {}", want.map_or_else(|| "an unknown number".to_owned(), |want| want.to_string()))]
    Incomplete {
        /// Records there are.
        have: u64,
        /// Records there were; `None` if there is no checkpoint.
        want: Option<u64>,
    },
    /// A checkpoint to compare with is of another log, or not signed by the key that was in force.
    #[error("the checkpoint to compare with is not one of this log")]
    Foreign,
    /// What was asked for was removed, or is before the mark.
    #[error("the records before {first} cannot be read")]
    Before {
        /// The first record that can be read.
        first: u64,
    },
    /// The record has no checkpoint over it yet, or is none. A checkpoint follows within a second.
    #[error("record {index} is not signed yet")]
    NotSigned {
        /// Its index.
        index: u64,
    },
    /// The files cannot be read.
    #[error("the audit log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads the segments of a directory from the first record and compares them with the checkpoint. A
/// log may be verified while it is written. Holds one record in memory. `key` is any of those that signed
/// the log; the newest proves most.
///
/// # Errors
/// [`VerifyError`]: `Tampered` for a change, `Incomplete` for what is missing.
pub fn verify(dir: &FilePath, key: &VerifyingKey) -> Result<Verified, VerifyError> {
    Ok(Reading::of(dir, key).run()?.verified)
}

/// As [`verify`], and compares checkpoints that were kept elsewhere, as signed notes. It finds what the
/// holder of the signing key has written anew.
///
/// # Errors
/// [`VerifyError`], `Foreign` and `Before` among them.
pub fn verify_against(dir: &FilePath, key: &VerifyingKey, kept: &[&str]) -> Result<Verified, VerifyError> {
    Ok(Reading { kept, ..Reading::of(dir, key) }.run()?.verified)
}

/// As [`verify`], but reads only what was added since a mark that was kept where the writer of the log
/// cannot change it.
///
/// # Errors
/// [`VerifyError`].
pub fn verify_since(dir: &FilePath, key: &VerifyingKey, mark: &Mark) -> Result<Verified, VerifyError> {
    Ok(Reading { mark: Some(mark), ..Reading::of(dir, key) }.run()?.verified)
}

/// Verifies the log, and gives records of it, as they are stored, with proofs that convince whoever has
/// the key alone. Takes the time of verifying, and more with every index.
///
/// # Errors
/// [`VerifyError`]; `Before` and `NotSigned` for records of which there is no proof.
pub fn prove(dir: &FilePath, key: &VerifyingKey, indexes: &[u64]) -> Result<Vec<(String, Proof)>, VerifyError> {
    let read = Reading { proved: indexes, ..Reading::of(dir, key) }.run()?;
    let checkpoint = read.verified.checkpoint;
    let proof = |((index, record), path)| (record, Proof::new(index, path, checkpoint.clone()));
    Ok(read.records.into_iter().zip(read.paths).map(proof).collect())
}

/// Verifies the log, compares it with a checkpoint that was kept, and gives the proof that the newest one
/// only adds to that.
///
/// # Errors
/// [`VerifyError`]: `Tampered` when the log of that checkpoint was another.
pub fn prove_growth(dir: &FilePath, key: &VerifyingKey, older: &Checkpoint) -> Result<Growth, VerifyError> {
    let note = older.to_string();
    let mut read = Reading { kept: &[&note], grown_from: Some(older.size()), ..Reading::of(dir, key) }.run()?;
    Ok(Growth::new(older.size(), read.paths.pop().unwrap_or_default(), read.verified.checkpoint))
}

/// Verifies the log, and finds which of its oldest records are in segments that were ended, and last
/// written before a time. Give them to [`Log::remove`](crate::Log::remove); none if there are none.
///
/// # Errors
/// [`VerifyError`]: what does not verify is evidence, and not to be removed.
pub fn removable(dir: &FilePath, key: &VerifyingKey, before: SystemTime) -> Result<Option<Removal>, VerifyError> {
    let Some(below) = folder::ended_before(dir, before)? else { return Ok(None) };
    Ok(Reading { removed_below: Some(below), ..Reading::of(dir, key) }.run()?.removal)
}

/// What is asked of a log.
struct Reading<'a> {
    dir: &'a FilePath,
    key: &'a VerifyingKey,
    mark: Option<&'a Mark>,
    kept: &'a [&'a str],
    proved: &'a [u64],
    grown_from: Option<u64>,
    removed_below: Option<u64>,
}

/// What was found.
struct Read {
    verified: Verified,
    records: Vec<(u64, String)>,
    paths: Vec<Vec<[u8; 32]>>,
    removal: Option<Removal>,
}

impl<'a> Reading<'a> {
    fn of(dir: &'a FilePath, key: &'a VerifyingKey) -> Self {
        Self { dir, key, mark: None, kept: &[], proved: &[], grown_from: None, removed_below: None }
    }

    fn run(&self) -> Result<Read, VerifyError> {
        for _ in 1..ATTEMPTS {
            let stub = folder::read_stub(self.dir)?;
            match self.attempt(stub.as_deref()) {
                Ok(read) => return Ok(read),
                // What was missing may have been removed while it was looked for.
                Err(error) if folder::read_stub(self.dir)? == stub => return Err(error),
                Err(_) => {}
            }
        }
        self.attempt(folder::read_stub(self.dir)?.as_deref())
    }

    /// The stub was read before the checkpoint, which therefore covers it.
    fn attempt(&self, stub: Option<&str>) -> Result<Read, VerifyError> {
        let mut verification = self.begin(stub)?;
        let first = verification.next();
        let mut records = Vec::new();
        let mut removal = None;
        let read = folder::read_from(self.dir, first, &mut |index, record| {
            if self.removed_below == Some(index) {
                removal = Some(Removal::new(verification.origin().to_owned(), &verification));
            }
            if self.proved.contains(&index) {
                records.push((index, String::from_utf8_lossy(record).into_owned()));
            }
            Ok(verification.push(record)?)
        });
        match read {
            Ok(have) if have < first => return Err(Fault::Incomplete { have, want: Some(first) }.into()),
            Ok(_) => {}
            Err(Stopped::Io(error)) => return Err(error.into()),
            Err(Stopped::Torn) => return Err(Fault::Tampered { at: verification.next() }.into()),
            Err(Stopped::At(index)) => verification.expect(index)?,
            Err(Stopped::Fault(fault)) => return Err(fault.into()),
        }
        let (verified, paths) = verification.finish()?;
        let is_covered = |removal: &Removal| removal.records() <= verified.records;
        Ok(Read { removal: removal.filter(is_covered), verified, records: self.in_order(records), paths })
    }

    fn begin(&self, stub: Option<&str>) -> Result<Verification, VerifyError> {
        let mut verification = Verification::begin(folder::read_checkpoint(self.dir)?.as_deref(), self.key)?;
        let stub = match stub.map(Start::read_stub) {
            Some(None) => return Err(Fault::Unsigned.into()),
            stub => stub.flatten(),
        };
        let removed = stub.as_ref().map_or(0, |stub| stub.note.size);
        let start = match self.mark {
            Some(mark) if mark.records() < removed => return Err(Fault::Before { first: removed }.into()),
            Some(mark) => Some(mark.0.clone()),
            None => stub,
        };
        if let Some(start) = start {
            verification = verification.go_on_from(start)?;
        }
        for note in self.kept {
            verification = verification.against(note)?;
        }
        let size = verification.want().unwrap_or_default();
        for index in self.proved.iter().copied() {
            if index < verification.next() {
                return Err(VerifyError::Before { first: verification.next() });
            }
            if index >= size {
                return Err(VerifyError::NotSigned { index });
            }
            verification.gather(Path::inclusion(index, size));
        }
        if let Some(old) = self.grown_from {
            verification.gather(Path::consistency(old.min(size), size));
        }
        Ok(verification)
    }

    /// Records in the order in which they were asked for, as the paths are.
    fn in_order(&self, found: Vec<(u64, String)>) -> Vec<(u64, String)> {
        let record = |asked: &u64| found.iter().find(|(index, _)| index == asked).cloned();
        self.proved.iter().filter_map(record).collect()
    }
}
