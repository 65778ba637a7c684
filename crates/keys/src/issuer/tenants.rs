//! Those whom keys belong to.

use crate::UnixMillis;
use crate::error::IssueError;
use crate::issuer::{Issuer, MAX_LIST, check_name, or_store, permit};
use crate::principal::Principal;
use crate::scopes::AdminAct;
use crate::tenant::{Tenant, TenantRecord};

impl Issuer {
    /// Makes a tenant; keys can be issued to it from now on. `title` is what people call it, and may be empty.
    ///
    /// # Errors
    /// [`IssueError::Forbidden`] unless `by` holds `keys:write` and `tenants:all`;
    /// [`IssueError::TenantExists`].
    pub async fn add_tenant(
        &self,
        by: &Principal,
        id: Tenant,
        title: String,
        now: UnixMillis,
    ) -> Result<TenantRecord, IssueError> {
        permit(by, AdminAct::KeysWrite, now)?;
        permit(by, AdminAct::TenantsAll, now)?;
        self.still(by).await?;
        check_name(&title, 0)?;
        let tenant = TenantRecord::new(id, title, now);
        self.store.insert_tenant(&tenant).await.map_err(or_store(IssueError::TenantExists))?;
        Ok(tenant)
    }

    /// The tenant of this name.
    ///
    /// # Errors
    /// [`IssueError::Forbidden`] unless `by` holds `keys:read`; [`IssueError::NoTenant`].
    pub async fn find_tenant(&self, by: &Principal, id: &Tenant, now: UnixMillis) -> Result<TenantRecord, IssueError> {
        permit(by, AdminAct::KeysRead, now)?;
        if !by.reaches(id) {
            return Err(IssueError::NoTenant);
        }
        self.store.find_tenant(id).await?.ok_or(IssueError::NoTenant)
    }

    /// Up to `limit` tenants, at most [`MAX_LIST`], in the order of their names; the caller's own, if it reaches no
    /// other.
    ///
    /// # Errors
    /// [`IssueError::Forbidden`] unless `by` holds `keys:read`.
    pub async fn list_tenants(
        &self,
        by: &Principal,
        after: Option<&Tenant>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Vec<TenantRecord>, IssueError> {
        permit(by, AdminAct::KeysRead, now)?;
        if by.scopes().permits_admin(AdminAct::TenantsAll) {
            return Ok(self.store.list_tenants(after, limit.min(MAX_LIST)).await?);
        }
        let own = self.store.find_tenant(by.tenant()).await?;
        Ok(own.into_iter().filter(|own| limit > 0 && after.is_none_or(|after| own.id > *after)).collect())
    }
}
