//! Where the audit trail is: files of the data folder, or the database that gateways share.

mod otlp;
mod peers;
mod reading;
mod removal;
mod terms;

use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::{AuditError, DigestKey, KeyError, Log, Record, SegmentFile, SigningKey, VerifyingKey};
use backend::Endpoint;
use pipeline::Metrics;
use store::PostgresTrail;

use crate::app::StartError;
use crate::config::{AuditSettings, InvalidSettings, Settings};
use crate::data_dir::{DataDir, refuse_orphan};

pub(crate) use reading::{Cursor, Gap, Judged, Kept};
pub(crate) use terms::Terms;

const SIGNING_KEY: &str = "audit-key";
const DIGEST_KEY: &str = "digest-key";

/// The trail, for reading.
#[derive(Debug, Clone)]
pub(crate) enum Trail {
    Folder(PathBuf),
    Database(PostgresTrail),
}

/// A log that was opened for writing, and what its records are made with.
pub(crate) struct Opened {
    pub(crate) trail: Trail,
    pub(crate) log: Log,
    pub(crate) digests: DigestKey,
    pub(crate) tended: Tended,
}

/// What is done to a trail again and again.
pub(crate) struct Tended {
    trail: Trail,
    log: Log,
    number: Option<i64>,
    key: VerifyingKey,
    keep: Option<Duration>,
    audit: AuditSettings,
    collector: Option<Endpoint>,
    cursor_file: PathBuf,
}

impl Trail {
    /// The trail that the settings name, whoever writes it.
    pub(crate) async fn of(settings: &Settings) -> Result<Self, StartError> {
        match settings.database.url.reveal() {
            None => Ok(Self::Folder(settings.server.data_dir.join("audit"))),
            Some(url) => {
                let trail = PostgresTrail::connect(url).await;
                trail.map(Self::Database).map_err(|error| StartError::Trail(format!("database.url: {error}")))
            }
        }
    }

    /// Opens a log for writing: the one in the folder, or one of those in the database that no gateway
    /// writes. Keys are those of the settings, else of the data folder, made if there are none.
    pub(crate) async fn open(settings: &Settings, data_dir: &DataDir) -> Result<Opened, StartError> {
        let trail = Self::of(settings).await?;
        let digests = match (settings.audit.digest_key()?, &trail) {
            (Some(text), _) => text.parse().map_err(|error| malformed("audit.digest_key_file", error))?,
            (None, Self::Folder(_)) => DigestKey::load_or_create(&data_dir.path().join(DIGEST_KEY))?,
            (None, Self::Database(_)) => return Err(missing("audit.digest_key_file")),
        };
        let given = signing_key(&settings.audit)?;
        let room = settings.audit.max_waiting_bytes;
        let (log, number, key) = match &trail {
            Self::Folder(folder) => {
                let key = match given {
                    Some(key) => key,
                    None => {
                        let file = data_dir.path().join(SIGNING_KEY);
                        refuse_orphan(folder, &file)?;
                        refuse_orphan(&file, folder)?;
                        SigningKey::load_or_create(&file)?
                    }
                };
                let verifying = key.verifying_key();
                let log = Log::open_with_room(SegmentFile::open(folder)?, key, &origin(None), room).await?;
                (log, None, verifying)
            }
            Self::Database(database) => {
                let key = given.ok_or_else(|| missing("audit.signing_key_file"))?;
                let rows = database.claim().await?;
                let number = rows.number();
                tracing::info!(log = number, "writes its part of the audit trail");
                let verifying = key.verifying_key();
                (Log::open_with_room(rows, key, &origin(Some(number)), room).await?, Some(number), verifying)
            }
        };
        let days = settings.audit.keep_days;
        let tended = Tended {
            trail: trail.clone(),
            log: log.clone(),
            number,
            key,
            audit: settings.audit.clone(),
            keep: (days > 0).then(|| Duration::from_secs(days * 24 * 60 * 60)),
            collector: otlp::collector(&settings.audit.otlp)?,
            cursor_file: data_dir.path().join("audit-otlp-cursor"),
        };
        Ok(Opened { trail, log, digests, tended })
    }

