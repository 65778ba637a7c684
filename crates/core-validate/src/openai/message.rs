//! Answers of Anthropic's Messages API: the blocks that a caller may see, and the events of a stream of them.
//!
//! As with the `responses` API, a server is asked for a whole answer, and the events are written from it once it was
//! screened. What a tool is called with is kept as the text of its JSON, so that it is screened as other APIs'
//! arguments are, and is an object again when it is written.

use bytes::Bytes;

use crate::answer::{AnswerContent, InferenceAnswer, Slot, SlotPlace, Usage};
use crate::invalid::{Invalid, Pointer};
use crate::json::{self, Document, Json, Value};
use crate::limits::Limits;
use crate::openai::reduce::{Kind, named};
use crate::refuse::missing;

use Kind::{Arguments, Counts, List, Object, Sealed, Text, Word};

const BLOCK: &[(&str, Kind)] = &[
    ("type", Word(&["text", "thinking", "redacted_thinking", "tool_use"])),
    ("text", Text),
    ("thinking", Text),
    ("signature", Sealed),
    ("data", Sealed),
    ("id", Text),
    ("name", Text),
    ("input", Arguments),
];
const REASON: Kind = Word(&[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
]);
const ROOT: &[(&str, Kind)] = &[
    ("type", Word(&["message"])),
    ("role", Word(&["assistant"])),
    ("content", List(&Object(BLOCK))),
    ("stop_reason", REASON),
    ("stop_sequence", Text),
    ("usage", Counts),
];

/// Reads a whole answer. Blocks of other kinds, and those that lack what makes them one, are left out.
pub(crate) fn parse(limits: &Limits, body: &Bytes) -> Result<InferenceAnswer, Invalid> {
    let document = Document::read(body, limits, None)?;
    let root = document.root();
    let mut answer = named(root, ROOT)?;
    let Some(Json::Array(blocks)) = answer.get_mut("content") else {
        return Err(missing(Pointer::root().key("content")));
    };
    blocks.iter_mut().for_each(mend);
    blocks.retain(|block| !block.is_null());
    let is = |key: &str| answer.get(key).and_then(Json::as_str).is_some();
    let (has_reason, has_sequence) = (is("stop_reason"), is("stop_sequence"));
    answer.set("type", Json::text("message"));
    answer.set("role", Json::text("assistant"));
    if !has_reason {
        answer.set("stop_reason", Json::text("end_turn"));
    }
    if !has_sequence {
        answer.set("stop_sequence", Json::Null);
    }
    let usage = usage(root);
    // Callers' libraries add them up.
    let mut counts = answer.get("usage").filter(|usage| !usage.is_null()).cloned().unwrap_or(Json::object([]));
    for key in ["input_tokens", "output_tokens"] {
        if counts.get(key).and_then(Json::as_u64).is_none() {
            counts.set(key, Json::Uint(0));
        }
    }
    answer.set("usage", counts);
    let places = places(&answer);
    Ok(InferenceAnswer { content: AnswerContent::Json(answer), places, usage })
}

