//! The seam to the other verifiers of the same keys: what has changed, so that nobody goes on trusting what
//! it remembers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::id::{FamilyId, KeyId};
use crate::store::{BoxFuture, Revoke};
use crate::tenant::Tenant;

/// Keys whose rows have changed.
///
/// Displayed and parsed as two words, such as `family Ab3dEf6hIj9lMn2p`, or as `all`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Changed {
    /// One key.
    Key(KeyId),
    /// A key and all it was rotated from and into.
    Family(FamilyId),
    /// The keys of a tenant.
    Tenant(Tenant),
    /// Any key may be meant, so that every one is.
    All,
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// These rows have changed.
    Changed(Changed),
    /// Changes are heard from here on. What happened before may have been missed.
    Here,
    /// Changes cannot be heard for now.
    Away,
}

/// Others cannot be told for now. They find out by reading rows again, in their own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other verifiers cannot be told")]
pub struct Unheard;

/// Tells every verifier of the same keys what has changed. The database is the truth and is written
/// first; this only makes it known sooner. The cases that an implementation must pass are in
/// `testing::revocations_suite`.
pub trait Revocations: Send + Sync {
    /// Tells all listeners, wherever they are, the caller's own included.
    fn announce<'a>(&'a self, changed: &'a Changed) -> BoxFuture<'a, Result<(), Unheard>>;

    /// Calls `hear` with everything that is announced, in order, until the future is dropped: [`Heard::Here`]
    /// first, and again whenever something may have been missed; [`Heard::Away`] no later than two seconds
    /// after the way was lost.
    fn listen<'a>(&'a self, hear: &'a (dyn Fn(Heard) + Send + Sync)) -> BoxFuture<'a, ()>;
}

/// Verifiers of one process. Clones tell each other.
#[derive(Debug, Clone)]
pub struct MemoryRevocations(Arc<broadcast::Sender<Changed>>);

impl MemoryRevocations {
    /// Nobody listens yet.
    pub fn new() -> Self {
        Self(Arc::new(broadcast::Sender::new(1_024)))
    }
}

impl Default for MemoryRevocations {
    fn default() -> Self {
        Self::new()
    }
}

impl Revocations for MemoryRevocations {
    fn announce<'a>(&'a self, changed: &'a Changed) -> BoxFuture<'a, Result<(), Unheard>> {
        // Without listeners nobody need be told.
        let _ = self.0.send(changed.clone());
        Box::pin(std::future::ready(Ok(())))
    }

    fn listen<'a>(&'a self, hear: &'a (dyn Fn(Heard) + Send + Sync)) -> BoxFuture<'a, ()> {
        let mut changes = self.0.subscribe();
        Box::pin(async move {
            hear(Heard::Here);
            loop {
                match changes.recv().await {
                    Ok(changed) => hear(Heard::Changed(changed)),
                    Err(RecvError::Lagged(_)) => hear(Heard::Here),
                    Err(RecvError::Closed) => return,
                }
            }
        })
    }
}

impl From<&Revoke> for Changed {
    fn from(target: &Revoke) -> Self {
        match target {
            Revoke::Key(id) => Self::Key(*id),
            Revoke::Family(family) => Self::Family(*family),
            Revoke::Tenant(tenant) => Self::Tenant(tenant.clone()),
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key {}", id.as_str()),
            Self::Family(family) => write!(f, "family {family}"),
            Self::Tenant(tenant) => write!(f, "tenant {tenant}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// A text that names no change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected key, family or tenant with its name, or all")]
pub struct InvalidChanged;

impl FromStr for Changed {
    type Err = InvalidChanged;

    fn from_str(text: &str) -> Result<Self, InvalidChanged> {
        match text.split_once(' ') {
            Some(("key", id)) => id.parse().map(Self::Key).map_err(|_| InvalidChanged),
            Some(("family", family)) => family.parse().map(Self::Family).map_err(|_| InvalidChanged),
            Some(("tenant", tenant)) => tenant.parse().map(Self::Tenant).map_err(|_| InvalidChanged),
            None if text == "all" => Ok(Self::All),
            _ => Err(InvalidChanged),
        }
    }
}
