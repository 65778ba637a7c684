//! Signed notes: size and root of a tree, perhaps more lines, and signatures. The form is C2SP's
//! `tlog-checkpoint` in a `signed-note`, so that others' tools can read and countersign it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::AuditError;
use crate::key::{SigningKey, VerifyingKey};
use crate::tree::{Hash, Tree};

/// Notes are short; what is longer is none.
const MAX_BYTES: usize = 16 * 1024;
/// How the line of a signature begins.
const SIGNATURE: &str = "\u{2014} ";

/// A note in its only form: no leading zeros, no other line ends. Who signed it is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// Lines after the root, each with its end.
    pub(crate) more: String,
    /// All of it, with the signatures.
    pub(crate) text: String,
}

impl Note {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (body, signatures) = text.split_once("\n\n")?;
        let mut lines = body.splitn(4, '\n');
        let origin = lines.next()?.to_owned();
        let size = lines.next()?.parse().ok()?;
        let root = hash(lines.next()?)?;
        let more = lines.next().map(|more| format!("{more}\n")).unwrap_or_default();
        let are_signatures = signatures.split_terminator('\n').all(|line| line.starts_with(SIGNATURE));
        let is_canonical =
            signatures.ends_with('\n') && are_signatures && body_of(&origin, size, &root, &more) == format!("{body}\n");
        is_canonical.then(|| Self { origin, size, root, more, text: text.to_owned() })
    }

    pub(crate) fn sign(origin: &Origin, tree: &Tree, more: String, keys: &[&SigningKey]) -> Self {
        let (size, root) = (tree.size(), tree.root());
        let mut text = body_of(origin.as_str(), size, &root, &more);
        let signatures: String = keys.iter().map(|key| signature(key, &text)).collect();
        text.push('\n');
        text.push_str(&signatures);
        Self { origin: origin.as_str().to_owned(), size, root, more, text }
    }

    pub(crate) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let Some((body, signatures)) = self.text.split_once("\n\n") else { return false };
        let signed = format!("{body}\n");
        signatures.split_terminator('\n').any(|line| is_signature(line, &signed, key))
    }
}

pub(crate) fn hash(line: &str) -> Option<Hash> {
    STANDARD.decode(line).ok()?.try_into().ok()
}

pub(crate) fn hash_lines(hashes: impl IntoIterator<Item = Hash>) -> String {
    hashes.into_iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect()
}

fn body_of(origin: &str, size: u64, root: &Hash, more: &str) -> String {
    format!("{origin}\n{size}\n{}\n{more}", STANDARD.encode(root))
}

fn signature(key: &SigningKey, body: &str) -> String {
    let verifying = key.verifying_key();
    let bytes = [&verifying.hash()[..], &key.sign(body)].concat();
    format!("{SIGNATURE}{} {}\n", verifying.name(), STANDARD.encode(bytes))
}

fn is_signature(line: &str, signed: &str, key: &VerifyingKey) -> bool {
    let parts = line.strip_prefix(SIGNATURE).and_then(|rest| rest.split_once(' '));
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
