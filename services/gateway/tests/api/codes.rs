//! docs/errors.md is the table of codes, and nothing else.

use std::fmt::Write as _;

use pipeline::Code;

use crate::helpers;

const HEAD: &str = "# Errors\n\n\
Written from the table in `crates/pipeline/src/code.rs` by `just errors`; do not edit.\n\n\
The code stands in `x-error-code`, in the body, in the audit trail and in metrics. Messages may be more\n\
exact than here (limits, sizes, places); they never repeat input. `Retry-After` says when to come back. Each code is\n\
also an anchor of this page, such as `#prompt_blocked`. Operators learn the rest from `portcullis explain REQUEST_ID`.\n\n\
| code | status | meaning |\n|---|---|---|\n";

/// Codes that only operators are told.
const OF_OPERATORS: [&str; 6] =
    ["not_allowed", "not_found", "conflict", "idempotency_key_reused", "invalid_form", "invalid_settings"];

#[tokio::test]
async fn the_callers_document_names_every_code_and_every_route_is_there() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let (status, document) = helpers::answer(app.get("/v1/openapi.json", &key).send().await.unwrap()).await;
    assert_eq!(status, 200);
    let known = document["components"]["schemas"]["ErrorCode"]["enum"].as_array().unwrap();
    let mut known: Vec<&str> = known.iter().map(|code| code.as_str().unwrap()).collect();
    let mut all: Vec<&str> = Code::all().map(Code::as_str).filter(|code| !OF_OPERATORS.contains(code)).collect();
    known.sort_unstable();
    all.sort_unstable();
    assert_eq!(known, all);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{model}", "echo-tensor").replace("{version}", "1");
        for method in methods.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let method = method.to_uppercase().parse().unwrap();
            let asked = app.client.request(method, format!("https://{}{path}", app.address)).bearer_auth(&key);
            let (status, _) = helpers::answer(asked.send().await.unwrap()).await;
            assert!(![404, 405].contains(&status), "{path}: {status}");
        }
    }
    assert_eq!(app.get("/v1/openapi.json", "nobody").send().await.unwrap().status(), 401);
}

#[test]
fn the_table_of_errors_is_written_down() {
    let mut text = HEAD.to_owned();
    let mut words = Vec::new();
    for code in Code::all() {
        let word = code.as_str();
        writeln!(text, "| <a id=\"{word}\"></a>`{word}` | {} | {} |", code.status(), code.message()).unwrap();
        words.push(code.as_str());
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text, "run `just errors`");
    let count = words.len();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), count, "each word stands once");
}
