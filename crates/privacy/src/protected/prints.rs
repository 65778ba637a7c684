//! Fingerprints: of all places in a text the few that any copy of it shares.
//!
//! Winnowing (Schleimer, Wilkerson, Aiken, "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003): of
//! every [`WINDOW`] hashes in a row the least is taken, which depends on nothing but the letters under them. About 2 of
//! [`WINDOW`] + 1 hashes are taken, and unlike a random sample there is no gap that a copy falls into.

/// How many letters are hashed together, in bytes.
pub(super) const GRAM: usize = 28;
/// Of how many hashes in a row one is taken.
pub(super) const WINDOW: usize = 15;
/// How many letters a fingerprint depends on.
pub(super) const SPAN: usize = GRAM + WINDOW - 1;

/// More than [`GRAM`] letters and [`WINDOW`] hashes, and powers of two.
const LETTERS: usize = 32;
const HASHES: usize = 16;
/// The modulus of the hash, a prime.
const PRIME: u64 = (1 << 61) - 1;

/// What hashes are made with: a random base, so that nobody can write texts that share hashes (Karp and Rabin,
/// "Efficient randomized pattern-matching algorithms", 1987).
#[derive(Clone)]
pub(super) struct HashKey {
    base: u64,
    /// Puts the bits of hashes in an order of their own.
    factor: u64,
    /// For each byte, what is added when it leaves.
    leaving: [u64; 256],
}

impl HashKey {
    pub(super) fn new(base: u64, factor: u64) -> Self {
        // Half of the prime at most: see `further`.
        let base = base % (PRIME / 2 - 256) + 256;
        let key = Self { base, factor: factor | 1, leaving: [0; 256] };
        let power = (0..GRAM).fold(1, |power, _| residue(key.further(power, 0)));
        let mut multiple = power;
        let mut next = || {
            multiple = residue(multiple + PRIME - power);
            multiple
        };
        Self { leaving: std::array::from_fn(|_| next()), ..key }
    }

    /// The hash times the base and `added`, which is less than twice the prime, up to multiples of the prime: at most
    /// four of them, so that it fits.
    #[inline]
    fn further(&self, hash: u64, added: u64) -> u64 {
        let product = u128::from(hash) * u128::from(self.base);
        (product as u64 & PRIME) + (product >> 61) as u64 + added
    }
}

/// Without multiples of the prime.
#[inline]
fn residue(value: u64) -> u64 {
    let sum = (value & PRIME) + (value >> 61);
    if sum >= PRIME { sum - PRIME } else { sum }
}

/// The fingerprints of a text that comes letter by letter.
#[derive(Clone)]
pub(super) struct Prints {
    count: usize,
    /// Of the last [`GRAM`] letters, up to multiples of the prime.
    hash: u64,
    letters: [u8; LETTERS],
    hashes: [u64; HASHES],
    least: u64,
    /// How many hashes ago the least one was.
    age: usize,
}

impl Prints {
    pub(super) fn new() -> Self {
        Self { count: 0, hash: 0, letters: [0; LETTERS], hashes: [u64::MAX; HASHES], least: u64::MAX, age: 0 }
    }

    /// How many letters there were.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes a letter and gives the fingerprint of the last [`SPAN`] letters, once there are as many.
    #[inline]
    pub(super) fn push(&mut self, key: &HashKey, letter: u8) -> Option<u64> {
        let left = self.letters.get(self.count.wrapping_sub(GRAM) % LETTERS).copied().unwrap_or(0);
        if let Some(slot) = self.letters.get_mut(self.count % LETTERS) {
            *slot = letter;
        }
        self.count += 1;
        let leaving = key.leaving.get(usize::from(left)).copied().unwrap_or(0);
        self.hash = key.further(self.hash, leaving + u64::from(letter));
        if self.count < GRAM {
            return None;
        }
        self.take(residue(self.hash).wrapping_mul(key.factor));
        (self.count >= SPAN).then_some(self.least)
    }

    #[inline]
    fn take(&mut self, hash: u64) {
        if let Some(slot) = self.hashes.get_mut(self.count % HASHES) {
            *slot = hash;
        }
        self.age += 1;
        if hash <= self.least {
            (self.least, self.age) = (hash, 0);
        } else if self.age >= WINDOW {
            self.look_again();
        }
    }

    /// The least hash has left: finds the next, the latest of equal ones.
    fn look_again(&mut self) {
        self.least = u64::MAX;
        for age in (0..WINDOW).rev() {
            let hash = self.hashes.get(self.count.wrapping_sub(age) % HASHES).copied().unwrap_or(u64::MAX);
            if hash <= self.least {
                (self.least, self.age) = (hash, age);
            }
        }
    }
}
