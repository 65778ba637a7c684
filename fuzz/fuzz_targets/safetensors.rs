//! Files of the form safetensors.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::safetensors(data));
