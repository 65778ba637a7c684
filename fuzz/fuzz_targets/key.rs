//! API keys, and what is stored of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::key(text));
