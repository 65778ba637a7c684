//! Tensor requests with binary tensors behind their JSON, whose length the first two bytes say.
#![no_main]

use core_validate::Operation;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((length, body)) = data.split_first_chunk() {
        let head = fuzz::infer_head(Some(u16::from_le_bytes(*length).into()));
        fuzz::request(Operation::Infer, &head, body);
    }
});
