//! Digests that only the holder of a key can make: they tell whether two things are the same, and
//! nothing else.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::secret_file;

/// The key for digests of what must not be stored itself. Each tenant's digests are made with a key
/// of its own, so that they cannot be compared across tenants.
#[derive(Clone)]
pub struct DigestKey(Zeroizing<[u8; 32]>);

/// A digest in the making, for what comes in pieces.
#[derive(Clone)]
pub struct Digester(blake3::Hasher);

impl DigestKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Io`] when the operating system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut()).map_err(io::Error::from)?;
        Ok(Self(key))
    }

    /// Reads the file, 64 hexadecimal digits, or makes it with a new key and mode 0600.
    ///
    /// # Errors
    /// [`KeyError`] when the file is readable by others, malformed, or cannot be made.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let text = secret_file::read_or_create(path, || {
            let mut key = Zeroizing::new([0; 32]);
            getrandom::fill(key.as_mut())?;
            Ok(Zeroizing::new(format!("{}\n", blake3::Hash::from_bytes(*key).to_hex())))
        })?;
        text.parse()
    }

    /// Keyed BLAKE3 under the tenant's key, 64 hexadecimal digits.
    pub fn digest(&self, tenant: &str, bytes: &[u8]) -> String {
        let mut digester = self.digester(tenant);
        digester.update(bytes);
        digester.finish()
    }

    /// The same, for bytes that come in pieces.
    pub fn digester(&self, tenant: &str) -> Digester {
        let key = Zeroizing::new(*blake3::keyed_hash(&self.0, tenant.as_bytes()).as_bytes());
        Digester(blake3::Hasher::new_keyed(&key))
    }
}

/// Reads the text of a key file.
impl FromStr for DigestKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let key = blake3::Hash::from_hex(text.trim()).map_err(|_| KeyError::Malformed)?;
        Ok(Self(Zeroizing::new(*key.as_bytes())))
    }
}

impl Digester {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces so far.
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester(..)")
    }
}
