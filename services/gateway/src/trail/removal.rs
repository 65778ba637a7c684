//! Removing records that are older than they are kept: of the log that this gateway writes, and of those in the database
//! that nobody writes any more.

use std::time::{Duration, SystemTime};

use audit::{Inquiry, Log, Removal, VerifyingKey};
use store::PostgresTrail;

use crate::cli::system_act;
use crate::config::AuditSettings;
use crate::trail::terms::Terms;
use crate::trail::{Trail, origin, signing_key};

/// How often old records are looked for. Finding some means to verify the whole log.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) struct Removing {
    pub(super) trail: Trail,
    pub(super) log: Log,
    pub(super) number: Option<i64>,
    pub(super) key: VerifyingKey,
    pub(super) keep: Duration,
    /// Where the key is that signs logs that nobody writes.
    pub(super) audit: AuditSettings,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

impl Removing {
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = self.turn().await {
                tracing::error!(%error, "old audit records are not removed");
            }
        }
    }

    async fn turn(&self) -> Result<(), Fault> {
        let before = SystemTime::now().checked_sub(self.keep).unwrap_or(SystemTime::UNIX_EPOCH);
        if let Some(removal) = self.find(self.number, before).await? {
            self.renew().await?;
            remove(&self.log, removal).await?;
        }
        let Trail::Database(database) = &self.trail else { return Ok(()) };
        for number in database.logs().await?.into_iter().filter(|log| Some(*log) != self.number) {
            if let Err(error) = self.remove_from_idle(database, number, before).await {
                tracing::error!(log = number, %error, "old audit records are not removed");
            }
        }
        Ok(database.sweep().await?)
    }

    /// Records again what holds of the trail, so that its last record is not among those that go.
    async fn renew(&self) -> Result<(), Fault> {
        Ok(Terms::recorded(&self.trail).await?.again(&self.log).await?)
    }

    /// Of a log that nobody writes. Opening it closes requests that were left open there.
    async fn remove_from_idle(&self, database: &PostgresTrail, number: i64, before: SystemTime) -> Result<(), Fault> {
        let Some(removal) = self.find(Some(number), before).await? else { return Ok(()) };
        let (rows, key) = (database.claim_free(number).await?, signing_key(&self.audit)?);
        let Some((rows, key)) = rows.zip(key) else { return Ok(()) };
        let log = Log::open(rows, key, &origin(Some(number))).await?;
        self.renew().await?;
        let removed = remove(&log, removal).await;
        log.close().await?;
        removed
    }

    async fn find(&self, number: Option<i64>, before: SystemTime) -> Result<Option<Removal>, Fault> {
        match (&self.trail, number) {
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

/// Removes, once it is on record.
async fn remove(log: &Log, removal: Removal) -> Result<(), Fault> {
    let first = removal.records();
    let mut act = system_act("audit.remove", None);
    (act.ok, act.after) = (true, Some(serde_json::json!({"first": first})));
    act.detail = Some("older than audit.keep_days".to_owned());
    log.append(&act.into()).await?;
    log.remove(removal).await?;
    tracing::info!(first, "old audit records are removed; a log begins with this one now");
    Ok(())
}
