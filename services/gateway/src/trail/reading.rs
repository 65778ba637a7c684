//! Reading the trail: whether it is what was signed, proofs of records, and records to hand on. Each log by itself, in files
//! and in the database alike.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;

use audit::{
    AuditError, Checkpoint, ExportError, Found, Inquiry, Mark, Proof, Record, Verified, VerifyError, VerifyingKey,
};

use crate::trail::peers::PEER;
use crate::trail::{Trail, origin};

/// How far each log was read. Written as a line for each: its number and the next record, or of files the latter alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursor(BTreeMap<i64, u64>);

/// The log of files has no number.
const FILES: i64 = 0;

/// What of a trail is compared with what was kept elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Checkpoints, as signed notes.
    pub(crate) checkpoints: Vec<String>,
    /// How far logs were verified before.
    pub(crate) marks: Vec<Mark>,
}

/// What was found out of one log.
pub(crate) struct Judged {
    /// Which, where there are several.
    pub(crate) log: Option<i64>,
    pub(crate) verdict: Result<Verified, VerifyError>,
    /// How many of its checkpoints other logs have recorded and were compared.
    pub(crate) peers: usize,
}

/// What is done where records were removed that were not read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    Refuse,
    PassOver,
}

impl Trail {
    /// Holds every log against its newest checkpoint, those that other logs recorded, and those that were kept.
    pub(crate) async fn verify(&self, key: &VerifyingKey, kept: &Kept) -> Result<Vec<Judged>, AuditError> {
        let logs = match self {
            Self::Folder(_) => vec![None],
            Self::Database(database) => database.logs().await?.into_iter().map(Some).collect(),
        };
        let names: Vec<String> = logs.iter().copied().map(origin).collect();
        let is_known = |name: &str| names.iter().any(|known| known == name);
        let named = kept.checkpoints.iter().map(|note| Checkpoint::danger_unverified(note));
        let are_ours = named.into_iter().all(|kept| kept.is_ok_and(|kept| is_known(kept.origin())))
            && kept.marks.iter().all(|mark| is_known(mark.origin()));
        let mut judged = Vec::new();
        if !are_ours {
            judged.push(Judged { log: None, verdict: Err(VerifyError::Foreign), peers: 0 });
        }
        if logs.is_empty() {
            let verdict = Err(VerifyError::Incomplete { have: 0, want: None });
            judged.push(Judged { log: None, verdict, peers: 0 });
        }
        for log in logs {
            judged.push(self.judge(log, key, kept).await?);
        }
        Ok(judged)
    }

    async fn judge(&self, log: Option<i64>, key: &VerifyingKey, kept: &Kept) -> Result<Judged, AuditError> {
        let name = origin(log);
        let mark = kept.marks.iter().find(|mark| mark.origin() == name);
        // Before the log's own checkpoint is read, which is therefore at least as new.
        let peers = self.told_by_peers(log, key, mark.map_or(0, Mark::records)).await?;
        let is_of = |note: &&str| Checkpoint::danger_unverified(note).is_ok_and(|kept| kept.origin() == name);
        let notes: Vec<&str> = kept.checkpoints.iter().chain(&peers).map(String::as_str).filter(is_of).collect();
        let inquiry = Inquiry::new(key).against(&notes);
        let inquiry = if let Some(mark) = mark { inquiry.since(mark) } else { inquiry };
        let verdict = self.examine(log, &inquiry).await.and_then(|found| match found.verified.checkpoint.origin() {
            // All logs have one key: a copy of another would be signed, too.
            origin if origin == name => Ok(found.verified),
            _ => Err(VerifyError::Foreign),
        });
        Ok(Judged { log, verdict, peers: peers.len() })
    }

    /// The checkpoints of a log that others recorded, those of records that are not read any more left out.
    async fn told_by_peers(&self, log: Option<i64>, key: &VerifyingKey, known: u64) -> Result<Vec<String>, AuditError> {
        let (Self::Database(database), Some(log)) = (self, log) else { return Ok(Vec::new()) };
        let first = database.signed(log).await?.1.max(known);
        let records = database.newest_beside(log, PEER).await?;
        let told = records.into_iter().filter_map(|record| match record {
            // What is not signed was written by somebody else, into a log that does not verify then.
            Record::Peer(peer) => Checkpoint::open(&peer.note, key).ok(),
            _ => None,
        });
        let is_of = |told: &Checkpoint| told.origin() == origin(Some(log)) && told.size() >= first;
        Ok(told.filter(is_of).map(|told| told.to_string()).collect())
    }

    pub(crate) async fn examine(&self, log: Option<i64>, inquiry: &Inquiry<'_>) -> Result<Found, VerifyError> {
        match (self, log) {
            (Self::Folder(folder), _) => audit::examine(folder, inquiry),
            (Self::Database(database), Some(log)) => database.examine(log, inquiry).await,
            (Self::Database(_), None) => Err(VerifyError::Incomplete { have: 0, want: None }),
        }
    }

