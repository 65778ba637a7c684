//! What the hashes of a file are keyed with.

use std::fmt;

use zeroize::Zeroizing;

use super::error::ProtectedError;
use super::prints::HashKey;

/// The secret with which passages are hashed, beside random bytes in the file.
///
/// With it, whoever has the file can ask whether a passage of some 40 letters is protected, and so guess on from
/// passages they know. Without it, the file tells little more than how much text there is; but it is hashed, not
/// encrypted, so store it as carefully as the texts if you can.
#[derive(Clone)]
pub struct ProtectedSecret(Zeroizing<[u8; 32]>);

impl ProtectedSecret {
    /// A secret of 32 bytes from a cryptographic source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// No secret: whoever can read the file can ask it what is protected. Keep it as secret as the texts.
    pub fn danger_none() -> Self {
        Self::from_bytes([0; 32])
    }
}

impl fmt::Debug for ProtectedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProtectedSecret(..)")
    }
}

/// Random bytes in the file, so that no two files have the same hashes.
#[derive(Clone, Copy)]
pub(super) struct Salt(pub(super) [u8; 32]);

impl Salt {
    pub(super) fn random() -> Result<Self, ProtectedError> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|_| ProtectedError::Random)?;
        Ok(Self(salt))
    }
}

/// What is derived from a secret and a salt.
pub(super) struct Keys {
    pub(super) hash: HashKey,
    /// What checksums are keyed with.
    pub(super) mac: Zeroizing<[u8; 32]>,
}

impl Keys {
    pub(super) fn new(salt: &Salt, secret: &ProtectedSecret) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("portcullis 2026-11-26 protected passages");
        hasher.update(&salt.0).update(secret.0.as_slice());
        let mut output = hasher.finalize_xof();
        let mut mac = Zeroizing::new([0; 32]);
        output.fill(mac.as_mut_slice());
        let mut number = || {
            let mut bytes = [0; 8];
            output.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        };
        Self { hash: HashKey::new(number(), number()), mac }
    }
}
