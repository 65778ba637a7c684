//! Quotas: so many units per window with a burst, so many in all, or so many at once.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// Where every number of a bucket stays below: exact in a Lua number, which is a double.
pub(crate) const MOST: u64 = (1 << 53) - 1;

/// The window of a [`Quota`].
#[non_exhaustive]
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
    /// For ever: what is used never comes back. A budget.
    Total,
}

impl Window {
    /// Length in seconds; none for [`Window::Total`].
    pub const fn seconds(self) -> Option<u64> {
        match self {
            Self::Second => Some(1),
            Self::Minute => Some(60),
            Self::Hour => Some(3_600),
            Self::Day => Some(86_400),
            Self::Total => None,
        }
    }

    /// Microseconds in one step of time. Longer windows step coarser, so that large quotas fit below
    /// [`MOST`] ticks.
    pub(crate) const fn step(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 100,
            Self::Hour => 10_000,
            Self::Day | Self::Total => 100_000,
        }
    }

    /// Ticks that one unit is worth: the steps in the window.
    pub(crate) const fn ticks(self) -> u64 {
        match self.seconds() {
            Some(seconds) => seconds * 1_000_000 / self.step(),
            None => 1,
        }
    }

    #[cfg(feature = "redis")]
    /// A number of three bits, as it is stored.
    pub(crate) const fn class(self) -> u16 {
        match self {
            Self::Second => 0,
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
            Self::Total => 4,
        }
    }
}

/// What is decided about a charge while its bucket cannot be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OnOutage {
    /// It is an error, and the caller decides.
    #[default]
    AskCaller,
    /// It is refused.
    Deny,
    /// Each of so many processes allows its share of the quota from its own memory: together at most the
    /// quota once more, beside what was used before, if there are not more of them.
    LocalShare {
        /// How many processes share the quota.
        replicas: NonZeroU32,
    },
    /// It is allowed, without any limit.
    DangerAllow,
}

/// A quota whose numbers are too large to be exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most {most} units fit into this window")]
pub struct TooLarge {
    /// What fits.
    pub most: u64,
}

/// So many units per window, and up to `burst` of them at once after a rest; or so many in all; or so
/// many at once.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use ratelimit_redis::{OnOutage, Quota};
///
/// const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// const REQUESTS: Quota = Quota::per_minute(NonZeroU32::new(60).unwrap()).burst(TEN);
/// const AT_ONCE: Quota = Quota::at_once(TEN, Duration::from_secs(30)).on_outage(OnOutage::Deny);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    kind: Kind,
    on_outage: OnOutage,
    /// Units that may be taken in advance.
    prepaid: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Bucket(Refill),
    Slots { most: u32, lease_millis: u64 },
}

/// A bucket that refills, or never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Refill {
    units: u64,
    window: Window,
    burst: u64,
}

impl Refill {
    /// Microseconds between two refills.
    pub(crate) const fn step(self) -> u64 {
        self.window.step()
    }

    /// Ticks that come back with every step.
    pub(crate) const fn back(self) -> u64 {
        match self.window {
            Window::Total => 0,
            _ => self.units,
        }
    }

    /// Units as ticks; what is beyond every bucket is [`MOST`].
    pub(crate) const fn ticks(self, units: u64) -> u64 {
        let ticks = units.saturating_mul(self.window.ticks());
        if ticks > MOST { MOST } else { ticks }
    }

    /// Whole units of so many ticks.
    pub(crate) const fn units_of(self, ticks: u64) -> u64 {
        ticks / self.window.ticks()
    }

    /// Ticks that the bucket holds.
    pub(crate) const fn capacity(self) -> u64 {
        self.ticks(self.burst)
    }

    /// Where debt ends: a full bucket more than there is. One answer that ran away must not lock a
    /// bucket for days.
    pub(crate) const fn debt(self) -> u64 {
        let debt = self.capacity().saturating_mul(2);
        if debt > MOST { MOST } else { debt }
    }

    pub(crate) const fn window(self) -> Window {
        self.window
    }
}

impl Quota {
    /// `units` per `window`, all of them as burst.
    ///
    /// # Errors
    /// [`TooLarge`] beyond about nine billion units per second, ten per day, 2^53 in all.
    pub const fn new(units: NonZeroU64, window: Window) -> Result<Self, TooLarge> {
        let most = MOST / window.ticks();
        if units.get() > most {
            return Err(TooLarge { most });
        }
        Ok(Self::small(units.get(), window))
    }

    const fn small(units: u64, window: Window) -> Self {
        Self { kind: Kind::Bucket(Refill { units, window, burst: units }), on_outage: OnOutage::AskCaller, prepaid: 0 }
    }

