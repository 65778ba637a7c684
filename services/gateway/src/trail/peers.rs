//! Gateways that share a database record each other's newest checkpoints, so that whoever writes one log anew has to write
//! all of them anew.

use std::collections::HashMap;
use std::time::Duration;

use audit::{Checkpoint, Log, Peer, VerifyingKey};
use store::PostgresTrail;

use crate::request_id::unix_millis;

/// The request id of the records of other logs' checkpoints.
pub(super) const PEER: &str = "peer";
/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(30);

pub(super) struct Peers {
    pub(super) database: PostgresTrail,
    pub(super) log: Log,
    pub(super) number: i64,
    pub(super) key: VerifyingKey,
}

impl Peers {
    pub(super) async fn run(self) {
        let mut recorded = HashMap::new();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.turn(&mut recorded).await {
                tracing::warn!(%error, "checkpoints of other gateways are not recorded");
            }
        }
    }

    /// Records those that have grown. `recorded` says how far each was.
    async fn turn(&self, recorded: &mut HashMap<i64, u64>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for (other, note) in self.database.checkpoints_beside(self.number).await? {
            let Ok(checkpoint) = Checkpoint::open(&note, &self.key) else {
                tracing::error!(log = other, "the checkpoint of another gateway is not signed by the key of the trail");
                continue;
            };
            let before = recorded.get(&other).copied().unwrap_or_default();
            if checkpoint.size() < before {
                tracing::error!(log = other, before, now = checkpoint.size(), "the log of another gateway has shrunk");
            }
            if checkpoint.size() > before {
                let mut peer = Peer::new(PEER, unix_millis());
                peer.note = note;
                self.log.append(&peer.into()).await?;
                recorded.insert(other, checkpoint.size());
            }
        }
        Ok(())
    }
}
