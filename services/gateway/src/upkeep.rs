//! What is done beside the requests, again and again: what other gateways have changed is heard, when keys were
//! used is noted, who has a key that ends soon is warned, what models' tensors are is learnt from their servers, and what
//! monitors saw is told, certificates that were exchanged are read, and the audit trail is looked after.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keys::{Heard, IssueError, Issuer, KeyId, KeyRecord, MAX_LIST, Verifier};
use pipeline::Pipeline;

use crate::monitors::Monitors;
use crate::request_id::unix_millis;
use crate::tls::Tls;
use crate::trail::Tended;

const NOTE_EVERY: Duration = Duration::from_secs(30);
const LEARN_EVERY: Duration = Duration::from_secs(30);
const CHECK_EVERY: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
const DAY: u64 = 24 * 60 * 60 * 1_000;
/// Keys that end within so many days are counted; within the middle one, each is warned of once a day.
const HORIZONS: [(u64, &str); 3] = [(1, "1d"), (7, "7d"), (30, "30d")];
const WARN_DAYS: u64 = 7;

/// Tasks that end when this is dropped.
pub(crate) struct Upkeep([tokio::task::JoinHandle<()>; 8]);

impl Upkeep {
    pub(crate) fn start(
        verifier: Arc<Verifier>,
        issuer: Issuer,
        monitors: Arc<Monitors>,
        pipeline: Arc<Pipeline>,
        tls: Arc<Tls>,
        trail: Tended,
    ) -> Self {
        let (follower, metrics) = (verifier.clone(), pipeline.metrics().clone());
        Self([
            tokio::spawn(async move {
                follower
                    .follow(&|heard| match heard {
                        Heard::Changed(_) => metrics.key_change_heard(),
                        Heard::Here => metrics.key_changes_audible(true),
                        Heard::Away => metrics.key_changes_audible(false),
                    })
                    .await;
            }),
            tokio::spawn(tls.follow(pipeline.metrics().clone())),
            tokio::spawn(note_used(verifier)),
            tokio::spawn(learn(pipeline.clone())),
            tokio::spawn(check(pipeline.clone())),
            tokio::spawn(tell(monitors)),
            tokio::spawn(trail.run(pipeline.metrics().clone())),
            tokio::spawn(warn_of_ends(issuer, pipeline)),
        ])
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Says at the start which keys cannot work, and why.
pub(crate) async fn warn_of_peppers(issuer: &Issuer) {
    match issuer.missing_peppers().await {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            let peppers: String = missing.into_iter().collect();
            tracing::error!(%peppers, "keys were made with peppers that are not loaded: they are refused, all of them");
        }
        Err(error) => tracing::warn!(%error, "it is not known whether a pepper is missing"),
    }
}

async fn note_used(verifier: Arc<Verifier>) {
    let mut ticks = tokio::time::interval(NOTE_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = verifier.note_used().await {
            tracing::warn!(%error, "last use of keys is not noted");
        }
    }
}

/// Models that are new, or whose servers were away, are learnt at the next turn.
async fn learn(pipeline: Arc<Pipeline>) {
    let mut ticks = tokio::time::interval(LEARN_EVERY);
    loop {
        ticks.tick().await;
        let policy = pipeline.policy();
        futures_util::future::join_all(policy.models.values().map(|model| model.learn())).await;
    }
}

/// Servers that failed are asked whether they are back, so that no caller has to find out.
async fn check(pipeline: Arc<Pipeline>) {
    let mut ticks = tokio::time::interval(CHECK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        pipeline.check_servers().await;
    }
}

async fn tell(monitors: Arc<Monitors>) {
    let mut ticks = tokio::time::interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        monitors.turn().await;
    }
}

/// Also forgets what is too old: both are for every hour.
async fn warn_of_ends(issuer: Issuer, pipeline: Arc<Pipeline>) {
    let mut warned = HashMap::new();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = look_for_ends(&issuer, &pipeline, &mut warned, unix_millis()).await {
            tracing::warn!(%error, "it is not known which keys end soon");
        }
        if let Err(error) = issuer.forget_once(unix_millis()).await {
            tracing::warn!(%error, "requests that came too long ago to come again are kept");
        }
    }
}

/// Counts the keys that end soon. `warned` says when each was last spoken of.
async fn look_for_ends(
    issuer: &Issuer,
    pipeline: &Pipeline,
    warned: &mut HashMap<KeyId, u64>,
    now: u64,
) -> Result<(), IssueError> {
    let mut counts = [0; HORIZONS.len()];
    warned.retain(|_, at| now.saturating_sub(*at) < DAY);
    let longest = HORIZONS.iter().map(|(days, _)| days * DAY).max().unwrap_or_default();
    let mut after = None;
    loop {
        let page = issuer.ending(now..now.saturating_add(longest), after.as_ref(), MAX_LIST).await?;
        for record in &page {
            let left = record.ends_at().unwrap_or(now).saturating_sub(now);
            for (count, (days, _)) in counts.iter_mut().zip(HORIZONS) {
                *count += i64::from(left < days * DAY);
            }
            if left < WARN_DAYS * DAY && !warned.contains_key(&record.id) && warn(record, left) {
                warned.insert(record.id, now);
            }
        }
        match page.last() {
            Some(last) if page.len() == MAX_LIST => after = Some(last.id),
            _ => break,
        }
    }
    for (count, (_, within)) in counts.into_iter().zip(HORIZONS) {
        pipeline.metrics().keys_ending(within, count);
    }
    Ok(())
}

/// Gives whether there was something to say.
fn warn(record: &KeyRecord, left: u64) -> bool {
    let KeyRecord { id, name, tenant, rotated_at, last_used_at, .. } = record;
    let hours = left / (60 * 60 * 1_000);
    match rotated_at {
        None => tracing::warn!(key = %id, name, %tenant, hours, "a key expires soon"),
        // Whoever still uses it has not taken the new one.
        Some(at) if last_used_at.is_some_and(|used| used > *at) => {
            tracing::warn!(key = %id, name, %tenant, hours, "a key that was replaced is still in use and ends soon");
        }
        Some(_) => return false,
    }
    true
}
