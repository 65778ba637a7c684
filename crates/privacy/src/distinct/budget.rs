//! How many distinct queries, in which window.

use std::num::{NonZeroU32, NonZeroU64};

use super::UnixMillis;

const DAY_MILLIS: u64 = 86_400_000;

/// A window of UTC; the next one begins with nothing counted.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// From midnight to midnight.
    Day,
    /// A month of the calendar.
    Month,
}

impl Window {
    /// The name of the window that holds this moment, such as `2026-11` or `2026-11-26`.
    pub fn name(self, now: UnixMillis) -> String {
        let (year, month, day) = date(now / DAY_MILLIS);
        match self {
            Self::Day => format!("{year:04}-{month:02}-{day:02}"),
            Self::Month => format!("{year:04}-{month:02}"),
        }
    }

    /// When that window ends.
    pub fn end(self, now: UnixMillis) -> UnixMillis {
        let today = now / DAY_MILLIS;
        let next = match self {
            Self::Day => today.saturating_add(1),
            Self::Month => {
                let (_, month, day) = date(today);
                // The month's last day is one of these, because no other of them is still in it.
                let is_in_it = |days: &u64| date(today.saturating_add(*days)).1 == month;
                let left = (0..=31_u64.saturating_sub(day)).rev().find(is_in_it).unwrap_or(0);
                today.saturating_add(left).saturating_add(1)
            }
        };
        next.saturating_mul(DAY_MILLIS)
    }
}

/// Year, month and day of so many days after 1970-01-01, in the proleptic Gregorian calendar; years begin in March
/// here, so that the leap day is the last (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// A soft limit above the hard one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the soft limit is above the hard one")]
pub struct SoftAboveHard;

/// So many distinct queries in a window: beyond `soft` the caller is told, beyond `hard` nothing new is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QueryBudget {
    window: Window,
    soft: u64,
    hard: NonZeroU64,
}

impl QueryBudget {
    /// `hard` distinct queries a `window`; nobody is warned.
    pub const fn new(hard: NonZeroU64, window: Window) -> Self {
        Self { window, soft: hard.get(), hard }
    }

    /// Warns beyond so many.
    ///
    /// # Errors
    /// [`SoftAboveHard`].
    pub const fn soft(self, soft: u64) -> Result<Self, SoftAboveHard> {
        if soft > self.hard.get() {
            return Err(SoftAboveHard);
        }
        Ok(Self { soft, ..self })
    }

    /// This percentage of it, at least one query; the soft limit as well. More than 100 is 100.
    #[must_use]
    pub fn percent(self, percent: u8) -> Self {
        let part = |whole: u64| (u128::from(whole) * u128::from(percent.min(100)) / 100) as u64;
        let hard = NonZeroU64::new(part(self.hard.get())).unwrap_or(NonZeroU64::MIN);
        Self { soft: part(self.soft).min(hard.get()), hard, ..self }
    }

    /// A budget a month for a classical model, such as a regression or a tree, that has `parameters` unknowns and
    /// says `numbers` independent numbers an answer: a label is 1, probabilities over ten classes are 9.
    /// It warns at half.
    ///
    /// Who solves equations needs about one number for each unknown (Tramer et al., "Stealing Machine Learning
    /// Models via Prediction APIs", 2016). So half the unknowns, divided by the numbers of an answer, leave half of
    /// the model open a month, at least one query. For neural networks this is far too many:
    /// state their budget by what honest callers use.
    pub fn for_classical_model(parameters: NonZeroU64, numbers: NonZeroU32) -> Self {
        let half = parameters.get() / 2 / u64::from(numbers.get());
        let hard = NonZeroU64::new(half).unwrap_or(NonZeroU64::MIN);
        Self { window: Window::Month, soft: hard.get() / 2, hard }
    }

    /// Its window.
    pub const fn window(self) -> Window {
        self.window
    }

    /// Beyond how many it warns.
    pub const fn soft_limit(self) -> u64 {
        self.soft
    }

    /// How many there may be.
    pub const fn hard_limit(self) -> u64 {
        self.hard.get()
    }
}
