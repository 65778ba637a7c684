//! What a monitor thinks of a principal.

/// How far a principal's queries are from what honest ones ask. It is a hint and no proof: raise the price (rounding, a
/// smaller budget) or tell somebody, but do not block for it alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suspicion {
    value: f64,
    reason: Option<Reason>,
}

impl Suspicion {
    pub(super) const NONE: Self = Self { value: 0.0, reason: None };

    /// From the distance to the middle of a band, in half widths of it.
    pub(super) fn new(half_widths: f64, reason: Reason) -> Self {
        let square = half_widths * half_widths;
        let value = if square.is_finite() { square / (1.0 + square) } else { 1.0 };
        Self { value, reason: Some(reason) }
    }

    /// From 0 to 1; one half at the edge of what was seen of honest principals.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Whether it is more than of honest principals.
    pub fn is_raised(&self) -> bool {
        self.value > 0.5
    }

    /// What differs most, raised or not; none while there were too few queries.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }
}

/// What differs from honest queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Queries lie nearer to each other: small steps from a few of them.
    Near,
    /// Queries lie further apart: noise, or made to fill the space.
    Far,
    /// The distances are of the right size, but distributed otherwise.
    Uneven,
    /// Queries lie in more parts of the space, or in fewer.
    Coverage,
    /// Answers are closer to a boundary between two classes, or further.
    Boundary,
    /// The same queries, or all but, come again and again.
    Repeats,
}

impl Reason {
    /// A word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
            Self::Uneven => "uneven",
            Self::Coverage => "coverage",
            Self::Boundary => "boundary",
            Self::Repeats => "repeats",
        }
    }
}
