//! Tensor requests in JSON.
#![no_main]

use core_validate::Operation;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::request(Operation::Infer, &fuzz::infer_head(None), data));
