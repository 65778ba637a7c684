//! The stored form of a secret: Argon2id (RFC 9106) in a PHC string, read strictly.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Argon2id over a key's secret, with the pepper as Argon2's own secret, version 0x13, one lane, 16
/// bytes of salt, 32 bytes out. Displayed and parsed as a PHC string; `Debug` shows nothing.
///
/// Parsing accepts 7 to 64 MiB and at most 10 passes, so that a planted row can neither weaken a key
/// nor exhaust the machine.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash {
    pub(crate) cost: Cost,
    pub(crate) salt: [u8; 16],
    pub(crate) output: [u8; 32],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
}

/// A text that is not such a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an argon2id PHC string within bounds")]
pub struct InvalidHash;

impl Cost {
    /// OWASP's first choice (Password Storage Cheat Sheet): 19 MiB, 2 passes; about 14 ms.
    pub(crate) const OWASP: Self = Self { memory_kib: 19_456, passes: 2 };

    fn is_allowed(self) -> bool {
        (7_168..=65_536).contains(&self.memory_kib) && (1..=10).contains(&self.passes)
    }
}

impl FromStr for SecretHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        read(text).filter(|hash| hash.cost.is_allowed() && hash.to_string() == text).ok_or(InvalidHash)
    }
}

fn read(text: &str) -> Option<SecretHash> {
    let rest = text.strip_prefix("$argon2id$v=19$m=")?;
    let (memory_kib, rest) = rest.split_once(",t=")?;
    let (passes, rest) = rest.split_once(",p=1$")?;
    let (salt, output) = rest.split_once('$')?;
    Some(SecretHash {
        cost: Cost { memory_kib: memory_kib.parse().ok()?, passes: passes.parse().ok()? },
        salt: STANDARD_NO_PAD.decode(salt).ok()?.try_into().ok()?,
        output: STANDARD_NO_PAD.decode(output).ok()?.try_into().ok()?,
    })
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { memory_kib, passes } = self.cost;
        let (salt, output) = (STANDARD_NO_PAD.encode(self.salt), STANDARD_NO_PAD.encode(self.output));
        write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p=1${salt}${output}")
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}
