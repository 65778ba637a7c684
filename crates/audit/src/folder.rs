//! Reading the directory of a log: which files there are, and the records in them.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::MAX_RECORD_BYTES;
use crate::verification::Fault;

pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const STUB: &str = "stub";

/// Why reading did not come to the end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Files cannot be read.
    Io(io::Error),
    /// A segment that is not the newest ends within a record, or a line is longer than any record.
    Torn,
    /// The next segment begins with this record, which is not the next.
    At(u64),
    /// The reader found something.
    Fault(Fault),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData { Self::Torn } else { Self::Io(error) }
    }
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The segments of a directory, oldest first, with the index of their first record.
pub(crate) fn segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let first = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jsonl")?.parse().ok());
        found.extend(first.map(|first| (first, path)));
    }
    found.sort_unstable();
    Ok(found)
}

/// As [`segments`], without those that hold nothing from this record on.
pub(crate) fn segments_from(dir: &Path, first: u64) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = segments(dir)?;
    let ended = segments.iter().skip(1).take_while(|(next, _)| *next <= first).count();
    segments.drain(..ended);
    Ok(segments)
}

/// Hands every whole record from this one on to `each`, with its index; gives the index after the last.
pub(crate) fn read_from<E: From<Stopped>>(
    dir: &Path,
    first: u64,
    each: &mut impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let segments = segments_from(dir, first).map_err(Stopped::from)?;
    let mut next = segments.first().map_or(0, |(start, _)| (*start).min(first));
    let count = segments.len();
    for (at, (start, path)) in segments.into_iter().enumerate() {
        if start != next {
            return Err(Stopped::At(start).into());
        }
        let good_bytes = read_lines(&path, &mut |record| {
            let index = next;
            next += 1;
            if index >= first { each(index, record) } else { Ok(()) }
        })?;
        if at + 1 < count {
            refuse_torn(&path, good_bytes).map_err(Stopped::from)?;
        }
    }
    Ok(next)
}

/// Up to which record all segments were ended, and last written before a time; none if the oldest was not.
pub(crate) fn ended_before(dir: &Path, time: SystemTime) -> io::Result<Option<u64>> {
    let segments = segments(dir)?;
    let mut below = None;
    for ((_, path), (next, _)) in segments.iter().zip(segments.iter().skip(1)) {
        if fs::metadata(path)?.modified()? >= time {
            break;
        }
        below = Some(*next);
    }
    Ok(below)
}

pub(crate) fn read_checkpoint(dir: &Path) -> io::Result<Option<String>> {
    read_text(&dir.join(CHECKPOINT))
}

pub(crate) fn read_stub(dir: &Path) -> io::Result<Option<String>> {
    read_text(&dir.join(STUB))
}

fn read_text(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        // What is no UTF-8 is not signed either.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Hands every whole line to `each`; gives their length together. Holds one line in memory; a longer
/// one than any record is an error.
pub(crate) fn read_lines<E: From<Stopped>>(
    path: &Path,
    each: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let mut reader = BufReader::with_capacity(256 * 1024, File::open(path).map_err(Stopped::from)?);
    let mut line = Vec::new();
    let mut good_bytes = 0;
    loop {
        line.clear();
        let limit = MAX_RECORD_BYTES as u64 + 2;
        let read = reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(Stopped::from)?;
        match line.strip_suffix(b"\n") {
            Some(record) => each(record)?,
            None if read > MAX_RECORD_BYTES + 1 => return Err(Stopped::Torn.into()),
            None => return Ok(good_bytes),
        }
        good_bytes += read as u64;
    }
}

/// Only the newest segment may end within a record.
pub(crate) fn refuse_torn(path: &Path, good_bytes: u64) -> io::Result<()> {
    if fs::metadata(path)?.len() > good_bytes { Err(invalid("a segment ends within a record")) } else { Ok(()) }
}

pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Io(error) => error,
            Stopped::Torn => invalid("a segment ends within a record"),
            Stopped::At(_) | Stopped::Fault(_) => invalid("a segment is missing or has a wrong name"),
        }
    }
}
