//! Answers of OpenAI-style servers: which fields survive, where the texts stand.

use bytes::Bytes;

use crate::answer::{AnswerChunk, AnswerContent, InferenceAnswer, Slot, SlotPlace, Usage};
use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::{self, Json};
use crate::limits::Limits;
use crate::openai::{missing, wrong_type};
use crate::request::Operation;

const ROOT: &[&str] = &["id", "object", "created", "model", "choices", "data", "usage"];
const CHOICE: &[&str] = &["index", "message", "delta", "text", "finish_reason", "logprobs"];
const MESSAGE: &[&str] =
    &["role", "content", "refusal", "tool_calls", "function_call", "reasoning_content", "reasoning"];
const TOOL_CALL: &[&str] = &["index", "id", "type", "function"];
const FUNCTION: &[&str] = &["name", "arguments"];
const VECTOR: &[&str] = &["object", "index", "embedding"];

/// Reads a whole answer.
pub(crate) fn parse(limits: &Limits, operation: Operation, body: &Bytes) -> Result<InferenceAnswer, Invalid> {
    let (root, places) = reduce(limits, body)?;
    let list = if operation == Operation::Embed { "data" } else { "choices" };
    if root.get(list).and_then(Json::as_array).is_none_or(<[Json]>::is_empty) {
        return Err(missing(Pointer::root().key(list)));
    }
    let usage = usage(&root);
    Ok(InferenceAnswer { content: AnswerContent::Json(root), places, usage })
}

/// Reads one event of a stream.
pub(crate) fn parse_chunk(limits: &Limits, body: &Bytes) -> Result<AnswerChunk, Invalid> {
    let (root, places) = reduce(limits, body)?;
    let usage = usage(&root);
    Ok(AnswerChunk { root, places, usage })
}

fn reduce(limits: &Limits, body: &Bytes) -> Result<(Json, Vec<SlotPlace>), Invalid> {
    let mut root = json::read(body, limits, None)?;
    if !matches!(root, Json::Object(_)) {
        return Err(wrong_type(Pointer::root(), "an object"));
    }
    if root.get("error").is_some_and(|error| *error != Json::Null) {
        let message = "the server answered with an error";
        return Err(Invalid::new(InvalidCode::UnsupportedContent, Pointer::root().key("error"), message));
    }
    keep(&mut root, ROOT);
    if let Some(usage) = root.get_mut("usage") {
        numbers_only(usage);
    }
    for_each(root.get_mut("data"), |vector| keep(vector, VECTOR));
    for_each(root.get_mut("choices"), |choice| {
        keep(choice, CHOICE);
        plain_reason(choice);
        for key in ["message", "delta"] {
            if let Some(message) = choice.get_mut(key) {
                keep(message, MESSAGE);
                for_each(message.get_mut("tool_calls"), |call| {
                    keep(call, TOOL_CALL);
                    if let Some(function) = call.get_mut("function") {
                        keep(function, FUNCTION);
                    }
                });
            }
        }
    });
    let places = places(&root);
    Ok((root, places))
}

fn keep(value: &mut Json, names: &[&str]) {
    if let Json::Object(fields) = value {
        fields.retain(|(key, _)| names.contains(&key.as_str()));
    }
}

fn for_each(list: Option<&mut Json>, change: impl FnMut(&mut Json)) {
    if let Some(Json::Array(items)) = list {
        items.iter_mut().for_each(change);
    }
}

fn numbers_only(value: &mut Json) {
    if let Json::Object(fields) = value {
        fields.retain(|(_, v)| matches!(v, Json::Uint(_) | Json::Float(_) | Json::Object(_)));
        fields.iter_mut().for_each(|(_, v)| numbers_only(v));
    }
}

/// A finish reason is one of the API's words; another one is reported as `stop`.
fn plain_reason(choice: &mut Json) {
    const REASONS: &[&str] = &["stop", "length", "tool_calls", "content_filter", "function_call"];
    if let Some(reason) = choice.get_mut("finish_reason") {
        let known = match reason {
            Json::Text(word) => REASONS.contains(&word.as_str()),
            Json::Null => true,
            _ => false,
        };
        if !known {
            *reason = Json::text("stop");
        }
    }
}

