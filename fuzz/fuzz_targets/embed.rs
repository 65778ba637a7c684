//! Bodies of the operation `embed`.
#![no_main]

use core_validate::{Head, Operation};

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::request(Operation::Embed, &Head::default(), data));