    /// The records of a request, each with its log and its proof.
    pub(crate) async fn prove(
        &self,
        request_id: &str,
        key: &VerifyingKey,
    ) -> Result<Vec<(Option<i64>, String, Proof)>, VerifyError> {
        let read = |error: AuditError| VerifyError::Io(io::Error::other(error));
        let mut indexes: BTreeMap<Option<i64>, Vec<u64>> = BTreeMap::new();
        match self {
            Self::Folder(folder) => {
                let found = audit::find_indexed(folder, request_id).map_err(read)?;
                indexes.insert(None, found.into_iter().map(|(index, _)| index).collect());
            }
            Self::Database(database) => {
                for (log, index, _) in database.find(request_id).await.map_err(read)? {
                    indexes.entry(Some(log)).or_default().push(index);
                }
            }
        }
        let mut proved = Vec::new();
        for (log, indexes) in indexes.into_iter().filter(|(_, indexes)| !indexes.is_empty()) {
            let found = self.examine(log, &Inquiry::new(key).proving(&indexes)).await?;
            proved.extend(found.proved.into_iter().map(|(record, proof)| (log, record, proof)));
        }
        Ok(proved)
    }

    /// The log of this name.
    pub(crate) async fn named(&self, name: &str) -> Result<Option<Option<i64>>, AuditError> {
        let logs = match self {
            Self::Folder(_) => vec![None],
            Self::Database(database) => database.logs().await?.into_iter().map(Some).collect(),
        };
        Ok(logs.into_iter().find(|log| origin(*log) == name))
    }

    /// The requests that were sent to a backend and have no outcome, each with where its intent is.
    pub(crate) async fn open_intents(&self) -> Result<Vec<(Option<i64>, u64, String)>, AuditError> {
        Ok(match self {
            Self::Folder(folder) => {
                audit::open_intents(folder)?.into_iter().map(|(index, id)| (None, index, id)).collect()
            }
            Self::Database(database) => {
                let open = database.open_intents().await?;
                open.into_iter().map(|(log, index, id)| (Some(log), index, id)).collect()
            }
        })
    }

    /// Hands on what is signed since the cursor, as the lines of [`audit::export`], and moves the cursor behind each that
    /// was taken.
    pub(crate) async fn signed(
        &self,
        cursor: &mut Cursor,
        gap: Gap,
        each: &mut (dyn FnMut(&str) -> io::Result<()> + Send),
    ) -> Result<(), ExportError> {
        match self {
            Self::Folder(folder) => {
                let next = cursor.0.entry(FILES).or_default();
                loop {
                    let from = *next;
                    let mut line = |line: &str| {
                        each(line)?;
                        *next += 1;
                        Ok(())
                    };
                    match audit::export(folder, from, &mut line) {
                        Err(ExportError::Removed { first }) if gap == Gap::PassOver => *next = first,
                        exported => return exported.map(drop),
                    }
                }
            }
            Self::Database(database) => {
                for log in database.logs().await.map_err(io::Error::other)? {
                    self.signed_of(log, cursor, gap, each).await?;
                }
                Ok(())
            }
        }
    }

    /// The same, of one log of the database.
    pub(crate) async fn signed_of(
        &self,
        log: i64,
        cursor: &mut Cursor,
        gap: Gap,
        each: &mut (dyn FnMut(&str) -> io::Result<()> + Send),
    ) -> Result<(), ExportError> {
        let Self::Database(database) = self else { return Ok(()) };
        let (name, next) = (origin(Some(log)), cursor.0.entry(log).or_default());
        let (checkpoint, first) = database.signed(log).await?;
        if *next < first {
            match gap {
                Gap::Refuse => return Err(ExportError::Removed { first }),
                Gap::PassOver => *next = first,
            }
        }
        let broken = |at: u64| ExportError::Broken { at };
        let Some(note) = checkpoint else { return Ok(()) };
        let signed = Checkpoint::danger_unverified(&note).map_err(|_| broken(*next))?.size();
        while *next < signed {
            let page = database.records(log, *next).await?;
            if page.is_empty() {
                return Err(broken(*next));
            }
            for (index, record) in page.iter().take_while(|(index, _)| *index < signed) {
                if index != next {
                    return Err(broken(*next));
                }
                let line = audit::export_line(&name, *index, record.as_bytes()).ok_or(broken(*next))?;
                each(&line)?;
                *next += 1;
            }
        }
        Ok(())
    }
}

impl Cursor {
    /// Of one log; none means files.
    pub(crate) fn at(log: Option<i64>, next: u64) -> Self {
        Self(BTreeMap::from([(log.unwrap_or(FILES), next)]))
    }

    pub(crate) fn next_of(&self, log: Option<i64>) -> u64 {
        self.0.get(&log.unwrap_or(FILES)).copied().unwrap_or_default()
    }
}

/// A text that is no [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no cursor of an export")]
pub(crate) struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let read = |line: &str| {
            let (log, next) = line.split_once(' ').unwrap_or(("0", line));
            Some((log.parse().ok()?, next.parse().ok()?))
        };
        text.lines().map(|line| read(line).ok_or(NoCursor)).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (log, next) in &self.0 {
            match *log {
                FILES => writeln!(f, "{next}")?,
                log => writeln!(f, "{log} {next}")?,
            }
        }
        Ok(())
    }
}
