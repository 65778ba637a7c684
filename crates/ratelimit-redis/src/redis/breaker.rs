//! After a few calls that failed nobody waits for the server any more, and one at a time tries again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many failures within [`WINDOW`] open it.
const FAILURES: u32 = 3;
const WINDOW: Duration = Duration::from_secs(1);
/// How long nobody asks.
const OPEN: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    first: Option<Instant>,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether this caller may ask. When the time is over, the one who hears it first may.
    pub(crate) fn may_ask(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                state.open_until = Some(now + OPEN);
                true
            }
            None => true,
        }
    }

    pub(crate) fn succeeded(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open_until.is_some() {
            tracing::info!("the limiter reaches its buckets again");
        }
        *state = State::default();
    }

    pub(crate) fn failed(&self, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.first.is_none_or(|first| now.duration_since(first) > WINDOW) {
            (state.first, state.failures) = (Some(now), 0);
        }
        state.failures += 1;
        if state.open_until.is_some() {
            state.open_until = Some(now + OPEN);
        } else if state.failures >= FAILURES {
            tracing::error!("the limiter does not reach its buckets");
            state.open_until = Some(now + OPEN);
        }
    }
}
