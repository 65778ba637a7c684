//! A sink in memory that can be made to fail, and what every sink must do.

#![expect(clippy::panic, reason = "a conformance suite fails by panicking")]

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key::SigningKey;
use crate::note::Origin;
use crate::sink::{BoxFuture, Sink};
use crate::start::Start;
use crate::tree::Tree;

/// Records in memory. Clones share them, so that a test can look, reopen, and break it.
#[derive(Debug, Clone, Default)]
pub struct MemorySink(Arc<Mutex<Memory>>);

/// While this lives, writes to the [`MemorySink`] wait.
#[derive(Debug)]
pub struct Held<'a>(#[expect(dead_code, reason = "held, not read")] MutexGuard<'a, Memory>);

#[derive(Debug, Default)]
struct Memory {
    records: Vec<String>,
    /// Of the first record that was not removed.
    first: usize,
    checkpoint: Option<String>,
    stub: Option<String>,
    broken: Option<io::ErrorKind>,
    appends: u64,
}

impl MemorySink {
    /// Nothing recorded.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every later write fail, or work again.
    pub fn set_broken(&self, is_broken: bool) {
        self.lock().broken = is_broken.then_some(io::ErrorKind::StorageFull);
    }

    /// Makes every later write fail like this.
    pub fn break_with(&self, kind: io::ErrorKind) {
        self.lock().broken = Some(kind);
    }

    /// Makes every later write fail as when another process has taken the log over.
    pub fn take_over(&self) {
        self.break_with(io::ErrorKind::ResourceBusy);
    }

    /// Makes writes wait, so that a test decides what waits together.
    pub fn hold(&self) -> Held<'_> {
        Held(self.lock())
    }

    /// The records so far, without those that were removed.
    pub fn records(&self) -> Vec<String> {
        let memory = self.lock();
        memory.records.iter().skip(memory.first).cloned().collect()
    }

    /// How many batches were written.
    pub fn appends(&self) -> u64 {
        self.lock().appends
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> io::Result<MutexGuard<'_, Memory>> {
        let memory = self.lock();
        memory.broken.map_or(Ok(memory), |kind| Err(kind.into()))
    }
}

impl Sink for MemorySink {
    fn replay<'a>(
        &'a mut self,
        each: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> BoxFuture<'a, io::Result<()>> {
        let records = self.records();
        Box::pin(async move { records.iter().try_for_each(|record| each(record.as_bytes())) })
    }

    fn append<'a>(&'a mut self, records: &'a [String]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            let mut memory = self.working()?;
            memory.appends += 1;
            memory.records.extend_from_slice(records);
            Ok(())
        })
    }

    fn keep_checkpoint<'a>(&'a mut self, note: &'a str) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.working()?.checkpoint = Some(note.to_owned());
            Ok(())
        })
    }

    fn checkpoint(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        let checkpoint = self.lock().checkpoint.clone();
        Box::pin(async move { Ok(checkpoint) })
    }

    fn stub(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        let stub = self.lock().stub.clone();
        Box::pin(async move { Ok(stub) })
    }

    fn remove<'a>(&'a mut self, stub: &'a str, first: u64) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            let mut memory = self.working()?;
            memory.first = usize::try_from(first).map_err(io::Error::other)?;
            memory.stub = Some(stub.to_owned());
            Ok(())
        })
    }
}

/// Runs every case on sinks made by `make`, each fresh and empty; that of removing is [`removes`].
///
/// # Panics
/// When the implementation breaks the contract; the message names the case.
pub async fn suite<S: Sink>(make: impl AsyncFn() -> S) {
    empty(&mut make().await).await;
    order(&mut make().await).await;
    checkpoints(&mut make().await).await;
}

/// Runs the case of removing on a sink that is fresh and empty, for sinks that can. One that removes whole files must
/// begin a new one with every append.
///
/// # Panics
/// As [`suite`].
pub async fn removes(mut sink: impl Sink) {
    removal(&mut sink).await;
}

async fn replayed(sink: &mut dyn Sink) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut keep = |record: &[u8]| {
        records.push(record.to_vec());
        Ok(())
    };
    done("replay", sink.replay(&mut keep).await);
    records
}

fn done<T>(what: &str, result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

async fn empty(sink: &mut dyn Sink) {
    assert!(replayed(sink).await.is_empty(), "a fresh sink replays nothing");
    assert_eq!(done("checkpoint", sink.checkpoint().await), None, "a fresh sink has no checkpoint");
    done("append nothing", sink.append(&[]).await);
    assert!(replayed(sink).await.is_empty(), "appending nothing adds nothing");
}

async fn order(sink: &mut dyn Sink) {
    assert!(replayed(sink).await.is_empty(), "a fresh sink replays nothing");
    // Characters that a store might change: not of ASCII, escaped, and as they are.
    let records: Vec<String> =
        (0..40).map(|at| format!("{{\"at\": {at},  \"\u{e9}\u{1f511}\":\"\\u0000\\n\\\\ '$1\u{7f}\"}}")).collect();
    for batch in records.chunks(7) {
        done("append", sink.append(batch).await);
    }
    let kept: Vec<Vec<u8>> = records.iter().map(|record| record.clone().into_bytes()).collect();
    assert_eq!(replayed(sink).await, kept, "records are replayed in order, byte for byte");
    let stopped = sink.replay(&mut |_| Err(io::ErrorKind::Other.into())).await;
    assert!(stopped.is_err(), "replay stops at the first error");
    assert_eq!(replayed(sink).await, kept, "a replay that stopped changes nothing");
    let more = ["{}".to_owned()];
    done("append after replay", sink.append(&more).await);
    assert_eq!(replayed(sink).await.len(), 41, "appending goes on after a replay");
}

async fn checkpoints(sink: &mut dyn Sink) {
    done("keep", sink.keep_checkpoint("first\n\n\u{2014} x y\n").await);
    done("keep", sink.keep_checkpoint("second\n").await);
    let kept = done("checkpoint", sink.checkpoint().await);
    assert_eq!(kept.as_deref(), Some("second\n"), "the newest checkpoint takes the place of the one before");
}

async fn removal(sink: &mut dyn Sink) {
    assert!(replayed(sink).await.is_empty(), "a fresh sink replays nothing");
    assert_eq!(done("stub", sink.stub().await), None, "a fresh sink has no stub");
    let (Ok(key), Ok(origin)) = (SigningKey::generate(), Origin::parse("suite")) else { panic!("no key") };
    let records: Vec<String> = (0..9).map(|at| format!("{{\"at\":{at}}}")).collect();
    for batch in records.chunks(3) {
        done("append", sink.append(batch).await);
    }
    for first in [3, 6] {
        let mut tree = Tree::new();
        for record in records.iter().take(first) {
            tree.push(record.as_bytes());
        }
        let stub = Start::stub(&origin, tree, Vec::new(), &key).to_string();
        done("remove", sink.remove(&stub, first as u64).await);
        assert_eq!(done("stub", sink.stub().await), Some(stub), "the newest stub is kept");
        let rest: Vec<Vec<u8>> = records.iter().skip(first).map(|record| record.clone().into_bytes()).collect();
        assert_eq!(replayed(sink).await, rest, "what was removed is not replayed, and all the rest is");
        done("append after a removal", sink.append(&[]).await);
    }
    done("append after a removal", sink.append(&["{}".to_owned()]).await);
    assert_eq!(replayed(sink).await.len(), 4, "appending goes on after a removal");
}
