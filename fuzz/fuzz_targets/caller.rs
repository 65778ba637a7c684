//! The addresses in `X-Forwarded-For`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::caller(data));
