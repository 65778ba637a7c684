//! What privacy costs.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroU128};
use std::str::FromStr;

/// What is no number of this kind: below zero, too large, or with too many places behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no such number of privacy, or has too many places behind the point")]
pub struct NoNumber;

/// A mechanism that would need more noise than can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("so little privacy for so large a sensitivity needs more noise than can be drawn")]
pub struct TooMuchNoise;

/// The loss of pure differential privacy, in millionths, at least one. Read from a decimal number such as `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epsilon(NonZeroU32);

impl Epsilon {
    pub(super) const ONE_AS_MICRO: NonZeroU128 = NonZeroU128::MIN.saturating_add(999_999);

    /// So many millionths.
    pub const fn from_micro(micro: NonZeroU32) -> Self {
        Self(micro)
    }

    /// As millionths.
    pub const fn as_micro(self) -> NonZeroU32 {
        self.0
    }
}

impl FromStr for Epsilon {
    type Err = NoNumber;

    fn from_str(text: &str) -> Result<Self, NoNumber> {
        let micro = decimal(text, 6).and_then(|micro| u32::try_from(micro).ok());
        micro.and_then(NonZeroU32::new).map(Self).ok_or(NoNumber)
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, u64::from(self.0.get()), 6)
    }
}

/// A cost or a budget of zero-concentrated differential privacy (Bun and Steinke, 2016), in billionths. Costs add up.
/// Read from a decimal number such as `0.005`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rho(u64);

impl Rho {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most: what a quota of `ratelimit-redis` holds, 2^53 - 1 billionths, or nine million.
    pub const MOST: Self = Self((1 << 53) - 1);

    /// So many billionths.
    ///
    /// # Errors
    /// [`NoNumber`] beyond [`Rho::MOST`].
    pub const fn from_nano(nano: u64) -> Result<Self, NoNumber> {
        if nano > Self::MOST.0 { Err(NoNumber) } else { Ok(Self(nano)) }
    }

    /// As billionths, the unit of the ledger.
    pub const fn as_nano(self) -> u64 {
        self.0
    }

    /// What `epsilon`-differential privacy costs: half its square, rounded up.
    pub fn of_pure(epsilon: Epsilon) -> Self {
        Self::of_square(epsilon, 2)
    }

    /// What the exponential mechanism costs: an eighth of the square, rounded up.
    pub fn of_bounded_range(epsilon: Epsilon) -> Self {
        Self::of_square(epsilon, 8)
    }

    /// Below 2^53, because an epsilon is below 2^32 millionths.
    fn of_square(epsilon: Epsilon, by: u64) -> Self {
        let micro = u64::from(epsilon.0.get());
        Self((micro * micro).div_ceil(by * 1_000).min(Self::MOST.0))
    }

    /// The most that may be spent so that all of it together is (`epsilon`, `delta`)-differentially private, rounded
    /// down; the inverse of [`epsilon`](Self::epsilon).
    ///
    /// # Errors
    /// [`NoNumber`], if `delta` is not between 0 and 1.
    pub fn within(epsilon: Epsilon, delta: f64) -> Result<Self, NoNumber> {
        if !(delta > 0.0 && delta < 1.0) {
            return Err(NoNumber);
        }
        let log = -delta.ln();
        let root = (log + f64::from(epsilon.0.get()) / 1e6).sqrt() - log.sqrt();
        let mut rho = Self((root * root * 1e9) as u64);
        while rho.0 > 0 && rho.epsilon(delta) > f64::from(epsilon.0.get()) / 1e6 {
            rho.0 -= rho.0 / 1_000_000_000 + 1;
        }
        Ok(rho)
    }

    /// The epsilon of (epsilon, `delta`)-differential privacy that this is at most: `rho + 2 sqrt(rho ln(1 / delta))`
    /// (Bun and Steinke, proposition 1.3), rounded up. Infinite, if `delta` is not between 0 and 1.
    pub fn epsilon(self, delta: f64) -> f64 {
        if !(delta > 0.0 && delta < 1.0) {
            return f64::INFINITY;
        }
        let rho = self.0 as f64 / 1e9;
        // More than the four operations can have lost.
        (rho + 2.0 * (rho * -delta.ln()).sqrt()) * (1.0 + 8.0 * f64::EPSILON)
    }

    /// Both together; none beyond [`Rho::MOST`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::from_nano(self.0.checked_add(other.0)?).ok()
    }

    /// So many of them; none beyond [`Rho::MOST`].
    pub fn checked_mul(self, times: NonZeroU64) -> Option<Self> {
        Self::from_nano(self.0.checked_mul(times.get())?).ok()
    }
}

impl FromStr for Rho {
    type Err = NoNumber;

    fn from_str(text: &str) -> Result<Self, NoNumber> {
        decimal(text, 9).ok_or(NoNumber).and_then(Self::from_nano)
    }
}

impl fmt::Display for Rho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, 9)
    }
}

/// A decimal number with at most so many places behind the point, times ten to their power. Nothing is rounded.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(part) || part.len() > places {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

fn write_decimal(f: &mut fmt::Formatter<'_>, number: u64, places: usize) -> fmt::Result {
    let digits = format!("{number:0>width$}", width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    match part.trim_end_matches('0') {
        "" => f.write_str(whole),
        part => write!(f, "{whole}.{part}"),
    }
}
