//! Honest bodies: tensors and chats as clients send them.

use core_validate::Head;
use serde_json::json;

use crate::measure::Random;

/// The head of a tensor request; with a length, binary tensors follow the JSON.
pub fn infer_head(tensor_header_length: Option<usize>) -> Head {
    let tensor_header_length = tensor_header_length.map(|length| length as u64);
    Head { model: Some("m".parse().unwrap()), tensor_header_length, ..Head::default() }
}

/// A tensor request in JSON, with these numbers as they are written.
pub fn tensor(shape: &str, dtype: &str, data: &str) -> Vec<u8> {
    format!(r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{dtype}","data":{data}}}]}}"#).into_bytes()
}

/// A list of numbers, each written by `write`.
pub fn list(count: usize, mut write: impl FnMut() -> String) -> String {
    let mut out = String::from("[");
    for i in 0..count {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&write());
    }
    out.push(']');
    out
}

/// A random `f32` from -1 to 1 in its shortest form: 8 or 9 digits.
pub fn short(random: &mut Random) -> String {
    ((random.unit() * 2.0 - 1.0) as f32).to_string()
}

/// A random `f64` from -1 to 1: 16 or 17 digits.
pub fn long(random: &mut Random) -> String {
    (random.unit() * 2.0 - 1.0).to_string()
}

/// A tensor request in the binary form, and the length of its JSON, which is stretched so that the tensor starts
/// `off` bytes behind a place that 64 divides, wherever the body itself starts so.
pub fn binary(values: &[f32], off: usize) -> (Vec<u8>, usize) {
    let size = values.len() * 4;
    let shape = values.len();
    let mut body = format!(
        r#"{{"inputs":[{{"name":"x","shape":[{shape}],"datatype":"FP32","parameters":{{"binary_data_size":{size}}}}}]}}"#
    )
    .into_bytes();
    while body.len() % 64 != off {
        body.push(b' ');
    }
    let length = body.len();
    body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    (body, length)
}

/// A chat of eleven messages, 4.3 KB, with escapes and letters beyond ASCII.
pub fn chat() -> Vec<u8> {
    let question = "Könnten Sie mir den Abschnitt \"Gewährleistung\" erklären?\nIch verstehe den zweiten Satz nicht – \
                    er sagt, daß die Frist mit der Übergabe beginnt. What does § 438 say about it, and is the \
                    five-year period (for buildings) also in there?\tMany thanks!\n\nAnna Müller";
    let answer = "Gerne. The period starts with delivery (\"Ablieferung\"), not with the contract:\n\n1. For movable \
                  things: two years, § 438 (1) no. 3.\n2. For a building: five years, § 438 (1) no. 2.\n\n```python\n\
                  def ends(delivery):\n    return delivery.replace(year=delivery.year + 2)\n```\n\nWenn der Verkäufer \
                  einen Mangel arglistig verschwiegen hat, gilt die regelmäßige Verjährung → drei Jahre. 日本語でも \
                  説明できます。 Path: C:\\contracts\\2024\\annex.pdf";
    let mut messages = vec![json!({"role": "system", "content": "You are a helpful assistant for contract law. \
        Answer briefly, cite the paragraph, and say so when you do not know."})];
    for turn in 0..5 {
        messages.push(json!({"role": "user", "content": format!("{question} ({turn})")}));
        messages.push(json!({"role": "assistant", "content": format!("{answer} [{turn}]")}));
    }
    messages.pop();
    messages.push(json!({"role": "user", "content": "Danke! Noch eine Frage – gilt das auch für gebrauchte Sachen?"}));
    let body = json!({
        "model": "legal-de-8b", "messages": messages, "temperature": 0.7, "top_p": 0.95, "max_tokens": 512,
        "stream": true, "stream_options": {"include_usage": true}, "user": "anna",
    });
    // As Python's client writes it: everything beyond ASCII in half of the texts as escapes.
    let text = body.to_string();
    let (plain, escaped) = text.split_at(text.char_indices().nth(text.chars().count() / 2).unwrap().0);
    let mut out = plain.to_owned();
    for char in escaped.chars() {
        match char.is_ascii() {
            true => out.push(char),
            false => {
                let mut units = [0; 2];
                char.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
        }
    }
    out.into_bytes()
}

/// The same chat with twenty tools.
pub fn chat_with_tools() -> Vec<u8> {
    let mut body: serde_json::Value = serde_json::from_slice(&chat()).unwrap();
    let tool = |i: usize| {
        json!({"type": "function", "function": {
            "name": format!("look_up_{i}"), "description": "Looks up a paragraph of a law, with its comments.",
            "parameters": {"type": "object", "required": ["law", "paragraph"], "additionalProperties": false,
                "properties": {
                    "law": {"type": "string", "enum": ["BGB", "HGB", "ZPO"], "description": "The law"},
                    "paragraph": {"type": "string", "pattern": "^[0-9]{1,4}[a-z]?$", "description": "Its number"},
                    "since": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
                }},
        }})
    };
    let Some(fields) = body.as_object_mut() else { return Vec::new() };
    fields.insert("tools".to_owned(), (0..20).map(tool).collect());
    body.to_string().into_bytes()
}
