//! Whether the log of a directory is what was signed, and what can be proved of it.

use std::io;
use std::path::Path as FilePath;
use std::time::SystemTime;

use crate::checkpoint::Checkpoint;
use crate::folder::{self, Stopped};
use crate::inquiry::{Found, Inquiry};
use crate::key::VerifyingKey;
use crate::proof::{Growth, Proof};
use crate::remove::Removal;
use crate::start::Mark;
use crate::verification::{Fault, Verified};

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
    Ok(examine(dir, &Inquiry::new(key))?.verified)
}

/// As [`verify`], and compares checkpoints that were kept elsewhere, as signed notes. It finds what the
/// holder of the signing key has written anew.
///
/// # Errors
/// [`VerifyError`], `Foreign` and `Before` among them.
pub fn verify_against(dir: &FilePath, key: &VerifyingKey, kept: &[&str]) -> Result<Verified, VerifyError> {
    Ok(examine(dir, &Inquiry::new(key).against(kept))?.verified)
}

/// As [`verify`], but reads only what was added since a mark that was kept where the writer of the log
/// cannot change it.
///
/// # Errors
/// [`VerifyError`].
pub fn verify_since(dir: &FilePath, key: &VerifyingKey, mark: &Mark) -> Result<Verified, VerifyError> {
    Ok(examine(dir, &Inquiry::new(key).since(mark))?.verified)
}

/// Verifies the log, and gives records of it, as they are stored, with proofs that convince whoever has
/// the key alone. Takes the time of verifying, and more with every index.
///
/// # Errors
/// [`VerifyError`]; `Before` and `NotSigned` for records of which there is no proof.
pub fn prove(dir: &FilePath, key: &VerifyingKey, indexes: &[u64]) -> Result<Vec<(String, Proof)>, VerifyError> {
    Ok(examine(dir, &Inquiry::new(key).proving(indexes))?.proved)
}

/// Verifies the log, compares it with a checkpoint that was kept, and gives the proof that the newest one
/// only adds to that.
///
/// # Errors
/// [`VerifyError`]: `Tampered` when the log of that checkpoint was another.
pub fn prove_growth(dir: &FilePath, key: &VerifyingKey, older: &Checkpoint) -> Result<Growth, VerifyError> {
    let note = older.to_string();
    let found = examine(dir, &Inquiry::new(key).against(&[&note]).growing_from(older.size()))?;
    found.growth.ok_or(VerifyError::Foreign)
}

/// Verifies the log, and finds which of its oldest records are in segments that were ended, and last
/// written before a time. Give them to [`Log::remove`](crate::Log::remove); none if there are none.
///
/// # Errors
/// [`VerifyError`]: what does not verify is evidence, and not to be removed.
pub fn removable(dir: &FilePath, key: &VerifyingKey, before: SystemTime) -> Result<Option<Removal>, VerifyError> {
    let Some(below) = folder::ended_before(dir, before)? else { return Ok(None) };
    Ok(examine(dir, &Inquiry::new(key).removing_before(below))?.removal)
}

/// Verifies the log of a directory and answers what else is asked of it.
///
/// # Errors
/// [`VerifyError`].
pub fn examine(dir: &FilePath, inquiry: &Inquiry<'_>) -> Result<Found, VerifyError> {
    for _ in 1..ATTEMPTS {
        let stub = folder::read_stub(dir)?;
        match attempt(dir, inquiry, stub.as_deref()) {
            Ok(found) => return Ok(found),
            // What was missing may have been removed while it was looked for.
            Err(error) if folder::read_stub(dir)? == stub => return Err(error),
            Err(_) => {}
        }
    }
    attempt(dir, inquiry, folder::read_stub(dir)?.as_deref())
}

fn attempt(dir: &FilePath, inquiry: &Inquiry<'_>, stub: Option<&str>) -> Result<Found, VerifyError> {
    let mut examination = inquiry.begin(stub, folder::read_checkpoint(dir)?.as_deref())?;
    let first = examination.next();
    let read = folder::read_from(dir, first, &mut |_, record| Ok(examination.push(record)?));
    match read {
        Err(Stopped::Io(error)) => return Err(error.into()),
        Err(Stopped::Torn) => return Err(Fault::Tampered { at: examination.next() }.into()),
        Err(Stopped::At(index)) => examination.expect(index)?,
        Err(Stopped::Fault(fault)) => return Err(fault.into()),
        Ok(have) if have < first => return Err(Fault::Incomplete { have, want: Some(first) }.into()),
        Ok(_) => {}
    }
    examination.end()
}
