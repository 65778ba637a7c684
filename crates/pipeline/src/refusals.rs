//! Refusals in the audit trail: every one, until there are too many; then their exact number.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use audit::{Record, Refusal};
use sanitize::Sanitizer;

use crate::about::unix_millis;
use crate::rejection::Rejection;
use crate::trail::Trail;

/// Refusals of one code that are recorded in full within a second.
const IN_FULL: u32 = 20;
/// Refusals that wait to be recorded.
const WAITING: usize = 1_024;

#[derive(Default)]
pub(crate) struct Refusals {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seconds: HashMap<&'static str, Second>,
    waiting: Vec<Refusal>,
}

struct Second {
    since: Instant,
    in_full: u32,
    similar: u64,
}

impl Refusals {
    /// Notes a refusal. Never waits; what is too much is counted.
    pub(crate) fn note(&self, rejection: &Rejection, redact: &Sanitizer) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = state.waiting.len() >= WAITING;
        let word = rejection.code().as_str();
        let second =
            state.seconds.entry(word).or_insert_with(|| Second { since: Instant::now(), in_full: 0, similar: 0 });
        if second.since.elapsed() >= Duration::from_secs(1) {
            second.since = Instant::now();
            second.in_full = 0;
        }
        if second.in_full >= IN_FULL || is_full {
            second.similar += 1;
            return;
        }
        second.in_full += 1;
        let mut refusal = to_record(rejection, redact);
        refusal.similar = std::mem::take(&mut second.similar);
        state.waiting.push(refusal);
    }

    /// Hands over what waits, and the numbers that nothing has carried yet. What the trail has no room for is counted
    /// again.
    pub(crate) fn flush(&self, trail: &Trail) {
        for refusal in self.take() {
            let record = Record::Refusal(refusal);
            if trail.keep(&record).is_none()
                && let Record::Refusal(refusal) = record
            {
                self.count_again(&refusal);
            }
        }
    }

    fn count_again(&self, refusal: &Refusal) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let second = state.seconds.iter_mut().find(|(word, _)| **word == refusal.code);
        if let Some((_, second)) = second {
            second.similar += refusal.similar + u64::from(!refusal.request_id.is_empty());
        }
    }

    fn take(&self) -> Vec<Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refusals = std::mem::take(&mut state.waiting);
        for (word, second) in &mut state.seconds {
            if second.similar > 0 {
                let mut rest = Refusal::new(String::new(), unix_millis());
                rest.code = (*word).to_owned();
                rest.similar = std::mem::take(&mut second.similar);
                refusals.push(rest);
            }
        }
        refusals
    }
}

/// A model or a field that was named may be anything, even a key.
fn to_record(rejection: &Rejection, redact: &Sanitizer) -> Refusal {
    let about = rejection.about();
    let mut refusal = Refusal::new(about.request_id.clone(), unix_millis());
    refusal.who = about.who();
    refusal.step = rejection.step().as_str().to_owned();
    refusal.code = rejection.code().as_str().to_owned();
    refusal.status = rejection.code().status();
    let place = rejection.at().as_str();
    let words = rejection.reason().unwrap_or(rejection.message());
    let detail = if place.is_empty() { words.to_owned() } else { format!("{words} at {place}") };
    refusal.detail = Some(redact.check(&detail).into_text().into_owned());
    refusal.limit = rejection.limit().map(str::to_owned);
    refusal.operation = about.operation.map(|operation| operation.as_str().to_owned());
    refusal.model = about.model.as_ref().map(|model| redact.check(model.as_str()).into_text().into_owned());
    refusal.findings = about.findings.clone();
    refusal
}
