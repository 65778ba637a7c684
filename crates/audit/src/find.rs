//! Looking records up: those of one request, and requests that were not ended.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::AuditError;
use crate::folder::{Stopped, read_from, read_lines, segments};
use crate::record::Record;

/// Most records given of one request.
const MOST: usize = 1_000;

/// The records of a request, oldest first; at most 1,000. Reads the newest segment first and stops
/// at the one that has the request's intent. Checks nothing: see [`verify`](crate::verify()).
///
/// # Errors
/// [`AuditError::Io`] when the files cannot be read.
pub fn find(dir: &Path, request_id: &str) -> Result<Vec<Record>, AuditError> {
    Ok(find_indexed(dir, request_id)?.into_iter().map(|(_, record)| record).collect())
}

/// As [`find`], each record with its index, which [`prove`](crate::prove) takes.
///
/// # Errors
/// [`AuditError::Io`] when the files cannot be read.
pub fn find_indexed(dir: &Path, request_id: &str) -> Result<Vec<(u64, Record)>, AuditError> {
    let mut found: Vec<(u64, Record)> = Vec::new();
    // As it stands in a line, so that other lines need not be parsed.
    let quoted = serde_json::to_string(request_id).map_err(std::io::Error::from)?;
    for (first, path) in segments(dir)?.into_iter().rev() {
        let (mut here, mut next) = (Vec::new(), first);
        read_lines::<std::io::Error>(&path, &mut |line| {
            let index = next;
            next += 1;
            let is_candidate = std::str::from_utf8(line).is_ok_and(|line| line.contains(&quoted));
            if is_candidate && here.len() < MOST {
                let record = serde_json::from_slice::<Record>(line).ok();
                let record = record.filter(|record| record.request_id() == request_id);
                here.extend(record.map(|record| (index, record)));
            }
            Ok(())
        })?;
        let is_start = here.iter().any(|(_, record)| matches!(record, Record::Intent(_)));
        here.append(&mut found);
        here.truncate(MOST);
        found = here;
        if is_start {
            break;
        }
    }
    Ok(found)
}

/// The newest record of a request. Reads the newest segment first and stops at the one that has any. Checks nothing.
///
/// # Errors
/// [`AuditError::Io`] when the files cannot be read.
pub fn find_last(dir: &Path, request_id: &str) -> Result<Option<Record>, AuditError> {
    let quoted = serde_json::to_string(request_id).map_err(std::io::Error::from)?;
    for (_, path) in segments(dir)?.into_iter().rev() {
        let mut last = None;
        read_lines::<std::io::Error>(&path, &mut |line| {
            if std::str::from_utf8(line).is_ok_and(|line| line.contains(&quoted)) {
                let record = serde_json::from_slice::<Record>(line).ok();
                last = record.filter(|record| record.request_id() == request_id).or(last.take());
            }
            Ok(())
        })?;
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

/// The intents without an outcome, with their index, oldest first: requests that are under way, or were when
/// the process ended. Reads the whole log, and holds the request ids that are open.
///
/// # Errors
/// [`AuditError::Io`] when the files cannot be read.
pub fn open_intents(dir: &Path) -> Result<Vec<(u64, String)>, AuditError> {
    #[derive(Deserialize)]
    struct Head {
        record: String,
        request_id: String,
    }
    let mut open = BTreeMap::new();
    let first = segments(dir)?.first().map_or(0, |(first, _)| *first);
    read_from(dir, first, &mut |index, record| {
        match serde_json::from_slice::<Head>(record) {
            Ok(head) if head.record == "intent" => drop(open.insert(head.request_id, index)),
            Ok(head) if head.record == "outcome" => drop(open.remove(&head.request_id)),
            _ => {}
        }
        Ok::<(), Stopped>(())
    })
    .map_err(std::io::Error::from)?;
    let mut open: Vec<_> = open.into_iter().map(|(request_id, index)| (index, request_id)).collect();
    open.sort_unstable();
    Ok(open)
}
