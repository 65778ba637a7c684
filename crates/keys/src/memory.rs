//! Keys in memory, for tests and for trying things out.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::UnixMillis;
use crate::error::StoreError;
use crate::id::KeyId;
use crate::record::KeyRecord;
use crate::store::{BoxFuture, KeyStore, Revoke};

/// Keys in memory: never unavailable, empty after a restart.
#[derive(Debug, Default)]
pub struct MemoryKeyStore {
    keys: Mutex<BTreeMap<KeyId, KeyRecord>>,
}

impl MemoryKeyStore {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<KeyId, KeyRecord>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

fn add(keys: &mut BTreeMap<KeyId, KeyRecord>, record: &KeyRecord) -> Result<(), StoreError> {
    if keys.contains_key(&record.id) {
        return Err(StoreError::Conflict);
    }
    keys.insert(record.id, record.clone());
    Ok(())
}

impl KeyStore for MemoryKeyStore {
    fn find<'a>(&'a self, id: &'a KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>, StoreError>> {
        ready(Ok(self.keys().get(id).cloned()))
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(add(&mut self.keys(), record))
    }

    fn insert_first_admin<'a>(
        &'a self,
        record: &'a KeyRecord,
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut keys = self.keys();
        let is_first = !keys.values().any(|key| key.is_active_admin(now));
        ready(if is_first { add(&mut keys, record) } else { Err(StoreError::Conflict) })
    }

    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut keys = self.keys();
        let is_replaceable = keys.get(old).is_some_and(|key| key.revoked_at.is_none() && key.rotated_to.is_none());
        if !is_replaceable {
            return ready(Err(StoreError::Conflict));
        }
        let added = add(&mut keys, new);
        if let (Ok(()), Some(key)) = (added, keys.get_mut(old)) {
            key.rotated_to = Some(new.id);
            key.grace_until = Some(grace_until);
        }
        ready(added)
    }

    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> BoxFuture<'a, Result<u64, StoreError>> {
        let mut count = 0;
        for key in self.keys().values_mut() {
            let is_meant = match target {
                Revoke::Key(id) => key.id == *id,
                Revoke::Family(family) => key.family == *family,
            };
            if is_meant && key.revoked_at.is_none() {
                key.revoked_at = Some(at);
                count += 1;
            }
        }
        ready(Ok(count))
    }

    fn list<'a>(&'a self, after: Option<&'a KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<KeyRecord>, StoreError>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.keys();
        ready(Ok(keys.range((from, Bound::Unbounded)).take(limit).map(|(_, key)| key.clone()).collect()))
    }

    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut keys = self.keys();
        for (id, at) in used {
            if let Some(key) = keys.get_mut(id) {
                key.last_used_at = key.last_used_at.max(Some(*at));
            }
        }
        ready(Ok(()))
    }
}
