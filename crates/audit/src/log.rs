//! The log: records from many tasks, made durable together by one writer thread.

use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::MAX_RECORD_BYTES;
use crate::error::AuditError;
use crate::key::SigningKey;
use crate::note::{Checkpoint, Origin};
use crate::record::Record;
use crate::recover::recover;
use crate::sink::Sink;
use crate::tree::Tree;

/// Records that may wait to be written; appending waits beyond.
const WAITING: usize = 8_192;
/// Most records and bytes that are written at once.
const BATCH: usize = 1_024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How often a checkpoint is written, and a sink that failed is tried again.
const TICK: Duration = Duration::from_secs(1);
/// How often a sink to which nothing is written is asked whether it could.
const IDLE: Duration = Duration::from_secs(5);

/// An append-only log. Cheap to clone; clones write the same log. When the last one is dropped, the
/// writer signs a last checkpoint; [`Log::close`] waits for that.
#[derive(Clone)]
pub struct Log {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    /// Changed by the writer alone, closed when it ends.
    is_healthy: watch::Receiver<bool>,
}

/// Proof that a record was durable when this was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    index: u64,
    leaf: [u8; 32],
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

enum Job {
    Append(String, Reply<Receipt>),
    Checkpoint(Reply<Checkpoint>),
    Close(Reply<()>),
}

/// Where an answer goes; holds its place in the queue until then, also when nobody waits any more.
struct Reply<T> {
    sender: oneshot::Sender<Result<T, AuditError>>,
    _room: OwnedSemaphorePermit,
}

impl<T> Reply<T> {
    fn send(self, answer: Result<T, AuditError>) {
        // Whoever stopped waiting does not need it.
        drop(self.sender.send(answer));
    }
}

impl Log {
    /// Opens a log: reads and checks it from its first record, closes requests that were left open
    /// with an `outcome` that says `unknown`, signs a checkpoint, and starts the writer thread. `origin` names the log in its checkpoints.
    ///
    /// # Errors
    /// [`AuditError`]: whatever was signed must be there, unchanged.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn open(sink: impl Sink + 'static, key: SigningKey, origin: &str) -> Result<Self, AuditError> {
        let origin = Origin::parse(origin)?;
        let (health, is_healthy) = watch::channel(true);
        let (jobs, queue) = mpsc::channel();
        let (opened, is_open) = oneshot::channel();
        let runtime = Handle::current();
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
            let (signed, now) = (tree.size(), Instant::now());
            let writer = Writer { sink, key, origin, tree, signed, signed_at: now, written_at: now, health, runtime };
            if opened.send(Ok(())).is_ok() {
                writer.run(&queue);
            }
        })?;
        is_open.await.map_err(|_| AuditError::Unavailable)??;
        Ok(Self { jobs, room: Arc::new(Semaphore::new(WAITING)), is_healthy })
    }

    /// Adds a record; returns once it is durable. Records appended at the same time share one
    /// `fdatasync`. If the future is dropped, the record may or may not become durable.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when it could not be made durable: then it is not in the log.
    pub async fn append(&self, record: &Record) -> Result<Receipt, AuditError> {
        // Records have string keys and no foreign serializers: this does not fail.
        let text = serde_json::to_string(record).map_err(io::Error::from)?;
        if text.len() > MAX_RECORD_BYTES {
            return Err(AuditError::TooLong);
        }
        self.ask(|reply| Job::Append(text, reply)).await
    }

    /// Signs a checkpoint now, over everything appended before.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when it cannot be kept.
    pub async fn checkpoint(&self) -> Result<Checkpoint, AuditError> {
        self.ask(Job::Checkpoint).await
    }

    /// Signs a last checkpoint and ends the writer. Later appends, also of clones, are refused.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when the checkpoint cannot be kept; it is closed all the same.
    pub async fn close(&self) -> Result<(), AuditError> {
        self.ask(Job::Close).await
    }

    /// Whether the last write succeeded. A log that failed is tried every second, an idle one every
    /// five.
    pub fn is_healthy(&self) -> bool {
        *self.is_healthy.borrow()
    }

    /// Waits until the log takes no more records: it was closed, or another process took it over.
    pub async fn ended(&self) {
        let mut is_healthy = self.is_healthy.clone();
        while is_healthy.changed().await.is_ok() {}
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, AuditError> {
        let room = self.room.clone().acquire_owned().await.map_err(|_| AuditError::Closed)?;
        let (sender, answer) = oneshot::channel();
        self.jobs.send(job(Reply { sender, _room: room })).map_err(|_| AuditError::Closed)?;
        answer.await.map_err(|_| AuditError::Closed)?
    }
}

