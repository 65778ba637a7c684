//! Calls about several slots of a cluster. A script sees one slot, so charges are taken slot by slot, always in
//! the same order; what was taken is given back when a later slot denies or does not answer. Others may be refused
//! meanwhile, but never is more admitted than there is.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::LimiterError;
use crate::charge::Held;
use crate::decision::{Decision, Denial, Permit, Reservation, Seen, Standing, allowed, denied, standings};
use crate::op::Op;
use crate::redis::RedisLimiter;
use crate::redis::groups::{Group, split};
use crate::redis::queue::Queue;

/// What was taken so far; given back if it is dropped.
struct Taken(Vec<(Queue, u16, Op)>);

impl Drop for Taken {
    fn drop(&mut self) {
        for (queue, slot, op) in self.0.drain(..) {
            if !queue.tell(op, slot) {
                tracing::warn!("a charge stays although another one was not made");
            }
        }
    }
}

/// What was seen, slot by slot, as far as it was asked.
struct Walked {
    is_taken: bool,
    seen: Vec<Seen>,
}

impl RedisLimiter {
    /// All charges or none, whichever slots they lie in.
    pub(super) async fn take_across(&self, charges: Vec<Held>, permit: u64) -> Result<Decision, LimiterError> {
        let groups = split(&self.server.place, &charges);
        let asked_at = Instant::now();
        let walked = tokio::time::timeout(self.server.deadline, self.walk(&groups, permit)).await;
        match walked.unwrap_or(Err(LimiterError::Unavailable)) {
            Ok(Walked { is_taken: true, seen }) => Ok(allowed_across(charges, &groups, &seen, permit)),
            Ok(Walked { is_taken: false, mut seen }) => {
                self.look_on(&groups, &mut seen, asked_at).await;
                Ok(Decision::Deny(self.denied_across(&groups, &seen, asked_at)))
            }
            Err(LimiterError::Unavailable) => self.outage.decide(charges),
            Err(error) => Err(error),
        }
    }

    async fn walk(&self, groups: &[Group], permit: u64) -> Result<Walked, LimiterError> {
        let mut taken = Taken(Vec::with_capacity(groups.len()));
        let mut seen = Vec::with_capacity(groups.len());
        for group in groups {
            let op = Op::take(&group.charges, permit);
            let (undo, lane) = (op.undo(), self.lane(group.slot)?);
            let done = self.run_in(&lane, op, group.slot).await?;
            seen.push(done.seen);
            if !done.is_taken {
                return Ok(Walked { is_taken: false, seen });
            }
            taken.0.push((lane.queue, group.slot, undo));
        }
        taken.0.clear();
        Ok(Walked { is_taken: true, seen })
    }

    /// Looks at the slots after the one that denied: the caller is told how long to wait for all of them. What
    /// cannot be seen in time does not undo the denial.
    async fn look_on(&self, groups: &[Group], seen: &mut Vec<Seen>, asked_at: Instant) {
        let left = self.server.deadline.saturating_sub(asked_at.elapsed());
        let rest = groups.iter().skip(seen.len()).map(|group| self.run(Op::look(&group.charges), group.slot));
        if let Ok(looked) = tokio::time::timeout(left, join_all(rest)).await {
            seen.extend(looked.into_iter().map_while(Result::ok).map(|done| done.seen));
        }
    }

    fn denied_across(&self, groups: &[Group], seen: &[Seen], asked_at: Instant) -> Denial {
        let mut placed: Vec<(usize, Standing)> = Vec::new();
        let mut longest: Option<Denial> = None;
        for (group, seen) in groups.iter().zip(seen) {
            let denial = denied(&group.charges, seen);
            if let Some(denials) = &self.denials {
                denials.note(&group.charges, &denial, &seen.used, asked_at);
            }
            placed.extend(group.places.iter().copied().zip(denial.standings.iter().cloned()));
            // None is for ever.
            let rank = |denial: &Denial| denial.retry_after.unwrap_or(Duration::MAX);
            if longest.as_ref().is_none_or(|other| rank(&denial) > rank(other)) {
                longest = Some(denial);
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        let standings = placed.into_iter().map(|(_, standing)| standing).collect();
        let (policy, retry_after) = longest.map_or(("", None), |denial| (denial.policy, denial.retry_after));
        Denial { policy, retry_after, standings, is_outage: false }
    }

    /// Does an act in every slot that has one, all at once; the first error, after all were tried.
    pub(super) async fn run_across(
        &self,
        charges: &[Held],
        op: impl Fn(&[Held]) -> Option<Op>,
    ) -> Result<Vec<(Group, Seen)>, LimiterError> {
        let groups = split(&self.server.place, charges).into_iter();
        let ops = groups.filter_map(|group| op(&group.charges).map(|op| (group, op)));
        let runs = ops.map(|(group, op)| async move {
            let done = self.run(op, group.slot).await;
            done.map(|done| (group, done.seen))
        });
        join_all(runs).await.into_iter().collect()
    }
}

fn allowed_across(charges: Vec<Held>, groups: &[Group], seen: &[Seen], permit: u64) -> Decision {
    let permit = Permit::Shared(permit);
    let mut placed: Vec<(usize, Standing)> = Vec::with_capacity(charges.len());
    for (group, seen) in groups.iter().zip(seen) {
        if let Decision::Allow(part) = allowed(group.charges.clone(), seen, permit) {
            placed.extend(group.places.iter().copied().zip(part.standings));
        }
    }
    placed.sort_by_key(|(place, _)| *place);
    let standings = placed.into_iter().map(|(_, standing)| standing).collect();
    Decision::Allow(Reservation { held: charges, standings, permit })
}

/// How the buckets of all slots stand, in the order of the charges.
pub(super) fn standings_across(seen: &[(Group, Seen)]) -> Vec<Standing> {
    let mut placed: Vec<(usize, Standing)> = Vec::new();
    for (group, seen) in seen {
        placed.extend(group.places.iter().copied().zip(standings(&group.charges, seen)));
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, standing)| standing).collect()
}
