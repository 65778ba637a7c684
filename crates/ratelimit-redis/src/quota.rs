//! Quotas: so many units per window, with a burst.

use std::num::NonZeroU32;
use std::time::Duration;

/// The window of a [`Quota`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// One second.
    Second,
    /// Sixty seconds.
    Minute,
    /// 3600 seconds.
    Hour,
    /// 86400 seconds.
    Day,
}

impl Window {
    /// Length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Microseconds in one step of time. Longer windows step coarser, so that every sum of ticks
    /// stays below 2^53 and is exact in a Lua number too.
    pub(crate) const fn step_micros(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 100,
            Self::Hour => 10_000,
            Self::Day => 100_000,
        }
    }

    /// Ticks that one unit of the quota is worth: the steps in the window.
    pub(crate) const fn ticks(self) -> u64 {
        self.seconds() * 1_000_000 / self.step_micros()
    }
}

/// So many units per window; up to `burst` of them at once after a rest.
///
/// ```
/// use std::num::NonZeroU32;
/// use ratelimit_redis::Quota;
///
/// const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// const QUOTA: Quota = Quota::per_minute(NonZeroU32::new(60).unwrap()).burst(TEN);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    units: NonZeroU32,
    window: Window,
    burst: NonZeroU32,
}

impl Quota {
    /// `units` per `window`, all of them as burst.
    pub const fn new(units: NonZeroU32, window: Window) -> Self {
        Self { units, window, burst: units }
    }

    /// `units` per second.
    pub const fn per_second(units: NonZeroU32) -> Self {
        Self::new(units, Window::Second)
    }

    /// `units` per minute.
    pub const fn per_minute(units: NonZeroU32) -> Self {
        Self::new(units, Window::Minute)
    }

    /// `units` per hour.
    pub const fn per_hour(units: NonZeroU32) -> Self {
        Self::new(units, Window::Hour)
    }

    /// `units` per day.
    pub const fn per_day(units: NonZeroU32) -> Self {
        Self::new(units, Window::Day)
    }

    /// Most units at once.
    #[must_use]
    pub const fn burst(self, burst: NonZeroU32) -> Self {
        Self { burst, ..self }
    }

    /// Units per window.
    pub const fn units(self) -> u64 {
        self.units.get() as u64
    }

    /// The window.
    pub const fn window(self) -> Window {
        self.window
    }

    /// Most units at once.
    pub const fn most(self) -> u64 {
        self.burst.get() as u64
    }

    /// How long an empty bucket takes to refill for `units` more.
    pub(crate) fn wait(self, ticks: u64) -> Duration {
        let steps = ticks.div_ceil(self.units());
        Duration::from_micros(steps.saturating_mul(self.window.step_micros()))
    }
}
