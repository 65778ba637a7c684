//! Keys in memory, for tests and for trying things out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::UnixMillis;
use crate::error::StoreError;
use crate::id::{FamilyId, KeyId};
use crate::once::OnceRecord;
use crate::record::KeyRecord;
use crate::store::{Asked, KeyStore, Rehash, Revoke, Stored};
use crate::tenant::{Tenant, TenantRecord};

/// Keys in memory: never unavailable, empty after a restart.
#[derive(Debug, Default)]
pub struct MemoryKeyStore(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    keys: BTreeMap<KeyId, KeyRecord>,
    /// All but the default one, which becomes a row when it is revoked.
    tenants: BTreeMap<Tenant, TenantRecord>,
    once: BTreeMap<(FamilyId, String), OnceRecord>,
}

impl MemoryKeyStore {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready<'a, T: Send + 'a>(value: Result<T, StoreError>) -> Stored<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Tables {
    fn tenant(&self, id: &Tenant) -> Option<TenantRecord> {
        let default = || (*id == Tenant::default()).then(|| TenantRecord::new(id.clone(), String::new(), 0));
        self.tenants.get(id).cloned().or_else(default)
    }

    fn all_tenants(&self) -> BTreeMap<Tenant, TenantRecord> {
        let default = self.tenant(&Tenant::default()).map(|tenant| (tenant.id.clone(), tenant));
        self.tenants.iter().map(|(id, tenant)| (id.clone(), tenant.clone())).chain(default).collect()
    }

    fn after(&self, after: Option<&KeyId>) -> impl Iterator<Item = &KeyRecord> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.keys.range((from, Bound::Unbounded)).map(|(_, key)| key)
    }

    fn check(&self, asked: Asked<'_>) -> Result<(), StoreError> {
        let asker = asked.by.and_then(|by| self.keys.get(by));
        let may_ask = asked.by.is_none() || asker.is_some_and(|asker| asker.revoked_at.is_none());
        may_ask.then_some(()).ok_or(StoreError::AskerRevoked)
    }

    fn add(&mut self, record: &KeyRecord, asked: Asked<'_>) -> Result<(), StoreError> {
        self.check(asked)?;
        let once = asked.once;
        self.once.retain(|_, known| known.expires_at > record.created_at);
        let has_tenant = self.tenant(&record.tenant).is_some_and(|tenant| tenant.revoked_at.is_none());
        let token = once.map(|once| (once.maker, once.token.clone()));
        let is_taken = token.as_ref().is_some_and(|token| self.once.contains_key(token));
        if !has_tenant || is_taken || self.keys.contains_key(&record.id) {
            return Err(StoreError::Conflict);
        }
        self.keys.insert(record.id, record.clone());
        if let (Some(token), Some(once)) = (token, once) {
            self.once.insert(token, once.clone());
        }
        Ok(())
    }

    fn replace(
        &mut self,
        old: &KeyId,
        grace_until: UnixMillis,
        new: &KeyRecord,
        asked: Asked<'_>,
    ) -> Result<(), StoreError> {
        let is_replaceable =
            |key: &KeyRecord| key.revoked_at.is_none() && key.rotated_to.is_none() && key.version == new.version;
        if !self.keys.get(old).is_some_and(is_replaceable) {
            return Err(StoreError::Conflict);
        }
        self.add(new, asked)?;
        if let Some(key) = self.keys.get_mut(old) {
            key.rotated_to = Some(new.id);
            key.rotated_at = Some(new.created_at);
            key.grace_until = Some(grace_until);
        }
        Ok(())
    }

    fn update(&mut self, record: &KeyRecord, asked: Asked<'_>) -> Result<(), StoreError> {
        self.check(asked)?;
        let before = record.version.checked_sub(1);
        let family = || |key: &&mut KeyRecord| key.family == record.family;
        let mut known = self.keys.values_mut().filter(family());
        if known.next().is_none_or(|key| Some(key.version) != before) {
            return Err(StoreError::Conflict);
        }
        for key in self.keys.values_mut().filter(family()) {
            key.name.clone_from(&record.name);
            key.terms = record.terms.clone();
            key.version = record.version;
        }
        Ok(())
    }

