//! docs/errors.md is the table of codes, and nothing else.

use std::fmt::Write as _;

use pipeline::Code;

const HEAD: &str = "# Errors\n\n\
Written from the table in `crates/pipeline/src/code.rs` by `just errors`; do not edit.\n\n\
The code stands in `x-error-code`, in the body, in the audit trail and in metrics. Messages may be more\n\
exact than here (limits, sizes, places); they never repeat input. `Retry-After` says when to come back. Each code is\n\
also an anchor of this page, such as `#prompt_blocked`. Operators learn the rest from `portcullis explain REQUEST_ID`.\n\n\
| code | status | meaning |\n|---|---|---|\n";

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
