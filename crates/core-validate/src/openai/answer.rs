//! Answers of OpenAI-style servers: which fields survive, where the texts stand.

use bytes::Bytes;

use crate::answer::{AnswerChunk, AnswerContent, InferenceAnswer, Slot, SlotPlace, Usage};
use crate::answer_numbers::is_sound_embedding;
use crate::invalid::{Invalid, Pointer};
use crate::json::{Document, Json, Kind};
use crate::limits::Limits;
use crate::openai::reduce::reduce;
use crate::operation::Operation;
use crate::refuse::{conflict, missing, wrong_type};
use crate::request::InferenceRequest;

/// Reads a whole answer to what was asked.
pub(crate) fn parse(limits: &Limits, asked: &InferenceRequest, body: &Bytes) -> Result<InferenceAnswer, Invalid> {
    let mut root = read(limits, body)?;
    let is_embedding = asked.operation() == Operation::Embed;
    let (list, other) = if is_embedding { ("data", "choices") } else { ("choices", "data") };
    root.remove(other);
    let at = || Pointer::root().key(list);
    let Some(Json::Array(items)) = root.get_mut(list).filter(|list| list.as_array().is_some_and(|l| !l.is_empty()))
    else {
        return Err(missing(at()));
    };
    if is_embedding && items.len() != asked.inputs() || !is_embedding && items.len() > asked.choices() as usize {
        return Err(conflict(at(), "another number than was asked for"));
    }
    in_order(items, &at)?;
    for (i, item) in items.iter().enumerate() {
        let has = |key: &str| item.get(key).is_some_and(|value| !value.is_null());
        match item.get("embedding") {
            Some(Json::Text(base64)) if !is_sound_embedding(base64) => {
                return Err(wrong_type(at().index(i).key("embedding"), "finite numbers of four bytes in base64"));
            }
            _ if is_embedding && !has("embedding") => return Err(missing(at().index(i).key("embedding"))),
            _ if !is_embedding && !has("message") && !has("text") => return Err(missing(at().index(i))),
            _ => {}
        }
    }
    let (places, usage) = (places(&root), usage(&root));
    Ok(InferenceAnswer { content: AnswerContent::Json(root), places, usage })
}

/// Puts items in the order of their indexes, which callers may take for granted; all of them have one, or none.
fn in_order(items: &mut [Json], at: &impl Fn() -> Pointer) -> Result<(), Invalid> {
    if items.iter().any(|item| item.get("index").is_some_and(|index| !index.is_null())) {
        let place = |item: &Json| item.get("index").and_then(Json::as_u64);
        items.sort_by_key(place);
        if !items.iter().enumerate().all(|(i, item)| place(item) == Some(i as u64)) {
            return Err(conflict(at(), "the indexes are not those of a list"));
        }
    }
    items.iter_mut().enumerate().for_each(|(i, item)| item.set("index", Json::Uint(i as u64)));
    Ok(())
}

/// Reads one event of a stream.
pub(crate) fn parse_chunk(limits: &Limits, body: &Bytes) -> Result<AnswerChunk, Invalid> {
    let mut root = read(limits, body)?;
    root.remove("data");
    let at = || Pointer::root().key("choices");
    // What has no choices is no piece of an answer, however much it looks like one.
    let Some(choices) = root.get_mut("choices").and_then(Json::as_array_mut) else { return Err(missing(at())) };
    for choice in choices.iter_mut() {
        known_index(choice, at)?;
        for part in ["delta", "message"] {
            let calls = choice.get_mut(part).and_then(|part| part.get_mut("tool_calls")).and_then(Json::as_array_mut);
            calls.into_iter().flatten().try_for_each(|call| known_index(call, at))?;
        }
    }
    let mut indexes: Vec<u32> = choices.iter().map(index_of).collect();
    indexes.sort_unstable();
    if indexes.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(conflict(at(), "two choices have the same index"));
    }
    let (places, usage) = (places(&root), usage(&root));
    Ok(AnswerChunk { root, places, usage })
}

/// Refuses an index that is none; one that says nothing is gone.
fn known_index(item: &mut Json, at: impl Fn() -> Pointer) -> Result<(), Invalid> {
    match item.get("index") {
        Some(Json::Null) => item.remove("index"),
        Some(index) if index.as_u64().is_none_or(|index| u32::try_from(index).is_err()) => {
            return Err(wrong_type(at(), "a small index"));
        }
        _ => {}
    }
    Ok(())
}

