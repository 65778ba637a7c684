//! Proofs for those who have neither the log nor a reason to trust who keeps it: that a record is in it,
//! and that it only grew.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::Checkpoint;
use crate::key::VerifyingKey;
use crate::note::{hash, hash_lines};
use crate::path::{is_extension, root_of};
use crate::tree::{Hash, leaf_hash};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// No tree of ours is higher.
const MAX_HASHES: usize = 64;

/// Proves that a record is in a log. Displayed and parsed as C2SP's
/// [`tlog-proof`](https://c2sp.org/tlog-proof), which holds the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    index: u64,
    path: Vec<Hash>,
    checkpoint: Checkpoint,
}

/// Proves that a log of an older checkpoint was only added to. Displayed and parsed as the request that
/// a witness is sent (C2SP's [`tlog-witness`](https://c2sp.org/tlog-witness), `add-checkpoint`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    old: u64,
    path: Vec<Hash>,
    checkpoint: Checkpoint,
}

/// Something that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a proof")]
pub struct InvalidProof;

impl Proof {
    pub(crate) fn new(index: u64, path: Vec<Hash>, checkpoint: Checkpoint) -> Self {
        Self { index, path, checkpoint }
    }

    /// The place of the record in its log, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Gives the checkpoint under which the record stands, if this proves it: these very bytes, signed
    /// by this key. Whoever knows which log it must be compares the checkpoint's origin.
    ///
    /// # Errors
    /// [`InvalidProof`].
    pub fn check(&self, record: &[u8], key: &VerifyingKey) -> Result<&Checkpoint, InvalidProof> {
        let root = root_of(leaf_hash(record), self.index, self.checkpoint.size(), &self.path);
        let is_proved = root.as_ref() == Some(self.checkpoint.root()) && self.checkpoint.is_signed_by(key);
        is_proved.then_some(&self.checkpoint).ok_or(InvalidProof)
    }
}

impl Growth {
    pub(crate) fn new(old: u64, path: Vec<Hash>, checkpoint: Checkpoint) -> Self {
        Self { old, path, checkpoint }
    }

    /// Gives the newer checkpoint, if this proves that its log begins with all records of the older one
    /// and it is signed by this key.
    ///
    /// # Errors
    /// [`InvalidProof`].
    pub fn check(&self, older: &Checkpoint, key: &VerifyingKey) -> Result<&Checkpoint, InvalidProof> {
        let newer = &self.checkpoint;
        let is_proved = older.size() == self.old
            && older.origin() == newer.origin()
            && is_extension((older.size(), *older.root()), (newer.size(), *newer.root()), &self.path)
            && newer.is_signed_by(key);
        is_proved.then_some(newer).ok_or(InvalidProof)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = hash_lines(self.path.iter().copied());
        write!(f, "{HEADER}\nindex {}\n{path}\n{}", self.index, self.checkpoint)
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "old {}\n{}\n{}", self.old, hash_lines(self.path.iter().copied()), self.checkpoint)
    }
}

/// Extra data, which nobody signed, is passed over.
impl FromStr for Proof {
    type Err = InvalidProof;

    fn from_str(text: &str) -> Result<Self, InvalidProof> {
        let body = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n')).ok_or(InvalidProof)?;
        let body = match body.strip_prefix("extra ").map(|rest| rest.split_once('\n')) {
            Some(Some((extra, rest))) if STANDARD.decode(extra).is_ok() => rest,
            Some(_) => return Err(InvalidProof),
            None => body,
        };
        let (index, path, checkpoint) = parts(body, "index ").ok_or(InvalidProof)?;
        Ok(Self { index, path, checkpoint })
    }
}

impl FromStr for Growth {
    type Err = InvalidProof;

    fn from_str(text: &str) -> Result<Self, InvalidProof> {
        let (old, path, checkpoint) = parts(text, "old ").ok_or(InvalidProof)?;
        Ok(Self { old, path, checkpoint })
    }
}

/// A word and a number, hashes, and after an empty line the checkpoint.
fn parts(text: &str, word: &str) -> Option<(u64, Vec<Hash>, Checkpoint)> {
    let (head, note) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let digits = lines.next()?.strip_prefix(word)?;
    let number: u64 = digits.parse().ok()?;
    let path: Vec<Hash> = lines.take(MAX_HASHES + 1).map(hash).collect::<Option<_>>()?;
    let is_canonical = number.to_string() == digits && path.len() <= MAX_HASHES;
    is_canonical.then_some((number, path, Checkpoint::parse(note)?))
}
