//! The operators' routes, as one table: it finds them, says what they need, and describes them.

use actix_web::http::Method;
use core_validate::ModelName;
use keys::{AdminAct, KeyId, Tenant};
use pipeline::Code;

use crate::admin::answers::{
    Issued, Key, Keys, Monitored, Monitors, OneTenant, Records, Reloaded, Revoked, Status, Tenants,
};
use crate::admin::openapi::Shape;
use crate::key_form::{ChangeForm, KeyForm, RevokeForm, RotateForm, TenantForm};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Live,
    Ready,
    Metrics,
    Describe,
    Reload,
    Explain(String),
    ListKeys,
    IssueKey,
    FindKey(KeyId),
    ChangeKey(KeyId),
    RotateKey(KeyId),
    RevokeKey(KeyId),
    ListTenants,
    AddTenant,
    FindTenant(Tenant),
    RevokeTenant(Tenant),
    ListMonitors,
    LearnMonitor(ModelName),
    ForgetMonitor(ModelName),
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    AnyAdminKey,
    Act(AdminAct),
}

/// One line of the table.
pub(super) struct Entry {
    pub(super) method: Method,
    /// With at most one `{id}`.
    pub(super) path: &'static str,
    pub(super) needs: Needs,
    /// The stable name of the operation.
    pub(super) name: &'static str,
    pub(super) does: &'static str,
    pub(super) asks: Option<Shape>,
    /// None is no JSON.
    pub(super) answers: Option<Shape>,
    /// `None` when what stands for `{id}` is none.
    route: fn(&str) -> Option<Route>,
}

const READ: Needs = Needs::Act(AdminAct::KeysRead);
const WRITE: Needs = Needs::Act(AdminAct::KeysWrite);

macro_rules! table {
    ($($method:ident $path:literal $needs:expr, $name:literal $does:literal, $asks:expr, $answers:expr, $route:expr;)*) => {
        pub(super) static ROUTES: &[Entry] = &[$(Entry {
            method: Method::$method,
            path: $path,
            needs: $needs,
            name: $name,
            does: $does,
            asks: $asks,
            answers: $answers,
            route: $route,
        }),*];
    };
}

const fn shape<T: utoipa::ToSchema>() -> Option<Shape> {
    Some(Shape::of::<T>())
}

