//! The bytes of a connection; the first byte says where it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((first, rest)) = data.split_first() {
        fuzz::head(usize::from(*first) * 4, rest);
    }
});
