//! Keys that are there: other terms, or an end.

use crate::UnixMillis;
use crate::error::IssueError;
use crate::id::KeyId;
use crate::issuer::{Issuer, asker, check_name, check_time, may_have_changed, or_store, permit, within};
use crate::limits::KeyLimits;
use crate::lineage::Lineage;
use crate::networks::Networks;
use crate::principal::Principal;
use crate::record::KeyRecord;
use crate::revocations::Changed;
use crate::scopes::{AdminAct, Scopes};
use crate::store::{Asked, Revoke};
use crate::tenant::Tenant;

/// What shall change in a key and its family; what is not named stays.
#[non_exhaustive]
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What it is called.
    pub name: Option<String>,
    /// What it may do; of the same kind as before.
    pub scopes: Option<Scopes>,
    /// How much it may use, all of it said anew.
    pub limits: Option<KeyLimits>,
    /// From where it may be used.
    pub addresses: Option<Networks>,
    /// When it begins; `Some(None)` takes a beginning away.
    pub not_before: Option<Option<UnixMillis>>,
    /// When it ends; `Some(None)` takes an end away.
    pub expires_at: Option<Option<UnixMillis>>,
    /// The version that the caller has seen; any, if there is none.
    pub version: Option<u64>,
}

/// A key before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// As it was.
    pub before: KeyRecord,
    /// As it is.
    pub after: KeyRecord,
}

impl Issuer {
    /// Changes the name or the terms of a key and its family. Keys that it has made keep no more than it has
    /// now. `by` must hold `keys:write` and have all that the key has, before and after; nor may it come to
    /// reach further than whoever made it. What changes nothing leaves the version.
    ///
    /// # Errors
    /// [`IssueError`]; nothing has changed then.
    pub async fn update(
        &self,
        by: &Principal,
        id: &KeyId,
        change: Change,
        now: UnixMillis,
    ) -> Result<Updated, IssueError> {
        permit(by, AdminAct::KeysWrite, now)?;
        let lineage = Lineage::of(&*self.store, self.reach(by, id).await?).await?;
        let before = &lineage.record;
        within(by, &before.terms)?;
        if before.revoked_at.is_some() {
            return Err(IssueError::NotActive);
        }
        if change.version.is_some_and(|seen| seen != before.version) {
            return Err(IssueError::Changed);
        }
        let after = changed(before, change)?;
        let is_maker = matches!(after.terms.scopes, Scopes::Admin(_));
        let rows = if is_maker { Changed::All } else { Changed::Family(after.family) };
        if (&after.name, &after.terms) == (&before.name, &before.terms) {
            // Whoever asks again may not know whether others were told.
            self.changed(&rows).await;
            return Ok(Updated { before: before.clone(), after: before.clone() });
        }
        check_name(&after.name, 1)?;
        if after.terms.expires_at != before.terms.expires_at || after.terms.not_before != before.terms.not_before {
            check_time(&after.terms, now)?;
        }
        within(by, &after.terms)?;
        let most = lineage.most().map_err(|_| IssueError::WiderThanMaker("scopes"))?;
        if let Some(what) = most.and_then(|most| after.terms.beyond(&most)) {
            return Err(IssueError::WiderThanMaker(what));
        }
        let updated = self.store.update(&after, Asked { by: asker(by), once: None }).await;
        if may_have_changed(&updated) {
            self.changed(&rows).await;
        }
        updated.map_err(or_store(IssueError::Changed))?;
        Ok(Updated { before: lineage.record, after })
    }

    /// Revokes a key, a family or a tenant but the default one, for good. Gives the keys that are revoked now and
    /// were not before; revoking again is no error. Keys that a revoked key has made go on.
    ///
    /// An inference key in reach may be revoked by whoever holds `keys:write`; an admin key by itself and by those who
    /// may do as much; a tenant, with all that it has, by whoever holds `tenants:all` too.
    ///
    /// Nothing is in the way of revoking the last admin key: a stolen one must end. The next is made as the
    /// first was.
    ///
    /// # Errors
    /// [`IssueError::NotFound`] and [`IssueError::NoTenant`] for what is not there or out of reach;
    /// [`IssueError::Forbidden`] for a tenant, unless `by` holds `tenants:all`.
    pub async fn revoke(&self, by: &Principal, target: Revoke, now: UnixMillis) -> Result<Vec<KeyId>, IssueError> {
        permit(by, AdminAct::KeysWrite, now)?;
        self.still(by).await?;
        let target = match target {
            Revoke::Key(id) => Revoke::Key(self.revocable(by, &id).await?.id),
            // Any key of a family may stand for it.
            Revoke::Family(family) => Revoke::Family(self.revocable(by, &family.founder()).await?.family),
            Revoke::Tenant(tenant) if tenant == Tenant::default() => return Err(IssueError::DefaultTenant),
            Revoke::Tenant(tenant) => {
                permit(by, AdminAct::TenantsAll, now)?;
                Revoke::Tenant(self.store.find_tenant(&tenant).await?.ok_or(IssueError::NoTenant)?.id)
            }
        };
        let revoked = self.store.revoke(&target, now).await;
        if may_have_changed(&revoked) {
            self.changed(&Changed::from(&target)).await;
        }
        Ok(revoked?)
    }

    /// A weaker admin must not end a stronger one; what counts is what the makers leave of it.
    async fn revocable(&self, by: &Principal, id: &KeyId) -> Result<KeyRecord, IssueError> {
        let record = self.reach(by, id).await?;
        if !matches!(record.terms.scopes, Scopes::Admin(_)) || record.family == *by.family() {
            return Ok(record);
        }
        let left = match Lineage::of(&*self.store, record.clone()).await {
            Ok(lineage) => lineage.terms(),
            // A maker whose row is unreadable protects nobody.
            Err(_) => Some(record.terms.clone()),
        };
        match left {
            Some(left) if !by.scopes().covers(&left.scopes) => Err(IssueError::WiderThanMaker("scopes")),
            _ => Ok(record),
        }
    }
}

/// The record with the change in it.
fn changed(before: &KeyRecord, change: Change) -> Result<KeyRecord, IssueError> {
    let Change { name, scopes, limits, addresses, not_before, expires_at, version: _ } = change;
    let mut after = before.clone();
    after.version = before.version.saturating_add(1);
    if let Some(scopes) = scopes {
        if std::mem::discriminant(&scopes) != std::mem::discriminant(&before.terms.scopes) {
            return Err(IssueError::OtherKind);
        }
        after.terms.scopes = scopes;
    }
    after.name = name.unwrap_or(after.name);
    after.terms.limits = limits.unwrap_or(after.terms.limits);
    after.terms.addresses = addresses.unwrap_or(after.terms.addresses);
    after.terms.not_before = not_before.unwrap_or(after.terms.not_before);
    after.terms.expires_at = expires_at.unwrap_or(after.terms.expires_at);
    Ok(after)
}