/// Makes a block what callers' libraries take it for, with the fields of its kind alone; nothing, if it is none.
fn mend(block: &mut Json) {
    let kind = block.get("type").and_then(Json::as_str).unwrap_or_default();
    let (own, needed): (&[&'static str], &[&str]) = match kind {
        "text" => (&["text"], &["text"]),
        "thinking" => (&["thinking", "signature"], &["thinking"]),
        "redacted_thinking" => (&["data"], &["data"]),
        "tool_use" => (&["id", "name", "input"], &["id", "name"]),
        _ => (&[], &["type"]),
    };
    let says = |key: &str| block.get(key).and_then(Json::as_str).is_some();
    if !needed.iter().all(|key| says(key)) || own.is_empty() {
        *block = Json::Null;
        return;
    }
    let lacking: Vec<&'static str> = own.iter().copied().filter(|key| !says(key)).collect();
    for key in lacking {
        block.set(key, Json::text(if key == "input" { "{}" } else { "" }));
    }
    if let Json::Object(fields) = block {
        fields.retain(|(key, _)| key == "type" || own.iter().any(|own| key == own));
    }
}

fn usage(root: Value<'_>) -> Option<Usage> {
    let usage = root.field("usage")?;
    let count = |key: &str| usage.get(key).and_then(Value::as_u64);
    // What was read from or into a cache stands beside the rest.
    let cached: u64 =
        ["cache_creation_input_tokens", "cache_read_input_tokens"].iter().filter_map(|key| count(key)).sum();
    let input_tokens = count("input_tokens")?.saturating_add(cached);
    Some(Usage { input_tokens, output_tokens: count("output_tokens").unwrap_or(0) })
}

/// Finds the texts; each block stands for a choice.
fn places(root: &Json) -> Vec<SlotPlace> {
    let mut places = Vec::new();
    let Json::Object(fields) = root else { return places };
    for (at, (key, value)) in fields.iter().enumerate() {
        match (key.as_ref(), value) {
            ("stop_sequence", Json::Text(_)) => places.push(SlotPlace { steps: vec![at], slot: Slot::Label(0) }),
            ("content", Json::Array(blocks)) => {
                for (i, block) in blocks.iter().enumerate() {
                    block_places(&[at, i], block, u32::try_from(i).unwrap_or(u32::MAX), &mut places);
                }
            }
            _ => {}
        }
    }
    places
}

fn block_places(steps: &[usize], block: &Json, choice: u32, places: &mut Vec<SlotPlace>) {
    let Json::Object(fields) = block else { return };
    for (i, (key, _)) in fields.iter().enumerate() {
        let slot = match key.as_ref() {
            "text" => Slot::Content(choice),
            "thinking" => Slot::Reasoning(choice),
            "input" => Slot::Arguments(choice, 0),
            "type" => continue,
            _ => Slot::Label(choice),
        };
        places.push(SlotPlace { steps: [steps, &[i]].concat(), slot });
    }
}

/// Empties one block and says that there is no answer for it. `false` when there is no such block.
pub(crate) fn filter_block(root: &mut Json, index: u32) -> bool {
    let blocks = root.get_mut("content").and_then(Json::as_array_mut);
    let Some(block) = blocks.and_then(|blocks| blocks.get_mut(index as usize)) else { return false };
    *block = Json::object([("type", Json::text("text")), ("text", Json::text(""))]);
    root.set("stop_reason", Json::text("refusal"));
    root.set("stop_sequence", Json::Null);
    true
}

/// The answer as it is written: what a tool is called with is an object.
pub(crate) fn written(root: &Json) -> Json {
    let mut root = root.clone();
    for block in root.get_mut("content").and_then(Json::as_array_mut).into_iter().flatten() {
        if let Some(input) = block.get("input").and_then(Json::as_str) {
            let input = Json::Raw(Bytes::copy_from_slice(sound_object(input).as_bytes()));
            block.set("input", input);
        }
    }
    root
}

/// A text of JSON that is an object; an empty one, if what screened it left none.
fn sound_object(text: &str) -> &str {
    let limits = Limits::default().values(4 << 20).string_bytes(64 << 20);
    match Document::read(&Bytes::copy_from_slice(text.as_bytes()), &limits, None) {
        Ok(document) if document.root().kind() == json::Kind::Object => text,
        _ => "{}",
    }
}

/// The events that a stream of this answer consists of, each with its name.
pub(crate) fn events(root: &Json) -> Vec<(&'static str, Bytes)> {
    let mut events = Vec::new();
    let mut push = |name: &'static str, fields: &[(&'static str, Json)]| {
        let mut event = Json::object([("type", Json::text(name))]);
        fields.iter().for_each(|(key, value)| event.set(key, value.clone()));
        let mut out = Vec::new();
        event.write(&mut out);
        events.push((name, Bytes::from(out)));
    };
    let usage = root.get("usage").cloned().unwrap_or(Json::Null);
    let mut begun = root.clone();
    let mut read = usage.clone();
    read.set("output_tokens", Json::Uint(0));
    for (key, value) in [
        ("content", Json::Array(Vec::new())),
        ("stop_reason", Json::Null),
        ("stop_sequence", Json::Null),
        ("usage", read),
    ] {
        begun.set(key, value);
    }
    push("message_start", &[("message", begun)]);
    for (i, block) in root.get("content").and_then(Json::as_array).unwrap_or_default().iter().enumerate() {
        let at = ("index", Json::Uint(i as u64));
        let (begun, deltas) = told(block);
        push("content_block_start", &[at.clone(), ("content_block", begun)]);
        for delta in deltas {
            push("content_block_delta", &[at.clone(), ("delta", delta)]);
        }
        push("content_block_stop", &[at]);
    }
    let end = ["stop_reason", "stop_sequence"].map(|key| (key, root.get(key).cloned().unwrap_or(Json::Null)));
    push("message_delta", &[("delta", Json::object(end)), ("usage", usage)]);
    push("message_stop", &[]);
    events
}

/// A block as a stream begins it, and what it tells of it then.
fn told(block: &Json) -> (Json, Vec<Json>) {
    const DELTAS: [(&str, &str, &str); 4] = [
        ("text", "text_delta", "text"),
        ("thinking", "thinking_delta", "thinking"),
        ("signature", "signature_delta", "signature"),
        ("input", "input_json_delta", "partial_json"),
    ];
    let (mut begun, mut deltas) = (block.clone(), Vec::new());
    for (key, kind, says) in DELTAS {
        let Some(text) = block.get(key).and_then(Json::as_str) else { continue };
        let (text, nothing) = match key {
            "input" => (sound_object(text), Json::object([])),
            _ => (text, Json::text("")),
        };
        deltas.push(Json::object([("type", Json::text(kind)), (says, Json::text(text))]));
        begun.set(key, nothing);
    }
    (begun, deltas)
}