    fn revoke(&mut self, target: &Revoke, at: UnixMillis) -> Vec<KeyId> {
        if let Revoke::Tenant(id) = target
            && let Some(mut tenant) = self.tenant(id)
        {
            tenant.revoked_at = tenant.revoked_at.or(Some(at));
            self.tenants.insert(id.clone(), tenant);
        }
        let mut revoked = Vec::new();
        for key in self.keys.values_mut() {
            let is_meant = match target {
                Revoke::Key(id) => key.id == *id,
                Revoke::Family(family) => key.family == *family,
                Revoke::Tenant(tenant) => key.tenant == *tenant,
            };
            if is_meant && key.revoked_at.is_none() {
                key.revoked_at = Some(at);
                revoked.push(key.id);
            }
        }
        revoked
    }
}

impl KeyStore for MemoryKeyStore {
    fn find<'a>(&'a self, id: &'a KeyId) -> Stored<'a, Option<KeyRecord>> {
        ready(Ok(self.tables().keys.get(id).cloned()))
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        ready(self.tables().add(record, asked))
    }

    fn insert_first_admin<'a>(&'a self, record: &'a KeyRecord, now: UnixMillis) -> Stored<'a, ()> {
        let mut tables = self.tables();
        let is_first = !tables.keys.values().any(|key| key.is_active_admin(now));
        ready(if is_first { tables.add(record, Asked::default()) } else { Err(StoreError::Conflict) })
    }

    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
        asked: Asked<'a>,
    ) -> Stored<'a, ()> {
        ready(self.tables().replace(old, grace_until, new, asked))
    }

    fn update<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        ready(self.tables().update(record, asked))
    }

    fn rehash<'a>(&'a self, rehash: Rehash<'a>) -> Stored<'a, bool> {
        let mut tables = self.tables();
        let known = tables.keys.get_mut(rehash.id).filter(|key| key.hash == *rehash.from);
        ready(Ok(known.is_some_and(|key| {
            key.hash = rehash.to.clone();
            key.pepper_kid = rehash.pepper_kid;
            true
        })))
    }

    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> Stored<'a, Vec<KeyId>> {
        ready(Ok(self.tables().revoke(target, at)))
    }

    fn list<'a>(
        &'a self,
        tenant: Option<&'a Tenant>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        let tables = self.tables();
        let meant = tables.after(after).filter(|key| tenant.is_none_or(|tenant| key.tenant == *tenant));
        ready(Ok(meant.take(limit).cloned().collect()))
    }

    fn ending<'a>(
        &'a self,
        within: Range<UnixMillis>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        let tables = self.tables();
        let is_ending =
            |key: &&KeyRecord| key.revoked_at.is_none() && key.ends_at().is_some_and(|end| within.contains(&end));
        ready(Ok(tables.after(after).filter(is_ending).take(limit).cloned().collect()))
    }

    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> Stored<'a, ()> {
        let mut tables = self.tables();
        for (id, at) in used {
            if let Some(key) = tables.keys.get_mut(id) {
                key.last_used_at = key.last_used_at.max(Some(*at));
            }
        }
        ready(Ok(()))
    }

    fn find_once<'a>(&'a self, maker: &'a FamilyId, token: &'a str, now: UnixMillis) -> Stored<'a, Option<OnceRecord>> {
        let tables = self.tables();
        let known = tables.once.get(&(*maker, token.to_owned()));
        ready(Ok(known.filter(|known| known.expires_at > now).cloned()))
    }

    fn forget_once(&self, now: UnixMillis) -> Stored<'_, ()> {
        self.tables().once.retain(|_, known| known.expires_at > now);
        ready(Ok(()))
    }

    fn peppers(&self) -> Stored<'_, Vec<char>> {
        let tables = self.tables();
        let live = tables.keys.values().filter(|key| key.revoked_at.is_none());
        let kids: BTreeSet<_> = live.flat_map(|key| [key.pepper_kid, key.id.pepper_kid()]).collect();
        ready(Ok(kids.into_iter().collect()))
    }

    fn insert_tenant<'a>(&'a self, tenant: &'a TenantRecord) -> Stored<'a, ()> {
        let mut tables = self.tables();
        if tables.tenant(&tenant.id).is_some() {
            return ready(Err(StoreError::Conflict));
        }
        tables.tenants.insert(tenant.id.clone(), tenant.clone());
        ready(Ok(()))
    }

    fn find_tenant<'a>(&'a self, id: &'a Tenant) -> Stored<'a, Option<TenantRecord>> {
        ready(Ok(self.tables().tenant(id)))
    }

    fn list_tenants<'a>(&'a self, after: Option<&'a Tenant>, limit: usize) -> Stored<'a, Vec<TenantRecord>> {
        let all = self.tables().all_tenants();
        let later = all.into_values().filter(|tenant| after.is_none_or(|after| tenant.id > *after));
        ready(Ok(later.take(limit).collect()))
    }
}
