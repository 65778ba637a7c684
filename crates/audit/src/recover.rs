//! What happens when a log is opened: its records are checked against its checkpoint, and requests
//! that were open when the process ended are closed.

use std::collections::HashMap;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::error::AuditError;
use crate::key::SigningKey;
use crate::note::{Checkpoint, Origin};
use crate::record::{Ended, Outcome, Record, Who};
use crate::sink::Sink;
use crate::tree::Tree;

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
    let checkpoint = match sink.checkpoint().await? {
        Some(note) => Some(Checkpoint::open(&note, &key.verifying_key()).map_err(|_| AuditError::Checkpoint)?),
        None => None,
    };
    if checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.origin() != origin.as_str()) {
        return Err(AuditError::Checkpoint);
    }
    let mut replay = Replay { tree: Tree::new(), open: HashMap::new(), checkpoint, fault: None };
    let read = sink.replay(&mut |record| replay.take(record)).await;
    if let Some(fault) = replay.fault {
        return Err(fault);
    }
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(AuditError::Tampered { at: replay.tree.size() });
        }
        other => other?,
    }
    let (have, want) = (replay.tree.size(), replay.checkpoint.as_ref().map(Checkpoint::size));
    match want {
        Some(want) if have < want => return Err(AuditError::Truncated { have, want }),
        None if have > 0 => return Err(AuditError::Checkpoint),
        _ => {}
    }
    let mut tree = replay.tree;
    close_open(sink, &mut tree, replay.open).await?;
    sink.keep_checkpoint(&Checkpoint::sign(origin, &tree, key).to_string()).await?;
    Ok(tree)
}

struct Replay {
    tree: Tree,
    open: HashMap<String, Who>,
    checkpoint: Option<Checkpoint>,
    fault: Option<AuditError>,
}

impl Replay {
    fn take(&mut self, record: &[u8]) -> io::Result<()> {
        let at = self.tree.size();
        let Ok(head) = serde_json::from_slice::<Head>(record) else { return self.refuse(at) };
        match head.record.as_str() {
            "intent" => {
                self.open.insert(head.request_id, head.who);
            }
            "outcome" => {
                self.open.remove(&head.request_id);
            }
            _ => {}
        }
        self.tree.push(record);
        match &self.checkpoint {
            Some(signed) if signed.size() == self.tree.size() && *signed.root() != self.tree.root() => self.refuse(at),
            _ => Ok(()),
        }
    }

    fn refuse(&mut self, at: u64) -> io::Result<()> {
        self.fault = Some(AuditError::Tampered { at });
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
