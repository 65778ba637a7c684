//! Logistic regression over windows: an attack is learned where it looks worst, an honest text where
//! it looks worst and at one window by chance (multiple-instance learning; Andrews, Tsochantaridis
//! and Hofmann, "Support vector machines for multiple-instance learning").

use sanitize::training::norm;

use super::Random;

/// Slots of the features of the windows of one text.
#[derive(Debug)]
pub(crate) struct Bag {
    /// All slots, block by block; a text with decoded views has one part per view.
    slots: Vec<u32>,
    /// Windows as ranges of `slots`.
    windows: Vec<(u32, u32)>,
}

impl Bag {
    /// Joins parts made of blocks to windows of at most `width` blocks.
    pub(crate) fn new(parts: impl IntoIterator<Item = Vec<Vec<u32>>>, width: usize) -> Self {
        let mut bag = Self { slots: Vec::new(), windows: Vec::new() };
        for blocks in parts {
            let mut ends = vec![bag.slots.len() as u32];
            for block in &blocks {
                bag.slots.extend(block);
                ends.push(bag.slots.len() as u32);
            }
            let width = width.min(blocks.len());
            let starts = ends.iter().zip(ends.iter().skip(width));
            bag.windows.extend(starts.map(|(start, end)| (*start, *end)));
        }
        bag
    }

    fn window(&self, index: usize) -> &[u32] {
        let range = self.windows.get(index).map(|(start, end)| *start as usize..*end as usize);
        range.and_then(|range| self.slots.get(range)).unwrap_or_default()
    }
}

/// How to learn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) epochs: usize,
    pub(crate) rate: f32,
    /// How strongly weights are pulled to zero.
    pub(crate) decay: f32,
}

/// Learned weights.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: f32,
}

/// A text to learn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Example<'b> {
    pub(crate) bag: &'b Bag,
    pub(crate) is_attack: bool,
    /// How much it counts.
    pub(crate) weight: f32,
}

impl Model {
    /// Learns from examples, with adaptive rates (Duchi, Hazan and Singer, "Adaptive subgradient
    /// methods").
    pub(crate) fn learn(examples: &[Example<'_>], slots: usize, settings: Settings, seed: u64) -> Self {
        let mut model = Self { weights: vec![0.0; slots], bias: 0.0 };
        let mut squares = vec![1e-3_f32; slots + 1];
        let mut random = Random::new(seed);
        let mut order: Vec<&Example<'_>> = examples.iter().collect();
        for _ in 0..settings.epochs {
            random.shuffle(&mut order);
            for example in &order {
                let worst = model.worst(example.bag).0;
                model.step(example, worst, example.weight, settings, &mut squares);
                if !example.is_attack && example.bag.windows.len() > 1 {
                    let other = random.below(example.bag.windows.len());
                    model.step(example, other, example.weight * 0.5, settings, &mut squares);
                }
            }
        }
        model
    }

    /// The window with the highest sum, and the sum with bias.
    pub(crate) fn worst(&self, bag: &Bag) -> (usize, f32) {
        let sums = (0..bag.windows.len()).map(|index| (index, self.sum(bag.window(index))));
        sums.fold((0, f32::NEG_INFINITY), |worst, one| if one.1 > worst.1 { one } else { worst })
    }

    fn sum(&self, window: &[u32]) -> f32 {
        let sum: f32 = window.iter().filter_map(|slot| self.weights.get(*slot as usize)).sum();
        sum / norm(window.len()) + self.bias
    }

    fn step(&mut self, example: &Example<'_>, index: usize, weight: f32, settings: Settings, squares: &mut [f32]) {
        let window = example.bag.window(index);
        let target = if example.is_attack { 1.0 } else { 0.0 };
        let error = (1.0 / (1.0 + (-self.sum(window)).exp()) - target) * weight;
        if error.abs() < 1e-4 {
            return;
        }
        let value = 1.0 / norm(window.len());
        for slot in window {
            let at = *slot as usize;
            if let (Some(one), Some(square)) = (self.weights.get_mut(at), squares.get_mut(at)) {
                let slope = error * value + settings.decay * *one;
                *square += slope * slope;
                *one -= settings.rate * slope / square.sqrt();
            }
        }
        if let Some(square) = squares.last_mut() {
            *square += error * error;
            self.bias -= settings.rate * error / square.sqrt();
        }
    }
}
