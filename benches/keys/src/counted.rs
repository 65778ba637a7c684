//! A store in memory that counts what is asked of it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use keys::{
    Asked, FamilyId, KeyId, KeyRecord, KeyStore, MemoryKeyStore, OnceRecord, Rehash, Revoke, Stored, Tenant,
    TenantRecord, UnixMillis,
};

#[derive(Default)]
pub(crate) struct Counted {
    inner: MemoryKeyStore,
    calls: AtomicU64,
}

impl Counted {
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn inner(&self) -> &MemoryKeyStore {
        self.calls.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }
}

impl KeyStore for Counted {
    fn find<'a>(&'a self, id: &'a KeyId) -> Stored<'a, Option<KeyRecord>> {
        self.inner().find(id)
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        self.inner().insert(record, asked)
    }

    fn insert_first_admin<'a>(&'a self, record: &'a KeyRecord, now: UnixMillis) -> Stored<'a, ()> {
        self.inner().insert_first_admin(record, now)
    }

    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
        asked: Asked<'a>,
    ) -> Stored<'a, ()> {
        self.inner().replace(old, grace_until, new, asked)
    }

    fn update<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        self.inner().update(record, asked)
    }

    fn rehash<'a>(&'a self, rehash: Rehash<'a>) -> Stored<'a, bool> {
        self.inner().rehash(rehash)
    }

    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> Stored<'a, Vec<KeyId>> {
        self.inner().revoke(target, at)
    }

    fn list<'a>(
        &'a self,
        tenant: Option<&'a Tenant>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        self.inner().list(tenant, after, limit)
    }

    fn ending<'a>(
        &'a self,
        within: Range<UnixMillis>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        self.inner().ending(within, after, limit)
    }

    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> Stored<'a, ()> {
        self.inner().touch(used)
    }

    fn find_once<'a>(&'a self, maker: &'a FamilyId, token: &'a str, now: UnixMillis) -> Stored<'a, Option<OnceRecord>> {
        self.inner().find_once(maker, token, now)
    }

    fn forget_once(&self, now: UnixMillis) -> Stored<'_, ()> {
        self.inner().forget_once(now)
    }

    fn peppers(&self) -> Stored<'_, Vec<char>> {
        self.inner().peppers()
    }

    fn insert_tenant<'a>(&'a self, tenant: &'a TenantRecord) -> Stored<'a, ()> {
        self.inner().insert_tenant(tenant)
    }

    fn find_tenant<'a>(&'a self, id: &'a Tenant) -> Stored<'a, Option<TenantRecord>> {
        self.inner().find_tenant(id)
    }

    fn list_tenants<'a>(&'a self, after: Option<&'a Tenant>, limit: usize) -> Stored<'a, Vec<TenantRecord>> {
        self.inner().list_tenants(after, limit)
    }
}
