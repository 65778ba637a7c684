//! The thread that writes a log: batches, checkpoints, and records that wait for a sink that failed.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::key::SigningKey;
use crate::keys::Change;
use crate::log::{Entry, Job, Pulse, Receipt};
use crate::note::Origin;
use crate::record::{KeyChange, Record};
use crate::remove::Removal;
use crate::sink::Sink;
use crate::start::Start;
use crate::tree::Tree;

/// Most records and bytes that are written at once.
const BATCH: usize = 1_024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Most that a record waits for others to be written with, and a quarter of what a write takes.
const GATHERING: Duration = Duration::from_millis(1);
/// How often a checkpoint is written, and a sink that failed is tried again.
const TICK: Duration = Duration::from_secs(1);
/// How often a sink to which nothing is written is asked whether it could.
const IDLE: Duration = Duration::from_secs(5);

pub(crate) struct Writer<S> {
    sink: S,
    key: SigningKey,
    origin: Origin,
    tree: Tree,
    signed: u64,
    signed_at: Instant,
    written_at: Instant,
    /// How long the last write took, and how many records were in the last batch.
    took: Duration,
    last_batch: usize,
    /// Records that wait for the sink, before all that are still in the queue.
    kept: VecDeque<Entry>,
    /// Another process writes the log: whatever is written here would be lost or mixed with its records.
    is_taken_over: bool,
    health: watch::Sender<bool>,
    pulse: Arc<Pulse>,
    runtime: Handle,
}

impl<S: Sink> Writer<S> {
    pub(crate) fn new(
        sink: S,
        key: SigningKey,
        origin: Origin,
        tree: Tree,
        health: watch::Sender<bool>,
        pulse: Arc<Pulse>,
        runtime: Handle,
    ) -> Self {
        let (signed, signed_at, written_at) = (tree.size(), Instant::now(), Instant::now());
        let (took, last_batch, kept) = (Duration::ZERO, 0, VecDeque::new());
        Self {
            sink,
            key,
            origin,
            tree,
            signed,
            signed_at,
            written_at,
            took,
            last_batch,
            kept,
            is_taken_over: false,
            health,
            pulse,
            runtime,
        }
    }

