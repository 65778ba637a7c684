//! Chat, completions and embeddings of the echo model.

use base64::Engine as _;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::engine::general_purpose::STANDARD;
use core_validate::Operation;
use serde_json::{Value, json};

const DIMENSIONS: u64 = 64;
const MOST_NUMBERS: u64 = 1 << 18;

/// What the model says, and why it stops.
struct Saying {
    text: String,
    reason: &'static str,
    read: usize,
    written: usize,
}

/// Repeats the last words of the caller. One word counts as one token.
fn say(asked: &Value, operation: Operation) -> Saying {
    let (text, read) = match operation {
        Operation::Chat | Operation::Message => {
            let messages = asked.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let said = messages.iter().rev().find(|m| m.get("role").and_then(Value::as_str) == Some("user"));
            let all: usize = messages.iter().map(|m| words(&content(m))).sum();
            (format!("You said: {}", said.map(content).unwrap_or_default()), all)
        }
        Operation::Respond => {
            let said = match asked.get("input") {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Array(items)) => {
                    let said = items.iter().rev().find(|item| item.get("role").and_then(Value::as_str) == Some("user"));
                    said.map(content).unwrap_or_default()
                }
                _ => String::new(),
            };
            let read = words(&said);
            (format!("You said: {said}"), read)
        }
        _ => {
            let prompt = texts(asked.get("prompt")).join(" ");
            let read = words(&prompt);
            (format!("{prompt} and so on."), read)
        }
    };
    let most =
        ["max_completion_tokens", "max_tokens", "max_output_tokens"].iter().find_map(|key| asked.get(key)?.as_u64());
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let written = words(&text);
    if written <= most {
        return Saying { text, reason: "stop", read, written };
    }
    let cut: String = text.split_inclusive(char::is_whitespace).take(most).collect();
    Saying { text: cut.trim_end().to_owned(), reason: "length", read, written: most }
}

fn content(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<&str> = parts.iter().filter_map(said_in).collect();
            texts.join(" ")
        }
        _ => String::new(),
    }
}

/// What a part says, be it the result of a tool.
fn said_in(part: &Value) -> Option<&str> {
    part.get("text").or_else(|| part.get("content"))?.as_str()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect(),
        _ => Vec::new(),
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn choices(asked: &Value) -> u64 {
    asked.get("n").and_then(Value::as_u64).unwrap_or(1)
}

fn usage(saying: &Saying, choices: u64) -> Value {
    let written = saying.written as u64 * choices;
    json!({"prompt_tokens": saying.read, "completion_tokens": written, "total_tokens": saying.read as u64 + written})
}

fn head(asked: &Value, object: &str) -> Value {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({"id": "echo", "object": object, "created": since.as_secs(), "model": asked.get("model")})
}

fn with(mut head: Value, key: &str, value: Value) -> Value {
    if let Value::Object(fields) = &mut head {
        fields.insert(key.to_owned(), value);
    }
    head
}

/// A whole answer.
pub(super) fn whole(asked: &Value, operation: Operation) -> Value {
    let saying = say(asked, operation);
    let count = choices(asked);
    let (object, choice): (_, &dyn Fn(u64) -> Value) = match operation {
        Operation::Chat => ("chat.completion", &|index| {
            let message = json!({"role": "assistant", "content": saying.text});
            json!({"index": index, "message": message, "logprobs": null, "finish_reason": saying.reason})
        }),
        _ => (
            "text_completion",
            &|index| json!({"index": index, "text": saying.text, "logprobs": null, "finish_reason": saying.reason}),
        ),
    };
    let answer = with(head(asked, object), "choices", (0..count).map(choice).collect());
    with(answer, "usage", usage(&saying, count))
}

/// An answer of the responses API.
pub(super) fn response(asked: &Value) -> Value {
    let saying = say(asked, Operation::Respond);
    let is_whole = saying.reason == "stop";
    let part = json!({"type": "output_text", "text": saying.text, "annotations": []});
    let message = json!({
        "type": "message", "id": "msg_echo", "role": "assistant", "status": "completed", "content": [part],
    });
    let usage = json!({
        "input_tokens": saying.read, "output_tokens": saying.written, "total_tokens": saying.read + saying.written,
    });
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "id": "resp_echo", "object": "response", "created_at": since.as_secs(), "model": asked.get("model"),
        "status": if is_whole { "completed" } else { "incomplete" },
        "incomplete_details": if is_whole { Value::Null } else { json!({"reason": "max_output_tokens"}) },
        "output": [message], "usage": usage, "parallel_tool_calls": true,
    })
}

