//! Bodies of the operation `message`.
#![no_main]

use core_validate::{Head, Operation};

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::request(Operation::Message, &Head::default(), data));