    /// All that is recorded of a request.
    pub(crate) async fn find(&self, request_id: &str) -> Result<Vec<Record>, AuditError> {
        match self {
            Self::Folder(folder) => {
                let (folder, id) = (folder.clone(), request_id.to_owned());
                let reading = tokio::task::spawn_blocking(move || audit::find(&folder, &id)).await;
                reading.map_err(|_| AuditError::Unavailable)?
            }
            Self::Database(database) => {
                let found = database.find(request_id).await?;
                Ok(found.into_iter().map(|(_, _, record)| record).collect())
            }
        }
    }

    /// The newest record with this request id.
    async fn find_last(&self, request_id: &str) -> Result<Option<Record>, AuditError> {
        match self {
            Self::Folder(folder) => {
                let (folder, id) = (folder.clone(), request_id.to_owned());
                let reading = tokio::task::spawn_blocking(move || audit::find_last(&folder, &id)).await;
                reading.map_err(|_| AuditError::Unavailable)?
            }
            Self::Database(database) => Ok(database.find_last(request_id).await?),
        }
    }
}

impl Tended {
    /// What runs beside the requests until it is dropped.
    pub(crate) async fn run(self, metrics: Metrics) {
        let Self { trail, log, number, key, keep, audit, collector, cursor_file } = self;
        let mut tasks = tokio::task::JoinSet::new();
        if let Some(keep) = keep {
            let (trail, log, key) = (trail.clone(), log.clone(), key.clone());
            tasks.spawn(removal::Removing { trail, log, number, key, keep, audit }.run());
        }
        if let Some(endpoint) = collector {
            let trail = trail.clone();
            tasks.spawn(otlp::Exporter { trail, number, endpoint, metrics, cursor_file }.run());
        }
        if let (Trail::Database(database), Some(number)) = (trail, number) {
            tasks.spawn(peers::Peers { database, log, number, key }.run());
        }
        while tasks.join_next().await.is_some() {
            tracing::error!("a task beside the audit trail ended");
        }
    }
}

/// Whether the settings of the trail are usable, without opening anything.
pub(crate) fn check(settings: &AuditSettings) -> Result<(), InvalidSettings> {
    otlp::collector(&settings.otlp).map(drop)
}

/// What a log is called in its checkpoints, by its number in the database.
fn origin(log: Option<i64>) -> String {
    log.map_or_else(|| "portcullis/embedded".to_owned(), |log| format!("portcullis/cluster/{log}"))
}

/// The key that checks what this gateway signs.
pub(crate) fn verifying_key(settings: &Settings) -> Result<VerifyingKey, StartError> {
    if let Some(key) = signing_key(&settings.audit)? {
        return Ok(key.verifying_key());
    }
    let path = settings.server.data_dir.join(SIGNING_KEY);
    if !path.exists() {
        return Err(StartError::Trail(format!("{}: there is no audit key", path.display())));
    }
    Ok(SigningKey::load_or_create(&path)?.verifying_key())
}

/// Makes the keys of a trail that gateways share, where there are none.
pub(crate) fn make_keys(folder: &Path) -> Result<(), KeyError> {
    SigningKey::load_or_create(&folder.join(SIGNING_KEY))?;
    DigestKey::load_or_create(&folder.join(DIGEST_KEY))?;
    // Another secret of the same form, for `disclosure.secret_file`.
    DigestKey::load_or_create(&folder.join("disclosure-key"))?;
    Ok(())
}

fn signing_key(audit: &AuditSettings) -> Result<Option<SigningKey>, StartError> {
    let key = audit.signing_key()?.map(|text| text.parse()).transpose();
    key.map_err(|error| malformed("audit.signing_key_file", error))
}

fn malformed(at: &str, error: KeyError) -> StartError {
    InvalidSettings::new(at, error.to_string()).into()
}

fn missing(at: &str) -> StartError {
    InvalidSettings::new(at, "gateways that share a database share the keys of its audit trail").into()
}
