//! All that is recorded of one request.

use std::path::Path;

use crate::error::AuditError;
use crate::record::Record;
use crate::segment::{read_lines, segments};

/// Most records given of one request.
const MOST: usize = 1_000;

/// The records of a request, oldest first; at most 1,000. Reads the newest segment first and stops
/// at the one that has the request's intent. Checks nothing: see [`verify`](crate::verify()).
///
/// # Errors
/// [`AuditError::Io`] when the files cannot be read.
pub fn find(dir: &Path, request_id: &str) -> Result<Vec<Record>, AuditError> {
    let mut found: Vec<Record> = Vec::new();
    // As it stands in a line, so that other lines need not be parsed.
    let quoted = serde_json::to_string(request_id).map_err(std::io::Error::from)?;
    for (_, path) in segments(dir)?.into_iter().rev() {
        let mut here = Vec::new();
        read_lines(&path, &mut |line| {
            let is_candidate = std::str::from_utf8(line).is_ok_and(|line| line.contains(&quoted));
            if is_candidate && here.len() < MOST {
                let record = serde_json::from_slice::<Record>(line).ok();
                here.extend(record.filter(|record| record.request_id() == request_id));
            }
            Ok(())
        })?;
        let is_start = here.iter().any(|record| matches!(record, Record::Intent(_)));
        here.append(&mut found);
        here.truncate(MOST);
        found = here;
        if is_start {
            break;
        }
    }
    Ok(found)
}
