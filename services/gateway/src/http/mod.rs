//! The callers' listener: one table of routes, one handler, one exit.

mod infer;
mod models;
pub(crate) mod render;
mod routes;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use ipnet::IpNet;
use pipeline::{About, Code, Pipeline, Rejection, Step};

use crate::edge::{client_ip::client_ip, head};
use routes::{Found, Route, find};

/// What the handler needs.
pub(crate) struct Shared {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// Answers every request of the callers' listener. A panic becomes a generic 500.
pub(crate) async fn handle(request: HttpRequest, payload: Payload, shared: Data<Shared>) -> HttpResponse {
    let request_id = crate::request_id::new();
    let shape = render::Shape::of(request.uri().path());
    let answered = AssertUnwindSafe(answer(&request, payload, &shared, request_id.clone())).catch_unwind().await;
    answered.unwrap_or_else(|_| {
        let address = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let about = About::new(request_id, address, None);
        let rejection = shared.pipeline.refuse(about, Step::Accept, Code::Internal);
        render::rejection(shape, &rejection, head::has_body(request.headers()))
    })
}

async fn answer(request: &HttpRequest, payload: Payload, shared: &Shared, request_id: String) -> HttpResponse {
    let shape = render::Shape::of(request.uri().path());
    let has_body = head::has_body(request.headers());
    let address = client_ip(request, &shared.trusted_proxies);
    let peer = address.unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    let mut about = About::new(request_id, peer, None);
    let refuse = |about, code| render::rejection(shape, &shared.pipeline.refuse(about, Step::Accept, code), has_body);
    if let Err(code) = head::check(request).and(address.map(drop)) {
        return refuse(about, code);
    }
    let route = match find(request.method(), request.uri().path()) {
        Found::Route(route) => route,
        Found::OtherMethod => return refuse(about, Code::MethodNotAllowed),
        Found::Nothing => return refuse(about, Code::UnknownRoute),
    };
    let done: Result<HttpResponse, Rejection> = match route {
        Route::Infer(operation, target) => {
            about = about.asking(operation);
            infer::run(shared, request, payload, about, target).await
        }
        Route::Health => Ok(models::health(&about)),
        other => models::list(shared, request, about, other).await,
    };
    done.unwrap_or_else(|rejection| {
        let is_unread = has_body && matches!(rejection.step(), Step::Accept | Step::Authenticate | Step::Read);
        render::rejection(shape, &rejection, is_unread)
    })
}

/// What a route asks, for operations whose path names the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) model: Option<core_validate::ModelName>,
    pub(crate) version: Option<String>,
}