    /// `units` per second.
    pub const fn per_second(units: NonZeroU32) -> Self {
        Self::small(units.get() as u64, Window::Second)
    }

    /// `units` per minute.
    pub const fn per_minute(units: NonZeroU32) -> Self {
        Self::small(units.get() as u64, Window::Minute)
    }

    /// `units` per hour.
    pub const fn per_hour(units: NonZeroU32) -> Self {
        Self::small(units.get() as u64, Window::Hour)
    }

    /// `units` per day.
    pub const fn per_day(units: NonZeroU32) -> Self {
        Self::small(units.get() as u64, Window::Day)
    }

    /// `units` in all, which never come back: a budget.
    pub const fn total(units: NonZeroU32) -> Self {
        Self::small(units.get() as u64, Window::Total)
    }

    /// `slots` at once. Each is held until its reservation is settled, cancelled, or not renewed for
    /// `lease`, as when its holder died. At least a millisecond, at most a day.
    pub const fn at_once(slots: NonZeroU32, lease: Duration) -> Self {
        let millis = lease.as_millis();
        let lease_millis = if millis == 0 {
            1
        } else if millis > 86_400_000 {
            86_400_000
        } else {
            millis as u64
        };
        Self { kind: Kind::Slots { most: slots.get(), lease_millis }, on_outage: OnOutage::AskCaller, prepaid: 0 }
    }

    /// Most units at once. Slots and budgets have no other burst than themselves.
    #[must_use]
    pub const fn burst(self, burst: NonZeroU32) -> Self {
        match self.kind {
            Kind::Bucket(Refill { window: Window::Total, .. }) | Kind::Slots { .. } => self,
            Kind::Bucket(refill) => {
                let refill = Refill { burst: burst.get() as u64, ..refill };
                Self { kind: Kind::Bucket(refill), ..self }
            }
        }
    }

    /// Most units at once, as [`burst`](Self::burst), where four billion are too few.
    ///
    /// # Errors
    /// [`TooLarge`] beyond what fits into the window, as for [`new`](Self::new).
    pub const fn large_burst(self, burst: NonZeroU64) -> Result<Self, TooLarge> {
        match self.kind {
            Kind::Bucket(Refill { window: Window::Total, .. }) | Kind::Slots { .. } => Ok(self),
            Kind::Bucket(refill) => {
                let most = MOST / refill.window.ticks();
                if burst.get() > most {
                    return Err(TooLarge { most });
                }
                Ok(Self { kind: Kind::Bucket(Refill { burst: burst.get(), ..refill }), ..self })
            }
        }
    }

    /// What is decided while the bucket cannot be reached.
    #[must_use]
    pub const fn on_outage(self, on_outage: OnOutage) -> Self {
        Self { on_outage, ..self }
    }

    /// So many units may be taken in advance by each [`PrepaidLimiter`](crate::PrepaidLimiter), which says what
    /// that costs in exactness. Budgets and slots never are.
    #[must_use]
    pub const fn prepaid(self, units: NonZeroU32) -> Self {
        match self.kind {
            Kind::Bucket(Refill { window: Window::Total, .. }) | Kind::Slots { .. } => self,
            Kind::Bucket(_) => Self { prepaid: units.get(), ..self },
        }
    }

    /// The window; none for slots.
    pub const fn window(self) -> Option<Window> {
        match self.kind {
            Kind::Bucket(refill) => Some(refill.window),
            Kind::Slots { .. } => None,
        }
    }

    /// Units per window, or slots.
    pub const fn units(self) -> u64 {
        match self.kind {
            Kind::Bucket(refill) => refill.units,
            Kind::Slots { most, .. } => most as u64,
        }
    }

    /// Most units at once.
    pub const fn most(self) -> u64 {
        match self.kind {
            Kind::Bucket(refill) => refill.burst,
            Kind::Slots { most, .. } => most as u64,
        }
    }

    /// How long a slot is held without being renewed; none for buckets.
    pub const fn lease(self) -> Option<Duration> {
        match self.kind {
            Kind::Bucket(_) => None,
            Kind::Slots { lease_millis, .. } => Some(Duration::from_millis(lease_millis)),
        }
    }

    pub(crate) const fn kind(self) -> Kind {
        self.kind
    }

    pub(crate) const fn prepaid_units(self) -> u64 {
        self.prepaid as u64
    }

    #[cfg(feature = "redis")]
    pub(crate) const fn outage(self) -> OnOutage {
        self.on_outage
    }
}
