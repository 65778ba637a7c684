//! Files of the form npy.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::npy(data));
