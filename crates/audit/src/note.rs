//! Checkpoints: a tree's size and root, signed. The form is C2SP's `tlog-checkpoint` in a
//! `signed-note`, so that others' tools can read and countersign it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::AuditError;
use crate::key::{SigningKey, VerifyingKey};
use crate::tree::Tree;

/// Notes are short; what is longer is none.
const MAX_BYTES: usize = 16 * 1024;

/// The signed size and root of a log. Kept elsewhere, it proves later that nothing before it was
/// changed or removed. Displayed as the signed note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: [u8; 32],
    note: String,
}

/// A text that is no checkpoint signed by this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint signed by this key")]
pub struct InvalidCheckpoint;

impl Checkpoint {
    /// Reads a signed note and checks its signature. Other signatures in it are passed over.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`].
    pub fn open(note: &str, key: &VerifyingKey) -> Result<Self, InvalidCheckpoint> {
        read(note, key).ok_or(InvalidCheckpoint)
    }

    pub(crate) fn sign(origin: &Origin, tree: &Tree, key: &SigningKey) -> Self {
        let (size, root) = (tree.size(), tree.root());
        let text = text(&origin.0, size, &root);
        let verifier = key.verifying_key();
        let signature = STANDARD.encode([&verifier.hash()[..], &key.sign(&text)].concat());
        let note = format!("{text}\n\u{2014} {} {signature}\n", verifier.name());
        Self { origin: origin.0.clone(), size, root, note }
    }

    /// The name of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many records it covers.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree over them.
    pub fn root(&self) -> &[u8; 32] {
        &self.root
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.note)
    }
}

fn text(origin: &str, size: u64, root: &[u8; 32]) -> String {
    format!("{origin}\n{size}\n{}\n", STANDARD.encode(root))
}

fn read(note: &str, key: &VerifyingKey) -> Option<Checkpoint> {
    if note.len() > MAX_BYTES {
        return None;
    }
    let (body, signatures) = note.split_once("\n\n")?;
    let mut lines = body.split('\n');
    let origin = lines.next()?.to_owned();
    let size = lines.next()?.parse().ok()?;
    let root = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
    let signed = format!("{body}\n");
    // One way to write it: no leading zeros, no extension lines.
    if signed != text(&origin, size, &root) {
        return None;
    }
    let is_ours = |line: &str| is_signature(line, &signed, key);
    let mut lines = signatures.strip_suffix('\n')?.split('\n');
    lines.any(is_ours).then(|| Checkpoint { origin, size, root, note: note.to_owned() })
}

fn is_signature(line: &str, signed: &str, key: &VerifyingKey) -> bool {
    let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '));
    let Some((name, Ok(bytes))) = parts.map(|(name, encoded)| (name, STANDARD.decode(encoded))) else {
        return false;
    };
    let Some((hash, signature)) = bytes.split_first_chunk::<4>() else { return false };
    let Ok(signature) = signature.try_into() else { return false };
    name == key.name() && *hash == key.hash() && key.is_signed(signed, signature)
}

/// The name of a log.
#[derive(Debug, Clone)]
pub(crate) struct Origin(String);

impl Origin {
    pub(crate) fn parse(text: &str) -> Result<Self, AuditError> {
        let is_allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        let is_origin = (1..=255).contains(&text.len()) && text.chars().all(is_allowed);
        is_origin.then(|| Self(text.to_owned())).ok_or(AuditError::Origin)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
