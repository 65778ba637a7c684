//! The header by which a TCP proxy says who called it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::proxy_header(data));