fn read(limits: &Limits, body: &Bytes) -> Result<Json, Invalid> {
    let document = Document::read(body, limits, None)?;
    if document.root().kind() != Kind::Object {
        return Err(wrong_type(Pointer::root(), "an object"));
    }
    let mut root = reduce(document.root())?;
    // Room for our own names, before places are counted.
    let has_id = root.get("choices").is_some();
    if let Json::Object(fields) = &mut root {
        fields.insert(0, ("model".into(), Json::Null));
        if has_id {
            fields.insert(0, ("id".into(), Json::Null));
        }
    }
    Ok(root)
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
            "content" => walk.content(value),
            "reasoning_content" => walk.note(value, Slot::Reasoning(walk.index)),
            "reasoning" => walk.note(value, Slot::Thinking(walk.index)),
            "refusal" => walk.note(value, Slot::Refusal(walk.index)),
            "function_call" => walk.function(value, Slot::FunctionArguments(walk.index)),
            "tool_calls" => {
                for (i, call) in value.as_array().unwrap_or_default().iter().enumerate() {
                    walk.steps.push(i);
                    walk.fields(call, |walk, key, value| match key {
                        "function" => {
                            let call = index_of(call).max(u32::try_from(i).unwrap_or(u32::MAX));
                            walk.function(value, Slot::Arguments(walk.index, call));
                        }
                        "id" | "type" => walk.note(value, Slot::Label(walk.index)),
                        _ => {}
                    });
                    walk.steps.pop();
                }
            }
            _ => {}
        });
    }

    /// A text, or parts of text, which follow each other.
    fn content(&mut self, content: &Json) {
        self.note(content, Slot::Content(self.index));
        for (i, part) in content.as_array().unwrap_or_default().iter().enumerate() {
            self.steps.push(i);
            self.fields(part, |walk, key, value| {
                if key == "text" {
                    walk.note(value, Slot::Content(walk.index));
                }
            });
            self.steps.pop();
        }
    }

    fn function(&mut self, function: &Json, arguments: Slot) {
        self.fields(function, |walk, key, value| match key {
            "arguments" => walk.note(value, arguments),
            _ => walk.note(value, Slot::Label(walk.index)),
        });
    }

    fn fields(&mut self, object: &Json, mut visit: impl FnMut(&mut Self, &str, &Json)) {
        let Json::Object(fields) = object else { return };
        for (i, (key, value)) in fields.iter().enumerate() {
            self.steps.push(i);
            visit(self, key.as_ref(), value);
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
    let function = |text| Json::object([("arguments", text)]);
    let field = match slot {
        Slot::Content(_) | Slot::Element(..) | Slot::Label(_) if is_completion(root) => {
            return choice(slot.choice(), ("text", text), Json::Null);
        }
        Slot::Content(_) | Slot::Element(..) | Slot::Label(_) => ("content", text),
        Slot::Reasoning(_) => ("reasoning_content", text),
        Slot::Thinking(_) => ("reasoning", text),
        Slot::FunctionArguments(_) => ("function_call", function(text)),
        Slot::Refusal(_) => ("refusal", text),
        Slot::Arguments(_, call) => {
            let call = Json::object([("index", Json::Uint(u64::from(call))), ("function", function(text))]);
            ("tool_calls", Json::Array(vec![call]))
        }
    };
    choice(slot.choice(), ("delta", Json::object([field])), Json::Null)
}

/// A choice without content that ends for this reason.
pub(crate) fn ended_choice(root: &Json, index: u32, reason: &'static str) -> Json {
    let body = match root.get("object").and_then(Json::as_str) {
        _ if is_completion(root) => ("text", Json::text("")),
        Some("chat.completion.chunk") => ("delta", Json::object([])),
        _ => ("message", Json::object([("role", Json::text("assistant")), ("content", Json::text(""))])),
    };
    choice(index, body, Json::text(reason))
}

fn is_completion(root: &Json) -> bool {
    root.get("object").and_then(Json::as_str) == Some("text_completion")
}

fn choice(index: u32, body: (&'static str, Json), reason: Json) -> Json {
    Json::object([("index", Json::Uint(u64::from(index))), body, ("logprobs", Json::Null), ("finish_reason", reason)])
}
