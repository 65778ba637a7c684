//! A breaker: leaves a server alone that fails again and again, and finds out when it is back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row after which a server is left alone.
const FAILURES: u32 = 5;
/// For how long, the first time; twice as long each time after, up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Whether a server may be asked. Time is an argument.
///
/// After five failures in a row it may not, for a second; then one request may try it, and while that one is under way
/// no other. If it fails, the server is left alone twice as long, half a minute at most; if it succeeds, all is as
/// before. (M. Nygard, "Release It!", 2007, calls the three states closed, open and half-open.)
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use backend::Breaker;
///
/// let (breaker, now) = (Breaker::new(), Instant::now());
/// for _ in 0..5 {
///     breaker.enter(now).unwrap().failed(now);
/// }
/// assert!(breaker.enter(now).is_none());
/// assert_eq!(breaker.rests(now), Some(Duration::from_secs(1)));
/// breaker.enter(now + Duration::from_secs(1)).unwrap().succeeded();
/// assert_eq!(breaker.rests(now), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Breaker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    failed_at: Option<Instant>,
    /// It is left alone until then, or tried since then.
    open: Option<Open>,
    /// How often it was left alone so far.
    openings: u64,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    number: u64,
    until: Instant,
    rest: Duration,
    is_tried: bool,
}

/// One request to a server. Dropping it says nothing of the server, as when the caller left.
#[must_use]
#[derive(Debug)]
pub struct Try {
    breaker: Breaker,
    /// The opening that it may end.
    trial_of: Option<u64>,
}

impl Breaker {
    /// Of a server that is thought well of.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request that may be sent now; none while the server is left alone, or somebody else tries it.
    pub fn enter(&self, now: Instant) -> Option<Try> {
        let mut state = self.state();
        let trial_of = match &mut state.open {
            None => None,
            Some(open) if open.until <= now && !open.is_tried => {
                open.is_tried = true;
                Some(open.number)
            }
            Some(_) => return None,
        };
        Some(Try { breaker: self.clone(), trial_of })
    }

    /// How long the server is left alone from now on; none when it may be asked, be it by one. While somebody tries
    /// it, nobody knows: a moment.
    pub fn rests(&self, now: Instant) -> Option<Duration> {
        let open = self.state().open?;
        match open.until.saturating_duration_since(now) {
            Duration::ZERO if open.is_tried => Some(FIRST),
            Duration::ZERO => None,
            left => Some(left),
        }
    }

    /// Whether the server failed a moment ago, so that others are rather asked.
    pub fn has_failed(&self, now: Instant) -> bool {
        self.state().failed_at.is_some_and(|at| now.saturating_duration_since(at) < FIRST)
    }

    /// Whether the server failed when it was asked last, again and again.
    pub fn is_open(&self) -> bool {
        self.state().open.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Try {
    /// The server answered.
    pub fn succeeded(self) {
        let mut state = self.breaker.state();
        *state = State { openings: state.openings, ..State::default() };
    }

    /// It answered this request badly, which says little of others: they are rather sent elsewhere for a moment.
    pub fn stumbled(self, now: Instant) {
        let mut state = self.breaker.state();
        *state = State { openings: state.openings, failed_at: Some(now), ..State::default() };
    }

    /// It did not.
    pub fn failed(mut self, now: Instant) {
        let trial_of = self.trial_of.take();
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        state.failed_at = Some(now);
        let rest = match state.open {
            Some(open) if trial_of == Some(open.number) => (open.rest * 2).min(LONGEST),
            // One that began before the others failed.
            Some(_) => return,
            None if state.failures < FAILURES => return,
            None => FIRST,
        };
        state.openings += 1;
        state.open = Some(Open { number: state.openings, until: now + rest, rest, is_tried: false });
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        if self.trial_of.is_some()
            && let Some(open) = &mut self.breaker.state().open
            && self.trial_of == Some(open.number)
        {
            open.is_tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Enter,
        Succeed(usize),
        Fail(usize),
        Leave(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Enter),
            1 => (0..8_usize).prop_map(Step::Succeed),
            4 => (0..8_usize).prop_map(Step::Fail),
            1 => (0..8_usize).prop_map(Step::Leave),
            2 => (0..40_000_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Whatever happens: at most one tries a server that is left alone, and it can always be tried again within half
        /// a minute.
        #[test]
        fn one_tries_at_a_time_and_never_too_late(steps in prop::collection::vec(step(), 0..200)) {
            let breaker = Breaker::new();
            let mut now = Instant::now();
            let mut tries: Vec<Try> = Vec::new();
            for step in steps {
                match step {
                    Step::Enter => tries.extend(breaker.enter(now)),
                    Step::Succeed(at) if at < tries.len() => tries.remove(at).succeeded(),
                    Step::Fail(at) if at < tries.len() => tries.remove(at).failed(now),
                    Step::Leave(at) if at < tries.len() => drop(tries.remove(at)),
                    Step::Wait(millis) => now += Duration::from_millis(millis),
                    _ => {}
                }
                let opening = breaker.state().open.map(|open| open.number);
                prop_assert!(tries.iter().filter(|one| one.trial_of.is_some() && one.trial_of == opening).count() <= 1);
                prop_assert!(breaker.rests(now).is_none_or(|rest| rest <= LONGEST));
            }
            tries.clear();
            prop_assert!(breaker.enter(now + LONGEST).is_some());
        }
    }

    #[test]
    fn rests_grow_and_a_success_ends_them() {
        let (breaker, mut now) = (Breaker::new(), Instant::now());
        for _ in 0..FAILURES {
            breaker.enter(now).unwrap().failed(now);
        }
        for rest in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(breaker.rests(now), Some(Duration::from_secs(rest)));
            now += Duration::from_secs(rest);
            let trial = breaker.enter(now).unwrap();
            assert!(breaker.enter(now).is_none(), "one at a time");
            trial.failed(now);
        }
        now += LONGEST;
        drop(breaker.enter(now).unwrap());
        breaker.enter(now).unwrap().succeeded();
        for _ in 1..FAILURES {
            breaker.enter(now).unwrap().failed(now);
        }
        assert!(!breaker.is_open());
    }
}
