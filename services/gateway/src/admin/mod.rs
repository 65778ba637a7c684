//! The operators' listener: probes, metrics, keys, tenants, reload. Every act is authorised and recorded.

mod answers;
mod keys;
mod monitors;
mod openapi;
mod query;
mod reload;
mod routes;
mod tenants;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use ::keys::{AdminAct, IssueError, Issuer, Principal, Scopes, StoreError, Tenant};
use actix_web::http::Method;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use audit::{Act, Record};
use futures_util::FutureExt as _;
use ipnet::IpNet;
use pipeline::{About, Code, Pipeline, Rejection, Step, TrailStand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::Segment;

use crate::admin::answers::{Records, Reloaded, Status};
use crate::edge::body::Body;
use crate::edge::head;
use crate::edge::one_by_one::Turn;
use crate::http::render::{self, Shape};
use crate::monitors::Monitors;
use crate::trail::Trail;

pub use reload::Reloader;
use routes::{Needs, Route, find};

const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::PATCH];
/// The fields of all forms.
const FIELDS: &[&str] = &[
    "name",
    "tenant",
    "scopes",
    "inference",
    "admin",
    "acts",
    "grants",
    "models",
    "operations",
    "trust_system",
    "limits",
    "requests",
    "tokens",
    "input_tokens",
    "output_tokens",
    "spend",
    "budget",
    "concurrent",
    "addresses",
    "not_before",
    "expires_at",
    "expires_in_seconds",
    "version",
    "grace_seconds",
    "family",
    "id",
    "title",
];
const MAX_BODY: usize = 64 << 10;
const DEADLINE: Duration = Duration::from_secs(10);

/// What the operators' handler needs.
pub(crate) struct Admin {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) issuer: Issuer,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) monitors: Arc<Monitors>,
    pub(crate) metrics_from: Vec<IpNet>,
    pub(crate) trail: Trail,
}

/// A request on its way through the operators' listener.
struct Asked<'a> {
    admin: &'a Admin,
    about: About,
    principal: Principal,
}

/// Answers every request of the operators' listener. What was begun is ended and recorded, also when its caller leaves.
pub(crate) async fn handle(request: HttpRequest, payload: Payload, admin: Data<Admin>) -> HttpResponse {
    let turn = Turn::of(&request);
    let handled = actix_web::rt::spawn(handle_to_the_end(request, payload, admin)).await;
    turn.over_with(handled.unwrap_or_else(|_| HttpResponse::InternalServerError().finish()))
}

/// A panic becomes a generic 500.
async fn handle_to_the_end(request: HttpRequest, payload: Payload, admin: Data<Admin>) -> HttpResponse {
    let request_id = crate::request_id::new();
    let peer = request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip().to_canonical());
    let about = About::new(request_id, peer, None);
    let body = Body::new(payload, head::has_body(request.headers()), Turn::of(&request));
    let answered = AssertUnwindSafe(answer(&request, &body, &admin, about.clone())).catch_unwind().await;
    let answered = answered.unwrap_or_else(|_| Err(admin.pipeline.refuse(about, Step::Accept, Code::Internal)));
    answered.unwrap_or_else(|rejection| {
        let allowed = routes::allowed(request.uri().path());
        render::rejection(Shape::Problem, &rejection, &allowed, body, false)
    })
}

async fn answer(
    request: &HttpRequest,
    body: &Body,
    admin: &Admin,
    mut about: About,
) -> Result<HttpResponse, Rejection> {
    let refuse = |about, code| Err(admin.pipeline.refuse(about, Step::Accept, code));
    if let Err(code) = head::check(request, &METHODS).and(head::packing(request.headers(), false)) {
        return refuse(about, code);
    }
    let (entry, route) = match find(request.method(), request.uri().path()) {
        Ok(found) => found,
        Err(code) => return refuse(about, code),
    };
    let request_id = about.request_id().to_owned();
    match route {
        Route::Live => return Ok(render::json(&request_id, &Status { status: "live", trail: None })),
        Route::Ready => return ready(admin, about).await,
        Route::Metrics if is_listed(request, admin) => return Ok(metrics(&request_id, admin)),
        _ => {}
    }
    let presented = head::presented_key(request.headers());
    let principal = admin.pipeline.authenticate(&mut about, presented).await?;
    let is_permitted = match entry.needs {
        Needs::Nothing => true,
        Needs::AnyAdminKey => matches!(principal.scopes(), Scopes::Admin(_)),
        Needs::Act(act) => principal.scopes().permits_admin(act),
    };
    if !is_permitted {
        return Err(admin.pipeline.refuse(about, Step::Authenticate, Code::NotAllowed));
    }
    let asked = Asked { admin, about, principal };
    match route {
        Route::Metrics => Ok(metrics(&request_id, admin)),
        Route::Describe => Ok(asked.done(&openapi::document())),
        Route::Reload => asked.reload().await,
        Route::Explain(id) => asked.explain(id).await,
        Route::ListKeys => asked.list_keys(request).await,
        Route::IssueKey => asked.issue_key(request, body).await,
        Route::FindKey(id) => asked.find_key(id).await,
        Route::ChangeKey(id) => asked.change_key(id, body).await,
        Route::RotateKey(id) => asked.rotate_key(id, request, body).await,
        Route::RevokeKey(id) => asked.revoke_key(id, body).await,
        Route::ListTenants => asked.list_tenants(request).await,
        Route::AddTenant => asked.add_tenant(body).await,
        Route::FindTenant(id) => asked.find_tenant(id).await,
        Route::RevokeTenant(id) => asked.revoke_tenant(id).await,
        Route::ListMonitors => asked.list_monitors().await,
        Route::LearnMonitor(model) => asked.learn_monitor(model).await,
        Route::ForgetMonitor(model) => asked.forget_monitor(model).await,
        Route::Live | Route::Ready => refuse(asked.about, Code::Internal),
    }
}

