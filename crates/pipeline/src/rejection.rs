//! A refusal on its way out: the one form all of them have.

use std::time::Duration;

use core_validate::{Invalid, Pointer};
use ratelimit_redis::Standing;

use crate::about::About;
use crate::code::{Code, Step};

/// A refused request. Rendered once, by the gateway; counted and recorded once, by the pipeline.
#[derive(Debug)]
pub struct Rejection {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    about: About,
    code: Code,
    step: Step,
    message: Option<String>,
    at: Pointer,
    retry_after: Option<Duration>,
    standings: Vec<Standing>,
    limit: Option<&'static str>,
    reason: Option<&'static str>,
}

impl Rejection {
    /// A refusal by `step`, in the generic words of `code`.
    pub fn new(about: About, step: Step, code: Code) -> Self {
        let inner = Inner {
            about,
            code,
            step,
            message: None,
            at: Pointer::root(),
            retry_after: None,
            standings: Vec::new(),
            limit: None,
            reason: None,
        };
        Self { inner: Box::new(inner) }
    }

    pub(crate) fn invalid(about: About, step: Step, invalid: &Invalid) -> Self {
        let mut rejection = Self::new(about, step, Code::Invalid(invalid.code()));
        rejection.inner.message = Some(invalid.message().to_owned());
        rejection.inner.at = invalid.at().clone();
        rejection
    }

    /// More exact words than those of the code: limits and sizes, never input.
    #[must_use]
    pub fn message_of(mut self, message: String) -> Self {
        self.inner.message = Some(message);
        self
    }

    /// When to come back.
    #[must_use]
    pub fn retry_after_of(mut self, wait: Duration) -> Self {
        self.inner.retry_after = Some(wait);
        self
    }

    pub(crate) fn at_of(mut self, at: Pointer) -> Self {
        self.inner.at = at;
        self
    }

    pub(crate) fn limits_of(mut self, limit: &'static str, standings: Vec<Standing>) -> Self {
        self.inner.limit = Some(limit);
        self.inner.standings = standings;
        self
    }

    /// Why in truth, for the audit trail only.
    pub(crate) fn reason_of(mut self, reason: &'static str) -> Self {
        self.inner.reason = Some(reason);
        self
    }

    /// What was known of the request, for another refusal of it.
    pub(crate) fn into_about(self) -> About {
        self.inner.about
    }

    /// What was known of the request.
    pub fn about(&self) -> &About {
        &self.inner.about
    }

    /// Why, in one word.
    pub fn code(&self) -> Code {
        self.inner.code
    }

    /// Which step refused.
    pub fn step(&self) -> Step {
        self.inner.step
    }

    /// Why, in generic words.
    pub fn message(&self) -> &str {
        self.inner.message.as_deref().unwrap_or(self.inner.code.message())
    }

    /// Where in the request.
    pub fn at(&self) -> &Pointer {
        &self.inner.at
    }

    /// When to come back, if that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// How the quotas stand, if they were looked at.
    pub fn standings(&self) -> &[Standing] {
        &self.inner.standings
    }

    pub(crate) fn limit(&self) -> Option<&'static str> {
        self.inner.limit
    }

    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.inner.reason
    }
}
