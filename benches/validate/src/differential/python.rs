//! The readers in Python, in a process of their own that stays.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bytes::Bytes;

use crate::differential::read::{Tree, tree};

/// A body and what `serde_json` reads from it.
pub(crate) struct Reading {
    pub(crate) body: Bytes,
    pub(crate) tree: Option<Tree>,
    canonical: String,
}

/// A body as it came and as it is sent on.
pub(crate) struct Pair {
    pub(crate) operation: &'static str,
    pub(crate) original: Reading,
    pub(crate) written: Reading,
}

pub(crate) struct Readers {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Reading {
    pub(crate) fn new(body: Bytes) -> Self {
        let tree = std::str::from_utf8(&body).ok().and_then(tree);
        let mut canonical = String::new();
        if let Some(tree) = &tree {
            tree.write(&mut canonical);
        }
        Self { body, tree, canonical }
    }
}

impl Readers {
    /// Starts the Python named by `DIFFERENTIAL_PYTHON`, which has RapidJSON.
    pub(crate) fn start() -> Self {
        let python = std::env::var_os("DIFFERENTIAL_PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(python);
        command.args(["-c", include_str!("readers.py")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, to, from }
    }

    /// A letter for each pair: a dot when all read the same.
    pub(crate) fn read(&mut self, pairs: &[Pair]) -> Vec<u8> {
        let mut all = u32::try_from(pairs.len()).unwrap().to_le_bytes().to_vec();
        for reading in pairs.iter().flat_map(|pair| [&pair.original, &pair.written]) {
            for part in [&reading.body[..], reading.canonical.as_bytes()] {
                all.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
                all.extend(part);
            }
        }
        self.to.write_all(&all).unwrap();
        self.to.flush().unwrap();
        let mut told = vec![0; pairs.len()];
        self.from.read_exact(&mut told).unwrap();
        told
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        // It ends when nothing more can come.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a letter stands for.
pub(crate) fn what(letter: u8) -> &'static str {
    match letter {
        b'j' => "Python's json reads another thing",
        b'J' => "Python's json refuses it",
        b'r' => "RapidJSON reads another thing",
        b'R' => "RapidJSON refuses it",
        _ => "no answer",
    }
}