table! {
    GET "/livez" Needs::Nothing, "live" "Whether the process answers.",
        None, shape::<Status>(), |_| Some(Route::Live);
    GET "/readyz" Needs::Nothing, "ready" "Whether keys can be read and requests be recorded.",
        None, shape::<Status>(), |_| Some(Route::Ready);
    GET "/metrics" Needs::Act(AdminAct::MetricsRead), "metrics"
        "Metrics as OpenMetrics text. Addresses in server.metrics_from need no key.",
        None, None, |_| Some(Route::Metrics);
    GET "/admin/openapi.json" Needs::AnyAdminKey, "describe" "This document.",
        None, None, |_| Some(Route::Describe);
    POST "/admin/reload" Needs::Act(AdminAct::ConfigReload), "reload"
        "Reads the settings again: models, limits, quotas and screening; all of it, or nothing changes.",
        None, shape::<Reloaded>(), |_| Some(Route::Reload);
    GET "/admin/requests/{id}" Needs::Act(AdminAct::AuditRead), "explainRequest"
        "All that is on record of a request, by its x-request-id.",
        None, shape::<Records>(), |id| is_request_id(id).then(|| Route::Explain(id.to_owned()));
    GET "/admin/keys" READ, "listKeys" "Keys within reach, in the order of their ids.",
        None, shape::<Keys>(), |_| Some(Route::ListKeys);
    POST "/admin/keys" WRITE, "issueKey" "Makes a key, which is shown this once.",
        shape::<KeyForm>(), shape::<Issued<'_>>(), |_| Some(Route::IssueKey);
    GET "/admin/keys/{id}" READ, "findKey" "A key, without its secret.",
        None, shape::<Key<'_>>(), |id| id.parse().ok().map(Route::FindKey);
    PATCH "/admin/keys/{id}" WRITE, "changeKey"
        "Changes the name or the terms of a key and its family; what is not named stays.",
        shape::<ChangeForm>(), shape::<Key<'_>>(), |id| id.parse().ok().map(Route::ChangeKey);
    POST "/admin/keys/{id}/rotate" WRITE, "rotateKey"
        "Makes a key in the place of another, which goes on working for a while.",
        shape::<RotateForm>(), shape::<Issued<'_>>(), |id| id.parse().ok().map(Route::RotateKey);
    POST "/admin/keys/{id}/revoke" WRITE, "revokeKey" "Makes a key, or its whole family, useless at once and for good.",
        shape::<RevokeForm>(), shape::<Revoked>(), |id| id.parse().ok().map(Route::RevokeKey);
    GET "/admin/tenants" READ, "listTenants" "Tenants within reach, in the order of their names.",
        None, shape::<Tenants>(), |_| Some(Route::ListTenants);
    POST "/admin/tenants" WRITE, "addTenant" "Makes a tenant, to which keys can be issued. Needs tenants:all, too.",
        shape::<TenantForm>(), shape::<OneTenant<'_>>(), |_| Some(Route::AddTenant);
    GET "/admin/tenants/{id}" READ, "findTenant" "A tenant.",
        None, shape::<OneTenant<'_>>(), |id| id.parse().ok().map(Route::FindTenant);
    POST "/admin/tenants/{id}/revoke" WRITE, "revokeTenant"
        "Revokes a tenant and all its keys, at once and for good. Needs tenants:all, too.",
        None, shape::<Revoked>(), |id| id.parse().ok().map(Route::RevokeTenant);
    GET "/admin/monitors" Needs::Act(AdminAct::AuditRead), "listMonitors"
        "The models that are watched, and the key families within reach that ask them, the most suspicious first.",
        None, shape::<Monitors>(), |_| Some(Route::ListMonitors);
    POST "/admin/monitors/{id}/learn" Needs::Act(AdminAct::ConfigReload), "learnMonitor"
        "Learns from what a model was asked so far what honest questions are, and watches with that from now on.",
        None, shape::<Monitored>(), |id| id.parse().ok().map(Route::LearnMonitor);
    POST "/admin/monitors/{id}/forget" Needs::Act(AdminAct::ConfigReload), "forgetMonitor"
        "Forgets what honest questions to a model are, and records anew to learn it.",
        None, shape::<Monitored>(), |id| id.parse().ok().map(Route::ForgetMonitor);
}

fn is_request_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Finds the route of a request. `HEAD` asks what `GET` would say.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Entry, Route), Code> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut code = Code::UnknownRoute;
    for entry in ROUTES {
        let Some(route) = id_in(entry.path, path).and_then(|id| (entry.route)(id)) else { continue };
        if entry.method == *method {
            return Ok((entry, route));
        }
        code = Code::MethodNotAllowed;
    }
    Err(code)
}

/// The methods of a path, for `Allow`; of one that is not there, those of the listener.
pub(super) fn allowed(path: &str) -> String {
    let there = ROUTES.iter().filter(|entry| id_in(entry.path, path).is_some_and(|id| (entry.route)(id).is_some()));
    let mut methods: Vec<&str> = there.map(|entry| entry.method.as_str()).collect();
    if methods.is_empty() {
        methods = vec!["GET", "PATCH", "POST"];
    }
    methods.sort_unstable();
    if methods.first() == Some(&"GET") {
        methods.insert(1, "HEAD");
    }
    methods.join(", ")
}

/// What stands for `{id}` in the path; nothing where there is none.
fn id_in<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    match template.split_once("{id}") {
        None => (template == path).then_some(""),
        Some((before, after)) => {
            let id = path.strip_prefix(before)?.strip_suffix(after)?;
            (!id.is_empty() && !id.contains('/')).then_some(id)
        }
    }
}
