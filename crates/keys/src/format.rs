//! The text of a key: `pck1_` id `_` secret tag crc, 82 characters of ASCII.
//!
//! The tag is a keyed hash under the pepper, so whoever lacks the pepper cannot make a text that
//! passes [`parse`]. The CRC is for leak scanners, which have no pepper.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base62;
use crate::id::{ID_LEN, KeyId, PREFIX};
use crate::pepper::{Pepper, Peppers};

pub(crate) const SECRET_LEN: usize = 43;
const TAG_LEN: usize = 11;
const CRC_LEN: usize = 6;
/// Up to the tag, and up to the CRC.
const SIGNED: usize = PREFIX.len() + ID_LEN + 1 + SECRET_LEN;
const SUMMED: usize = SIGNED + TAG_LEN;
const LEN: usize = SUMMED + CRC_LEN;

/// A text that has the form of a key and was made with one of our peppers. Whether the key exists
/// and is valid is another question. Erased from memory when dropped.
pub struct PresentedKey {
    id: KeyId,
    text: Zeroizing<[u8; LEN]>,
}

/// Why a text is no key. For the audit trail; callers are told only that it is not valid.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is too short or too long.
    #[error("a key has {LEN} characters")]
    Length,
    /// It has other characters, or in other places.
    #[error("a key starts with {PREFIX} and has letters and digits only")]
    Charset,
    /// A typing error, most likely.
    #[error("the checksum of the key is wrong")]
    Checksum,
    /// It was made with a pepper that we do not have.
    #[error("the key was made with an unknown pepper")]
    UnknownPepper,
    /// It was not made here.
    #[error("the tag of the key is wrong")]
    Tag,
}

/// Reads a presented key, without any I/O, in well under a microsecond. Refuses what was not made
/// with one of the peppers; the tag is compared in constant time.
///
/// # Errors
/// The [`Reason`] why it is none of our keys.
pub fn parse(presented: &str, peppers: &Peppers) -> Result<PresentedKey, Reason> {
    let text: [u8; LEN] = presented.as_bytes().try_into().map_err(|_| Reason::Length)?;
    let text = Zeroizing::new(text);
    let (summed, crc) = text.split_at(SUMMED);
    let (signed, tag) = summed.split_at(SIGNED);
    let (head, secret) = signed.split_at(PREFIX.len() + ID_LEN + 1);
    let id = head
        .strip_prefix(PREFIX.as_bytes())
        .and_then(|rest| rest.strip_suffix(b"_"))
        .and_then(KeyId::from_bytes)
        .ok_or(Reason::Charset)?;
    if ![secret, tag, crc].iter().all(|part| base62::is_base62(part)) {
        return Err(Reason::Charset);
    }
    if crc != crc_of(summed) {
        return Err(Reason::Checksum);
    }
    let pepper = peppers.get(id.pepper()).ok_or(Reason::UnknownPepper)?;
    if !bool::from(tag.ct_eq(&tag_of(pepper, signed))) {
        return Err(Reason::Tag);
    }
    Ok(PresentedKey { id, text })
}

impl PresentedKey {
    /// The public part.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The key that follows from a pepper and a nonce: 256 random bits, to be kept secret or forgotten. Who
    /// has only one of the two learns nothing of the key.
    pub(crate) fn derive(pepper: &Pepper, nonce: &[u8; 32]) -> Self {
        let mut source = blake3::Hasher::new_keyed(&pepper.issue_key).update(nonce).finalize_xof();
        let id = KeyId::draw(pepper.kid, &mut source);
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        base62::draw(secret.as_mut(), &mut source);
        let mut signed = Zeroizing::new([0; SIGNED]);
        let parts = [PREFIX.as_bytes(), id.as_str().as_bytes(), b"_", secret.as_ref()];
        fill(signed.as_mut(), &parts);
        let tag = tag_of(pepper, signed.as_ref());
        let mut summed = [0; SUMMED];
        fill(&mut summed, &[signed.as_ref(), &tag]);
        let mut text = Zeroizing::new([0; LEN]);
        fill(text.as_mut(), &[&summed, &crc_of(&summed)]);
        zeroize::Zeroize::zeroize(&mut summed);
        Self { id, text }
    }

    /// What the tag and the checksum follow from: 60 characters, one block of BLAKE3.
    pub(crate) fn id_and_secret(&self) -> &[u8] {
        self.text.get(PREFIX.len()..SIGNED).unwrap_or_default()
    }

    /// The whole key.
    fn as_bytes(&self) -> &[u8] {
        self.text.as_ref()
    }

    /// The whole key, as it is shown once.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The 43 characters that only the holder knows.
    pub(crate) fn secret(&self) -> &[u8] {
        self.text.get(SIGNED - SECRET_LEN..SIGNED).unwrap_or_default()
    }
}

impl fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedKey({})", self.id)
    }
}

/// Whether a text holds what could be one of our keys: it belongs into no name.
pub(crate) fn is_in(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_key = |window: &[u8]| {
        let (head, rest) = window.split_at(PREFIX.len() + ID_LEN + 1);
        head.starts_with(PREFIX.as_bytes()) && head.ends_with(b"_") && base62::is_base62(rest)
    };
    bytes.windows(LEN).any(is_key)
}

fn fill(to: &mut [u8], parts: &[&[u8]]) {
    for (place, byte) in to.iter_mut().zip(parts.iter().copied().flatten()) {
        *place = *byte;
    }
}

/// 64 bits of BLAKE3 under the pepper's tag key.
fn tag_of(pepper: &Pepper, signed: &[u8]) -> [u8; TAG_LEN] {
    let hash = blake3::keyed_hash(&pepper.tag_key, signed);
    let mut first = [0; 8];
    fill(&mut first, &[hash.as_bytes()]);
    base62::number(u64::from_be_bytes(first))
}

/// CRC-32 (IEEE 802.3) over everything before it.
fn crc_of(summed: &[u8]) -> [u8; CRC_LEN] {
    base62::number(u64::from(crc32fast::hash(summed)))
}
