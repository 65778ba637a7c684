//! Holding records, one after the other, against what was signed.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::key::VerifyingKey;
use crate::keys::{Change, Keys};
use crate::note::Note;
use crate::path::Path;
use crate::record::{KEY_CHANGE, PEER};
use crate::start::{Mark, Start};
use crate::tree::{Hash, Tree};
use crate::verify::VerifyError;

/// A log whose records are those that were signed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The first record that was read. Of those before it the tree is known, from a [`Mark`] or from the
    /// stub of what was removed.
    pub first: u64,
    /// How many records the checkpoint covers, those before the first included: none of them was
    /// changed, removed or added.
    pub records: u64,
    /// The root over them.
    pub root: [u8; 32],
    /// Whole records after the checkpoint. Nothing is known of them yet.
    pub unsigned: u64,
    /// The checkpoint. Compare it with one that was kept elsewhere: whoever holds the signing key
    /// can write another log.
    pub checkpoint: Checkpoint,
    /// Where the next verification may go on.
    pub mark: Mark,
    /// The newest checkpoint of each other log that is recorded in this one, by its origin.
    pub peers: BTreeMap<String, String>,
}

/// What is wrong with a log, for the errors of those who read and of those who open it.
#[derive(Debug)]
pub(crate) enum Fault {
    Tampered {
        at: u64,
    },
    Incomplete {
        have: u64,
        want: Option<u64>,
    },
    /// What is signed is not signed by the right key, or for another log.
    Unsigned,
    /// A checkpoint that was kept elsewhere is not one of this log.
    Foreign,
    /// What is asked for is before the first record that can be read.
    Before {
        first: u64,
    },
}

impl From<Fault> for VerifyError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Tampered { at } => Self::Tampered { at },
            Fault::Incomplete { have, want } => Self::Incomplete { have, want },
            Fault::Unsigned => Self::Tampered { at: 0 },
            Fault::Foreign => Self::Foreign,
            Fault::Before { first } => Self::Before { first },
        }
    }
}

impl From<Fault> for AuditError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Tampered { at } => Self::Tampered { at },
            Fault::Incomplete { have, want: Some(want) } => Self::Truncated { have, want },
            // The last two are not asked when a log is opened.
            Fault::Incomplete { want: None, .. } | Fault::Unsigned | Fault::Foreign | Fault::Before { .. } => {
                Self::Checkpoint
            }
        }
    }
}

/// Holds records, one after the other, against a checkpoint.
#[derive(Debug)]
pub(crate) struct Verification {
    tree: Tree,
    keys: Keys,
    start: Option<Start>,
    /// The newest checkpoint of the log.
    newest: Option<Awaited>,
    /// Checkpoints that were kept elsewhere.
    kept: Vec<Awaited>,
    paths: Vec<Path>,
    peers: BTreeMap<String, String>,
}

/// A checkpoint, and the tree when it had that size.
#[derive(Debug)]
struct Awaited {
    checkpoint: Checkpoint,
    tree: Option<Tree>,
}

impl Awaited {
    fn look(&mut self, tree: &Tree) {
        if self.checkpoint.size() == tree.size() {
            self.tree = Some(tree.clone());
        }
    }
}

/// A record that holds a note.
#[derive(Deserialize)]
struct Holder {
    note: String,
}

impl Verification {
    /// Begins with the newest checkpoint there is.
    pub(crate) fn begin(note: Option<&str>, key: &VerifyingKey) -> Result<Self, Fault> {
        let newest = match note.map(Checkpoint::parse) {
            Some(None) => return Err(Fault::Unsigned),
            read => read.flatten().map(|checkpoint| Awaited { checkpoint, tree: None }),
        };
        let mut verification = Self {
            tree: Tree::new(),
            keys: Keys::new(key.clone()),
            start: None,
            newest,
            kept: Vec::new(),
            paths: Vec::new(),
            peers: BTreeMap::new(),
        };
        verification.compare();
        Ok(verification)
    }

    /// Begins after the records of a mark or a stub.
    pub(crate) fn go_on_from(mut self, start: Start) -> Result<Self, Fault> {
        for change in &start.changes {
            if !self.keys.follow(change.clone()) {
                return Err(Fault::Unsigned);
            }
        }
        self.tree = start.tree.clone();
        self.start = Some(start);
        self.compare();
        Ok(self)
    }

    /// Also compares a checkpoint that was kept elsewhere.
    pub(crate) fn against(mut self, note: &str) -> Result<Self, Fault> {
        let checkpoint = Checkpoint::parse(note).ok_or(Fault::Foreign)?;
        let mut kept = Awaited { checkpoint, tree: None };
        kept.look(&self.tree);
        self.kept.push(kept);
        Ok(self)
    }

    /// Also gathers the hashes of a proof.
    pub(crate) fn gather(&mut self, mut path: Path) {
        let mut first = 0;
        for (height, root) in self.tree.frontier() {
            path.take(first, height, root);
            first += 1 << height;
        }
        self.paths.push(path);
    }

