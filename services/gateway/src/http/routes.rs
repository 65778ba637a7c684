//! The one table of routes. What is not in it is refused.
//!
//! Paths are compared as they came: nothing is decoded, so nothing decodes twice.

use actix_web::http::Method;
use core_validate::{ModelName, Operation};

use crate::http::Target;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Infer(Operation, Target),
    Models,
    Model(ModelName),
    Limits,
    Describe,
    ServerMetadata,
    Health,
    ModelMetadata(Target),
    ModelReady(Target),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Route(Route),
    OtherMethod,
    Nothing,
}

/// Finds the route of a request. `HEAD` asks what `GET` would say.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let Some((wanted, route)) = by_path(path) else { return Found::Nothing };
    if *method == wanted { Found::Route(route) } else { Found::OtherMethod }
}

/// The methods of a path, for `Allow`; of one that is not there, those of the listener.
pub(crate) fn allowed(path: &str) -> &'static str {
    match by_path(path) {
        Some((Method::GET, _)) => "GET, HEAD",
        Some(_) => "POST",
        None => "GET, HEAD, POST",
    }
}

fn by_path(path: &str) -> Option<(Method, Route)> {
    let text = |operation| Some((Method::POST, Route::Infer(operation, Target::default())));
    match path {
        "/v1/chat/completions" => text(Operation::Chat),
        "/v1/completions" => text(Operation::Complete),
        "/v1/responses" => text(Operation::Respond),
        "/v1/messages" => text(Operation::Message),
        "/v1/embeddings" => text(Operation::Embed),
        "/v1/models" => Some((Method::GET, Route::Models)),
        "/v1/limits" => Some((Method::GET, Route::Limits)),
        "/v1/openapi.json" => Some((Method::GET, Route::Describe)),
        "/v2" | "/v2/" => Some((Method::GET, Route::ServerMetadata)),
        "/v2/health/live" | "/v2/health/ready" => Some((Method::GET, Route::Health)),
        _ => match path.strip_prefix("/v1/models/") {
            Some(name) => Some((Method::GET, Route::Model(name.parse().ok()?))),
            None => oip_model(path.strip_prefix("/v2/models/")?),
        },
    }
}

/// `{model}[/versions/{version}][/infer|/ready]`
fn oip_model(rest: &str) -> Option<(Method, Route)> {
    let parts: Vec<&str> = rest.split('/').collect();
    let (model, version, verb) = match parts.as_slice() {
        [model] => (model, None, None),
        [model, "versions", version] => (model, Some(version), None),
        [model, "versions", version, verb] => (model, Some(version), Some(*verb)),
        [model, verb] => (model, None, Some(*verb)),
        _ => return None,
    };
    let is_version = |version: &str| {
        (1..=32).contains(&version.len())
            && version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            && !version.starts_with('.')
    };
    if version.is_some_and(|version| !is_version(version)) {
        return None;
    }
    let target = Target { model: Some(model.parse().ok()?), version: version.map(|version| (*version).to_owned()) };
    match verb {
        None => Some((Method::GET, Route::ModelMetadata(target))),
        Some("ready") => Some((Method::GET, Route::ModelReady(target))),
        Some("infer") => Some((Method::POST, Route::Infer(Operation::Infer, target))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_answers() {
        for path in [
            "/",
            "/v1",
            "/v1/chat/completions/",
            "/V1/models",
            "/v1/%6dodels",
            "/v1/../v1/models",
            "//v1/models",
            "/v2/models/a/versions/../infer",
            "/v2/models//infer",
            "/v2/models/a/b/c/d/e",
            "/v1/messages/count_tokens",
            "/v1/messages/batches",
            "/v2/models/a/explain",
            "/v2/repository/index",
            "/v2/models/a/versions/1/load",
            "/metrics",
            "/livez",
            "/admin/keys",
            "/v2/models/%2e%2e/infer",
            "/v1/models/a%00",
        ] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path}");
            assert_eq!(find(&Method::POST, path), Found::Nothing, "{path}");
        }
        assert_eq!(find(&Method::GET, "/v1/chat/completions"), Found::OtherMethod);
        assert_eq!(find(&Method::POST, "/v1/models"), Found::OtherMethod);
        let target = Target { model: Some("a".parse().unwrap()), version: Some("2".to_owned()) };
        let found = find(&Method::POST, "/v2/models/a/versions/2/infer");
        assert_eq!(found, Found::Route(Route::Infer(Operation::Infer, target)));
        let name = "meta/llama-3.1:8b".parse().unwrap();
        assert_eq!(find(&Method::GET, "/v1/models/meta/llama-3.1:8b"), Found::Route(Route::Model(name)));
    }
}
