//! The operators' listener: probes, metrics, keys, reload. Every act is authorised and recorded.

mod keys;
mod reload;
mod routes;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::keys::{AdminAct, Issuer, Principal};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use audit::Act;
use futures_util::FutureExt as _;
use ipnet::IpNet;
use pipeline::{About, Code, Pipeline, Rejection, Step};
use serde_json::{Value, json};

use crate::edge::body::Body;
use crate::edge::head;
use crate::http::render::{self, Shape};
use crate::trail::Trail;

pub use reload::Reloader;
use routes::{Route, find};

/// What the operators' handler needs.
pub(crate) struct Admin {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) issuer: Issuer,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) metrics_from: Vec<IpNet>,
    pub(crate) trail: Trail,
}

/// A request on its way through the operators' listener.
struct Asked<'a> {
    admin: &'a Admin,
    about: About,
    principal: Principal,
}

/// Answers every request of the operators' listener. A panic becomes a generic 500.
pub(crate) async fn handle(request: HttpRequest, payload: Payload, admin: Data<Admin>) -> HttpResponse {
    let request_id = crate::request_id::new();
    let peer = request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip().to_canonical());
    let about = About::new(request_id, peer, None);
    let body = Body::new(payload, head::has_body(request.headers()));
    let answered = AssertUnwindSafe(answer(&request, &body, &admin, about.clone())).catch_unwind().await;
    let answered = answered.unwrap_or_else(|_| Err(admin.pipeline.refuse(about, Step::Accept, Code::Internal)));
    answered.unwrap_or_else(|rejection| render::rejection(Shape::Problem, &rejection, body, false))
}

async fn answer(
    request: &HttpRequest,
    body: &Body,
    admin: &Admin,
    mut about: About,
) -> Result<HttpResponse, Rejection> {
    let refuse = |about, code| Err(admin.pipeline.refuse(about, Step::Accept, code));
    if let Err(code) = head::check(request) {
        return refuse(about, code);
    }
    let route = match find(request.method(), request.uri().path()) {
        Ok(route) => route,
        Err(code) => return refuse(about, code),
    };
    let request_id = about.request_id().to_owned();
    match route {
        Route::Live => return Ok(render::json(&request_id, &json!({"status": "live"}))),
        Route::Ready => return ready(admin, about).await,
        Route::Metrics if is_listed(request, admin) => return Ok(metrics(&request_id, admin)),
        _ => {}
    }
    let presented = head::presented_key(request.headers());
    let principal = admin.pipeline.authenticate(&mut about, presented).await?;
    if !principal.scopes().permits_admin(route.act()) {
        return Err(admin.pipeline.refuse(about, Step::Authenticate, Code::NotAllowed));
    }
    let asked = Asked { admin, about, principal };
    match route {
        Route::Metrics => Ok(metrics(&request_id, admin)),
        Route::Reload => asked.reload().await,
        Route::Explain(id) => asked.explain(id).await,
        Route::Keys(verb) => asked.keys(verb, body, request).await,
        Route::Live | Route::Ready => refuse(asked.about, Code::Internal),
    }
}

/// Ready means: keys can be read and requests can be recorded.
async fn ready(admin: &Admin, about: About) -> Result<HttpResponse, Rejection> {
    if !admin.pipeline.is_recording() {
        return Err(admin.pipeline.refuse(about, Step::Commit, Code::AuditUnavailable));
    }
    let keys = admin.issuer.list(&Principal::system(), None, 1, crate::request_id::unix_millis()).await;
    match keys {
        Ok(_) => Ok(render::json(about.request_id(), &json!({"status": "ready"}))),
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
    async fn done_as(&self, act: &str, target: Option<String>, after: &Value) {
        let mut done = self.act(act, target, true, "done".to_owned());
        done.after = Some(after.clone());
        let _ = self.admin.pipeline.record(done).await;
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

    fn done(&self, body: &Value) -> HttpResponse {
        render::json(self.about.request_id(), body)
    }

    async fn reload(self) -> Result<HttpResponse, Rejection> {
        let asked = self.begin("config.reload", None).await?;
        match asked.admin.reloader.reload() {
            Ok(loaded) => {
                let after = json!({"models": loaded.models});
                asked.done_as("config.reload", None, &after).await;
                Ok(asked.done(&after))
            }
            Err(error) => {
                asked.not_done("config.reload", None, error.to_string()).await;
                let rejection = Rejection::new(asked.about.clone(), Step::Read, Code::InvalidSettings);
                Err(asked.admin.pipeline.noted(rejection.message_of(error.to_string())))
            }
        }
    }

    async fn explain(self, id: String) -> Result<HttpResponse, Rejection> {
        match self.admin.trail.find(&id).await {
            Ok(records) if records.is_empty() => Err(self.refuse(Step::Accept, Code::NotFound)),
            Ok(records) => Ok(self.done(&json!({"records": records}))),
            Err(error) => {
                tracing::error!(%error, "the audit trail cannot be read");
                Err(self.refuse(Step::Accept, Code::AuditUnavailable))
            }
        }
    }
}

impl Route {
    /// What a key must be allowed to do.
    fn act(&self) -> AdminAct {
        match self {
            Self::Keys(verb) if verb.is_read() => AdminAct::KeysRead,
            Self::Keys(_) => AdminAct::KeysWrite,
            Self::Explain(_) => AdminAct::AuditRead,
            Self::Reload => AdminAct::ConfigReload,
            Self::Metrics | Self::Live | Self::Ready => AdminAct::MetricsRead,
        }
    }
}
