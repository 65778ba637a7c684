//! Model names: the one string of a request that chooses where it goes.

use std::fmt;
use std::str::FromStr;

/// A model's name: 1 to 128 bytes of `[A-Za-z0-9._:/@+-]`, without `..`, `//` or a `/` at an end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(String);

/// The text is no [`ModelName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a model name is 1 to 128 characters of letters, digits and . _ : / @ + -")]
pub struct NotAModelName;

impl ModelName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = NotAModelName;

    fn from_str(text: &str) -> Result<Self, NotAModelName> {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'@' | b'+' | b'-'));
        let tidy = !text.contains("..") && !text.contains("//") && !text.starts_with('/') && !text.ends_with('/');
        if plain && tidy && (1..=128).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(NotAModelName) }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
