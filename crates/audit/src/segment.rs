//! Records in files: one JSON record per line, in segments named by the index of their first record,
//! and the newest checkpoint beside them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::AuditError;
use crate::folder::{
    CHECKPOINT, STUB, invalid, read_checkpoint, read_lines, read_stub, refuse_torn, segments, segments_from,
};
use crate::sink::{BoxFuture, Sink};
use crate::start::Start;

const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
const SEGMENT_AGE: Duration = Duration::from_secs(3_600);
/// How much room a disk must have that was full.
const PROBE_BYTES: usize = 64 * 1024;

/// A directory of segment files. Every append is one write and one `fdatasync`. Files are readable by
/// their owner only. While it is open no other process can open it.
#[derive(Debug)]
pub struct SegmentFile {
    dir: PathBuf,
    segment_bytes: u64,
    segment_age: Duration,
    /// Held for its lock.
    _lock: File,
    next: u64,
    open: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    since: Instant,
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
        Ok(Self {
            dir: dir.to_owned(),
            segment_bytes: SEGMENT_BYTES,
            segment_age: SEGMENT_AGE,
            _lock: lock,
            next: 0,
            open: None,
        })
    }

    /// Starts a new segment when one is as long as this, 64 MiB by default.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Starts a new segment when one was begun, or opened, this long ago, an hour by default. Only segments
    /// that were ended can be removed.
    #[must_use]
    pub fn segment_age(mut self, age: Duration) -> Self {
        self.segment_age = age;
        self
    }

    fn read_all(&mut self, each: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)) -> io::Result<()> {
        let start = match read_stub(&self.dir)?.as_deref().map(Start::read_stub) {
            Some(None) => return Err(invalid("the stub of what was removed is none")),
            read => read.flatten().map_or(0, |stub| stub.note.size),
        };
        (self.next, self.open) = (start, None);
        // What an interrupted removal left is passed over, and removed by the next one.
        let segments = segments_from(&self.dir, start)?;
        let count = segments.len();
        for (at, (first, path)) in segments.into_iter().enumerate() {
            if first != self.next {
                return Err(invalid("a segment is missing or has a wrong name"));
            }
            let next = &mut self.next;
            let good_bytes = read_lines::<io::Error>(&path, &mut |line| {
                *next += 1;
                each(line)
            })?;
            if at + 1 < count {
                refuse_torn(&path, good_bytes)?;
            }
            let file = OpenOptions::new().append(true).open(&path)?;
            let is_torn = file.metadata()?.len() > good_bytes;
            self.open = Some(Segment { path, since: Instant::now(), file, good_bytes, is_torn });
        }
        self.open.as_mut().map_or(Ok(()), Segment::repair)
    }

    fn write(&mut self, records: &[String]) -> io::Result<()> {
        if let Some(segment) = &mut self.open {
            segment.repair()?;
        }
        if records.is_empty() {
            return self.probe();
        }
        if self.open.as_ref().is_none_or(|segment| self.is_ended(segment)) {
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

    fn is_ended(&self, segment: &Segment) -> bool {
        segment.good_bytes >= self.segment_bytes
            || segment.good_bytes > 0 && segment.since.elapsed() >= self.segment_age
    }

    /// Whether records could be written: an empty write would succeed on a full disk, too.
    fn probe(&self) -> io::Result<()> {
        let path = self.dir.join("probe");
        let written =
            private(OpenOptions::new().write(true).create(true).truncate(true)).open(&path).and_then(|mut file| {
                file.write_all(&[0; PROBE_BYTES])?;
                file.sync_data()
            });
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
            _ => written,
        }
    }

    fn create(&self) -> io::Result<Segment> {
        let path = self.dir.join(format!("{:020}.jsonl", self.next));
        // An empty one of this name may be left from a start that failed.
        let file = private(OpenOptions::new().append(true).create(true)).open(&path)?;
        sync_dir(&self.dir)?;
        Ok(Segment { is_torn: file.metadata()?.len() > 0, path, since: Instant::now(), file, good_bytes: 0 })
    }

    /// The old text, or all of the new one, whenever it stops.
    fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        let new = self.dir.join(format!("{name}.new"));
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, self.dir.join(name))?;
        sync_dir(&self.dir)
    }

    fn remove_before(&self, first: u64) -> io::Result<()> {
        let kept = segments_from(&self.dir, first)?;
        for segment in segments(&self.dir)?.into_iter().filter(|segment| !kept.contains(segment)) {
            fs::remove_file(segment.1)?;
        }
        sync_dir(&self.dir)
    }

    fn remove_all(&self, stub: &str, first: u64) -> io::Result<()> {
        if !segments(&self.dir)?.iter().any(|(start, _)| *start == first) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no segment begins with this record"));
        }
        self.replace(STUB, stub)?;
        self.remove_before(first)
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
        Box::pin(async move { self.replace(CHECKPOINT, note) })
    }

    fn checkpoint(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        Box::pin(async move { read_checkpoint(&self.dir) })
    }

    fn stub(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        Box::pin(async move { read_stub(&self.dir) })
    }

    fn remove<'a>(&'a mut self, stub: &'a str, first: u64) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.remove_all(stub, first) })
    }
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