/// Where in a body a fault is: the names of our fields are told, what was sent is not.
fn place(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let ours = error.path().iter().map_while(|segment| match segment {
        Segment::Map { key } | Segment::Enum { variant: key } => FIELDS.contains(&key.as_str()).then(|| key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Unknown => None,
    });
    let path: Vec<String> = ours.collect();
    let at = if path.is_empty() { String::new() } else { format!(" at {}", path.join(".")) };
    let inner = error.inner();
    format!("{at} (line {}, column {})", inner.line(), inner.column())
}

/// Ready means: keys can be read and requests can be recorded.
async fn ready(admin: &Admin, about: About) -> Result<HttpResponse, Rejection> {
    let trail = match admin.pipeline.trail_stand() {
        TrailStand::Written => None,
        TrailStand::Waiting => Some("records wait in memory"),
        TrailStand::Unavailable => return Err(admin.pipeline.refuse(about, Step::Commit, Code::AuditUnavailable)),
    };
    let now = crate::request_id::unix_millis();
    // Not a key: one whose row is unreadable must not take the gateway away from all others.
    match admin.issuer.find_tenant(&Principal::system(), &Tenant::default(), now).await {
        Ok(_) => Ok(render::json(about.request_id(), &Status { status: "ready", trail })),
        Err(_) => Err(admin.pipeline.refuse(about, Step::Authenticate, Code::KeysUnavailable)),
    }
}

fn is_listed(request: &HttpRequest, admin: &Admin) -> bool {
    let peer = request.peer_addr().map(|address| address.ip().to_canonical());
    peer.is_some_and(|peer| admin.metrics_from.iter().any(|net| net.contains(&peer)))
}

fn metrics(request_id: &str, admin: &Admin) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    render::common(&mut builder, request_id);
    builder
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(admin.pipeline.metrics().render())
}

