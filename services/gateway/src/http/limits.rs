//! How the quotas and budgets of a key stand: `GET /v1/limits`.

use actix_web::HttpResponse;
use core_validate::ModelName;
use keys::Principal;
use pipeline::{About, Code, PrivacyStand, QueryStand, Rejection, Stand, Step};
use serde_json::{Value, json};

use crate::http::{Shared, render};
use crate::request_id;

/// Every quota and budget that counts requests of this key.
pub(super) async fn show(shared: &Shared, about: About, principal: &Principal) -> Result<HttpResponse, Rejection> {
    let stands = shared.pipeline.standings(&about, principal).await;
    let private = shared.pipeline.privacy_standings(principal).await;
    let queries = shared.pipeline.query_standings(principal).await;
    let (Ok(stands), Ok(private), Ok(queries)) = (stands, private, queries) else {
        return Err(shared.pipeline.refuse(about, Step::Admit, Code::LimitsUnavailable));
    };
    let now = request_id::unix_millis();
    let limits = stands.iter().map(quota).chain(private.iter().map(privacy));
    let limits: Vec<Value> = limits.chain(queries.iter().map(|stand| distinct(stand, now))).collect();
    let body = json!({"object": "list", "key": principal.key_id().to_string(), "data": limits});
    Ok(render::json_for(principal, about.request_id(), &body))
}

fn quota(Stand { standing, planned }: &Stand) -> Value {
    json!({
        "name": standing.policy,
        "of": planned.whose.as_str(),
        "counts": planned.counts.as_str(),
        "models": if planned.models.is_empty() { json!("*") } else { json!(names(&planned.models)) },
        "limit": standing.quota.units(),
        "window_seconds": standing.quota.window().and_then(|window| window.seconds()),
        "burst": standing.quota.most(),
        "remaining": standing.remaining,
        "reset_after_seconds": standing.reset_after.map(ratelimit_redis::retry_after),
    })
}

fn privacy(stand: &PrivacyStand) -> Value {
    json!({
        "name": stand.data_set,
        "of": if stand.is_of_family { "family" } else { "all" },
        "counts": privacy::dp::NANO_RHO,
        "models": names(&stand.models),
        "limit": stand.quota.units(),
        "window_seconds": null,
        "burst": stand.quota.most(),
        "remaining": stand.remaining,
        "reset_after_seconds": null,
    })
}

/// The window is a day or month of the calendar, so that it has an end and no length.
fn distinct(QueryStand { models, is_of_family, standing }: &QueryStand, now: u64) -> Value {
    let most = standing.budget.hard_limit();
    json!({
        "name": "queries",
        "of": if *is_of_family { "family" } else { "tenant" },
        "counts": "distinct_queries",
        "models": names(models),
        "limit": most,
        "window_seconds": null,
        "burst": most,
        "remaining": most.saturating_sub(standing.distinct),
        "reset_after_seconds": standing.ends.saturating_sub(now).div_ceil(1_000),
    })
}

fn names(models: &[ModelName]) -> Vec<&str> {
    models.iter().map(ModelName::as_str).collect()
}
