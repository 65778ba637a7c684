//! Numbers as integers on a fixed grid, within a range.

use std::num::NonZeroU32;

/// A range without numbers, or one of more than 2^32 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the range is empty or has more than 2^32 steps")]
pub struct EmptyRange;

/// So many steps between 0 and 1: with 1,000, numbers have three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid(NonZeroU32);

impl Grid {
    /// So many steps.
    pub const fn steps(steps: NonZeroU32) -> Self {
        Self(steps)
    }

    /// A number of steps as a number.
    pub fn number(self, steps: i64) -> f64 {
        steps as f64 / f64::from(self.0.get())
    }
}

/// A range on a grid, which every number is forced into: what one individual can change is at most its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Clipped {
    grid: Grid,
    low: i64,
    width: NonZeroU32,
}

impl Clipped {
    /// From `low` to `high` steps of `grid`.
    ///
    /// # Errors
    /// [`EmptyRange`].
    pub fn new(grid: Grid, low: i64, high: i64) -> Result<Self, EmptyRange> {
        let width = high.checked_sub(low).and_then(|width| u32::try_from(width).ok()).and_then(NonZeroU32::new);
        Ok(Self { grid, low, width: width.ok_or(EmptyRange)? })
    }

    /// The grid.
    pub const fn grid(&self) -> Grid {
        self.grid
    }

    /// Steps from end to end.
    pub const fn width(&self) -> NonZeroU32 {
        self.width
    }

    /// The nearest step within the range; the lowest for what is no number.
    pub fn steps(&self, number: f64) -> i64 {
        // The cast saturates, and takes NaN to 0.
        let steps = (number * f64::from(self.grid.0.get())).round() as i64;
        let high = self.low.saturating_add(i64::from(self.width.get()));
        if number.is_nan() { self.low } else { steps.clamp(self.low, high) }
    }
}
