//! All principals at one model: their traces until there is a calibration, their monitors from then on.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Monitor;
use super::calibration::{Calibration, LEAST_QUERIES};
use super::error::{CalibrationError, StateError};
use super::projection::Projection;
use super::suspicion::Suspicion;
use super::trace::Trace;

/// What so many other replicas saw of a principal is kept.
const REPLICAS: usize = 8;
/// Most traces that a calibration is learnt from, the longest: some five seconds of work.
const LEARNT_FROM: usize = 100;
/// A suspicion that fell below this may rise anew.
const FALLEN: f64 = 0.25;

/// Watches all principals at one model, in bounded memory. While there is no calibration it records their traces, to learn
/// one from; afterwards a [`Monitor`] watches each.
///
/// Replicas tell each other what they saw: what [`Watch::changed`] gives here goes into [`Watch::hear`] there, by whatever
/// way and as late as it may be. A replica that hears of nobody goes on with what it saw itself.
///
/// A principal takes 34 KiB, or 71 KiB before there is a calibration, and as much for each replica that was heard of.
#[derive(Debug)]
pub struct Watch {
    projection: Projection,
    most: NonZeroUsize,
    /// Held for moments only.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When what is known was learnt or forgotten, in milliseconds since the Unix epoch; 0 if it never was.
    at: u64,
    calibration: Option<Calibration>,
    principals: HashMap<String, Entry>,
    /// Counts what is observed and heard.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    suspicion: Suspicion,
    queries: u64,
    last: u64,
    is_changed: bool,
    /// Whether somebody was told of the suspicion since it rose.
    is_told: bool,
    /// Held while queries are taken into account.
    seen: Arc<Mutex<Seen>>,
}

/// What was seen of one principal.
#[derive(Debug)]
struct Seen {
    own: Sight,
    /// By replica, the one heard last at the end.
    others: Vec<(String, Sight)>,
}

#[derive(Debug, Clone)]
enum Sight {
    Learning(Trace),
    Watching(Box<Monitor>),
}

/// What is to be told to other replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The principal.
    pub who: String,
    /// What this replica saw of it so far, in place of what it told before. Keep it as you keep queries.
    pub bytes: Vec<u8>,
}

/// What was thought of a principal after its queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// That.
    pub suspicion: Suspicion,
    /// Whether this replica sees it raised for the first time since it was low.
    pub has_risen: bool,
}

/// One principal in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The principal.
    pub who: String,
    /// What is thought of it; nothing before there is a calibration.
    pub suspicion: Suspicion,
    /// How many of its queries were taken into account, by all replicas that were heard of; of a trace at most 512.
    pub queries: u64,
}

impl Watch {
    /// Watches `most` principals at once; one more takes the place of who asked longest ago.
    pub fn new(projection: &Projection, most: NonZeroUsize) -> Self {
        Self { projection: projection.clone(), most, state: Mutex::default() }
    }

    /// A name of the model that tells nothing: [`Projection::name`].
    pub fn name(&self) -> String {
        self.projection.name()
    }

    /// What is thought of a principal. Waits for nothing.
    pub fn suspicion(&self, who: &str) -> Suspicion {
        self.state().principals.get(who).map_or(Suspicion::NONE, |entry| entry.suspicion)
    }

    /// Takes queries with the margins of their answers into account, as [`Monitor::observe`] does: some ten microseconds
    /// each. Before there is a calibration they are recorded if `learns`.
    pub fn observe(&self, who: &str, queries: &[(&[f64], Option<f64>)], learns: bool) -> Observed {
        let nothing = Observed { suspicion: Suspicion::NONE, has_risen: false };
        let Some(seen) = self.entry(who, learns) else { return nothing };
        let (is_changed, suspicion, queries) = {
            let mut seen = lock(&seen);
            let is_changed = seen.own.take(queries);
            let (suspicion, queries) = seen.think();
            (is_changed, suspicion, queries)
        };
        let mut state = self.state();
        let Some(entry) = state.principals.get_mut(who).filter(|entry| Arc::ptr_eq(&entry.seen, &seen)) else {
            return nothing;
        };
        (entry.suspicion, entry.queries) = (suspicion, queries);
        entry.is_changed |= is_changed;
        let has_risen = suspicion.is_raised() && !entry.is_told;
        entry.is_told = suspicion.is_raised() || entry.is_told && suspicion.value() >= FALLEN;
        Observed { suspicion, has_risen }
    }

