//! The log: records from many tasks, made durable together by one writer thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

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

/// An append-only log. Cheap to clone; clones write the same log. When the last one is dropped, the
/// writer signs a last checkpoint; [`Log::close`] waits for that.
#[derive(Clone)]
pub struct Log {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

struct Shared {
    room: Arc<Semaphore>,
    is_healthy: AtomicBool,
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
    Append(Vec<u8>, Reply<Receipt>),
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
        let shared = Arc::new(Shared { room: Arc::new(Semaphore::new(WAITING)), is_healthy: AtomicBool::new(true) });
        let (jobs, queue) = mpsc::channel();
        let (opened, is_open) = oneshot::channel();
        let runtime = Handle::current();
        let for_writer = shared.clone();
        std::thread::Builder::new().name("audit-writer".to_owned()).spawn(move || {
            let mut sink = sink;
            let tree = match runtime.block_on(recover(&mut sink, &key, &origin)) {
                Ok(tree) => tree,
                Err(error) => {
                    drop(sink);
                    return drop(opened.send(Err(error)));
                }
            };
            let signed = tree.size();
            let writer =
                Writer { sink, key, origin, tree, signed, signed_at: Instant::now(), shared: for_writer, runtime };
            if opened.send(Ok(())).is_ok() {
                writer.run(&queue);
            }
        })?;
        is_open.await.map_err(|_| AuditError::Unavailable)??;
        Ok(Self { jobs, shared })
    }

    /// Adds a record; returns once it is durable. Records appended at the same time share one
    /// `fdatasync`. If the future is dropped, the record may or may not become durable.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when it could not be made durable: then it is not in the log.
    pub async fn append(&self, record: &Record) -> Result<Receipt, AuditError> {
        // Records have string keys and no foreign serializers: this does not fail.
        let bytes = serde_json::to_vec(record).map_err(std::io::Error::from)?;
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(AuditError::TooLong);
        }
        self.ask(|reply| Job::Append(bytes, reply)).await
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

    /// Whether the last write succeeded. A log that failed is tried every second.
    pub fn is_healthy(&self) -> bool {
        self.shared.is_healthy.load(Ordering::Relaxed)
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, AuditError> {
        let room = self.shared.room.clone().acquire_owned().await.map_err(|_| AuditError::Closed)?;
        let (sender, answer) = oneshot::channel();
        self.jobs.send(job(Reply { sender, _room: room })).map_err(|_| AuditError::Closed)?;
        answer.await.map_err(|_| AuditError::Closed)?
    }
}

struct Writer<S> {
    sink: S,
    key: SigningKey,
    origin: Origin,
    tree: Tree,
    signed: u64,
    signed_at: Instant,
    shared: Arc<Shared>,
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
                Ok(Job::Append(record, reply)) => next = self.append(record, reply, queue),
                Ok(Job::Checkpoint(reply)) => reply.send(self.sign()),
                Ok(Job::Close(reply)) => {
                    let signed = self.sign().map(drop);
                    // Before the answer, so that the log can be opened again after it.
                    drop(self);
                    return reply.send(signed);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.try_again(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return drop(self.sign()),
            }
            if self.signed < self.tree.size() && self.signed_at.elapsed() >= TICK {
                // It is tried again after the next batch or tick; the records are safe without it.
                drop(self.sign());
            }
        }
    }

    /// Writes this record and all that wait, up to the next other job, which is given back.
    fn append(&mut self, first: Vec<u8>, reply: Reply<Receipt>, queue: &mpsc::Receiver<Job>) -> Option<Job> {
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
        let is_written = self.write(&records);
        for (record, reply) in records.iter().zip(replies) {
            let receipt = if is_written {
                let index = self.tree.size();
                Ok(Receipt { index, leaf: self.tree.push(record) })
            } else {
                Err(AuditError::Unavailable)
            };
            reply.send(receipt);
        }
        other
    }

    fn write(&mut self, records: &[Vec<u8>]) -> bool {
        let written = self.runtime.block_on(self.sink.append(records));
        let was_healthy = self.shared.is_healthy.swap(written.is_ok(), Ordering::Relaxed);
        match &written {
            Err(error) if was_healthy => tracing::error!(%error, "audit log cannot be written"),
            Ok(()) if !was_healthy => tracing::info!("audit log is written again"),
            _ => {}
        }
        written.is_ok()
    }

    fn try_again(&mut self) {
        if !self.shared.is_healthy.load(Ordering::Relaxed) {
            self.write(&[]);
        }
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