    /// Index of the next record.
    pub(crate) fn next(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(crate) fn push(&mut self, record: &[u8]) -> Result<(), Fault> {
        let at = self.tree.size();
        if record.starts_with(KEY_CHANGE) {
            self.follow(record).ok_or(Fault::Tampered { at })?;
        } else if record.starts_with(PEER) {
            self.see_peer(record).ok_or(Fault::Tampered { at })?;
        } else {
            serde_json::from_slice::<IgnoredAny>(record).map_err(|_| Fault::Tampered { at })?;
        }
        let leaf: Hash = self.tree.push(record);
        for path in &mut self.paths {
            path.take(at, 0, leaf);
        }
        self.compare();
        Ok(())
    }

    fn follow(&mut self, record: &[u8]) -> Option<()> {
        let change = Change::read(&serde_json::from_slice::<Holder>(record).ok()?.note)?;
        let note = change.note();
        let is_here = note.size == self.tree.size() && note.root == self.tree.root();
        (is_here && self.keys.follow(change)).then_some(())
    }

    /// What is not signed yet is not believed.
    fn see_peer(&mut self, record: &[u8]) -> Option<()> {
        let text = serde_json::from_slice::<Holder>(record).ok()?.note;
        let is_signed = self.want().is_some_and(|want| self.tree.size() < want);
        if let Some(peer) = Checkpoint::parse(&text).filter(|_| is_signed) {
            self.peers.insert(peer.origin().to_owned(), text);
        }
        Some(())
    }

    fn compare(&mut self) {
        for awaited in self.newest.iter_mut().chain(&mut self.kept) {
            awaited.look(&self.tree);
        }
    }

    /// Says what the records are, after the last one; the hashes of each proof besides.
    pub(crate) fn finish(self) -> Result<(Verified, Vec<Vec<Hash>>), Fault> {
        let have = self.tree.size();
        let Some(newest) = self.newest else { return Err(Fault::Incomplete { have, want: None }) };
        let origin = newest.checkpoint.origin().to_owned();
        let keys = &self.keys;
        let is_ours = |note: &Note| note.origin == origin;
        let is_signed = |checkpoint: &Checkpoint| is_ours(checkpoint.as_note()) && keys.signed(checkpoint.as_note());
        let is_start_signed = self.start.as_ref().is_none_or(|start| {
            // Records are removed later than they were written, when another key may be in force.
            is_ours(&start.note)
                && if start.is_stub() { keys.signed_later(&start.note) } else { keys.signed(&start.note) }
        });
        if !is_start_signed || !is_signed(&newest.checkpoint) || !keys.changes().iter().all(|c| is_ours(c.note())) {
            return Err(Fault::Unsigned);
        }
        let first = self.start.as_ref().map_or(0, |start| start.note.size);
        let tree = seen(&newest, first, have)?;
        for kept in &self.kept {
            if !is_signed(&kept.checkpoint) {
                return Err(Fault::Foreign);
            }
            // Of what was not read the root is not known.
            if kept.checkpoint.size() < first {
                return Err(Fault::Before { first });
            }
            seen(kept, first, have)?;
        }
        let (records, root) = (tree.size(), tree.root());
        let changes = keys.changes().iter().filter(|change| change.note().size < records).cloned().collect();
        let checkpoint = newest.checkpoint;
        let mark = Mark(Start { tree, note: checkpoint.as_note().clone(), changes });
        let unsigned = have.saturating_sub(records);
        let paths = self.paths.iter().map(Path::hashes).collect();
        Ok((Verified { first, records, root, unsigned, checkpoint, mark, peers: self.peers }, paths))
    }

    pub(crate) fn origin(&self) -> &str {
        self.newest.as_ref().map_or("", |newest| newest.checkpoint.origin())
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// How many records the newest checkpoint covers.
    pub(crate) fn want(&self) -> Option<u64> {
        self.newest.as_ref().map(|newest| newest.checkpoint.size())
    }

    /// A gap is missing records; an overlap is a change.
    pub(crate) fn expect(&self, index: u64) -> Result<(), Fault> {
        let have = self.tree.size();
        match index.cmp(&have) {
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(Fault::Incomplete { have, want: self.want() }),
            Ordering::Less => Err(Fault::Tampered { at: have }),
        }
    }
}

/// The tree of a checkpoint, if it is the one that was signed.
fn seen(awaited: &Awaited, first: u64, have: u64) -> Result<Tree, Fault> {
    let size = awaited.checkpoint.size();
    match &awaited.tree {
        Some(tree) if tree.root() == *awaited.checkpoint.root() => Ok(tree.clone()),
        Some(_) => Err(Fault::Tampered { at: size.saturating_sub(1) }),
        // A stub or a mark of a log that is longer than its checkpoint.
        None if size < first => Err(Fault::Tampered { at: size }),
        None => Err(Fault::Incomplete { have, want: Some(size) }),
    }
}
