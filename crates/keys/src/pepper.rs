//! Peppers: server secrets that are mixed into every key and never stored beside one.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::secret_file::{self, SecretFileError};

/// BLAKE3 key derivation context; changing it makes every key invalid.
const TAG_CONTEXT: &str = "portcullis 2026-11 keys presented key tag";
const ISSUE_CONTEXT: &str = "portcullis 2026-11 keys new key from a nonce";

pub(crate) struct Pepper {
    pub(crate) kid: u8,
    pub(crate) bytes: Zeroizing<[u8; 32]>,
    pub(crate) tag_key: Zeroizing<[u8; 32]>,
    pub(crate) issue_key: Zeroizing<[u8; 32]>,
}

/// Several server secrets of 32 bytes, each named by one base62 character. The last one is used for
/// new keys, all of them for checking. Cheap to clone; erased from memory when the last clone goes.
///
/// Without the pepper a key was made with, the key is invalid: back them up.
#[derive(Clone)]
pub struct Peppers(Arc<[Pepper]>);

/// Peppers that cannot be used.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// There is none.
    #[error("there must be at least one pepper")]
    Empty,
    /// The name of one is no letter or digit.
    #[error("the name of a pepper is one letter or digit")]
    Name,
    /// Two have the same name.
    #[error("two peppers have the same name")]
    Twice,
    /// A line of the file is something else.
    #[error("line {0} of the peppers is not a letter or digit, a space and 64 hexadecimal digits")]
    Line(usize),
    /// Others than its owner may read the file.
    #[error("the pepper file may be read by others than its owner; set its mode to 0600")]
    Exposed,
    /// The file cannot be read or made.
    #[error("the pepper file cannot be read or made: {0}")]
    Io(#[from] io::Error),
}

impl Peppers {
    /// One new pepper, named `0`.
    ///
    /// # Errors
    /// [`PepperError::Io`] when the operating system has no randomness.
    pub fn generate() -> Result<Self, PepperError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(io::Error::from)?;
        Self::from_bytes([('0', *bytes)])
    }

    /// These peppers, the newest last.
    ///
    /// # Errors
    /// [`PepperError`] when there is none, or names are wrong or repeated.
    pub fn from_bytes(peppers: impl IntoIterator<Item = (char, [u8; 32])>) -> Result<Self, PepperError> {
        let mut all: Vec<Pepper> = Vec::new();
        for (name, bytes) in peppers {
            let kid = u8::try_from(name).ok().filter(u8::is_ascii_alphanumeric).ok_or(PepperError::Name)?;
            if all.iter().any(|other| other.kid == kid) {
                return Err(PepperError::Twice);
            }
            let tag_key = Zeroizing::new(blake3::derive_key(TAG_CONTEXT, &bytes));
            let issue_key = Zeroizing::new(blake3::derive_key(ISSUE_CONTEXT, &bytes));
            all.push(Pepper { kid, bytes: Zeroizing::new(bytes), tag_key, issue_key });
        }
        if all.is_empty() {
            return Err(PepperError::Empty);
        }
        Ok(Self(all.into()))
    }

    /// Reads the file, or makes it with one new pepper and mode 0600. A line is a letter or digit, a
    /// space and 64 hexadecimal digits; the newest line is the last.
    ///
    /// # Errors
    /// [`PepperError`] when the file is readable by others, malformed, or cannot be made.
    pub fn load_or_create(path: &Path) -> Result<Self, PepperError> {
        let text = secret_file::read_or_create(path, || {
            let mut bytes = Zeroizing::new([0; 32]);
            getrandom::fill(bytes.as_mut())?;
            Ok(Zeroizing::new(format!("0 {}\n", blake3::Hash::from_bytes(*bytes).to_hex())))
        });
        match text {
            Ok(text) => text.parse(),
            Err(SecretFileError::Exposed) => Err(PepperError::Exposed),
            Err(SecretFileError::Io(error)) => Err(PepperError::Io(error)),
        }
    }

    /// Whether the pepper of this name is among them.
    pub fn has(&self, kid: char) -> bool {
        u8::try_from(kid).is_ok_and(|kid| self.get(kid).is_some())
    }

    /// The pepper for new keys.
    pub(crate) fn newest(&self) -> Option<&Pepper> {
        self.0.last()
    }

    pub(crate) fn get(&self, kid: u8) -> Option<&Pepper> {
        self.0.iter().find(|pepper| pepper.kid == kid)
    }
}

impl FromStr for Peppers {
    type Err = PepperError;

    /// Reads the lines of a pepper file.
    fn from_str(text: &str) -> Result<Self, PepperError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let peppers: Result<Vec<_>, _> =
            lines.map(|(at, line)| read_line(line).ok_or(PepperError::Line(at + 1))).collect();
        Self::from_bytes(peppers?)
    }
}

fn read_line(line: &str) -> Option<(char, [u8; 32])> {
    let (name, hex) = line.trim().split_once(' ')?;
    let mut names = name.chars();
    let (name, None) = (names.next()?, names.next()) else { return None };
    Some((name, *blake3::Hash::from_hex(hex.trim()).ok()?.as_bytes()))
}

impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peppers({})", self.0.len())
    }
}
