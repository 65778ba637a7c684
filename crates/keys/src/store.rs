//! The seam to where keys are kept.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use crate::UnixMillis;
use crate::error::StoreError;
use crate::hash::SecretHash;
use crate::id::{FamilyId, KeyId};
use crate::once::OnceRecord;
use crate::record::KeyRecord;
use crate::tenant::{Tenant, TenantRecord};

/// A boxed future, so that [`KeyStore`] stays object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a store answers.
pub type Stored<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revoke {
    /// One key.
    Key(KeyId),
    /// A key and all it was rotated from and into.
    Family(FamilyId),
    /// A tenant, with all its keys; it gets no new ones.
    Tenant(Tenant),
}

/// A new hash of a secret that did not change.
#[derive(Debug, Clone, Copy)]
pub struct Rehash<'a> {
    /// The key.
    pub id: &'a KeyId,
    /// What is there.
    pub from: &'a SecretHash,
    /// What shall be there.
    pub to: &'a SecretHash,
    /// The pepper in it.
    pub pepper_kid: char,
}

/// How a change was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The key that asks. When it is revoked by then, nothing changes: not even for a request that was under
    /// way when it was revoked.
    pub by: Option<&'a KeyId>,
    /// The request that may come twice.
    pub once: Option<&'a OnceRecord>,
}

/// Where keys are kept. Each call is all or nothing, and durable when it returns; calls that change keys of
/// one tenant happen one after the other. The cases that an implementation must pass are in
/// `testing::suite`.
pub trait KeyStore: Send + Sync {
    /// The key of this id.
    fn find<'a>(&'a self, id: &'a KeyId) -> Stored<'a, Option<KeyRecord>>;

    /// Keeps a new key, and what it was asked for with. [`StoreError::Conflict`] if the id or the token of
    /// the same maker is taken, or the tenant is not there or revoked; [`StoreError::AskerRevoked`].
    fn insert<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()>;

    /// Keeps a new key if no admin key [works](KeyRecord::is_active_admin) at `now`, in one step, so
    /// that of several callers one wins. [`StoreError::Conflict`] otherwise.
    fn insert_first_admin<'a>(&'a self, record: &'a KeyRecord, now: UnixMillis) -> Stored<'a, ()>;

    /// Keeps `new`, and what it was asked for with, and lets `old` end at `grace_until`, in one step.
    /// [`StoreError::Conflict`] if there is no `old`, or it is revoked or already replaced or of another
    /// version than `new`, or the new id or the token is taken; [`StoreError::AskerRevoked`].
    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
        asked: Asked<'a>,
    ) -> Stored<'a, ()>;

    /// Gives all keys of the record's family its name, terms and version. [`StoreError::Conflict`] unless they
    /// are of the version before; [`StoreError::AskerRevoked`].
    fn update<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()>;

    /// Puts a new hash in the place of an old one, if it is still there. Gives whether it was.
    fn rehash<'a>(&'a self, rehash: Rehash<'a>) -> Stored<'a, bool>;

    /// Revokes, for good. Gives the keys that were not revoked before and are now, in no order.
    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> Stored<'a, Vec<KeyId>>;

    /// Up to `limit` keys in the order of their ids, those after `after`; of one tenant, if one is named.
    fn list<'a>(
        &'a self,
        tenant: Option<&'a Tenant>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>>;

    /// Up to `limit` keys that are not revoked and end within this time, by expiry or by rotation, in the order
    /// of their ids, those after `after`.
    fn ending<'a>(
        &'a self,
        within: Range<UnixMillis>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>>;

    /// Notes when keys were last used. Ids that are not there are passed over; time never goes back. Part of it
    /// may be done when it fails.
    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> Stored<'a, ()>;

    /// What this maker asked for with this token, unless it has expired at `now`.
    fn find_once<'a>(&'a self, maker: &'a FamilyId, token: &'a str, now: UnixMillis) -> Stored<'a, Option<OnceRecord>>;

    /// Forgets what was asked for and has expired at `now`.
    fn forget_once(&self, now: UnixMillis) -> Stored<'_, ()>;

    /// The peppers without which keys that are not revoked could not be checked, in order.
    fn peppers(&self) -> Stored<'_, Vec<char>>;

    /// Keeps a new tenant. [`StoreError::Conflict`] if there is one of this name. `default` is always there.
    fn insert_tenant<'a>(&'a self, tenant: &'a TenantRecord) -> Stored<'a, ()>;

    /// The tenant of this name.
    fn find_tenant<'a>(&'a self, id: &'a Tenant) -> Stored<'a, Option<TenantRecord>>;

    /// Up to `limit` tenants in the order of their names, those after `after`.
    fn list_tenants<'a>(&'a self, after: Option<&'a Tenant>, limit: usize) -> Stored<'a, Vec<TenantRecord>>;
}

impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    fn find<'a>(&'a self, id: &'a KeyId) -> Stored<'a, Option<KeyRecord>> {
        (**self).find(id)
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        (**self).insert(record, asked)
    }

    fn insert_first_admin<'a>(&'a self, record: &'a KeyRecord, now: UnixMillis) -> Stored<'a, ()> {
        (**self).insert_first_admin(record, now)
    }

    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
        asked: Asked<'a>,
    ) -> Stored<'a, ()> {
        (**self).replace(old, grace_until, new, asked)
    }

    fn update<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        (**self).update(record, asked)
    }

    fn rehash<'a>(&'a self, rehash: Rehash<'a>) -> Stored<'a, bool> {
        (**self).rehash(rehash)
    }

    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> Stored<'a, Vec<KeyId>> {
        (**self).revoke(target, at)
    }

    fn list<'a>(
        &'a self,
        tenant: Option<&'a Tenant>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        (**self).list(tenant, after, limit)
    }

    fn ending<'a>(
        &'a self,
        within: Range<UnixMillis>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        (**self).ending(within, after, limit)
    }

    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> Stored<'a, ()> {
        (**self).touch(used)
    }

    fn find_once<'a>(&'a self, maker: &'a FamilyId, token: &'a str, now: UnixMillis) -> Stored<'a, Option<OnceRecord>> {
        (**self).find_once(maker, token, now)
    }

    fn forget_once(&self, now: UnixMillis) -> Stored<'_, ()> {
        (**self).forget_once(now)
    }

    fn peppers(&self) -> Stored<'_, Vec<char>> {
        (**self).peppers()
    }

    fn insert_tenant<'a>(&'a self, tenant: &'a TenantRecord) -> Stored<'a, ()> {
        (**self).insert_tenant(tenant)
    }

    fn find_tenant<'a>(&'a self, id: &'a Tenant) -> Stored<'a, Option<TenantRecord>> {
        (**self).find_tenant(id)
    }

    fn list_tenants<'a>(&'a self, after: Option<&'a Tenant>, limit: usize) -> Stored<'a, Vec<TenantRecord>> {
        (**self).list_tenants(after, limit)
    }
}