/// An answer of the Messages API. The last tool, when one must be called, is called with what was said.
pub(super) fn message(asked: &Value) -> Value {
    let saying = say(asked, Operation::Message);
    let must_call = matches!(asked.pointer("/tool_choice/type").and_then(Value::as_str), Some("any" | "tool"));
    let tools = asked.get("tools").and_then(Value::as_array);
    let tool = asked.pointer("/tool_choice/name").or_else(|| tools?.last()?.get("name")).filter(|_| must_call);
    let (block, reason) = match tool {
        Some(name) => {
            let input = json!({"text": saying.text});
            (json!({"type": "tool_use", "id": "toolu_echo", "name": name, "input": input}), "tool_use")
        }
        None => {
            let reason = if saying.reason == "stop" { "end_turn" } else { "max_tokens" };
            (json!({"type": "text", "text": saying.text}), reason)
        }
    };
    json!({
        "id": "msg_echo", "type": "message", "role": "assistant", "model": asked.get("model"), "content": [block],
        "stop_reason": reason, "stop_sequence": null,
        "usage": {"input_tokens": saying.read, "output_tokens": saying.written},
    })
}

/// The events of a streamed answer, word by word.
pub(super) fn chunks(asked: &Value, operation: Operation) -> Vec<Value> {
    let saying = say(asked, operation);
    let is_chat = operation == Operation::Chat;
    let head = head(asked, if is_chat { "chat.completion.chunk" } else { "text_completion" });
    let piece = |index: u64, text: Option<&str>, reason: Option<&str>| match (is_chat, text) {
        (true, Some(text)) => json!({"index": index, "delta": {"content": text}, "finish_reason": reason}),
        (true, None) => json!({"index": index, "delta": {}, "finish_reason": reason}),
        (false, text) => json!({"index": index, "text": text.unwrap_or_default(), "finish_reason": reason}),
    };
    let mut chunks = Vec::new();
    for index in 0..choices(asked) {
        if is_chat {
            let role = json!({"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": null});
            chunks.push(with(head.clone(), "choices", json!([role])));
        }
        for word in saying.text.split_inclusive(char::is_whitespace) {
            chunks.push(with(head.clone(), "choices", json!([piece(index, Some(word), None)])));
        }
        chunks.push(with(head.clone(), "choices", json!([piece(index, None, Some(saying.reason))])));
    }
    if asked.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)) {
        let last = with(head, "choices", json!([]));
        chunks.push(with(last, "usage", usage(&saying, choices(asked))));
    }
    chunks
}

/// One vector of unit length for each text; equal texts have equal vectors.
///
/// `None` for more numbers than a small model gives.
pub(super) fn embeddings(asked: &Value) -> Option<Value> {
    let texts = texts(asked.get("input"));
    let dimensions = asked.get("dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    if dimensions.saturating_mul(texts.len() as u64) > MOST_NUMBERS {
        return None;
    }
    let is_base64 = asked.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, dimensions);
            let embedding = if is_base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let read: usize = texts.iter().map(|text| words(text)).sum();
    Some(json!({
        "object": "list", "model": asked.get("model"), "data": data,
        "usage": {"prompt_tokens": read, "total_tokens": read},
    }))
}

/// A pseudo-random direction: a 64-bit FNV-1a hash of the text feeds a xorshift generator.
fn vector(text: &str, dimensions: u64) -> Vec<f32> {
    let mut state = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let values: Vec<f32> = (0..dimensions)
        .map(|_| {
            state = state.max(1);
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
        })
        .collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::EPSILON);
    values.iter().map(|value| value / length).collect()
}