impl Asked<'_> {
    /// Records what is about to be done. What cannot be recorded is not done.
    async fn begin(self, act: &str, target: Option<String>) -> Result<Self, Rejection> {
        let begun = self.act(act, target, false, "asked".to_owned());
        match self.admin.pipeline.record(begun).await {
            Ok(()) => Ok(self),
            Err(_) => Err(self.refuse(Step::Commit, Code::AuditUnavailable)),
        }
    }

    /// Records what was done, as far as it can be: that it was asked for is on record already.
    async fn done_as(&self, act: &str, target: Option<String>, before: Option<Value>, after: Value) {
        self.done_with("done", act, target, before, after).await;
    }

    /// The same, in other words than "done".
    async fn done_with(&self, how: &str, act: &str, target: Option<String>, before: Option<Value>, after: Value) {
        let mut done = self.act(act, target, true, how.to_owned());
        (done.before, done.after) = (before, Some(after));
        let _ = self.admin.pipeline.record(done).await;
    }

    /// Records that something was looked at, and shows it. What cannot be recorded is not shown.
    async fn read(self, act: &str, target: Option<String>, answer: &impl Serialize) -> Result<HttpResponse, Rejection> {
        match self.admin.pipeline.record(self.act(act, target, true, "read".to_owned())).await {
            Ok(()) => Ok(self.done(answer)),
            Err(_) => Err(self.refuse(Step::Commit, Code::AuditUnavailable)),
        }
    }

    /// Records why it was not done.
    async fn not_done(&self, act: &str, target: Option<String>, why: String) {
        let _ = self.admin.pipeline.record(self.act(act, target, false, why)).await;
    }

    fn act(&self, name: &str, target: Option<String>, ok: bool, detail: String) -> Act {
        let mut act = Act::new(self.about.request_id().to_owned(), crate::request_id::unix_millis());
        act.who = self.about.who();
        act.act = name.to_owned();
        act.target = target;
        act.ok = ok;
        act.detail = Some(detail);
        act
    }

    fn refuse(self, step: Step, code: Code) -> Rejection {
        self.admin.pipeline.refuse(self.about, step, code)
    }

    fn refuse_form(self, message: String) -> Rejection {
        let rejection = Rejection::new(self.about, Step::Read, Code::InvalidForm);
        self.admin.pipeline.noted(rejection.message_of(message))
    }

    fn done(&self, body: &impl Serialize) -> HttpResponse {
        render::json_for(&self.principal, self.about.request_id(), body)
    }

    async fn reload(self) -> Result<HttpResponse, Rejection> {
        let asked = self.begin("config.reload", None).await?;
        match asked.admin.reloader.reload(asked.about.who()).await {
            Ok(models) => {
                let answer = Reloaded { models };
                asked.done_as("config.reload", None, None, json!(answer)).await;
                Ok(asked.done(&answer))
            }
            Err(error) => {
                asked.not_done("config.reload", None, error.to_string()).await;
                let rejection = Rejection::new(asked.about.clone(), Step::Read, Code::InvalidSettings);
                Err(asked.admin.pipeline.noted(rejection.message_of(error.to_string())))
            }
        }
    }

    /// Whether the record is of a tenant within reach; one of nobody is the operators' of all.
    fn reaches(&self, record: &Record) -> bool {
        match record.who().tenant.as_deref().map(str::parse) {
            Some(Ok(tenant)) => self.principal.reaches(&tenant),
            Some(Err(_)) | None => self.principal.scopes().permits_admin(AdminAct::TenantsAll),
        }
    }

    /// Reads a small JSON body; an empty one stands for `{}`. Also gives it as it came.
    async fn form<T: DeserializeOwned>(self, body: &Body) -> Result<(Self, Bytes, T), Rejection> {
        let read = tokio::time::timeout(DEADLINE, body.read(MAX_BODY)).await;
        let body = match read.unwrap_or(Err(Code::BodyTimeout)) {
            Ok(body) => body,
            Err(code) => return Err(self.refuse(Step::Read, code)),
        };
        let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
        // A list could stand for the fields of an object in their order, which may change.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(self.refuse_form("the body is no object".to_owned()));
        }
        let mut reader = serde_json::Deserializer::from_slice(&body);
        let form = serde_path_to_error::deserialize(&mut reader);
        match form
            .map_err(|error| place(&error))
            .and_then(|form| reader.end().map(|()| form).map_err(|_| String::new()))
        {
            Ok(form) => Ok((self, body, form)),
            Err(place) => Err(self.refuse_form(format!("the body is not what is asked for{place}"))),
        }
    }

    async fn failed(self, act: &str, target: Option<String>, error: &IssueError) -> Rejection {
        self.not_done(act, target, error.to_string()).await;
        self.refuse_issue(error)
    }

    fn refuse_issue(self, error: &IssueError) -> Rejection {
        let code = match error {
            IssueError::Forbidden | IssueError::WiderThanMaker(_) | IssueError::TooManyMakers => Code::NotAllowed,
            IssueError::NotFound | IssueError::NoTenant => Code::NotFound,
            IssueError::NotActive | IssueError::TenantExists | IssueError::DefaultTenant | IssueError::Changed => {
                Code::Conflict
            }
            IssueError::OtherRequest => Code::IdempotencyKeyReused,
            IssueError::Busy => Code::Busy,
            IssueError::Store(StoreError::Unavailable) => Code::KeysUnavailable,
            IssueError::Store(_) | IssueError::NoRandomness | IssueError::PepperMissing => Code::Internal,
            _ => Code::InvalidForm,
        };
        let rejection = Rejection::new(self.about, Step::Admit, code);
        let is_told = matches!(code, Code::InvalidForm | Code::Conflict | Code::NotAllowed);
        let rejection = if is_told { rejection.message_of(error.to_string()) } else { rejection };
        self.admin.pipeline.noted(rejection)
    }

    async fn explain(self, id: String) -> Result<HttpResponse, Rejection> {
        match self.admin.trail.find(&id).await {
            Ok(mut records) => {
                records.retain(|record| self.reaches(record));
                let records: Vec<Value> = records.iter().map(|record| json!(record)).collect();
                match records.is_empty() {
                    true => Err(self.refuse(Step::Accept, Code::NotFound)),
                    false => self.read("audit.read", Some(id), &Records { records }).await,
                }
            }
            Err(error) => {
                tracing::error!(%error, "the audit trail cannot be read");
                Err(self.refuse(Step::Accept, Code::AuditUnavailable))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_form_can_be_named() {
        let document = json!(openapi::document());
        let forms = ["KeyForm", "ChangeForm", "RotateForm", "RevokeForm", "TenantForm"];
        for schema in forms.iter().chain(&["KeyLimits", "InferenceScopes", "Granting"]) {
            let fields = document.pointer(&format!("/components/schemas/{schema}/properties")).unwrap();
            for field in fields.as_object().unwrap().keys() {
                assert!(FIELDS.contains(&field.as_str()), "{schema}: {field}");
            }
        }
    }
}
