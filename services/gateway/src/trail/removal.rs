//! Removing records that are older than they are kept.

use std::time::{Duration, SystemTime};

use audit::{Inquiry, Log, Removal, VerifyingKey};

use crate::cli::system_act;
use crate::trail::Trail;

/// How often old records are looked for. Finding some means to verify the whole log.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) struct Removing {
    pub(super) trail: Trail,
    pub(super) log: Log,
    pub(super) number: Option<i64>,
    pub(super) key: VerifyingKey,
    pub(super) keep: Duration,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

impl Removing {
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            match self.turn().await {
                Ok(0) => {}
                Ok(first) => tracing::info!(first, "old audit records are removed; the log begins with this one now"),
                Err(error) => tracing::error!(%error, "old audit records are not removed"),
            }
        }
    }

    /// Gives the first record that stays; 0 if none was removed.
    async fn turn(&self) -> Result<u64, Fault> {
        let before = SystemTime::now().checked_sub(self.keep).unwrap_or(SystemTime::UNIX_EPOCH);
        let removal = self.find(before).await?;
        let first = removal.as_ref().map_or(0, Removal::records);
        if let Some(removal) = removal {
            let mut act = system_act("audit.remove", None);
            (act.ok, act.after) = (true, Some(serde_json::json!({"first": first})));
            act.detail = Some("older than audit.keep_days".to_owned());
            self.log.append(&act.into()).await?;
            self.log.remove(removal).await?;
        }
        if let Trail::Database(database) = &self.trail {
            database.sweep().await?;
        }
        Ok(first)
    }

    async fn find(&self, before: SystemTime) -> Result<Option<Removal>, Fault> {
        match (&self.trail, self.number) {
            (Trail::Folder(folder), _) => {
                let (folder, key) = (folder.clone(), self.key.clone());
                let finding = tokio::task::spawn_blocking(move || audit::removable(&folder, &key, before));
                Ok(finding.await??)
            }
            (Trail::Database(database), Some(number)) => {
                let first = database.written_before(number, before).await?;
                if first <= database.signed(number).await?.1 {
                    return Ok(None);
                }
                let found = database.examine(number, &Inquiry::new(&self.key).removing_before(first)).await?;
                Ok(found.removal)
            }
            (Trail::Database(_), None) => Ok(None),
        }
    }
}