    /// What this replica saw and did not tell yet, of at most so many principals.
    pub fn changed(&self, most: usize) -> Vec<Change> {
        let mut state = self.state();
        let changed = state.principals.iter_mut().filter(|(_, entry)| entry.is_changed).take(most);
        let taken: Vec<_> = changed
            .map(|(who, entry)| {
                entry.is_changed = false;
                (who.clone(), entry.seen.clone())
            })
            .collect();
        drop(state);
        taken.into_iter().map(|(who, seen)| Change { who, bytes: lock(&seen).own.to_bytes() }).collect()
    }

    /// Nobody could be told of these changes: they are given again.
    pub fn not_told(&self, changes: &[Change]) {
        let mut state = self.state();
        for change in changes {
            if let Some(entry) = state.principals.get_mut(&change.who) {
                entry.is_changed = true;
            }
        }
    }

    /// Takes in what another replica saw of a principal, in place of what was heard of it before.
    ///
    /// # Errors
    /// [`StateError`] for bytes that are none, or of another calibration; they change nothing.
    pub fn hear(&self, who: &str, replica: &str, bytes: &[u8]) -> Result<(), StateError> {
        let calibration = self.state().calibration.clone();
        let sight = match &calibration {
            Some(calibration) => Sight::Watching(Box::new(Monitor::from_bytes(calibration, bytes)?)),
            None => Sight::Learning(Trace::from_bytes(&self.projection, bytes)?),
        };
        let Some(seen) = self.entry(who, true) else { return Ok(()) };
        let (suspicion, queries) = {
            let mut seen = lock(&seen);
            if !seen.own.is_like(&sight) {
                return Err(StateError::Foreign);
            }
            seen.others.retain(|(known, _)| known != replica);
            if seen.others.len() >= REPLICAS {
                seen.others.remove(0);
            }
            seen.others.push((replica.to_owned(), sight));
            seen.think()
        };
        if let Some(entry) = self.state().principals.get_mut(who).filter(|entry| Arc::ptr_eq(&entry.seen, &seen)) {
            (entry.suspicion, entry.queries) = (suspicion, queries);
        }
        Ok(())
    }

    /// A calibration from the traces that were recorded and heard of, the hundred longest. Takes seconds; changes
    /// nothing before it is given to [`Watch::take_up`].
    ///
    /// # Errors
    /// [`CalibrationError`] when there are too few, or the queries are all the same.
    pub fn learn(&self) -> Result<Calibration, CalibrationError> {
        let all: Vec<_> = self.state().principals.values().map(|entry| entry.seen.clone()).collect();
        let trace = |seen: Arc<Mutex<Seen>>| match lock(&seen).together() {
            Sight::Learning(trace) => Some(trace),
            Sight::Watching(_) => None,
        };
        let mut traces: Vec<Trace> = all.into_iter().filter_map(trace).collect();
        traces.sort_by_key(|trace| std::cmp::Reverse(trace.len()));
        traces.truncate(LEARNT_FROM);
        Calibration::learn(&traces)
    }

    /// Watches with this calibration from now on, or learns anew with none, and forgets what it saw. `at` is when that was
    /// decided, in milliseconds since the Unix epoch: replicas keep what was decided last. `false` if this is older.
    pub fn take_up(&self, calibration: Option<Calibration>, at: u64) -> bool {
        let mut state = self.state();
        let is_newer = at > state.at;
        if is_newer {
            *state = State { at, calibration, ..State::default() };
        }
        is_newer
    }

    /// When it was decided what this watches with, 0 if never, and the calibration for [`Watch::take_up`], if there is one.
    pub fn learnt(&self) -> (u64, Option<Calibration>) {
        let state = self.state();
        (state.at, state.calibration.clone())
    }

