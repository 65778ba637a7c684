//! The operators' routes, as one table.

use actix_web::http::Method;
use keys::KeyId;
use pipeline::Code;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Live,
    Ready,
    Metrics,
    Reload,
    Explain(String),
    Keys(KeysVerb),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeysVerb {
    List,
    Issue,
    Rotate(KeyId),
    Revoke(KeyId),
}

impl KeysVerb {
    pub(super) fn is_read(&self) -> bool {
        *self == Self::List
    }
}

/// Finds the route of a request. `HEAD` asks what `GET` would say.
pub(super) fn find(method: &Method, path: &str) -> Result<Route, Code> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let routes = by_path(path);
    if routes.is_empty() {
        return Err(Code::UnknownRoute);
    }
    routes.into_iter().find(|(wanted, _)| wanted == method).map(|(_, route)| route).ok_or(Code::MethodNotAllowed)
}

fn by_path(path: &str) -> Vec<(Method, Route)> {
    match path {
        "/livez" => vec![(Method::GET, Route::Live)],
        "/readyz" => vec![(Method::GET, Route::Ready)],
        "/metrics" => vec![(Method::GET, Route::Metrics)],
        "/admin/reload" => vec![(Method::POST, Route::Reload)],
        "/admin/keys" => {
            vec![(Method::GET, Route::Keys(KeysVerb::List)), (Method::POST, Route::Keys(KeysVerb::Issue))]
        }
        _ => with_id(path).into_iter().collect(),
    }
}

fn with_id(path: &str) -> Option<(Method, Route)> {
    if let Some(id) = path.strip_prefix("/admin/requests/") {
        let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        return is_id.then(|| (Method::GET, Route::Explain(id.to_owned())));
    }
    let (id, verb) = path.strip_prefix("/admin/keys/")?.split_once('/')?;
    let id: KeyId = id.parse().ok()?;
    match verb {
        "rotate" => Some((Method::POST, Route::Keys(KeysVerb::Rotate(id)))),
        "revoke" => Some((Method::POST, Route::Keys(KeysVerb::Revoke(id)))),
        _ => None,
    }
}
