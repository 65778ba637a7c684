//! Bodies of the operation `complete`.
#![no_main]

use core_validate::{Head, Operation};

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::request(Operation::Complete, &Head::default(), data));
