//! The sketch of a row of numbers: the signs of its projections on 64 random directions, after its mean is taken
//! away, so that neither a common offset nor a factor makes a difference.

use super::sketch::Sketch;

/// Coordinates that are projected: of longer rows, those whose places are equal modulo this are added up before,
/// with random signs, which keeps angles on average (a count sketch).
const FOLDED: usize = 256;
/// Bits of a sketch.
const BITS: usize = 64;

/// Random directions, 64 KiB of them.
pub(super) struct Planes {
    /// For each place the sign that it has in each direction.
    directions: Box<[[f32; BITS]]>,
    /// Where the signs of the places of long rows come from.
    folds: [u64; 2],
}

impl Planes {
    pub(super) fn new(stream: &mut blake3::OutputReader) -> Self {
        let mut next = || {
            let mut word = [0; 8];
            stream.fill(&mut word);
            u64::from_le_bytes(word)
        };
        let folds = [next(), next()];
        let signs = |bits: u64| std::array::from_fn(|at| if bits >> at & 1 == 0 { -1.0 } else { 1.0 });
        Self { folds, directions: (0..FOLDED).map(|_| signs(next())).collect() }
    }

    /// The sign of the addend of round `round` and place `place` of a long row: one bit of a multiply-shift hash.
    fn is_minus(&self, round: usize, place: usize) -> bool {
        let [factor, addend] = self.folds;
        let place = (round * FOLDED + place) as u64;
        (place.wrapping_mul(factor | 1).wrapping_add(addend) ^ place.wrapping_mul(addend | 1) >> 7) >> 63 == 1
    }
}

pub(super) fn sketch(planes: &Planes, numbers: &[f64]) -> Option<Sketch> {
    if numbers.len() < Sketch::LEAST_NUMBERS {
        return None;
    }
    // Divided before, so that large numbers have a finite sum.
    let share = 1.0 / numbers.len() as f64;
    let mean = numbers.iter().map(|number| number * share).sum::<f64>();
    let largest = numbers.iter().map(|number| (number - mean).abs()).fold(0.0, f64::max);
    let factor = 1.0 / largest;
    if !(largest.is_finite() && factor.is_finite()) {
        return None;
    }
    let mut folded = [0.0_f32; FOLDED];
    for (round, part) in numbers.chunks(FOLDED).enumerate() {
        for (place, (sum, number)) in folded.iter_mut().zip(part).enumerate() {
            let number = ((number - mean) * factor) as f32;
            *sum += if round > 0 && planes.is_minus(round, place) { -number } else { number };
        }
    }
    let mut sums = [0.0_f32; BITS];
    for (number, signs) in folded.iter().zip(&planes.directions).take(numbers.len()) {
        for (sum, sign) in sums.iter_mut().zip(signs) {
            *sum += number * sign;
        }
    }
    let bits = sums.iter().enumerate().fold(0, |bits, (at, sum)| bits | u64::from(*sum > 0.0) << at);
    sums.iter().all(|sum| sum.is_finite()).then(|| Sketch::of_bits(bits))
}
