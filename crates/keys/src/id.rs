//! Names of keys and families. None of them is secret.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base62;

pub(crate) const PREFIX: &str = "pck1_";
pub(crate) const ID_LEN: usize = 16;

/// The public part of a key: 16 base62 characters, the first of which names the pepper.
///
/// Displayed as `pck1_<id>`; parses with or without the prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KeyId([u8; ID_LEN]);

/// A key and everything it was rotated into. Quotas are shared within a family.
///
/// Displayed as the 16 characters of its first key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FamilyId(KeyId);

/// A text that is no key or family id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 16 letters or digits, with or without {PREFIX} before")]
pub struct InvalidId;

impl KeyId {
    /// The 16 characters, without the prefix.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn pepper(&self) -> u8 {
        let [pepper, ..] = self.0;
        pepper
    }

    /// The name of the pepper that the key was made with.
    pub fn pepper_kid(&self) -> char {
        char::from(self.pepper())
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let id: [u8; ID_LEN] = bytes.try_into().ok()?;
        base62::is_base62(&id).then_some(Self(id))
    }

    /// A new id, from a source of random bytes.
    pub(crate) fn draw(pepper: u8, source: &mut blake3::OutputReader) -> Self {
        let mut id = [pepper; ID_LEN];
        base62::draw(id.get_mut(1..).unwrap_or_default(), source);
        Self(id)
    }

    /// Who acts when no key does: the command line, the first start.
    pub(crate) const SYSTEM: Self = Self(*b"system0000000000");
}

impl FamilyId {
    /// The 16 characters.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The key that it began with.
    pub fn founder(&self) -> KeyId {
        self.0
    }
}

impl From<KeyId> for FamilyId {
    /// The family that a new key founds.
    fn from(first: KeyId) -> Self {
        Self(first)
    }
}

impl FromStr for KeyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let id = text.strip_prefix(PREFIX).unwrap_or(text);
        Self::from_bytes(id.as_bytes()).ok_or(InvalidId)
    }
}

impl FromStr for FamilyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.as_str())
    }
}

impl fmt::Display for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

impl From<FamilyId> for String {
    fn from(id: FamilyId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl TryFrom<String> for FamilyId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}
