//! Records in files: one JSON record per line, in segments named by the index of their first record,
//! and the newest checkpoint beside them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::MAX_RECORD_BYTES;
use crate::error::AuditError;
use crate::sink::{BoxFuture, Sink};

const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
const CHECKPOINT: &str = "checkpoint";

/// A directory of segment files. Every append is one write and one `fdatasync`. Files are readable by
/// their owner only. While it is open no other process can open it.
#[derive(Debug)]
pub struct SegmentFile {
    dir: PathBuf,
    segment_bytes: u64,
    /// Held for its lock.
    _lock: File,
    next: u64,
    open: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    good_bytes: u64,
    is_torn: bool,
}

impl SegmentFile {
    /// Opens or makes the directory.
    ///
    /// # Errors
    /// [`AuditError::InUse`] when another process has it open; [`AuditError::Io`].
    pub fn open(dir: &Path) -> Result<Self, AuditError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)?;
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false)).open(dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(AuditError::InUse),
            Err(fs::TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok(Self { dir: dir.to_owned(), segment_bytes: SEGMENT_BYTES, _lock: lock, next: 0, open: None })
    }

    /// Starts a new segment when one is as long as this, 64 MiB by default.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    fn read_all(&mut self, each: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)) -> io::Result<()> {
        (self.next, self.open) = (0, None);
        let segments = segments(&self.dir)?;
        let count = segments.len();
        for (at, (first, path)) in segments.into_iter().enumerate() {
            if first != self.next {
                return Err(invalid("a segment is missing or has a wrong name"));
            }
            let next = &mut self.next;
            let good_bytes = read_lines(&path, &mut |line| {
                *next += 1;
                each(line)
            })?;
            if at + 1 < count {
                refuse_torn(&path, good_bytes)?;
            }
            let file = OpenOptions::new().append(true).open(&path)?;
            let is_torn = file.metadata()?.len() > good_bytes;
            self.open = Some(Segment { path, file, good_bytes, is_torn });
        }
        self.open.as_mut().map_or(Ok(()), Segment::repair)
    }

    fn write(&mut self, records: &[String]) -> io::Result<()> {
        if let Some(segment) = &mut self.open {
            segment.repair()?;
        }
        if self.open.as_ref().is_none_or(|segment| segment.good_bytes >= self.segment_bytes) {
            self.open = Some(self.create()?);
        }
        let Some(segment) = &mut self.open else { return Err(invalid("no segment")) };
        let mut bytes = Vec::with_capacity(records.iter().map(|record| record.len() + 1).sum());
        for record in records {
            bytes.extend_from_slice(record.as_bytes());
            bytes.push(b'\n');
        }
        segment.write(&bytes)?;
        self.next += records.len() as u64;
        Ok(())
    }

    fn create(&self) -> io::Result<Segment> {
        let path = self.dir.join(format!("{:020}.jsonl", self.next));
        // An empty one of this name may be left from a start that failed.
        let file = private(OpenOptions::new().append(true).create(true)).open(&path)?;
        sync_dir(&self.dir)?;
        Ok(Segment { is_torn: file.metadata()?.len() > 0, path, file, good_bytes: 0 })
    }

    fn replace_checkpoint(&self, note: &str) -> io::Result<()> {
        let new = self.dir.join("checkpoint.new");
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
        file.write_all(note.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, self.dir.join(CHECKPOINT))?;
        sync_dir(&self.dir)
    }
}

impl Segment {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Set before, so that whatever happens the next write cleans up first.
        self.is_torn = true;
        let written = refuse_moved(&self.file, &self.path)
            .and_then(|()| self.file.write_all(bytes))
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Best done now; if it fails, it is done again before the next write.
            let _ = self.repair();
            return Err(error);
        }
        self.is_torn = false;
        self.good_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Cuts off what is not known to be whole and durable. Opens the file again, because after a
    /// failed sync the old handle may call lost bytes written.
    fn repair(&mut self) -> io::Result<()> {
        if self.is_torn {
            let is_new = self.good_bytes == 0;
            self.file = private(OpenOptions::new().append(true).create(is_new)).open(&self.path)?;
            if self.file.metadata()?.len() < self.good_bytes {
                return Err(invalid("a segment is shorter than it was"));
            }
            self.file.set_len(self.good_bytes)?;
            self.file.sync_all()?;
            self.is_torn = false;
        }
        Ok(())
    }
}

impl Sink for SegmentFile {
    fn replay<'a>(
        &'a mut self,
        each: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.read_all(each) })
    }

    fn append<'a>(&'a mut self, records: &'a [String]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.write(records) })
    }

    fn keep_checkpoint<'a>(&'a mut self, note: &'a str) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.replace_checkpoint(note) })
    }

    fn checkpoint(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        Box::pin(async move { read_checkpoint(&self.dir) })
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

pub(crate) fn read_checkpoint(dir: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(dir.join(CHECKPOINT)) {
        Ok(note) => Ok(Some(note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Hands every whole line to `each`; gives their length together. Holds one line in memory; a longer
/// one than any record is an error.
pub(crate) fn read_lines(path: &Path, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let mut line = Vec::new();
    let mut good_bytes = 0;
    loop {
        line.clear();
        let read = reader.by_ref().take(MAX_RECORD_BYTES as u64 + 2).read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\n") {
            Some(record) => each(record)?,
            None if read > MAX_RECORD_BYTES + 1 => return Err(invalid("a line is longer than any record")),
            None => return Ok(good_bytes),
        }
        good_bytes += read as u64;
    }
}

/// Only the newest segment may end within a record.
pub(crate) fn refuse_torn(path: &Path, good_bytes: u64) -> io::Result<()> {
    if fs::metadata(path)?.len() > good_bytes { Err(invalid("a segment ends within a record")) } else { Ok(()) }
}

/// What is written to a file that was removed or replaced, nobody would ever read.
#[cfg(unix)]
fn refuse_moved(file: &File, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (open, named) = (file.metadata()?, fs::metadata(path)?);
    let is_same = (open.dev(), open.ino()) == (named.dev(), named.ino());
    is_same.then_some(()).ok_or_else(|| invalid("a segment was replaced"))
}

#[cfg(not(unix))]
fn refuse_moved(_file: &File, path: &Path) -> io::Result<()> {
    fs::metadata(path).map(drop)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
