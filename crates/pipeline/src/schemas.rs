//! Distinct schemas of a key family: a server compiles each and keeps what it made, so that a caller who makes up new
//! ones without end fills its memory or its disk (GHSA-mgrm-fgjv-mhv8).
//!
//! Counted by each gateway for itself; over several, a family has as many times the number.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// How often what has ended is looked for.
const SWEEP: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Schemas {
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    families: HashMap<String, Hour>,
    swept: Option<Instant>,
}

struct Hour {
    since: Instant,
    seen: HashSet<u64>,
}

impl Schemas {
    /// Notes schemas of a family, all or none: at most `most` different ones within an hour.
    ///
    /// # Errors
    /// How long the hour still lasts.
    pub(crate) fn note<'s>(
        &self,
        family: &str,
        schemas: impl Iterator<Item = &'s str>,
        most: usize,
        now: Instant,
    ) -> Result<(), Duration> {
        let schemas = schemas.map(|schema| self.hasher.hash_one(schema));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP) {
            state.families.retain(|_, hour| now.saturating_duration_since(hour.since) < HOUR);
            state.swept = Some(now);
        }
        let hour = state.families.entry(family.to_owned()).or_insert_with(|| Hour { since: now, seen: HashSet::new() });
        if now.saturating_duration_since(hour.since) >= HOUR {
            *hour = Hour { since: now, seen: HashSet::new() };
        }
        let new: HashSet<u64> = schemas.filter(|schema| !hour.seen.contains(schema)).collect();
        if hour.seen.len() + new.len() > most {
            return Err(HOUR.saturating_sub(now.saturating_duration_since(hour.since)));
        }
        hour.seen.extend(new);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_so_many_an_hour() {
        let (schemas, now) = (Schemas::default(), Instant::now());
        let note = |family: &str, list: &[&str], now| schemas.note(family, list.iter().copied(), 2, now);
        assert_eq!(note("a", &["1", "1"], now), Ok(()));
        assert_eq!(note("a", &["2", "3"], now), Err(HOUR), "all or none");
        assert_eq!(note("a", &["1", "2"], now), Ok(()));
        assert_eq!(note("a", &["3"], now + HOUR / 2), Err(HOUR / 2));
        assert_eq!(note("a", &["2"], now + HOUR / 2), Ok(()));
        assert_eq!(note("b", &["3"], now), Ok(()), "another family");
        assert_eq!(note("a", &["3"], now + HOUR), Ok(()), "another hour");
    }
}