/// Another process writes the log: whatever is written here would be lost or mixed with its records.
struct TakenOver;

struct Writer<S> {
    sink: S,
    key: SigningKey,
    origin: Origin,
    tree: Tree,
    signed: u64,
    signed_at: Instant,
    written_at: Instant,
    health: watch::Sender<bool>,
    runtime: Handle,
}

impl<S: Sink> Writer<S> {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        let mut next = None;
        loop {
            let job = match next.take() {
                Some(job) => Ok(job),
                None => queue.recv_timeout(TICK),
            };
            match job {
                Ok(Job::Append(record, reply)) => match self.append(record, reply, queue) {
                    Ok(other) => next = other,
                    Err(TakenOver) => return,
                },
                Ok(Job::Checkpoint(reply)) => reply.send(self.sign()),
                Ok(Job::Close(reply)) => {
                    let signed = self.end();
                    return reply.send(signed);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.try_again().is_err() {
                        return;
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return drop(self.end()),
            }
            if self.signed < self.tree.size() && self.signed_at.elapsed() >= TICK {
                // It is tried again after the next batch or tick; the records are safe without it.
                drop(self.sign());
            }
        }
    }

    /// The sink is let go before this returns, so that the log can be opened again.
    fn end(mut self) -> Result<(), AuditError> {
        let signed = self.sign().map(drop);
        self.runtime.block_on(self.sink.release());
        signed
    }

    /// Writes this record and all that wait, up to the next other job, which is given back.
    fn append(
        &mut self,
        first: String,
        reply: Reply<Receipt>,
        queue: &mpsc::Receiver<Job>,
    ) -> Result<Option<Job>, TakenOver> {
        let mut bytes = first.len();
        let (mut records, mut replies) = (vec![first], vec![reply]);
        let mut other = None;
        while records.len() < BATCH && bytes < BATCH_BYTES {
            match queue.try_recv() {
                Ok(Job::Append(record, reply)) => {
                    bytes += record.len();
                    records.push(record);
                    replies.push(reply);
                }
                Ok(job) => {
                    other = Some(job);
                    break;
                }
                Err(_) => break,
            }
        }
        let is_written = self.write(&records)?;
        for (record, reply) in records.iter().zip(replies) {
            let receipt = if is_written {
                let index = self.tree.size();
                Ok(Receipt { index, leaf: self.tree.push(record.as_bytes()) })
            } else {
                Err(AuditError::Unavailable)
            };
            reply.send(receipt);
        }
        Ok(other)
    }

    /// Whether it was written.
    fn write(&mut self, records: &[String]) -> Result<bool, TakenOver> {
        let written = self.runtime.block_on(self.sink.append(records));
        self.written_at = Instant::now();
        let was_healthy = self.health.send_replace(written.is_ok());
        match &written {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                tracing::error!("audit log was taken over by another process");
                return Err(TakenOver);
            }
            Err(error) if was_healthy => tracing::error!(%error, "audit log cannot be written"),
            Ok(()) if !was_healthy => tracing::info!("audit log is written again"),
            _ => {}
        }
        Ok(written.is_ok())
    }

    fn try_again(&mut self) -> Result<(), TakenOver> {
        if !*self.health.borrow() || self.written_at.elapsed() >= IDLE {
            self.write(&[])?;
        }
        Ok(())
    }

    fn sign(&mut self) -> Result<Checkpoint, AuditError> {
        let checkpoint = Checkpoint::sign(&self.origin, &self.tree, &self.key);
        self.signed_at = Instant::now();
        match self.runtime.block_on(self.sink.keep_checkpoint(&checkpoint.to_string())) {
            Ok(()) => {
                self.signed = checkpoint.size();
                Ok(checkpoint)
            }
            Err(error) => {
                tracing::error!(%error, "audit checkpoint cannot be kept");
                Err(AuditError::Unavailable)
            }
        }
    }
}
