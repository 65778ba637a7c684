//! Where randomness comes from.

use std::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};

/// The operating system gives no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct NoRandomness;

/// ChaCha20 with a seed from the operating system, which is never shown. Not to be copied: noise that is drawn twice
/// can be subtracted.
pub struct Randomness(ChaCha20Rng);

impl Randomness {
    /// A new stream.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn from_system() -> Result<Self, NoRandomness> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| NoRandomness)?;
        Ok(Self(ChaCha20Rng::from_seed(seed)))
    }

    /// A stream that everybody who has the seed knows: for tests.
    #[cfg(feature = "testing")]
    pub fn danger_from_seed(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl fmt::Debug for Randomness {
    /// Without its state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Randomness").finish_non_exhaustive()
    }
}
