//! What monitors learnt, in the data folder and over Redis, by which gateways also tell each other what they saw.
//!
//! Each gateway keeps what was learnt in a file of its own, so that it needs nobody at the start. Redis carries it to the
//! others, and what was decided last holds. What was seen is in memory and in Redis only.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline::Pipeline;
use privacy::{Calibration, StateError, Watch};
use store::{Learnt, RedisMonitors};
use tokio::sync::Mutex;

use crate::data_dir;

/// Most principals that are told of in one call.
const TOLD: usize = 64;
/// Most calls for one model in a turn.
const CALLS: usize = 32;

/// Keeps and tells what is known of those who are watched.
pub(crate) struct Monitors {
    folder: PathBuf,
    redis: Option<RedisMonitors>,
    pipeline: Arc<Pipeline>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    models: HashMap<String, Model>,
    is_away: bool,
}

/// How far a model is.
#[derive(Default)]
struct Model {
    /// When that was learnt which is in the file.
    kept: u64,
    /// Until when others were heard.
    since: u64,
    /// When that was learnt elsewhere which is of no use here.
    useless: u64,
}

impl Monitors {
    pub(crate) fn new(data: &Path, redis: Option<RedisMonitors>, pipeline: Arc<Pipeline>) -> Self {
        Self { folder: data.join("monitors"), redis, pipeline, known: Mutex::default() }
    }

    /// Tells others what was seen and learnt since the last turn, and hears what they told.
    pub(crate) async fn turn(&self) {
        let policy = self.pipeline.policy();
        let monitored = policy.models.values().filter_map(|model| model.monitoring());
        let watches: BTreeMap<String, Arc<Watch>> =
            monitored.map(|monitor| (monitor.watch.name(), monitor.watch.clone())).collect();
        let mut known = self.known.lock().await;
        let Known { models, is_away } = &mut *known;
        // A watch that is new begins anew.
        models.retain(|name, _| watches.contains_key(name));
        for (name, watch) in watches {
            let model = match models.entry(name) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    let kept = self.find(&watch);
                    new.insert(Model { kept, ..Model::default() })
                }
            };
            if let Some(redis) = &self.redis {
                let was_away = std::mem::replace(is_away, !tell(redis, &watch, model).await);
                match (was_away, *is_away) {
                    (false, true) => {
                        tracing::warn!("monitors of other gateways are not heard: each sees its part only")
                    }
                    (true, false) => tracing::info!("monitors of other gateways are heard again"),
                    _ => {}
                }
            }
            self.keep_newer(&watch, model).await;
        }
    }

    /// What was learnt elsewhere, or could not be kept before.
    async fn keep_newer(&self, watch: &Arc<Watch>, model: &mut Model) {
        let (at, calibration) = watch.learnt();
        if at > model.kept {
            // Once: a disk that is full stays so for a while.
            model.kept = at;
            if let Err(error) = self.keep(watch, at, calibration.as_ref()).await {
                tracing::error!(%error, "what monitors learnt cannot be kept: the next start asks others for it");
            }
        }
    }

    /// Keeps what was learnt, or that it was forgotten.
    ///
    /// # Errors
    /// When it cannot be written; what was kept before is as it was.
    pub(crate) async fn keep(&self, watch: &Watch, at: u64, calibration: Option<&Calibration>) -> io::Result<()> {
        let (folder, file) = (self.folder.clone(), self.file(watch));
        let bytes = [&at.to_le_bytes()[..], &calibration.map(Calibration::to_bytes).unwrap_or_default()].concat();
        let writing = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(folder)?;
            data_dir::replace(&file, &bytes)
        });
        writing.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }

    /// Takes up what was kept; gives when it was learnt.
    fn find(&self, watch: &Watch) -> u64 {
        let Ok(bytes) = std::fs::read(self.file(watch)) else { return 0 };
        let found = bytes.split_first_chunk().ok_or(StateError::Damaged).and_then(|(at, bytes)| {
            let at = u64::from_le_bytes(*at);
            take_up(watch, at, bytes).map(|()| at)
        });
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, file = %self.file(watch).display(), "what monitors learnt is of no use");
            0
        })
    }

    fn file(&self, watch: &Watch) -> PathBuf {
        self.folder.join(watch.name())
    }
}

/// Whether Redis is there.
async fn tell(redis: &RedisMonitors, watch: &Watch, model: &mut Model) -> bool {
    for _ in 0..CALLS {
        let changes = watch.changed(TOLD);
        let (at, calibration) = watch.learnt();
        let learnt = Learnt { at, bytes: calibration.map(|it| it.to_bytes()).unwrap_or_default() };
        let seen = changes.iter().map(|change| (change.who.as_str(), change.bytes.as_slice()));
        let heard = match redis.exchange(&watch.name(), seen, &learnt, model.since).await {
            Ok(heard) => heard,
            Err(_) => {
                watch.not_told(&changes);
                return false;
            }
        };
        model.since = heard.until;
        if heard.learnt.at > at.max(model.useless)
            && let Err(error) = take_up(watch, heard.learnt.at, &heard.learnt.bytes)
        {
            tracing::warn!(%error, "what monitors elsewhere learnt is of no use");
            model.useless = heard.learnt.at;
        }
        for sight in &heard.sights {
            // Who has not heard yet what was learnt tells what is of no use any more.
            let _ = watch.hear(&sight.who, &sight.gateway, &sight.bytes);
        }
        if !heard.has_more {
            break;
        }
    }
    true
}

/// No bytes stand for what was forgotten.
fn take_up(watch: &Watch, at: u64, bytes: &[u8]) -> Result<(), StateError> {
    let calibration = if bytes.is_empty() { None } else { Some(watch.calibration(bytes)?) };
    watch.take_up(calibration, at);
    Ok(())
}
