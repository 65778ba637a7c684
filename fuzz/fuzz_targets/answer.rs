//! Answers, whole or in pieces; the first byte says to what.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((first, body)) = data.split_first() {
        match first % 9 {
            7 => fuzz::chunk(body),
            asked => fuzz::answer(asked, body),
        }
    }
});
