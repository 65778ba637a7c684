//! Reads the texts that are to be protected.

use std::io::Read;

use super::error::ProtectedError;
use super::filter::Filter;
use super::letters;
use super::prints::{Prints, WINDOW};
use super::secret::{Keys, ProtectedSecret, Salt};
use super::{DEFAULT_LEAST, Protected};

/// How much is read at once, in bytes.
const CHUNK: usize = 64 << 10;
/// How many fingerprints wait, so that the memory is asked for many of them at once.
const WAITING: usize = 256;

/// Takes the texts for a [`Protected`], in bounded memory: the filter and less than 1 MiB.
pub struct ProtectedBuilder {
    salt: Salt,
    keys: Keys,
    filter: Filter,
    waiting: Vec<u64>,
    room: u64,
    bytes: u64,
    texts: u64,
    too_short: u64,
    prints: u64,
}

/// A text that is being read.
struct Text {
    prints: Prints,
    last: Option<u64>,
}

impl ProtectedBuilder {
    pub(super) fn new(room: u64, secret: &ProtectedSecret) -> Result<Self, ProtectedError> {
        let salt = Salt::random()?;
        let keys = Keys::new(&salt, secret);
        // Rounded up: texts in which more is taken than on average are short ones.
        let filter = Filter::new((room / (WINDOW as u64 + 1)).saturating_mul(2))?;
        Ok(Self {
            salt,
            keys,
            filter,
            waiting: Vec::with_capacity(WAITING),
            room,
            bytes: 0,
            texts: 0,
            too_short: 0,
            prints: 0,
        })
    }

    /// Adds a text.
    ///
    /// # Errors
    /// [`ProtectedError::Room`] if all texts together are longer than what there is room for; it is then not added.
    pub fn add_text(&mut self, text: &str) -> Result<(), ProtectedError> {
        let mut reading = self.begin();
        self.push(&mut reading, text)?;
        self.end(&reading);
        Ok(())
    }

    /// Adds the text of a reader, to its end. What is not UTF-8 counts as white space.
    ///
    /// # Errors
    /// [`ProtectedError::Io`], and [`ProtectedError::Room`] if all texts together are longer than what there is room for.
    /// What was read until then stays added.
    pub fn add_reader(&mut self, mut reader: impl Read) -> Result<(), ProtectedError> {
        let mut reading = self.begin();
        let mut buffer = vec![0; CHUNK];
        let mut kept = 0;
        loop {
            let read = match reader.read(buffer.get_mut(kept..).unwrap_or_default()) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let filled = kept + read;
            let bytes = buffer.get(..filled).unwrap_or_default();
            // The start of a character waits for the rest of it.
            let whole = if read == 0 { filled } else { filled - unfinished(bytes) };
            let bytes = bytes.get(..whole).unwrap_or_default();
            match std::str::from_utf8(bytes) {
                Ok(part) => self.push(&mut reading, part)?,
                Err(_) => bytes.utf8_chunks().try_for_each(|chunk| self.push(&mut reading, chunk.valid()))?,
            }
            if read == 0 {
                break;
            }
            buffer.copy_within(whole..filled, 0);
            kept = filled - whole;
        }
        self.end(&reading);
        Ok(())
    }

    fn begin(&mut self) -> Text {
        self.texts += 1;
        Text { prints: Prints::new(), last: None }
    }

    fn push(&mut self, text: &mut Text, part: &str) -> Result<(), ProtectedError> {
        self.bytes = self.bytes.saturating_add(part.len() as u64);
        if self.bytes > self.room {
            return Err(ProtectedError::Room { room: self.room });
        }
        letters::each(part, |letter| {
            let print = text.prints.push(&self.keys.hash, letter.byte);
            if print.is_some() && print != text.last {
                text.last = print;
                self.waiting.extend(print);
                if self.waiting.len() == WAITING {
                    self.prints += self.filter.insert(self.waiting.iter().copied());
                    self.waiting.clear();
                }
            }
        });
        Ok(())
    }

    fn end(&mut self, text: &Text) {
        if text.prints.count() < DEFAULT_LEAST {
            self.too_short += 1;
        }
    }

    /// How many bytes were read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many texts there were so far.
    pub fn texts(&self) -> u64 {
        self.texts
    }

    /// How many of the texts have fewer than [`Protected::DEFAULT_LEAST`] letters and digits: they are never found.
    pub fn too_short(&self) -> u64 {
        self.too_short
    }

    /// How much memory the filter takes, in bytes. It does not grow.
    pub fn size(&self) -> usize {
        self.filter.size()
    }

    /// Ends the reading. Room that was not needed is given back, by halves.
    pub fn finish(mut self) -> Protected {
        self.prints += self.filter.insert(self.waiting.iter().copied());
        self.filter.shrink(self.prints);
        Protected {
            salt: self.salt,
            mac: self.keys.mac,
            key: self.keys.hash,
            filter: self.filter,
            prints: self.prints,
            least: DEFAULT_LEAST,
        }
    }
}

/// How many bytes at the end are the start of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let is_start = |length: &usize| {
        let tail = bytes.get(bytes.len().saturating_sub(*length)..).unwrap_or_default();
        std::str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..4).find(is_start).unwrap_or(0)
}

impl std::fmt::Debug for ProtectedBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("ProtectedBuilder");
        debug.field("texts", &self.texts).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
