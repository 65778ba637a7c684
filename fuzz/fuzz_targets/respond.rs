//! Bodies of the operation `respond`.
#![no_main]

use core_validate::{Head, Operation};

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::request(Operation::Respond, &Head::default(), data));
