//! The callers' listener: one table of routes, one handler, one exit.

mod infer;
mod limits;
mod models;
pub(crate) mod render;
mod routes;

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::edge::Proxies;
use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use core_validate::Dialect;
use futures_util::FutureExt as _;
use pipeline::{About, Code, Pipeline, Rejection, Step};

use crate::edge::body::Body;
use crate::edge::client_ip::client_ip;
use crate::edge::head;
use crate::edge::one_by_one::Turn;
use routes::{Found, Route, find};

const METHODS: [Method; 3] = [Method::GET, Method::HEAD, Method::POST];

/// What the handler needs.
pub(crate) struct Shared {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) proxies: Proxies,
    /// Whether TLS is ended before us, so that each request has to say that there was some.
    pub(crate) is_behind_proxy: bool,
}

/// Answers every request of the callers' listener. A panic becomes a generic 500.
pub(crate) async fn handle(request: HttpRequest, payload: Payload, shared: Data<Shared>) -> HttpResponse {
    let shape = render::Shape::of(request.uri().path());
    let address = client_ip(&request, &shared.proxies);
    let peer = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let about = About::new(crate::request_id::new(), peer, None);
    let body = Body::new(payload, head::has_body(request.headers()), Turn::of(&request));
    let answered = AssertUnwindSafe(answer(&request, &body, &shared, about.clone(), address)).catch_unwind().await;
    let answered = answered.unwrap_or_else(|_| Err(shared.pipeline.refuse(about, Step::Accept, Code::Internal)));
    let response = answered.unwrap_or_else(|rejection| {
        let allowed = routes::allowed(request.uri().path());
        render::rejection(shape, &rejection, allowed, body, shared.pipeline.policy().openai_headers)
    });
    Turn::of(&request).over_with(response)
}

async fn answer(
    request: &HttpRequest,
    body: &Body,
    shared: &Shared,
    about: About,
    address: Result<IpAddr, Code>,
) -> Result<HttpResponse, Rejection> {
    let refuse = |about, code| Err(shared.pipeline.refuse(about, Step::Accept, code));
    let is_packed_taken = shared.pipeline.policy().max_unpacked_bytes > 0;
    let checked = head::check(request, &METHODS).and(address.map(drop));
    let packing = match checked.and_then(|()| head::packing(request.headers(), is_packed_taken)) {
        Ok(packing) => packing,
        Err(code) => return refuse(about, code),
    };
    if shared.is_behind_proxy && !head::came_by_https(request.headers()) {
        return refuse(about, Code::HttpsOnly);
    }
    match find(request.method(), request.uri().path()) {
        Found::OtherMethod => refuse(about, Code::MethodNotAllowed),
        Found::Nothing => refuse(about, Code::UnknownRoute),
        Found::Route(Route::Infer(operation, target)) => {
            let about = about.asking(operation);
            if operation.dialect() == Dialect::Anthropic
                && let Err(code) = head::check_anthropic(request.headers())
            {
                return refuse(about, code);
            }
            let body = body.unread(request.headers()).packed(packing);
            infer::run(shared, request, body, about, (operation, target)).await
        }
        Found::Route(Route::Health) => Ok(models::health(&about)),
        Found::Route(other) => models::list(shared, request, about, other).await,
    }
}

/// What a route asks, for operations whose path names the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) model: Option<core_validate::ModelName>,
    pub(crate) version: Option<String>,
}
