//! Where reading a log begins when it does not begin at the first record: the tree so far.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::key::SigningKey;
use crate::keys::Change;
use crate::note::{Note, Origin, hash, hash_lines};
use crate::tree::{Hash, Tree};

/// The line of a note that says that what it is over was removed.
const REMOVED: &str = "removed\n";

/// The records before a place, as a tree, and the note over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) tree: Tree,
    pub(crate) note: Note,
    /// The changes of keys among them, so that a key from before can still be trusted.
    pub(crate) changes: Vec<Change>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    frontier: String,
    note: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
}

impl Start {
    /// The stub that takes the place of removed records.
    pub(crate) fn stub(origin: &Origin, tree: Tree, changes: Vec<Change>, key: &SigningKey) -> Self {
        let note = Note::sign(origin, &tree, REMOVED.to_owned(), &[key]);
        Self { tree, note, changes }
    }

    pub(crate) fn is_stub(&self) -> bool {
        self.note.more == REMOVED
    }

    /// Reads a stub. A mark is none: to verify a log gives no right to remove from it.
    pub(crate) fn read_stub(text: &str) -> Option<Self> {
        Self::read(text).filter(Self::is_stub)
    }

    fn read(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(text).ok()?;
        let note = Note::parse(&written.note)?;
        let roots: Vec<Hash> = written.frontier.split_terminator('\n').map(hash).collect::<Option<_>>()?;
        let tree = Tree::from_frontier(note.size, &roots)?;
        let changes: Vec<Change> = written.keys.iter().map(|text| Change::read(text)).collect::<Option<_>>()?;
        let is_one = tree.root() == note.root
            && changes.iter().all(|change| change.note().origin == note.origin && change.note().size < note.size);
        is_one.then_some(Self { tree, note, changes })
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = Written {
            frontier: hash_lines(self.tree.frontier().map(|(_, root)| root)),
            note: self.note.text.clone(),
            keys: self.changes.iter().map(|change| change.note().text.clone()).collect(),
        };
        f.write_str(&serde_json::to_string(&written).map_err(|_| fmt::Error)?)
    }
}

/// How far a log was verified. Kept by whoever did, where the log's writer cannot change it, it lets
/// [`verify_since`](crate::verify_since) read only what was added. Displayed and parsed as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(pub(crate) Start);

/// A text that is no [`Mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mark of a verified log")]
pub struct InvalidMark;

impl Mark {
    /// How many records were verified.
    pub fn records(&self) -> u64 {
        self.0.note.size
    }

    /// The name of the log.
    pub fn origin(&self) -> &str {
        &self.0.note.origin
    }
}

impl FromStr for Mark {
    type Err = InvalidMark;

    fn from_str(text: &str) -> Result<Self, InvalidMark> {
        Start::read(text).filter(|start| start.note.more.is_empty()).map(Self).ok_or(InvalidMark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
