//! Making a key once, however often it is asked for.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::UnixMillis;
use crate::format;
use crate::id::{FamilyId, KeyId};

/// How long a key that was asked for with an [`Once`] can be asked for again.
pub const ONCE_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// A request that may come twice, after the `Idempotency-Key` of HTTP (draft-ietf-httpapi-idempotency-key-header).
/// When it comes again from the same maker within [`ONCE_TTL`], the same key is the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    pub(crate) token: String,
    pub(crate) request: [u8; 32],
}

/// A text that cannot name a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to {} visible ASCII characters, and holds no API key", Once::MAX_BYTES)]
pub struct InvalidOnce;

impl Once {
    /// Longest token.
    pub const MAX_BYTES: usize = 255;

    /// The token that the caller chose, and all that it asks for: the same token with another request is
    /// refused.
    ///
    /// # Errors
    /// [`InvalidOnce`] for a token that is empty, too long, or not of visible ASCII.
    pub fn new(token: &str, request: &[u8]) -> Result<Self, InvalidOnce> {
        let is_word = (1..=Self::MAX_BYTES).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        let is_token = is_word && !format::is_in(token);
        let request = *blake3::hash(request).as_bytes();
        is_token.then(|| Self { token: token.to_owned(), request }).ok_or(InvalidOnce)
    }
}

/// What is stored of a key that was asked for with an [`Once`]. The secret follows from the nonce and the
/// pepper together; neither alone tells anything of it.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub struct OnceRecord {
    /// Whose request it was.
    pub maker: FamilyId,
    /// The caller's name for it.
    pub token: String,
    /// BLAKE3 of the request.
    pub request: [u8; 32],
    /// What the key was made from.
    pub nonce: Zeroizing<[u8; 32]>,
    /// The key.
    pub key_id: KeyId,
    /// When this is forgotten.
    pub expires_at: UnixMillis,
}

impl OnceRecord {
    /// What a store has read.
    pub fn new(
        maker: FamilyId,
        (token, request): (String, [u8; 32]),
        nonce: [u8; 32],
        key_id: KeyId,
        expires_at: UnixMillis,
    ) -> Self {
        Self { maker, token, request, nonce: Zeroizing::new(nonce), key_id, expires_at }
    }
}

impl std::fmt::Debug for OnceRecord {
    /// Without the nonce.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnceRecord").field("maker", &self.maker).field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
