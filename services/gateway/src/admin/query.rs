//! Which part of a list is asked for.

use std::str::FromStr;

use ::keys::{MAX_LIST, Tenant};
use actix_web::HttpRequest;

/// `?after=..&limit=..&tenant=..`, each at most once.
pub(super) struct Query<T> {
    pub(super) tenant: Option<Tenant>,
    pub(super) after: Option<T>,
    pub(super) limit: usize,
}

impl<T: FromStr> Query<T> {
    /// `None` for a query that says anything else. Names and ids need no encoding, so none is undone.
    pub(super) fn read(request: &HttpRequest, has_tenant: bool) -> Option<Self> {
        let (mut tenant, mut after, mut limit) = (None, None, None);
        let query = request.uri().query().unwrap_or_default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=')? {
                ("tenant", name) if has_tenant && tenant.is_none() => tenant = Some(name.parse().ok()?),
                ("after", name) if after.is_none() => after = Some(name.parse().ok()?),
                ("limit", number) if limit.is_none() => {
                    limit = Some(number.parse().ok().filter(|limit| (1..=MAX_LIST).contains(limit))?);
                }
                _ => return None,
            }
        }
        Some(Self { tenant, after, limit: limit.unwrap_or(MAX_LIST) })
    }
}
