//! Queries as points of 32 dimensions, in secret directions: distances stay, and cannot be arranged.

use std::fmt;

use zeroize::Zeroizing;

use crate::secret::PrivacySecret;

const CONTEXT: &str = "portcullis 2026-11 privacy projection of queries";
/// Distances of a projection are off by about one eighth (Johnson and Lindenstrauss 1984).
pub(super) const DIMS: usize = 32;
/// What is larger is taken for this: squares stay finite.
const LARGEST: f64 = 1e15;

/// A query as a monitor keeps it.
pub(super) type Point = [f32; DIMS];

/// The directions in which the queries of one model are looked at. They come from the secret, so that a caller cannot
/// make queries that look honest in them and go elsewhere. Cheap to clone.
///
/// Features of very different size should be standardised before: the large ones decide all distances.
#[derive(Clone)]
pub struct Projection {
    key: Zeroizing<[u8; 32]>,
}

impl Projection {
    /// The directions for a model (name and version).
    pub fn new(secret: &PrivacySecret, model: &str) -> Self {
        Self { key: secret.of_model(CONTEXT, model) }
    }

    /// A name of these directions that tells nothing: the same for the same secret and model, 16 hexadecimal digits.
    pub fn name(&self) -> String {
        format!("{:016x}", self.tag(b"name"))
    }

    /// A short name of something that was made in these directions.
    pub(super) fn tag(&self, body: &[u8]) -> u64 {
        let mut tag = [0; 8];
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"tag").update(body).finalize_xof().fill(&mut tag);
        u64::from_le_bytes(tag)
    }

    /// Adds each value to the sums with a sign of its own. What is not finite counts as 0. 32 additions a value.
    pub(super) fn of(&self, query: &[f64]) -> Point {
        let mut sums = [0.0_f64; DIMS];
        let mut signs = blake3::Hasher::new_keyed(&self.key).finalize_xof();
        let mut block = [[0_u8; 4]; 16];
        for values in query.chunks(16) {
            signs.fill(block.as_flattened_mut());
            for (value, signs) in values.iter().zip(block) {
                let value = if value.is_finite() { value.clamp(-LARGEST, LARGEST) } else { 0.0 };
                let signs = u32::from_le_bytes(signs);
                let signed = |at: usize| if signs >> at & 1 == 0 { value } else { -value };
                sums.iter_mut().enumerate().for_each(|(at, sum)| *sum += signed(at));
            }
        }
        sums.map(|sum| (sum / (DIMS as f64).sqrt()).clamp(-LARGEST, LARGEST) as f32)
    }
}

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Projection(..)")
    }
}

pub(super) fn distance(one: &Point, other: &Point) -> f32 {
    one.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}
