//! How much a key may use. Only written down here; the limiter counts.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// So many units per window, and at most `burst` at once. Written `5/second burst 10`, or `5/s`; a budget,
/// which never comes back, `1000000/total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Rate {
    /// Units per window.
    pub units: NonZeroU64,
    /// The window.
    pub per: Per,
    /// Most units at once.
    pub burst: NonZeroU64,
}

/// The window of a [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Per {
    /// 1 s.
    Second,
    /// 60 s.
    Minute,
    /// 3,600 s.
    Hour,
    /// 86,400 s.
    Day,
    /// For ever.
    Total,
}

/// The rates of a key; its family shares them. `None` is no limit of the key's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyLimits {
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Rate>,
    /// Tokens, input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Rate>,
    /// Tokens that models read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<Rate>,
    /// Tokens that models write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<Rate>,
    /// Spend, in millionths of whatever prices are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<Rate>,
    /// Spend in all, beside what `spend` says of a window; the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, minimum = 1))]
    pub budget: Option<NonZeroU64>,
    /// Requests under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    pub concurrent: Option<NonZeroU32>,
}

/// A text that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate is written like 5/second or 100/minute burst 200, with second, minute, hour, day or total")]
pub struct InvalidRate;

impl KeyLimits {
    fn rates(&self) -> [Option<Rate>; 5] {
        [self.requests, self.tokens, self.input_tokens, self.output_tokens, self.spend]
    }

    /// Whether each limit there is one for among `most` is there and within it.
    pub(crate) fn are_within(&self, most: &Self) -> bool {
        let is_within = |own: &Option<Rate>, most: &Option<Rate>| {
            most.is_none_or(|most| own.is_some_and(|own| own.is_within(most)))
        };
        self.rates().iter().zip(&most.rates()).all(|(own, most)| is_within(own, most))
            && most.budget.is_none_or(|most| self.budget.is_some_and(|own| own <= most))
            && most.concurrent.is_none_or(|most| self.concurrent.is_some_and(|own| own <= most))
    }

    /// The stricter of both in everything.
    pub(crate) fn clipped_to(&self, most: &Self) -> Self {
        let rate = |own: Option<Rate>, most: Option<Rate>| match (own, most) {
            (Some(own), Some(most)) => Some(own.clipped_to(most)),
            (own, most) => own.or(most),
        };
        Self {
            requests: rate(self.requests, most.requests),
            tokens: rate(self.tokens, most.tokens),
            input_tokens: rate(self.input_tokens, most.input_tokens),
            output_tokens: rate(self.output_tokens, most.output_tokens),
            spend: rate(self.spend, most.spend),
            budget: stricter(self.budget, most.budget),
            concurrent: stricter(self.concurrent, most.concurrent),
        }
    }
}

fn stricter<T: Ord>(own: Option<T>, most: Option<T>) -> Option<T> {
    match (own, most) {
        (Some(own), Some(most)) => Some(own.min(most)),
        (own, most) => own.or(most),
    }
}

impl Rate {
    /// Whether it never allows more than `most` does: neither at once nor as time goes on.
    pub(crate) fn is_within(self, most: Self) -> bool {
        self.burst <= most.burst && !self.is_faster_than(most)
    }

    /// The slower of both, with the smaller burst: no more than either allows.
    pub(crate) fn clipped_to(self, most: Self) -> Self {
        let slower = if self.is_faster_than(most) { most } else { self };
        let burst = self.burst.min(most.burst);
        // A budget is a burst that never comes back.
        let units = if slower.per == Per::Total { burst } else { slower.units };
        Self { units, per: slower.per, burst }
    }

    fn is_faster_than(self, most: Self) -> bool {
        match (self.per.seconds(), most.per.seconds()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(own), Some(other)) => {
                u128::from(self.units.get()) * u128::from(other) > u128::from(most.units.get()) * u128::from(own)
            }
        }
    }
}

impl Per {
    /// How long the window is; `None` is for ever.
    const fn seconds(self) -> Option<u32> {
        match self {
            Self::Second => Some(1),
            Self::Minute => Some(60),
            Self::Hour => Some(3_600),
            Self::Day => Some(86_400),
            Self::Total => None,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Total => "total",
        }
    }
}

impl FromStr for Per {
    type Err = InvalidRate;

    fn from_str(word: &str) -> Result<Self, InvalidRate> {
        match word {
            "second" | "s" => Ok(Self::Second),
            "minute" | "m" => Ok(Self::Minute),
            "hour" | "h" => Ok(Self::Hour),
            "day" | "d" => Ok(Self::Day),
            "total" => Ok(Self::Total),
            _ => Err(InvalidRate),
        }
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (units, rest) = text.trim().split_once('/').ok_or(InvalidRate)?;
        let units = number(units)?;
        let (per, burst) = match rest.split_once(" burst ") {
            Some((per, burst)) => (per, number(burst)?),
            None => (rest, units),
        };
        let per = per.trim().parse()?;
        // A budget can be spent at once.
        let is_rate = per != Per::Total || burst == units;
        is_rate.then_some(Self { units, per, burst }).ok_or(InvalidRate)
    }
}

/// Digits only: no sign, no fraction.
fn number(text: &str) -> Result<NonZeroU64, InvalidRate> {
    let digits = text.trim();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidRate);
    }
    digits.parse().map_err(|_| InvalidRate)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.units, self.per.as_str())?;
        if self.burst == self.units { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl TryFrom<String> for Rate {
    type Error = InvalidRate;

    fn try_from(text: String) -> Result<Self, InvalidRate> {
        text.parse()
    }
}
