//! Bodies of the operation `chat`.
#![no_main]

use core_validate::{Head, Operation};

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::request(Operation::Chat, &Head::default(), data));
