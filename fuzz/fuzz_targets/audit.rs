//! What is kept of the audit trail, and what is proved of it.
#![no_main]

use std::sync::LazyLock;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::audit(text, FOLDER.path()));
