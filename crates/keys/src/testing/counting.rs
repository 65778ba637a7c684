//! A store that counts, and can be away or slow: for tests of what uses one.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::UnixMillis;
use crate::error::StoreError;
use crate::id::{FamilyId, KeyId};
use crate::memory::MemoryKeyStore;
use crate::once::OnceRecord;
use crate::record::KeyRecord;
use crate::store::{Asked, KeyStore, Rehash, Revoke, Stored};
use crate::tenant::{Tenant, TenantRecord};

/// Keys in memory, in a store that counts what is asked of it and can be taken away.
#[derive(Debug, Default)]
pub struct CountingStore {
    inner: MemoryKeyStore,
    calls: AtomicU64,
    is_away: AtomicBool,
    held: Mutex<Option<oneshot::Receiver<()>>>,
}

impl CountingStore {
    /// The next `find` reads its row at once and gives it when this is sent.
    pub fn hold_next_find(&self) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        *self.held() = Some(held);
        release
    }

    /// How many calls there were, those that found it away included.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Takes it away, or brings it back.
    pub fn take_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn held(&self) -> MutexGuard<'_, Option<oneshot::Receiver<()>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inner<'a, T: Send + 'a>(&'a self, ask: impl FnOnce(&'a MemoryKeyStore) -> Stored<'a, T>) -> Stored<'a, T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(StoreError::Unavailable)));
        }
        ask(&self.inner)
    }
}

impl KeyStore for CountingStore {
    fn find<'a>(&'a self, id: &'a KeyId) -> Stored<'a, Option<KeyRecord>> {
        let held = self.held().take();
        self.inner(|store| {
            Box::pin(async move {
                let found = store.find(id).await;
                if let Some(held) = held {
                    // Whoever holds it may have gone.
                    let _ = held.await;
                }
                found
            })
        })
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        self.inner(|store| store.insert(record, asked))
    }

    fn insert_first_admin<'a>(&'a self, record: &'a KeyRecord, now: UnixMillis) -> Stored<'a, ()> {
        self.inner(|store| store.insert_first_admin(record, now))
    }

    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
        asked: Asked<'a>,
    ) -> Stored<'a, ()> {
        self.inner(|store| store.replace(old, grace_until, new, asked))
    }

    fn update<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        self.inner(|store| store.update(record, asked))
    }

    fn rehash<'a>(&'a self, rehash: Rehash<'a>) -> Stored<'a, bool> {
        self.inner(|store| store.rehash(rehash))
    }

    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> Stored<'a, Vec<KeyId>> {
        self.inner(|store| store.revoke(target, at))
    }

    fn list<'a>(
        &'a self,
        tenant: Option<&'a Tenant>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        self.inner(|store| store.list(tenant, after, limit))
    }

    fn ending<'a>(
        &'a self,
        within: Range<UnixMillis>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        self.inner(|store| store.ending(within, after, limit))
    }

    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> Stored<'a, ()> {
        self.inner(|store| store.touch(used))
    }

    fn find_once<'a>(&'a self, maker: &'a FamilyId, token: &'a str, now: UnixMillis) -> Stored<'a, Option<OnceRecord>> {
        self.inner(|store| store.find_once(maker, token, now))
    }

    fn forget_once(&self, now: UnixMillis) -> Stored<'_, ()> {
        self.inner(|store| store.forget_once(now))
    }

    fn peppers(&self) -> Stored<'_, Vec<char>> {
        self.inner(|store| store.peppers())
    }

    fn insert_tenant<'a>(&'a self, tenant: &'a TenantRecord) -> Stored<'a, ()> {
        self.inner(|store| store.insert_tenant(tenant))
    }

    fn find_tenant<'a>(&'a self, id: &'a Tenant) -> Stored<'a, Option<TenantRecord>> {
        self.inner(|store| store.find_tenant(id))
    }

    fn list_tenants<'a>(&'a self, after: Option<&'a Tenant>, limit: usize) -> Stored<'a, Vec<TenantRecord>> {
        self.inner(|store| store.list_tenants(after, limit))
    }
}
