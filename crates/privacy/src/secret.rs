//! The secret that noise and projections are made from.

use std::fmt;

use zeroize::Zeroizing;

/// A secret of the server that noise, and the directions that monitors look in, are made from. Who knows it can
/// subtract the noise. It is to be the same on all replicas and to stay: with another one a caller gets a second sample
/// of the noise, and may average.
///
/// Never make it from an API key: callers with many keys would average (20 keys bring a fidelity from 0.74 to 0.94).
pub struct PrivacySecret(Zeroizing<[u8; 32]>);

impl PrivacySecret {
    /// A secret of 32 bytes from a cryptographic source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key of one model (name and version) for one purpose.
    pub(crate) fn of_model(&self, context: &str, model: &str) -> Zeroizing<[u8; 32]> {
        let mut material = blake3::Hasher::new_derive_key(context);
        material.update(self.0.as_ref()).update(model.as_bytes());
        Zeroizing::new(*material.finalize().as_bytes())
    }
}

impl fmt::Debug for PrivacySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivacySecret(..)")
    }
}
