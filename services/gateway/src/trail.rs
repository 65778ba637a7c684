//! Where the audit trail is: files of the data folder, or the database that gateways share.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use audit::{
    AuditError, DigestKey, ExportError, KeyError, Log, Record, SegmentFile, SigningKey, Verified, VerifyError,
    VerifyingKey,
};
use store::PostgresTrail;

use crate::app::StartError;
use crate::config::{InvalidSettings, Settings};
use crate::data_dir::{DataDir, refuse_orphan};

const SIGNING_KEY: &str = "audit-key";
const DIGEST_KEY: &str = "digest-key";

/// The trail, for reading.
#[derive(Debug, Clone)]
pub(crate) enum Trail {
    Folder(PathBuf),
    Database(PostgresTrail),
}

/// How far each log was read.
#[derive(Debug, Default)]
pub(crate) struct Cursor(BTreeMap<i64, u64>);

/// A log that was opened for writing, and what its records are made with.
pub(crate) struct Opened {
    pub(crate) trail: Trail,
    pub(crate) log: Log,
    pub(crate) digests: DigestKey,
}

/// What was found out of one log.
pub(crate) struct Judged {
    /// Which, where there are several.
    pub(crate) log: Option<i64>,
    pub(crate) verdict: Result<Verified, VerifyError>,
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
        let given = signing_key(settings)?;
        let log = match &trail {
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
                Log::open(SegmentFile::open(folder)?, key, "portcullis/embedded").await?
            }
            Self::Database(database) => {
                let key = given.ok_or_else(|| missing("audit.signing_key_file"))?;
                let rows = database.claim().await?;
                let number = rows.number();
                tracing::info!(log = number, "writes its part of the audit trail");
                Log::open(rows, key, &origin(number)).await?
            }
        };
        Ok(Opened { trail, log, digests })
    }

    /// All that is recorded of a request.
    pub(crate) async fn find(&self, request_id: &str) -> Result<Vec<Record>, AuditError> {
        match self {
            Self::Folder(folder) => {
                let (folder, id) = (folder.clone(), request_id.to_owned());
                let reading = tokio::task::spawn_blocking(move || audit::find(&folder, &id)).await;
                reading.map_err(|_| AuditError::Unavailable)?
            }
            Self::Database(database) => database.find(request_id).await,
        }
    }

    /// Hands on what is signed since the cursor, as the lines of [`audit::export`]; records of the database are
    /// without their leaf hash. What was removed is passed over.
    pub(crate) async fn signed(&self, cursor: &mut Cursor, each: &mut dyn FnMut(&str)) -> Result<(), ExportError> {
        match self {
            Self::Folder(folder) => {
                let next = cursor.0.entry(0).or_default();
                let mut line = |line: &str| {
                    each(line);
                    Ok(())
                };
                *next = match audit::export(folder, *next, &mut line) {
                    Err(ExportError::Removed { first }) => audit::export(folder, first, &mut line)?,
                    exported => exported?,
                };
            }
            Self::Database(database) => {
                for log in database.logs().await.map_err(io::Error::other)? {
                    let next = cursor.0.entry(log).or_default();
                    loop {
                        let page = database.records(log, *next).await?;
                        let Some((last, _)) = page.last() else { break };
                        *next = last + 1;
                        for (index, record) in &page {
                            each(&format!("{{\"log\":\"{}\",\"index\":{index},\"record\":{record}}}", origin(log)));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Holds every log against its newest checkpoint.
    pub(crate) async fn verify(&self, key: &VerifyingKey) -> Result<Vec<Judged>, AuditError> {
        match self {
            Self::Folder(folder) => Ok(vec![Judged { log: None, verdict: audit::verify(folder, key) }]),
            Self::Database(database) => {
                let mut judged = Vec::new();
                let logs = database.logs().await?;
                if logs.is_empty() {
                    let verdict = Err(VerifyError::Incomplete { have: 0, want: None });
                    return Ok(vec![Judged { log: None, verdict }]);
                }
                for log in logs {
                    let verdict = database.verify(log, key).await;
                    // All logs have one key: a copy of another would be signed, too.
                    let verdict = verdict.and_then(|verified| match verified.checkpoint.origin() == origin(log) {
                        true => Ok(verified),
                        false => Err(VerifyError::Foreign),
                    });
                    judged.push(Judged { log: Some(log), verdict });
                }
                Ok(judged)
            }
        }
    }
}

/// What a log of the database is called in its checkpoints.
fn origin(log: i64) -> String {
    format!("portcullis/cluster/{log}")
}

/// The key that checks what this gateway signs.
pub(crate) fn verifying_key(settings: &Settings) -> Result<VerifyingKey, StartError> {
    if let Some(key) = signing_key(settings)? {
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

fn signing_key(settings: &Settings) -> Result<Option<SigningKey>, StartError> {
    let key = settings.audit.signing_key()?.map(|text| text.parse()).transpose();
    key.map_err(|error| malformed("audit.signing_key_file", error))
}

fn malformed(at: &str, error: KeyError) -> StartError {
    InvalidSettings::new(at, error.to_string()).into()
}

fn missing(at: &str) -> StartError {
    InvalidSettings::new(at, "gateways that share a database share the keys of its audit trail").into()
}
