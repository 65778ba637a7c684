//! What the settings say of what is recorded and looked for. A change of it is itself on record, before it holds, and no
//! setting turns that off.

use audit::{Act, AuditError, Log, Record, Who};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::system_act;
use crate::config::{AuditSettings, InvalidSettings, Settings};
use crate::request_id::unix_millis;
use crate::trail::Trail;

/// The request id of all these records, so that they are found together.
const ID: &str = "audit.settings";
/// Longer settings are told apart by their digest.
const MOST: usize = 64 << 10;

/// As it is recorded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms(Value);

impl Terms {
    pub(crate) fn of(settings: &Settings) -> Self {
        let AuditSettings { mode, text, keep_days, max_waiting_bytes, otlp, .. } = &settings.audit;
        let mut screening = json!(settings.screening);
        let written = screening.to_string();
        if written.len() > MOST {
            let digest: String = Sha256::digest(written).iter().map(|byte| format!("{byte:02x}")).collect();
            screening = json!({"sha256": digest});
        }
        Self(json!({
            "audit": {
                "mode": mode, "text": text, "keep_days": keep_days, "max_waiting_bytes": max_waiting_bytes,
                "otlp": otlp.url,
            },
            "screening": screening,
        }))
    }

    /// Those that hold where nothing else was ever recorded.
    fn default() -> Result<Self, InvalidSettings> {
        Settings::parse("").map(|settings| Self::of(&settings))
    }

    /// The last that were recorded.
    pub(crate) async fn recorded(trail: &Trail) -> Result<Self, AuditError> {
        let last = trail.find_last(ID).await?;
        match last {
            Some(Record::Act(Act { after: Some(after), .. })) => Ok(Self(after)),
            _ => Self::default().map_err(|_| AuditError::Unavailable),
        }
    }

    /// Records that these take the place of `before`, if they differ, and waits until that is durable.
    pub(crate) async fn follow(&self, before: &Self, log: &Log, who: Who, detail: &str) -> Result<(), AuditError> {
        if self == before {
            return Ok(());
        }
        self.record(before, log, who, detail).await
    }

    /// Records that these still hold.
    pub(crate) async fn again(&self, log: &Log) -> Result<(), AuditError> {
        self.record(self, log, system_act("", None).who, "they still hold; older records are removed").await
    }

    async fn record(&self, before: &Self, log: &Log, who: Who, detail: &str) -> Result<(), AuditError> {
        let mut act = Act::new(ID, unix_millis());
        (act.who, act.act, act.ok) = (who, ID.to_owned(), true);
        (act.before, act.after) = (Some(before.0.clone()), Some(self.0.clone()));
        act.detail = Some(detail.to_owned());
        log.append(&act.into()).await.map(drop)
    }
}
