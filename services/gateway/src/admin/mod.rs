//! The operators' listener: probes, metrics, keys, reload. Every act is authorised and recorded.

mod keys;
mod reload;
mod routes;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use ::keys::{AdminAct, Issuer, Principal, Verifier};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use audit::{Act, Record};
use futures_util::FutureExt as _;
use ipnet::IpNet;
use pipeline::{About, Code, Pipeline, Rejection, Step};
use serde_json::{Value, json};

use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::edge::head;
use crate::http::render::{self, Shape};

pub use reload::Reloader;
use routes::{Route, find};

/// What the operators' handler needs.
pub(crate) struct Admin {
    pipeline: Arc<Pipeline>,
    verifier: Arc<Verifier>,
    issuer: Issuer,
    reloader: Arc<Reloader>,
    metrics_from: Vec<IpNet>,
    audit_dir: PathBuf,
}

impl Admin {
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        verifier: Arc<Verifier>,
        issuer: Issuer,
        reloader: Arc<Reloader>,
        settings: &Settings,
        data_dir: &DataDir,
    ) -> Self {
        let metrics_from = settings.server.metrics_from.clone();
        let audit_dir = data_dir.path().join("audit");
        Self { pipeline, verifier, issuer, reloader, metrics_from, audit_dir }
    }
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
    let has_body = head::has_body(request.headers());
    let answered = AssertUnwindSafe(answer(&request, payload, &admin, about.clone())).catch_unwind().await;
    let answered = answered.unwrap_or_else(|_| Err(admin.pipeline.refuse(about, Step::Accept, Code::Internal)));
    answered.unwrap_or_else(|rejection| render::rejection(Shape::Problem, &rejection, has_body))
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
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
        Route::Live => return Ok(render::json(&request_id, &[], &json!({"status": "live"}))),
        Route::Ready if admin.pipeline.log().is_healthy() => {
            return Ok(render::json(&request_id, &[], &json!({"status": "ready"})));
        }
        Route::Ready => return Err(admin.pipeline.refuse(about, Step::Commit, Code::AuditUnavailable)),
        Route::Metrics if is_listed(request, admin) => return Ok(metrics(&request_id, admin)),
        _ => {}
    }
    let presented = head::presented_key(request.headers());
    let principal = admin.pipeline.authenticate(&mut about, presented).await?;
    if !principal.scopes().permits_admin(route.act()) {
        let asked = Asked { admin, about, principal };
        asked.record("refused", None, None, None, false).await;
        return Err(admin.pipeline.refuse(asked.about, Step::Authenticate, Code::NotAllowed));
    }
    let asked = Asked { admin, about, principal };
    match route {
        Route::Metrics => Ok(metrics(&request_id, admin)),
        Route::Reload => asked.reload().await,
        Route::Explain(id) => asked.explain(id).await,
        Route::Keys(verb) => asked.keys(verb, payload, request).await,
        Route::Live | Route::Ready => refuse(asked.about, Code::Internal),
    }
}

fn is_listed(request: &HttpRequest, admin: &Admin) -> bool {
    let peer = request.peer_addr().map(|address| address.ip().to_canonical());
    peer.is_some_and(|peer| admin.metrics_from.iter().any(|net| net.contains(&peer)))
}

fn metrics(request_id: &str, admin: &Admin) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    render::common(&mut builder, request_id, &[]);
    builder
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(admin.pipeline.metrics().render())
}

impl Asked<'_> {
    /// Records an act; what cannot be recorded does not count as done.
    async fn record(
        &self,
        act: &str,
        target: Option<String>,
        before: Option<Value>,
        after: Option<Value>,
        ok: bool,
    ) -> bool {
        let mut record = Act::new(self.about.request_id().to_owned(), crate::request_id::unix_millis());
        record.who = self.about.who();
        record.act = act.to_owned();
        record.target = target;
        record.before = before;
        record.after = after;
        record.ok = ok;
        match self.admin.pipeline.log().append(&Record::Act(record)).await {
            Ok(_receipt) => true,
            Err(error) => {
                tracing::error!(%error, act, "act is not recorded");
                false
            }
        }
    }

    fn refuse(self, step: Step, code: Code) -> Rejection {
        self.admin.pipeline.refuse(self.about, step, code)
    }

    fn done(&self, body: &Value) -> HttpResponse {
        render::json(self.about.request_id(), &[], body)
    }

    async fn reload(self) -> Result<HttpResponse, Rejection> {
        match self.admin.reloader.reload() {
            Ok(loaded) => {
                let after = json!({"models": loaded.models});
                self.record("config.reload", None, None, Some(after.clone()), true).await;
                Ok(self.done(&after))
            }
            Err(error) => {
                self.record("config.reload", None, None, Some(json!({"error": error.to_string()})), false).await;
                let rejection = Rejection::new(self.about.clone(), Step::Accept, Code::BadRequest);
                Err(rejection.message_of(error.to_string()))
            }
        }
    }

    async fn explain(self, id: String) -> Result<HttpResponse, Rejection> {
        let folder = self.admin.audit_dir.clone();
        let found = actix_web::web::block(move || audit::find(&folder, &id)).await;
        match found {
            Ok(Ok(records)) if records.is_empty() => Err(self.refuse(Step::Accept, Code::UnknownRoute)),
            Ok(Ok(records)) => Ok(self.done(&json!({"records": records}))),
            _ => Err(self.refuse(Step::Accept, Code::Internal)),
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
