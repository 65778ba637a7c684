//! What happens when a log is opened: its records are checked against its checkpoint, and requests
//! that were open when the process ended are closed.

use std::collections::HashMap;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::key::SigningKey;
use crate::note::Origin;
use crate::record::{Ended, Outcome, Record, Who};
use crate::sink::Sink;
use crate::start::Start;
use crate::tree::Tree;
use crate::verification::{Fault, Verification};

/// How many outcomes are written at once.
const BATCH: usize = 256;

/// What is read of a record here.
#[derive(Deserialize)]
struct Head {
    record: String,
    request_id: String,
    #[serde(default)]
    who: Who,
}

/// Reads a log from its first record. Memory: one record, and the requests that are open.
pub(crate) async fn recover(sink: &mut dyn Sink, key: &SigningKey, origin: &Origin) -> Result<Tree, AuditError> {
    let (stub, note) = (sink.stub().await?, sink.checkpoint().await?);
    let is_new = stub.is_none() && note.is_none();
    let mut verification = Verification::begin(note.as_deref(), &key.verifying_key())?;
    if let Some(stub) = stub {
        let stub = Start::read_stub(&stub).ok_or(AuditError::Checkpoint)?;
        verification = verification.go_on_from(stub)?;
    }
    let mut replay = Replay { verification, open: HashMap::new(), fault: None };
    let read = sink.replay(&mut |record| replay.take(record)).await;
    let Replay { verification, open, fault } = replay;
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(AuditError::Tampered { at: verification.next() });
        }
        other => other?,
    }
    let mut tree = verification.tree().clone();
    // A key that was replaced would sign on beside its successor.
    if *verification.keys().newest() != key.verifying_key() {
        return Err(AuditError::Checkpoint);
    }
    if !is_new || tree.size() > 0 {
        let (verified, _) = verification.finish()?;
        if verified.checkpoint.origin() != origin.as_str() {
            return Err(AuditError::Checkpoint);
        }
    }
    close_open(sink, &mut tree, open).await?;
    sink.keep_checkpoint(&Checkpoint::sign(origin, &tree, key).to_string()).await?;
    Ok(tree)
}

struct Replay {
    verification: Verification,
    open: HashMap<String, Who>,
    fault: Option<Fault>,
}

impl Replay {
    fn take(&mut self, record: &[u8]) -> io::Result<()> {
        let at = self.verification.next();
        let Ok(head) = serde_json::from_slice::<Head>(record) else { return self.refuse(Fault::Tampered { at }) };
        match head.record.as_str() {
            "intent" => {
                self.open.insert(head.request_id, head.who);
            }
            "outcome" => {
                self.open.remove(&head.request_id);
            }
            _ => {}
        }
        self.verification.push(record).or_else(|fault| self.refuse(fault))
    }

    fn refuse(&mut self, fault: Fault) -> io::Result<()> {
        self.fault = Some(fault);
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Writes `outcome: unknown` for every intent that has none.
async fn close_open(sink: &mut dyn Sink, tree: &mut Tree, open: HashMap<String, Who>) -> Result<(), AuditError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut open: Vec<_> = open.into_iter().collect();
    open.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    for batch in open.chunks(BATCH) {
        let outcome = |(request_id, who): &(String, Who)| {
            let mut outcome = Outcome::new(request_id.clone(), now);
            outcome.who = who.clone();
            outcome.ended = Ended::Unknown;
            serde_json::to_string(&Record::Outcome(outcome)).map_err(io::Error::from)
        };
        let records = batch.iter().map(outcome).collect::<io::Result<Vec<_>>>()?;
        sink.append(&records).await?;
        for record in &records {
            tree.push(record.as_bytes());
        }
    }
    Ok(())
}
