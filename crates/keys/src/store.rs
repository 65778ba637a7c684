//! The seam to where keys are kept.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::UnixMillis;
use crate::error::StoreError;
use crate::id::{FamilyId, KeyId};
use crate::record::KeyRecord;

/// A boxed future, so that [`KeyStore`] stays object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revoke {
    /// One key.
    Key(KeyId),
    /// A key and all it was rotated from and into.
    Family(FamilyId),
}

/// Where keys are kept. Each call is all or nothing, and durable when it returns. The cases that an
/// implementation must pass are in `testing::suite`.
pub trait KeyStore: Send + Sync {
    /// The key of this id.
    fn find<'a>(&'a self, id: &'a KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>, StoreError>>;

    /// Keeps a new key. [`StoreError::Conflict`] if the id is taken.
    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Keeps a new key if no admin key [works](KeyRecord::is_active_admin) at `now`, in one step, so
    /// that of several callers one wins. [`StoreError::Conflict`] otherwise.
    fn insert_first_admin<'a>(
        &'a self,
        record: &'a KeyRecord,
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Keeps `new` and lets `old` end at `grace_until`, in one step. [`StoreError::Conflict`] if
    /// there is no `old`, or it is revoked or already replaced, or the new id is taken.
    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Revokes, for good. Gives how many keys that were not revoked before are now.
    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Up to `limit` keys in the order of their ids, those after `after`.
    fn list<'a>(&'a self, after: Option<&'a KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<KeyRecord>, StoreError>>;

    /// Notes when keys were last used. Ids that are not there are passed over; time never goes back.
    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> BoxFuture<'a, Result<(), StoreError>>;
}

impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    fn find<'a>(&'a self, id: &'a KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>, StoreError>> {
        (**self).find(id)
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).insert(record)
    }

    fn insert_first_admin<'a>(
        &'a self,
        record: &'a KeyRecord,
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).insert_first_admin(record, now)
    }

    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).replace(old, grace_until, new)
    }

    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> BoxFuture<'a, Result<u64, StoreError>> {
        (**self).revoke(target, at)
    }

    fn list<'a>(&'a self, after: Option<&'a KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<KeyRecord>, StoreError>> {
        (**self).list(after, limit)
    }

    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).touch(used)
    }
}
