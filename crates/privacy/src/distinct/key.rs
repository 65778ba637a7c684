//! What is remembered of a query: a keyed digest and a sketch, from which nobody without the secret learns anything
//! about it.

use std::fmt;

use zeroize::Zeroizing;

use super::sketch::Sketch;
use super::vector::Planes;
use super::{text, vector};
use crate::secret::PrivacySecret;

const DIGESTS: &str = "portcullis 2026-11 privacy digests of queries";
const SKETCHES: &str = "portcullis 2026-11 privacy sketches of queries";

/// Makes queries out of what is asked. All replicas that share a ledger need the same secret, and what was counted
/// under another one is unknown.
pub struct QueryKey {
    digests: Zeroizing<[u8; 32]>,
    words: [u64; 2],
    planes: Planes,
}

/// A keyed digest of what was asked, by BLAKE3. The same digest is the same question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryDigest([u8; 16]);

/// One query as a ledger sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Query {
    digest: QueryDigest,
    sketch: Option<Sketch>,
}

impl QueryKey {
    /// For the queries of one model, named as it is everywhere: those of others have other digests.
    pub fn new(secret: &PrivacySecret, model: &str) -> Self {
        let mut words = [[0; 8]; 2];
        let mut stream = blake3::Hasher::new_keyed(&secret.of_model(SKETCHES, model)).finalize_xof();
        words.iter_mut().for_each(|word| stream.fill(word));
        let planes = Planes::new(&mut stream);
        Self { digests: secret.of_model(DIGESTS, model), words: words.map(u64::from_le_bytes), planes }
    }

    /// A text. `also` is everything else that the answer depends on, such as sampling settings and
    /// bias maps, in one fixed form: with another `also`, the same text is another query.
    ///
    /// Takes about 30 ns a byte.
    pub fn text(&self, also: &[u8], text: &str) -> Query {
        let mut hasher = self.hasher(b't', also);
        hasher.update(text.as_bytes());
        Query { digest: QueryDigest::of(&hasher), sketch: text::sketch(self.words, text) }
    }

    /// A row of numbers: a tensor without its batch dimension. Smaller types fit without loss; integers beyond
    /// 2^53 do not, and belong to [`bytes`](Self::bytes).
    ///
    /// Fewer than [`Sketch::LEAST_NUMBERS`] numbers, numbers that are all the same, and numbers that are not finite
    /// have no sketch.
    ///
    /// Takes about 25 us for 1,536 numbers and 20 ns a number beyond.
    pub fn numbers(&self, also: &[u8], numbers: &[f64]) -> Query {
        let mut hasher = self.hasher(b'n', also);
        let mut bytes = [0; 4_096];
        for numbers in numbers.chunks(512) {
            for (bytes, number) in bytes.chunks_exact_mut(8).zip(numbers) {
                // Adding zero makes minus zero the other one.
                bytes.copy_from_slice(&(number + 0.0).to_le_bytes());
            }
            hasher.update(bytes.get(..numbers.len() * 8).unwrap_or_default());
        }
        Query { digest: QueryDigest::of(&hasher), sketch: vector::sketch(&self.planes, numbers) }
    }

    /// Anything else, such as a picture. It has no sketch.
    pub fn bytes(&self, also: &[u8], bytes: &[u8]) -> Query {
        let mut hasher = self.hasher(b'b', also);
        hasher.update(bytes);
        Query { digest: QueryDigest::of(&hasher), sketch: None }
    }

    fn hasher(&self, kind: u8, also: &[u8]) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.digests);
        hasher.update(&[kind]).update(&(also.len() as u64).to_le_bytes()).update(also);
        hasher
    }
}

impl fmt::Debug for QueryKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryKey").finish_non_exhaustive()
    }
}

impl Query {
    /// What tells it from others.
    pub const fn digest(self) -> QueryDigest {
        self.digest
    }

    /// What it is like, if that can be said.
    pub const fn sketch(self) -> Option<Sketch> {
        self.sketch
    }
}

impl QueryDigest {
    fn of(hasher: &blake3::Hasher) -> Self {
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        Self(digest)
    }

    /// As a ledger stores it.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}
