//! The keys that signed a log, one after the other, and how one hands over to the next.

use crate::key::{SigningKey, VerifyingKey};
use crate::note::{Note, Origin};
use crate::tree::Tree;

/// One key hands over to another: a note over all records before, that names both and that both signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    note: Note,
    from: VerifyingKey,
    to: VerifyingKey,
}

impl Change {
    pub(crate) fn sign(origin: &Origin, tree: &Tree, from: &SigningKey, to: &SigningKey) -> Self {
        let (old, new) = (from.verifying_key(), to.verifying_key());
        let note = Note::sign(origin, tree, format!("from {old}\nto {new}\n"), &[from, to]);
        Self { note, from: old, to: new }
    }

    /// Reads what [`Change::sign`] wrote; none without both signatures.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let note = Note::parse(text)?;
        let (from, to) = note.more.strip_prefix("from ")?.strip_suffix('\n')?.split_once("\nto ")?;
        let (from, to) = (from.parse().ok()?, to.parse().ok()?);
        let is_signed = note.is_signed_by(&from) && note.is_signed_by(&to);
        is_signed.then_some(Self { note, from, to })
    }

    pub(crate) fn note(&self) -> &Note {
        &self.note
    }
}

/// The keys of a log as far as its records tell, and the one that is trusted. It may be any of them: it
/// signed what came before it and who comes after it.
#[derive(Debug)]
pub(crate) struct Keys {
    trusted: VerifyingKey,
    changes: Vec<Change>,
}

impl Keys {
    pub(crate) fn new(trusted: VerifyingKey) -> Self {
        Self { trusted, changes: Vec::new() }
    }

    /// Follows a change; not one that was signed by another key than the one in force.
    #[must_use]
    pub(crate) fn follow(&mut self, change: Change) -> bool {
        let is_next =
            self.changes.last().is_none_or(|last| last.to == change.from && last.note.size < change.note.size);
        if is_next {
            self.changes.push(change);
        }
        is_next
    }

    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// All keys, the oldest first; none if the trusted one is not among them.
    fn all(&self) -> Option<Vec<&VerifyingKey>> {
        let Some(first) = self.changes.first() else { return Some(vec![&self.trusted]) };
        let all: Vec<_> = std::iter::once(&first.from).chain(self.changes.iter().map(|change| &change.to)).collect();
        all.contains(&&self.trusted).then_some(all)
    }

    /// The key that signs now, as far as it is known.
    pub(crate) fn newest(&self) -> &VerifyingKey {
        self.changes.last().map_or(&self.trusted, |change| &change.to)
    }

    /// Whether the note is signed by the key that was in force at its size.
    pub(crate) fn signed(&self, note: &Note) -> bool {
        self.since(note.size).first().is_some_and(|key| note.is_signed_by(key))
    }

    /// Whether it is signed by that key or a later one; one that was replaced before has no say.
    pub(crate) fn signed_later(&self, note: &Note) -> bool {
        self.since(note.size).iter().any(|key| note.is_signed_by(key))
    }

    /// The keys that were in force at a size and later; none if the trusted one is not among all.
    fn since(&self, size: u64) -> Vec<&VerifyingKey> {
        let before = self.changes.iter().filter(|change| change.note.size < size).count();
        self.all().unwrap_or_default().into_iter().skip(before).collect()
    }
}
