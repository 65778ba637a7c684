//! A stream of events; the first byte says where it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((first, rest)) = data.split_first() {
        fuzz::sse(usize::from(*first), rest);
    }
});
