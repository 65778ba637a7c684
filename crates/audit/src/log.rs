//! The log: records from many tasks, made durable together by one writer thread.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::MAX_RECORD_BYTES;
use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::key::SigningKey;
use crate::note::Origin;
use crate::record::{KeyChange, Record};
use crate::recover::recover;
use crate::remove::Removal;
use crate::sink::Sink;
use crate::writer::Writer;

/// Records that may wait to be written, in bytes; appending waits beyond.
const ROOM: usize = 64 * 1024 * 1024;
/// Most that can be asked for.
const MOST_ROOM: usize = u32::MAX as usize;
/// What a record that waits takes besides its text.
const OVERHEAD: usize = 256;
/// A log with less room than this is full.
const FULL: usize = 16 * 1_024;
/// A write that takes longer is a fault, though it may still succeed.
const STALL: Duration = Duration::from_secs(1);

/// An append-only log. Cheap to clone; clones write the same log. When the last one is dropped, the
/// writer signs a last checkpoint; [`Log::close`] waits for that.
#[derive(Clone)]
pub struct Log {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    /// Changed by the writer alone, closed when it ends.
    is_healthy: watch::Receiver<bool>,
    pulse: Arc<Pulse>,
}

/// Proof that a record was durable when this was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) index: u64,
    pub(crate) leaf: [u8; 32],
}

impl Receipt {
    /// The place of the record in the log, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Its leaf hash (RFC 6962).
    pub fn leaf_hash(&self) -> &[u8; 32] {
        &self.leaf
    }
}

/// A record that will be durable as soon as it can be: see [`Log::keep`].
#[derive(Debug)]
pub struct Kept(oneshot::Receiver<Result<Receipt, AuditError>>);

impl Kept {
    /// Waits until it is durable. Whoever does not wait, or no longer, changes nothing: it is written all the same.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] or [`AuditError::Closed`] when the log ended before it could be written: it is
    /// lost.
    pub async fn durable(self) -> Result<Receipt, AuditError> {
        self.0.await.map_err(|_| AuditError::Closed)?
    }
}

pub(crate) enum Job {
    Append(Entry),
    Checkpoint(Reply<Checkpoint>),
    ChangeKey(Box<(SigningKey, KeyChange)>, Reply<Receipt>),
    Remove(Removal, Reply<()>),
    Close(Reply<()>),
}

/// A record that waits, and who waits for it.
pub(crate) struct Entry {
    pub(crate) record: String,
    pub(crate) waiter: Waiter,
}

pub(crate) struct Waiter {
    /// Dropped first: whoever hears of the end finds the count without this one.
    counted: Counted,
    reply: Reply<Receipt>,
    /// Whether the record waits for a sink that failed.
    pub(crate) is_kept: bool,
}

impl Waiter {
    pub(crate) fn send(self, answer: Result<Receipt, AuditError>) {
        drop(self.counted);
        self.reply.send(answer);
    }
}

/// Where an answer goes; holds its place in the queue until then, also when nobody waits any more.
pub(crate) struct Reply<T> {
    sender: oneshot::Sender<Result<T, AuditError>>,
    _room: OwnedSemaphorePermit,
}

impl<T> Reply<T> {
    pub(crate) fn send(self, answer: Result<T, AuditError>) {
        // Whoever stopped waiting does not need it.
        drop(self.sender.send(answer));
    }
}