    pub(crate) fn run(mut self, queue: &mpsc::Receiver<Job>) {
        let mut next = None;
        loop {
            let job = match next.take() {
                Some(job) => Ok(job),
                None => queue.recv_timeout(TICK),
            };
            match job {
                Ok(Job::Append(entry)) => next = self.append(entry, queue),
                Ok(Job::Checkpoint(reply)) => reply.send(self.sign()),
                Ok(Job::ChangeKey(change, reply)) => reply.send(self.change_key(*change)),
                Ok(Job::Remove(removal, reply)) => reply.send(self.remove(removal)),
                Ok(Job::Close(reply)) => {
                    let signed = self.end(queue);
                    return reply.send(signed);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.try_again(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return drop(self.end(queue)),
            }
            if self.is_taken_over {
                return self.give_up(queue);
            }
            if self.signed < self.tree.size() && self.signed_at.elapsed() >= TICK {
                // It is tried again after the next batch or tick; the records are safe without it.
                drop(self.sign());
            }
        }
    }

    /// The sink is let go before this returns, so that the log can be opened again.
    fn end(mut self, queue: &mpsc::Receiver<Job>) -> Result<(), AuditError> {
        let is_empty = self.flush();
        let signed = if self.is_taken_over { Err(AuditError::Closed) } else { self.sign().map(drop) };
        self.runtime.block_on(self.sink.release());
        self.give_up(queue);
        if is_empty { signed } else { Err(AuditError::Unavailable) }
    }

    /// Says what is lost, what came too late included.
    fn give_up(mut self, queue: &mpsc::Receiver<Job>) {
        let late = queue.try_iter().filter_map(|job| match job {
            Job::Append(entry) => Some(entry),
            _ => None,
        });
        self.is_taken_over = true;
        self.set_aside(late.collect());
        if !self.kept.is_empty() {
            tracing::error!(records = self.kept.len(), "audit log ends without records that were kept for it");
        }
        for entry in self.kept {
            entry.waiter.send(Err(AuditError::Unavailable));
        }
    }

    /// Writes this record and all that wait, up to the next other job, which is given back. Those who were
    /// answered together ask again together: for a moment it waits for as many as were written the last time, or the
    /// first of them would be written alone while the rest wait for the next `fdatasync`.
    fn append(&mut self, first: Entry, queue: &mpsc::Receiver<Job>) -> Option<Job> {
        let mut bytes = first.record.len();
        let mut batch = vec![first];
        let mut other = None;
        let deadline = Instant::now() + (self.took / 4).min(GATHERING);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let is_due = batch.len() >= self.last_batch;
            let next = queue.try_recv().ok().or_else(|| {
                let left = if is_due { Duration::ZERO } else { deadline.saturating_duration_since(Instant::now()) };
                if left.is_zero() { None } else { queue.recv_timeout(left).ok() }
            });
            match next {
                Some(Job::Append(entry)) => {
                    bytes += entry.record.len();
                    batch.push(entry);
                }
                job => {
                    other = job;
                    break;
                }
            }
        }
        self.last_batch = batch.len();
        let failed = if self.flush() { self.write_all(batch) } else { batch };
        self.set_aside(failed);
        other
    }

    /// Keeps those that wait for the sink, and refuses the others.
    fn set_aside(&mut self, batch: Vec<Entry>) {
        for entry in batch {
            if entry.waiter.is_kept {
                self.kept.push_back(entry);
            } else {
                let is_over = self.is_taken_over;
                entry.waiter.send(Err(if is_over { AuditError::Closed } else { AuditError::Unavailable }));
            }
        }
    }

    /// Whether nothing is kept any more.
    fn flush(&mut self) -> bool {
        while !self.kept.is_empty() {
            let mut bytes = 0;
            let fits = |entry: &&Entry| {
                bytes += entry.record.len();
                bytes <= BATCH_BYTES
            };
            let count = self.kept.iter().take(BATCH).take_while(fits).count().max(1);
            let batch = self.kept.drain(..count).collect();
            let failed = self.write_all(batch);
            if !failed.is_empty() {
                failed.into_iter().rev().for_each(|entry| self.kept.push_front(entry));
                return false;
            }
        }
        true
    }

    /// Writes all, and gives receipts, or none, and gives them back.
    fn write_all(&mut self, batch: Vec<Entry>) -> Vec<Entry> {
        let (records, waiters): (Vec<_>, Vec<_>) = batch.into_iter().map(|entry| (entry.record, entry.waiter)).unzip();
        let is_written = self.write(&records);
        let entries = records.into_iter().zip(waiters);
        if !is_written {
            return entries.map(|(record, waiter)| Entry { record, waiter }).collect();
        }
        for (record, waiter) in entries {
            waiter.send(Ok(self.receive(&record)));
        }
        Vec::new()
    }

    /// Whether it was written.
    fn write(&mut self, records: &[String]) -> bool {
        self.pulse.begin();
        let began = Instant::now();
        let written = self.runtime.block_on(self.sink.append(records));
        self.pulse.end();
        self.written_at = Instant::now();
        self.took = self.written_at.saturating_duration_since(began);
        let was_healthy = self.health.send_replace(written.is_ok());
        match &written {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                tracing::error!("audit log was taken over by another process");
                self.is_taken_over = true;
            }
            Err(error) if was_healthy => tracing::error!(%error, "audit log cannot be written"),
            Ok(()) if !was_healthy => tracing::info!("audit log is written again"),
            _ => {}
        }
        written.is_ok()
    }

    fn try_again(&mut self) {
        if !self.kept.is_empty() {
            self.flush();
        } else if !*self.health.borrow() || self.written_at.elapsed() >= IDLE {
            self.write(&[]);
        }
    }

    fn change_key(&mut self, (to, mut change): (SigningKey, KeyChange)) -> Result<Receipt, AuditError> {
        if !self.flush() {
            return Err(AuditError::Unavailable);
        }
        change.note = Change::sign(&self.origin, &self.tree, &self.key, &to).note().text.clone();
        let record = serde_json::to_string(&Record::KeyChange(change)).map_err(io::Error::from)?;
        if !self.write(std::slice::from_ref(&record)) {
            return Err(AuditError::Unavailable);
        }
        let receipt = self.receive(&record);
        self.key = to;
        // If it cannot be kept now, it is with the next one.
        drop(self.sign());
        Ok(receipt)
    }

    fn receive(&mut self, record: &str) -> Receipt {
        let index = self.tree.size();
        Receipt { index, leaf: self.tree.push(record.as_bytes()) }
    }

    fn remove(&mut self, removal: Removal) -> Result<(), AuditError> {
        if removal.origin != self.origin.as_str() || removal.records() > self.tree.size() {
            return Err(AuditError::Origin);
        }
        let first = removal.records();
        let stub = Start::stub(&self.origin, removal.tree, removal.changes, &self.key).to_string();
        let removed = self.runtime.block_on(self.sink.remove(&stub, first));
        removed.map_err(|error| {
            tracing::error!(%error, "audit records cannot be removed");
            AuditError::Unavailable
        })
    }

    fn sign(&mut self) -> Result<Checkpoint, AuditError> {
        let checkpoint = Checkpoint::sign(&self.origin, &self.tree, &self.key);
        self.signed_at = Instant::now();
        self.pulse.begin();
        let kept = self.runtime.block_on(self.sink.keep_checkpoint(&checkpoint.to_string()));
        self.pulse.end();
        match kept {
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
