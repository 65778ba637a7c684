//! Ed25519 keys (RFC 8032) in the forms of the C2SP signed note.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::secret_file;

/// The name of our keys in notes. Keys are told apart by their hash.
const NAME: &str = "portcullis-audit";
/// The signature type byte of Ed25519.
const ED25519: u8 = 1;

/// Signs checkpoints. Erased from memory when dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

/// Checks checkpoints. Displayed and parsed as a C2SP verifier key, `name+hash+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    key: ed25519_dalek::VerifyingKey,
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Io`] when the operating system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(io::Error::from)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads the file, a line `PRIVATE+KEY+name+hash+base64`, or makes it with a new key and mode
    /// 0600.
    ///
    /// # Errors
    /// [`KeyError`] when the file is readable by others, malformed, or cannot be made.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let text = secret_file::read_or_create(path, || {
            let key = Self::generate().map_err(io::Error::other)?;
            let bytes = Zeroizing::new([&[ED25519][..], &key.0.to_bytes()].concat());
            let hash = hex(&key.verifying_key().hash());
            let encoded = Zeroizing::new(STANDARD.encode(&bytes));
            Ok(Zeroizing::new(format!("PRIVATE+KEY+{NAME}+{hash}+{}\n", encoded.as_str())))
        })?;
        text.parse()
    }

    /// The key that checks what this one signs.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey { name: NAME.to_owned(), key: self.0.verifying_key() }
    }

    pub(crate) fn sign(&self, text: &str) -> [u8; 64] {
        self.0.sign(text.as_bytes()).to_bytes()
    }
}

/// Reads the line of a key file.
impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, hash, bytes) = read(text.trim().strip_prefix("PRIVATE+KEY+").ok_or(KeyError::Malformed)?)?;
        let key = Self(ed25519_dalek::SigningKey::from_bytes(&bytes));
        let is_ours = name == NAME && hash == hex(&key.verifying_key().hash());
        is_ours.then_some(key).ok_or(KeyError::Malformed)
    }
}

impl VerifyingKey {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The first bytes of SHA-256 over name, line end, type and key.
    pub(crate) fn hash(&self) -> [u8; 4] {
        let whole = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        whole.first_chunk().copied().unwrap_or_default()
    }

    pub(crate) fn is_signed(&self, text: &str, signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(text.as_bytes(), &signature).is_ok()
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, hash, bytes) = read(text.trim())?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Malformed)?;
        let key = Self { name: name.to_owned(), key };
        if name.is_empty() || name.contains(char::is_whitespace) || hash != hex(&key.hash()) {
            return Err(KeyError::Malformed);
        }
        Ok(key)
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[ED25519][..], self.key.as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, hex(&self.hash()), STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", hex(&self.verifying_key().hash()))
    }
}

/// Name, hash and key of `name+hash+base64`.
fn read(text: &str) -> Result<(&str, &str, Zeroizing<[u8; 32]>), KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(hash), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Malformed);
    };
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| KeyError::Malformed)?);
    match bytes.split_first() {
        Some((&ED25519, key)) => {
            let key = key.try_into().map_err(|_| KeyError::Malformed)?;
            Ok((name, hash, Zeroizing::new(key)))
        }
        _ => Err(KeyError::Malformed),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
