//! Tenants over the admin API: make, list, look at, revoke.

use ::keys::{Revoke, Tenant};
use actix_web::{HttpRequest, HttpResponse};
use pipeline::{Code, Rejection, Step};
use serde_json::json;

use crate::admin::Asked;
use crate::admin::answers::{OneTenant, Tenants};
use crate::admin::query::Query;
use crate::edge::body::Body;
use crate::key_form::TenantForm;
use crate::request_id::unix_millis;

impl Asked<'_> {
    pub(super) async fn list_tenants(self, request: &HttpRequest) -> Result<HttpResponse, Rejection> {
        let Some(Query { after, limit, .. }) = Query::<Tenant>::read(request, false) else {
            return Err(self.refuse(Step::Read, Code::BadRequest));
        };
        match self.admin.issuer.list_tenants(&self.principal, after.as_ref(), limit, unix_millis()).await {
            Ok(tenants) => {
                let next = if tenants.len() == limit { tenants.last().map(|last| last.id.clone()) } else { None };
                self.read("tenants.list", None, &Tenants { tenants, next }).await
            }
            Err(error) => Err(self.refuse_issue(&error)),
        }
    }

    pub(super) async fn find_tenant(self, id: Tenant) -> Result<HttpResponse, Rejection> {
        match self.admin.issuer.find_tenant(&self.principal, &id, unix_millis()).await {
            Ok(tenant) => self.read("tenants.find", Some(id.to_string()), &OneTenant { tenant: &tenant }).await,
            Err(error) => Err(self.refuse_issue(&error)),
        }
    }

    pub(super) async fn add_tenant(self, body: &Body) -> Result<HttpResponse, Rejection> {
        let (asked, _, form) = self.form::<TenantForm>(body).await?;
        let id = match form.id.parse::<Tenant>() {
            Ok(id) => id,
            Err(error) => return Err(asked.refuse_form(error.to_string())),
        };
        let target = Some(id.to_string());
        let asked = asked.begin("tenants.add", target.clone()).await?;
        match asked.admin.issuer.add_tenant(&asked.principal, id, form.title, unix_millis()).await {
            Ok(tenant) => {
                asked.done_as("tenants.add", target, None, json!(tenant)).await;
                Ok(asked.done(&OneTenant { tenant: &tenant }))
            }
            Err(error) => Err(asked.failed("tenants.add", target, &error).await),
        }
    }

    pub(super) async fn revoke_tenant(self, id: Tenant) -> Result<HttpResponse, Rejection> {
        self.revoke("tenants.revoke", id.to_string(), Revoke::Tenant(id)).await
    }
}
