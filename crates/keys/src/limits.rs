//! How much a key may use. Only written down here; the limiter counts.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// So many units per window, and at most `burst` at once. Written `5/second burst 10`, or `5/s`.
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
}

/// The rates of a key; its family shares them. `None` is no limit of the key's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimits {
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Rate>,
    /// Tokens, input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Rate>,
}

/// A text that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate is written like 5/second or 100/minute burst 200, with second, minute, hour or day")]
pub struct InvalidRate;

impl Per {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
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
        Ok(Self { units, per: per.trim().parse()?, burst })
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
