//! The audit trail as the line uses it: an intent is there before a backend is asked, an outcome before its answer ends.

use std::time::Duration;

use audit::{Kept, Log, Record};

use crate::metrics::Metrics;

/// How long a record may take to be durable, so that its refusal is there within 250 ms.
const DEADLINE: Duration = Duration::from_millis(225);

/// What counts more while the trail cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailMode {
    /// Records: without a durable intent nothing is asked.
    Strict,
    /// Answers: records wait in memory, as long as there is room, and are lost if the process dies meanwhile.
    Available,
}

/// How the trail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailStand {
    /// The last write succeeded.
    Written,
    /// It cannot be written, and records wait.
    Waiting,
    /// It cannot be written, and nothing is asked.
    Unavailable,
}

/// An intent is not on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uncommitted {
    /// Nor will it be.
    Refused,
    /// Nobody knows yet whether it will be.
    Late,
}

/// The log, and the counters of what goes wrong with it.
#[derive(Clone)]
pub(crate) struct Trail {
    log: Log,
    metrics: Metrics,
}

/// An outcome on its way into the trail.
#[must_use = "an answer ends when its outcome is durable"]
pub(crate) struct Recorded(Option<Kept>);

impl Trail {
    pub(crate) fn new(log: Log, metrics: Metrics) -> Self {
        Self { log, metrics }
    }

    /// Records what must be there before the next step.
    pub(crate) async fn commit(&self, intent: &Record, mode: TrailMode) -> Result<(), Uncommitted> {
        let committed = match mode {
            TrailMode::Strict => match tokio::time::timeout(DEADLINE, self.log.append(intent)).await {
                Ok(appended) => appended.map(drop).map_err(|_| Uncommitted::Refused),
                Err(_) => Err(Uncommitted::Late),
            },
            TrailMode::Available => match self.log.keep(intent) {
                Ok(kept) if self.log.is_healthy() => match tokio::time::timeout(DEADLINE, kept.durable()).await {
                    Ok(Err(_)) => Err(Uncommitted::Refused),
                    Ok(Ok(_)) | Err(_) => Ok(()),
                },
                Ok(_) => Ok(()),
                Err(_) => Err(Uncommitted::Refused),
            },
        };
        if committed.is_err() {
            self.metrics.audit_failed();
        }
        committed
    }

    /// Takes a record of what has happened already: it waits for a trail that cannot be written. None when
    /// there is no room, which is counted.
    pub(crate) fn keep(&self, record: &Record) -> Option<Kept> {
        let kept = self.log.keep(record);
        if let Err(error) = &kept {
            self.metrics.audit_failed();
            tracing::error!(%error, "a record is not taken");
        }
        kept.ok()
    }

    /// The same, for what an answer waits for, unless the trail is known to fail.
    pub(crate) fn outcome(&self, outcome: &Record) -> Recorded {
        Recorded(self.keep(outcome).filter(|_| self.log.is_healthy()))
    }

    pub(crate) fn stand(&self, mode: TrailMode) -> TrailStand {
        match mode {
            _ if self.log.is_healthy() => TrailStand::Written,
            TrailMode::Available if !self.log.is_full() => TrailStand::Waiting,
            TrailMode::Strict | TrailMode::Available => TrailStand::Unavailable,
        }
    }
}

impl Recorded {
    /// What has nothing to record.
    pub(crate) fn nothing() -> Self {
        Self(None)
    }

    /// Waits until it is durable. The answer is there: it does not wait for longer than an intent may take, and the
    /// record is written as soon as it can be.
    pub(crate) async fn durable(self) {
        if let Some(kept) = self.0
            && tokio::time::timeout(DEADLINE, kept.durable()).await.is_err()
        {
            tracing::warn!("an answer ends before its outcome is durable");
        }
    }

    /// For what is no answer: nobody waits.
    pub(crate) fn later(self) {}
}