/// The `index` of a choice or tool call; 0 when it has none.
pub(crate) fn index_of(value: &Json) -> u32 {
    value.get("index").and_then(Json::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

/// Finds the texts of every choice. Log-probabilities are no slot: they go when a text changes.
pub(crate) fn places(root: &Json) -> Vec<SlotPlace> {
    let mut places = Vec::new();
    let Json::Object(fields) = root else { return places };
    for (i, (key, value)) in fields.iter().enumerate() {
        let Json::Array(choices) = value else { continue };
        if key != "choices" {
            continue;
        }
        for (j, choice) in choices.iter().enumerate() {
            let mut walk = Walk { steps: vec![i, j], index: index_of(choice), places: &mut places };
            walk.choice(choice);
        }
    }
    places
}

struct Walk<'p> {
    steps: Vec<usize>,
    index: u32,
    places: &'p mut Vec<SlotPlace>,
}

impl Walk<'_> {
    fn choice(&mut self, choice: &Json) {
        self.fields(choice, |walk, key, value| match key {
            "text" => walk.note(value, Slot::Content(walk.index)),
            "message" | "delta" => walk.message(value),
            _ => {}
        });
    }

    fn message(&mut self, message: &Json) {
        self.fields(message, |walk, key, value| match key {
            "content" => walk.note(value, Slot::Content(walk.index)),
            "reasoning_content" | "reasoning" => walk.note(value, Slot::Reasoning(walk.index)),
            "refusal" => walk.note(value, Slot::Refusal(walk.index)),
            "function_call" => walk.function(value, 0),
            "tool_calls" => {
                for (i, call) in value.as_array().unwrap_or_default().iter().enumerate() {
                    walk.steps.push(i);
                    walk.fields(call, |walk, key, value| match key {
                        "function" => walk.function(value, index_of(call).max(i as u32)),
                        "id" | "type" => walk.note(value, Slot::Label(walk.index)),
                        _ => {}
                    });
                    walk.steps.pop();
                }
            }
            "role" => walk.note(value, Slot::Label(walk.index)),
            _ => {}
        });
    }

    fn function(&mut self, function: &Json, call: u32) {
        self.fields(function, |walk, key, value| match key {
            "arguments" => walk.note(value, Slot::Arguments(walk.index, call)),
            _ => walk.note(value, Slot::Label(walk.index)),
        });
    }

    fn fields(&mut self, object: &Json, mut visit: impl FnMut(&mut Self, &str, &Json)) {
        let Json::Object(fields) = object else { return };
        for (i, (key, value)) in fields.iter().enumerate() {
            self.steps.push(i);
            visit(self, key, value);
            self.steps.pop();
        }
    }

    fn note(&mut self, value: &Json, slot: Slot) {
        if matches!(value, Json::Text(_)) {
            self.places.push(SlotPlace { steps: self.steps.clone(), slot });
        }
    }
}

fn usage(root: &Json) -> Option<Usage> {
    let usage = root.get("usage")?;
    let count = |key: &str| usage.get(key).and_then(Json::as_u64);
    Some(Usage { input_tokens: count("prompt_tokens")?, output_tokens: count("completion_tokens").unwrap_or(0) })
}

/// A choice that carries one text, in the shape of `root` (chunk of a chat or of a completion).
pub(crate) fn text_choice(root: &Json, slot: Slot, text: &str) -> Json {
    let text = Json::text(text);
    let function = |text| object([("arguments", text)]);
    let field = match slot {
        Slot::Content(_) | Slot::Element(..) | Slot::Label(_) if is_completion(root) => {
            return choice(slot.choice(), ("text", text), Json::Null);
        }
        Slot::Content(_) | Slot::Element(..) | Slot::Label(_) => ("content", text),
        Slot::Reasoning(_) => ("reasoning_content", text),
        Slot::Refusal(_) => ("refusal", text),
        Slot::Arguments(_, call) => {
            let call = object([("index", Json::Uint(u64::from(call))), ("function", function(text))]);
            ("tool_calls", Json::Array(vec![call]))
        }
    };
    choice(slot.choice(), ("delta", object([field])), Json::Null)
}

/// A choice without content that ends as filtered.
pub(crate) fn filtered_choice(root: &Json, index: u32) -> Json {
    let body = match root.get("object").and_then(Json::as_str) {
        _ if is_completion(root) => ("text", Json::text("")),
        Some("chat.completion.chunk") => ("delta", object([])),
        _ => ("message", object([("role", Json::text("assistant")), ("content", Json::text(""))])),
    };
    choice(index, body, Json::text("content_filter"))
}

fn is_completion(root: &Json) -> bool {
    root.get("object").and_then(Json::as_str) == Some("text_completion")
}

fn choice(index: u32, body: (&str, Json), reason: Json) -> Json {
    object([("index", Json::Uint(u64::from(index))), body, ("logprobs", Json::Null), ("finish_reason", reason)])
}

fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}
