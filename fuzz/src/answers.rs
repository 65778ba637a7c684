//! The same for what servers answer.

use bytes::Bytes;
use core_validate::{AnswerChunk, Head, InferenceAnswer, InferenceRequest, Operation, Slot, Validator};

fn asked(kind: u8) -> InferenceRequest {
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let tensor = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#;
    let (operation, body) = match kind {
        0 | 1 => (Operation::Chat, chat),
        2 => (Operation::Complete, r#"{"model":"m","prompt":"hi"}"#),
        3 => (Operation::Embed, r#"{"model":"m","input":"hi"}"#),
        4 => (Operation::Respond, r#"{"model":"m","input":"hi"}"#),
        8 => (Operation::Message, r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#),
        _ => (Operation::Infer, tensor),
    };
    let validator = Validator::default();
    validator.parse(operation, &crate::infer_head(None), &Bytes::from_static(body.as_bytes())).expect("it is sound")
}

/// An answer to a request of this kind; the last kind takes the length of its JSON from the first two bytes.
pub fn answer(kind: u8, body: &[u8]) {
    let asked = asked(kind);
    let (length, body) = match (kind, body.split_first_chunk()) {
        (6, Some((length, body))) => (Some(u64::from(u16::from_le_bytes(*length))), body),
        _ => (None, body),
    };
    let read = |length, body: &Bytes| {
        let head = Head { tensor_header_length: length, ..Head::default() };
        Validator::default().parse_answer(&asked, &head, body)
    };
    let Ok(mut answer) = read(length, &Bytes::copy_from_slice(body)) else { return };
    let written = answer.to_body();
    let again = |answer: &InferenceAnswer| {
        let written = answer.to_body();
        read(written.tensor_header_length.map(|length| length as u64), &written.bytes)
    };
    assert_eq!(again(&answer).expect("what is sent on is accepted").to_body(), written);
    answer.map_texts(|_, _| ());
    assert_eq!(answer.to_body(), written);

    answer.map_texts(|_, text| text.push_str(" \"\\\u{1}ä"));
    answer.rename("id", &"m".parse().expect("a name"));
    let _ = answer.filter_choice(0);
    // A label that was changed may be too long for what it is.
    let _ = (again(&answer), answer.usage());
}

/// One piece of a streamed answer.
pub fn chunk(body: &[u8]) {
    let read = |body: &Bytes| Validator::default().parse_chunk(body);
    let Ok(mut chunk) = read(&Bytes::copy_from_slice(body)) else { return };
    let written = chunk.to_body();
    assert_eq!(read(&written.bytes).expect("what is sent on is accepted").to_body(), written);
    let mut slots = Vec::new();
    chunk.map_texts(|slot, _| slots.push(slot));
    assert_eq!(chunk.to_body(), written);

    let sound = |chunk: &AnswerChunk| read(&chunk.to_body().bytes).expect("a piece that was made is sound");
    for slot in slots.into_iter().chain([Slot::Content(1), Slot::Arguments(0, 3)]) {
        let made = sound(&chunk.with_text(slot, "text"));
        assert_eq!(made.choices(), [slot.choice()]);
    }
    assert_eq!(sound(&chunk.with_filtered(3)).finished(), [3]);
    let _ = (chunk.usage(), chunk.is_usage_only());
    let choices = chunk.choices();
    for choice in &choices {
        chunk.drop_choice(*choice);
    }
    assert!(chunk.choices().is_empty());
    chunk.drop_usage();
    chunk.rename("id", &"m".parse().expect("a name"));
    sound(&chunk);
}