/// What the writer is at, for those who do not want to wait for it.
#[derive(Debug)]
pub(crate) struct Pulse {
    made: Instant,
    /// Milliseconds from `made` to the begin of the write that is under way, and one; 0 if none is.
    writing: AtomicU64,
    /// Records that are not durable yet.
    waiting: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self { made: Instant::now(), writing: AtomicU64::new(0), waiting: AtomicU64::new(0) }
    }

    pub(crate) fn begin(&self) {
        self.writing.store(self.millis().saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.writing.store(0, Ordering::Relaxed);
    }

    fn is_stalled(&self) -> bool {
        let writing = self.writing.load(Ordering::Relaxed);
        writing > 0 && Duration::from_millis(self.millis().saturating_sub(writing)) >= STALL
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// One of the records that wait.
struct Counted(Arc<Pulse>);

impl Counted {
    fn new(pulse: &Arc<Pulse>) -> Self {
        pulse.waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(pulse))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Log {
    /// Opens a log: reads and checks it from its first record, closes requests that were left open
    /// with an `outcome` that says `unknown`, signs a checkpoint, and starts the writer thread. `origin`
    /// names the log in its checkpoints.
    ///
    /// # Errors
    /// [`AuditError`]: whatever was signed must be there, unchanged.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn open(sink: impl Sink + 'static, key: SigningKey, origin: &str) -> Result<Self, AuditError> {
        Self::open_with_room(sink, key, origin, ROOM).await
    }

    /// As [`Log::open`], with room for so many bytes of records that wait, instead of 64 MiB; at least for one record
    /// of the longest, at most for 4 GiB.
    ///
    /// # Errors
    /// As [`Log::open`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn open_with_room(
        sink: impl Sink + 'static,
        key: SigningKey,
        origin: &str,
        bytes: usize,
    ) -> Result<Self, AuditError> {
        let room = bytes.clamp(MAX_RECORD_BYTES + OVERHEAD, MOST_ROOM);
        let origin = Origin::parse(origin)?;
        let (health, is_healthy) = watch::channel(true);
        let (jobs, queue) = mpsc::channel();
        let (opened, is_open) = oneshot::channel();
        let pulse = Arc::new(Pulse::new());
        let (runtime, writers_pulse) = (Handle::current(), Arc::clone(&pulse));
        std::thread::Builder::new().name("audit-writer".to_owned()).spawn(move || {
            let mut sink = sink;
            let tree = match runtime.block_on(recover(&mut sink, &key, &origin)) {
                Ok(tree) => tree,
                Err(error) => {
                    runtime.block_on(sink.release());
                    drop(sink);
                    return drop(opened.send(Err(error)));
                }
            };
            let writer = Writer::new(sink, key, origin, tree, health, writers_pulse, runtime);
            if opened.send(Ok(())).is_ok() {
                writer.run(&queue);
            }
        })?;
        is_open.await.map_err(|_| AuditError::Unavailable)??;
        Ok(Self { jobs, room: Arc::new(Semaphore::new(room)), is_healthy, pulse })
    }

    /// Adds a record; returns once it is durable. Records appended at the same time share one
    /// `fdatasync`. If the future is dropped, the record may or may not become durable.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when it could not be made durable: then it is not in the log.
    pub async fn append(&self, record: &Record) -> Result<Receipt, AuditError> {
        let text = written(record)?;
        let (bytes, counted) = (text.len(), Counted::new(&self.pulse));
        let waiter = |reply| Waiter { counted, reply, is_kept: false };
        let entry = |reply| Job::Append(Entry { record: text, waiter: waiter(reply) });
        self.ask(entry, bytes).await
    }

    /// Takes a record and does not insist: when the sink fails or hangs, it waits in memory, in order, until
    /// the sink works again. For those who would rather answer than have every record durable first. It is
    /// lost if the process ends before; [`Log::waiting`] tells how many are at stake, and
    /// [`Log::is_healthy`] is the alarm.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when there is no room, because 64 MiB wait already: it was not taken.
    pub fn keep(&self, record: &Record) -> Result<Kept, AuditError> {
        let text = written(record)?;
        let counted = Counted::new(&self.pulse);
        let room = Arc::clone(&self.room).try_acquire_many_owned(place(text.len()));
        let _room = room.map_err(|_| AuditError::Unavailable)?;
        let (sender, answer) = oneshot::channel();
        let waiter = Waiter { counted, reply: Reply { sender, _room }, is_kept: true };
        self.jobs.send(Job::Append(Entry { record: text, waiter })).map_err(|_| AuditError::Closed)?;
        Ok(Kept(answer))
    }

    /// How many records were appended or kept and are not durable yet.
    pub fn waiting(&self) -> u64 {
        self.pulse.waiting.load(Ordering::Relaxed)
    }

    /// Whether there is no room for ordinary records any more, 16 KiB: [`Log::keep`] refuses, or is about to.
    pub fn is_full(&self) -> bool {
        self.room.available_permits() < FULL
    }

    /// Signs a checkpoint now, over everything appended before.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when it cannot be kept.
    pub async fn checkpoint(&self) -> Result<Checkpoint, AuditError> {
        self.ask(Job::Checkpoint, 0).await
    }

    /// Signs with another key from here on. That is recorded, signed by both keys; `change` says who does it
    /// and when. Give out the new verifying key before. Store the new key before, too, under another name: as soon
    /// as this returns, the log opens with the new key only.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when it could not be recorded: then nothing has changed.
    pub async fn change_key(&self, to: SigningKey, change: KeyChange) -> Result<Receipt, AuditError> {
        self.ask(|reply| Job::ChangeKey(Box::new((to, change)), reply), 0).await
    }

    /// Removes records from the sink, and leaves a signed stub from which the records after them verify.
    ///
    /// # Errors
    /// [`AuditError::Origin`] when they are of another log. [`AuditError::Unavailable`] when the sink cannot;
    /// some may be gone, and the log verifies all the same.
    pub async fn remove(&self, removal: Removal) -> Result<(), AuditError> {
        self.ask(|reply| Job::Remove(removal, reply), 0).await
    }

    /// Signs a last checkpoint and ends the writer. Later appends, also of clones, are refused.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when the checkpoint, or a record that was [kept](Log::keep), cannot be
    /// written; it is closed all the same.
    pub async fn close(&self) -> Result<(), AuditError> {
        self.ask(Job::Close, 0).await
    }

    /// Whether the last write succeeded, and none has been under way for a second. A log that failed is
    /// tried every second, an idle one every five.
    pub fn is_healthy(&self) -> bool {
        *self.is_healthy.borrow() && !self.pulse.is_stalled()
    }

    /// Waits until the log takes no more records: it was closed, or another process took it over.
    pub async fn ended(&self) {
        let mut is_healthy = self.is_healthy.clone();
        while is_healthy.changed().await.is_ok() {}
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job, bytes: usize) -> Result<T, AuditError> {
        let room = Arc::clone(&self.room).acquire_many_owned(place(bytes)).await;
        let _room = room.map_err(|_| AuditError::Closed)?;
        let (sender, answer) = oneshot::channel();
        self.jobs.send(job(Reply { sender, _room })).map_err(|_| AuditError::Closed)?;
        answer.await.map_err(|_| AuditError::Closed)?
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("is_healthy", &self.is_healthy()).field("waiting", &self.waiting()).finish()
    }
}

fn place(bytes: usize) -> u32 {
    u32::try_from(bytes + OVERHEAD).unwrap_or(u32::MAX)
}

fn written(record: &Record) -> Result<String, AuditError> {
    if matches!(record, Record::KeyChange(_)) {
        return Err(AuditError::KeyChange);
    }
    // Records have string keys and no foreign serializers: this does not fail.
    let text = serde_json::to_string(record).map_err(io::Error::from)?;
    if text.len() > MAX_RECORD_BYTES { Err(AuditError::TooLong) } else { Ok(text) }
}
