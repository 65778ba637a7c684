//! What must hold for any bytes: nothing panics; what is accepted is accepted again once it is written, and is then
//! written the same; texts stand where they say; who changes nothing changes nothing.

mod answers;
mod connections;
mod files;
mod records;

pub use answers::{answer, chunk};
pub use connections::{caller, head, proxy_header, sse};
pub use files::{npy, safetensors};
pub use records::{audit, key};

use bytes::Bytes;
use core_validate::{Extensions, Head, InferenceRequest, Limits, Operation, Origin, Text, Validator};
use serde_json::Value;

/// The head of a tensor request.
pub fn infer_head(tensor_header_length: Option<u64>) -> Head {
    let model = "m".parse().ok();
    Head { model, tensor_header_length, ..Head::default() }
}

/// Holds a request body against all rules, by a strict and by a generous validator.
pub fn request(operation: Operation, head: &Head, body: &[u8]) {
    let body = Bytes::copy_from_slice(body);
    let generous = Limits::default()
        // But for the servers that are told their bound under two names.
        .extensions([Extensions::Vllm, Extensions::Sglang, Extensions::LlamaCpp])
        .allow_fields(vec!["anything".to_owned()])
        .danger_audio(true)
        .danger_files(true)
        .danger_remote_media(true)
        .danger_token_prompts(true)
        .danger_bias_with_logprobs(true)
        .danger_stored_state(true);
    let validators = [Validator::default(), Validator::new(generous)];
    let [strict, loose] = validators.map(|validator| {
        let request = validator.parse(operation, head, &body);
        if let Err(error) = &request {
            assert!(error.message().len() < 200 && error.at().as_str().len() <= 128, "{error:?}");
        }
        if let Ok(request) = &request {
            accepted(&validator, head, &body, request);
        }
        request.is_ok()
    });
    assert!(loose || !strict, "allowing more refuses nothing");
}

fn accepted(validator: &Validator, head: &Head, body: &Bytes, request: &InferenceRequest) {
    let written = request.to_body();
    let read = |body: &core_validate::Encoded| {
        let length = body.tensor_header_length.map(|length| length as u64);
        let head = Head { tensor_header_length: length, ..head.clone() };
        validator.parse(request.operation(), &head, &body.bytes)
    };
    assert_eq!(read(&written).expect("what is sent on is accepted").to_body(), written);

    let json = head.tensor_header_length.map_or(&body[..], |length| &body[..length as usize]);
    let json: Value = serde_json::from_slice(json).expect("what is accepted is JSON");
    let mut texts = 0;
    for text in request.texts() {
        stands(&json, &text);
        texts += 1;
    }
    let mut same = request.clone();
    // Bytes that are no text show as what is legible of them, which is not the same.
    let is_text = |text: &Text<'_>| text.origin() != Origin::Element || head.tensor_header_length.is_none();
    let keep = |text: &Text<'_>| Ok::<_, ()>(is_text(text).then(|| text.text().into_owned()));
    same.map_texts(keep).expect("no error");
    assert_eq!(same.to_body(), written);

    let mut other = request.clone();
    other
        .map_texts(|text| Ok::<_, ()>((text.origin() == Origin::User).then(|| "\"\\\u{1}ä".to_owned())))
        .expect("no error");
    other.set_model(&"another/one".parse().expect("a name"));
    other.clamp_output(7);
    other.ask_stream_usage();
    let changed = read(&other.to_body()).expect("what was changed is accepted");
    // Patterns that no server can use are texts, and are not sent on.
    assert!(changed.texts().count() <= texts);
    assert!(changed.max_output_tokens().is_none_or(|most| most <= 7));

    let _ = (request.estimated_input_tokens(), request.joined_texts(), request.tensors());
}

/// Follows a pointer as far as it says where it leads.
fn stands(json: &Value, text: &Text<'_>) {
    let pointer = text.pointer();
    let pointer = pointer.as_str();
    let mut value = json;
    let mut last = "";
    for step in pointer.split('/').skip(1) {
        // Elements of nested data are counted through, and those in the binary form are not here.
        if step == "?" || (text.origin() == Origin::Element && step == "data") {
            return;
        }
        value = match value {
            Value::Object(fields) => fields.get(step).expect("a field"),
            Value::Array(items) => items.get(step.parse::<usize>().expect("a number")).expect("an element"),
            _ => panic!("{pointer} leads nowhere"),
        };
        last = step;
    }
    // A pointer ends early when it would be too long.
    let is_short = pointer.len() <= 128 - 41;
    assert!(!is_short || value.as_str() == Some(&*text.text()) || last == text.text(), "{pointer}: {}", text.text());
}
