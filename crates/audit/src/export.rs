//! Handing records on to where others keep them.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::checkpoint::Checkpoint;
use crate::folder::{self, Stopped};
use crate::tree::leaf_hash;

/// Why records are not exported.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The next record was removed. Whoever goes on from the first that is left misses those between.
    #[error("the records before {first} were removed")]
    Removed {
        /// The first record that is left.
        first: u64,
    },
    /// Something is missing or was changed: see [`verify`](crate::verify()).
    #[error("the audit log is not whole at record {at}")]
    Broken {
        /// The next record.
        at: u64,
    },
    /// The files cannot be read, or what takes the records failed.
    #[error("audit records cannot be exported: {0}")]
    Io(#[from] io::Error),
}

/// One line of an export.
#[derive(Serialize)]
struct Line<'a> {
    log: &'a str,
    index: u64,
    leaf: String,
    record: &'a RawValue,
}

enum Ended {
    Stopped(Stopped),
    /// All that is signed was handed on.
    Done,
    /// What takes the lines failed.
    Refused(io::Error),
}

impl From<Stopped> for Ended {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// Hands every signed record from the cursor on to `each`, as a line of JSON without its end: `log` and
/// `index`, which together are its id for good, `leaf`, its hash, and `record`, as it is stored. Gives the next
/// cursor; the first is 0. Keep the cursor after the records: then each is handed on at least once, and its id
/// tells when it was before. Checks no signature, and may run while the log is written, at most a second behind.
///
/// # Errors
/// [`ExportError`]; the lines up to the first failure were handed on, and may be again.
pub fn export(dir: &Path, cursor: u64, each: &mut dyn FnMut(&str) -> io::Result<()>) -> Result<u64, ExportError> {
    // What is not signed might yet be taken back, and its index given to another record.
    let Some(checkpoint) = folder::read_checkpoint(dir)? else { return Ok(cursor) };
    let checkpoint = Checkpoint::parse(&checkpoint).ok_or(ExportError::Broken { at: cursor })?;
    if checkpoint.size() == cursor {
        return Ok(cursor);
    }
    let mut next = cursor;
    let read = folder::read_from(dir, cursor, &mut |index, record| {
        if index >= checkpoint.size() {
            return Err(Ended::Done);
        }
        let line = export_line(checkpoint.origin(), index, record).ok_or(Stopped::Torn)?;
        each(&line).map_err(Ended::Refused)?;
        next = index + 1;
        Ok(())
    });
    match read {
        Err(Ended::Refused(error)) => Err(error.into()),
        Err(Ended::Done) => Ok(next),
        Ok(_) if next >= checkpoint.size() => Ok(next),
        read => Err(missing(dir, next, read.err())),
    }
}

/// Why a record that is signed is not there.
fn missing(dir: &Path, next: u64, ended: Option<Ended>) -> ExportError {
    match folder::segments(dir) {
        Err(error) => error.into(),
        Ok(segments) => match (segments.first(), ended) {
            (Some((first, _)), _) if *first > next => ExportError::Removed { first: *first },
            (_, Some(Ended::Stopped(Stopped::Io(error)))) => error.into(),
            _ => ExportError::Broken { at: next },
        },
    }
}

/// A record as [`export`] hands it on, for records that are kept elsewhere; none if it is no JSON.
pub fn export_line(log: &str, index: u64, record: &[u8]) -> Option<String> {
    let leaf = leaf_hash(record).iter().map(|byte| format!("{byte:02x}")).collect();
    let record = serde_json::from_slice(record).ok()?;
    serde_json::to_string(&Line { log, index, leaf, record }).ok()
}