    /// A calibration from bytes that [`Calibration::to_bytes`] made for this model.
    ///
    /// # Errors
    /// [`StateError`] for anything else.
    pub fn calibration(&self, bytes: &[u8]) -> Result<Calibration, StateError> {
        Calibration::from_bytes(&self.projection, bytes)
    }

    /// All principals, the most suspicious first.
    pub fn principals(&self) -> Vec<Watched> {
        let state = self.state();
        let all = state.principals.iter();
        let mut all: Vec<Watched> = all
            .map(|(who, entry)| Watched { who: who.clone(), suspicion: entry.suspicion, queries: entry.queries })
            .collect();
        all.sort_by(|a, b| b.suspicion.value().total_cmp(&a.suspicion.value()).then_with(|| a.who.cmp(&b.who)));
        all
    }

    /// What was seen of a principal, which is new or asked again. Who is not to be learnt from is not kept.
    fn entry(&self, who: &str, learns: bool) -> Option<Arc<Mutex<Seen>>> {
        let mut state = self.state();
        state.clock += 1;
        let clock = state.clock;
        if let Some(entry) = state.principals.get_mut(who) {
            entry.last = clock;
            return Some(entry.seen.clone());
        }
        let own = match &state.calibration {
            Some(calibration) => Sight::Watching(Box::new(Monitor::new(calibration))),
            None if learns => Sight::Learning(Trace::new(&self.projection)),
            None => return None,
        };
        if state.principals.len() >= self.most.get() {
            let oldest = state.principals.iter().min_by_key(|(_, entry)| entry.last).map(|(who, _)| who.clone());
            oldest.and_then(|oldest| state.principals.remove(&oldest));
        }
        let seen = Arc::new(Mutex::new(Seen { own, others: Vec::new() }));
        let entry = Entry {
            suspicion: Suspicion::NONE,
            queries: 0,
            last: clock,
            is_changed: false,
            is_told: false,
            seen: seen.clone(),
        };
        state.principals.insert(who.to_owned(), entry);
        Some(seen)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Watched {
    /// Whether a calibration can learn from the trace of this principal.
    pub fn is_enough(&self) -> bool {
        self.queries >= LEAST_QUERIES as u64
    }
}

impl Seen {
    /// What is thought of it, and by how many queries.
    fn think(&self) -> (Suspicion, u64) {
        if self.others.is_empty() {
            return (self.own.suspicion(), self.own.queries());
        }
        let all = self.together();
        (all.suspicion(), all.queries())
    }

    /// What all replicas saw.
    fn together(&self) -> Sight {
        let mut all = self.own.clone();
        self.others.iter().for_each(|(_, other)| all.merge(other));
        all
    }
}

impl Sight {
    /// Whether there is something to tell of it afterwards.
    fn take(&mut self, queries: &[(&[f64], Option<f64>)]) -> bool {
        match self {
            Self::Learning(trace) => {
                let before = trace.len();
                queries.iter().for_each(|(query, margin)| trace.record(query, *margin));
                trace.len() > before
            }
            Self::Watching(monitor) => {
                queries.iter().for_each(|(query, margin)| monitor.take(query, *margin));
                !queries.is_empty()
            }
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Learning(_), Self::Learning(_)) => true,
            (Self::Watching(one), Self::Watching(other)) => one.learnt.tag == other.learnt.tag,
            _ => false,
        }
    }

    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Learning(one), Self::Learning(other)) => one.merge(other),
            (Self::Watching(one), Self::Watching(other)) => one.merge(other),
            _ => {}
        }
    }

    fn suspicion(&self) -> Suspicion {
        match self {
            Self::Learning(_) => Suspicion::NONE,
            Self::Watching(monitor) => monitor.suspicion(),
        }
    }

    fn queries(&self) -> u64 {
        match self {
            Self::Learning(trace) => trace.len() as u64,
            Self::Watching(monitor) => monitor.kept.seen,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Learning(trace) => trace.to_bytes(),
            Self::Watching(monitor) => monitor.to_bytes(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
