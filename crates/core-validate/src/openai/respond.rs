//! Answers of the `responses` API: the items that a caller may see, and the events of a stream of them.
//!
//! Servers repeat each text of a stream in several later events. So that what was screened is what is said, a server
//! is asked for a whole answer, and the events are written from it once it was screened.

use bytes::Bytes;

use crate::answer::{AnswerContent, InferenceAnswer, Slot, SlotPlace, Usage};
use crate::invalid::{Invalid, Pointer};
use crate::json::{Document, Json, Value};
use crate::limits::Limits;
use crate::openai::reduce::{Kind, named};
use crate::refuse::missing;

use Kind::{Counts, Flag, List, Number, Object, Sealed, Text, Whole, Word};

const STATUS: Kind = Word(&["completed", "failed", "in_progress", "cancelled", "queued", "incomplete"]);
const TYPE: Kind = Word(&["message", "reasoning", "function_call", "custom_tool_call"]);
const PART: &[(&str, Kind)] =
    &[("type", Word(&["output_text", "refusal", "summary_text", "reasoning_text"])), ("text", Text), ("refusal", Text)];
const ITEM: &[(&str, Kind)] = &[
    ("type", TYPE),
    ("id", Text),
    ("status", STATUS),
    ("role", Word(&["assistant"])),
    ("content", List(&Object(PART))),
    ("summary", List(&Object(PART))),
    ("encrypted_content", Sealed),
    ("call_id", Text),
    ("name", Text),
    ("arguments", Text),
    ("input", Text),
];
const ROOT: &[(&str, Kind)] = &[
    ("object", Word(&["response"])),
    ("created_at", Number),
    ("completed_at", Number),
    ("status", STATUS),
    ("incomplete_details", Object(&[("reason", Word(&["max_output_tokens", "content_filter"]))])),
    ("output", List(&Object(ITEM))),
    ("usage", Counts),
    ("parallel_tool_calls", Flag),
    ("temperature", Number),
    ("top_p", Number),
    ("max_output_tokens", Whole),
];

/// Reads a whole answer. Items of other kinds are left out.
pub(crate) fn parse(limits: &Limits, body: &Bytes) -> Result<InferenceAnswer, Invalid> {
    let document = Document::read(body, limits, None)?;
    let root = document.root();
    let mut answer = named(root, ROOT)?;
    let Some(Json::Array(items)) = answer.get_mut("output") else {
        return Err(missing(Pointer::root().key("output")));
    };
    items.retain(|item| item.get("type").is_some_and(|kind| !kind.is_null()));
    for (i, item) in items.iter_mut().enumerate() {
        if item.get("id").and_then(Json::as_str).is_none_or(str::is_empty) {
            item.set("id", Json::text(format!("item_{i}")));
        }
        mend(item);
    }
    // What callers' libraries expect to be there.
    for (key, value) in [("error", Json::Null), ("tool_choice", Json::text("auto")), ("tools", Json::Array(Vec::new()))]
    {
        answer.set(key, value);
    }
    let (places, usage) = (places(&answer), usage(root));
    Ok(InferenceAnswer { content: AnswerContent::Json(answer), places, usage })
}

/// Makes an item what callers' libraries take it for: lists where lists are, parts that say something.
fn mend(item: &mut Json) {
    let lists: &[&'static str] = match item.get("type").and_then(Json::as_str) {
        Some("message") => &["content"],
        Some("reasoning") => &["summary"],
        _ => &[],
    };
    for key in lists.iter().copied().filter(|key| item.get(key).and_then(Json::as_array).is_none()).collect::<Vec<_>>()
    {
        item.set(key, Json::Array(Vec::new()));
    }
    if item.get("status").is_some_and(Json::is_null) {
        item.set("status", Json::text("completed"));
    }
    for key in ["content", "summary"] {
        let Some(parts) = item.get_mut(key).and_then(Json::as_array_mut) else { continue };
        let says = |part: &Json| ["text", "refusal"].iter().any(|key| part.get(key).and_then(Json::as_str).is_some());
        parts.retain(|part| part.get("type").and_then(Json::as_str).is_some() && says(part));
        for part in parts.iter_mut().filter(|part| part.get("type").and_then(Json::as_str) == Some("output_text")) {
            part.set("annotations", Json::Array(Vec::new()));
        }
    }
}

fn usage(root: Value<'_>) -> Option<Usage> {
    let usage = root.field("usage")?;
    let count = |key: &str| usage.get(key).and_then(Value::as_u64);
    Some(Usage { input_tokens: count("input_tokens")?, output_tokens: count("output_tokens").unwrap_or(0) })
}

/// Finds the texts; each item stands for a choice.
fn places(root: &Json) -> Vec<SlotPlace> {
    let mut places = Vec::new();
    let Json::Object(fields) = root else { return places };
    let Some(at) = fields.iter().position(|(key, _)| key == "output") else { return places };
    let items = root.get("output").and_then(Json::as_array).unwrap_or_default();
    for (i, item) in items.iter().enumerate() {
        let Json::Object(fields) = item else { continue };
        let choice = u32::try_from(i).unwrap_or(u32::MAX);
        for (j, (key, value)) in fields.iter().enumerate() {
            let steps = vec![at, i, j];
            match (key.as_ref(), value) {
                ("arguments" | "input", Json::Text(_)) => {
                    places.push(SlotPlace { steps, slot: Slot::Arguments(choice, 0) });
                }
                ("id" | "call_id" | "name" | "encrypted_content", Json::Text(_)) => {
                    places.push(SlotPlace { steps, slot: Slot::Label(choice) });
                }
                ("content" | "summary", Json::Array(parts)) => {
                    let is_thought = key == "summary" || item.get("type").and_then(Json::as_str) == Some("reasoning");
                    part_places(&steps, parts, choice, is_thought, &mut places);
                }
                _ => {}
            }
        }
    }
    places
}

fn part_places(steps: &[usize], parts: &[Json], choice: u32, is_thought: bool, places: &mut Vec<SlotPlace>) {
    for (i, part) in parts.iter().enumerate() {
        let Json::Object(fields) = part else { continue };
        for (j, (key, _)) in fields.iter().enumerate().filter(|(_, (_, value))| value.as_str().is_some()) {
            let slot = match key.as_ref() {
                "text" if is_thought => Slot::Reasoning(choice),
                "text" => Slot::Content(choice),
                "refusal" => Slot::Refusal(choice),
                _ => continue,
            };
            places.push(SlotPlace { steps: [steps, &[i, j]].concat(), slot });
        }
    }
}

/// Empties one item and says that the answer was filtered.
pub(crate) fn filter_item(root: &mut Json, index: u32) -> bool {
    let items = root.get_mut("output").and_then(Json::as_array_mut);
    let Some(item) = items.and_then(|items| items.get_mut(index as usize)) else { return false };
    *item = Json::object([
        ("type", Json::text("message")),
        // Its own may be what was found.
        ("id", Json::text(format!("item_{index}"))),
        ("role", Json::text("assistant")),
        ("status", Json::text("incomplete")),
        ("content", Json::Array(Vec::new())),
    ]);
    root.set("status", Json::text("incomplete"));
    root.set("incomplete_details", Json::object([("reason", Json::text("content_filter"))]));
    true
}

/// The events that a stream of this answer consists of, each with its name.
pub(crate) fn events(root: &Json) -> Vec<(&'static str, Bytes)> {
    let mut events = Events::default();
    let mut begun = root.clone();
    begun.set("status", Json::text("in_progress"));
    begun.set("output", Json::Array(Vec::new()));
    begun.remove("usage");
    events.push("response.created", [("response", begun.clone())]);
    events.push("response.in_progress", [("response", begun)]);
    let items = root.get("output").and_then(Json::as_array).unwrap_or_default();
    for (i, item) in items.iter().enumerate() {
        events.item(i as u64, item);
    }
    let end = match root.get("status").and_then(Json::as_str) {
        Some("incomplete") => "response.incomplete",
        Some("completed") | None => "response.completed",
        // There is nothing more to come, whatever it waits for.
        Some(_) => "response.failed",
    };
    events.push(end, [("response", root.clone())]);
    events.0
}

#[derive(Default)]
struct Events(Vec<(&'static str, Bytes)>);

impl Events {
    fn push<const N: usize>(&mut self, name: &'static str, fields: [(&'static str, Json); N]) {
        let mut event =
            Json::object([("type", Json::text(name)), ("sequence_number", Json::Uint(self.0.len() as u64))]);
        for (key, value) in fields {
            event.set(key, value);
        }
        let mut out = Vec::new();
        event.write(&mut out);
        self.0.push((name, out.into()));
    }

    fn item(&mut self, index: u64, item: &Json) {
        let at = || ("output_index", Json::Uint(index));
        let id = || ("item_id", item.get("id").cloned().unwrap_or(Json::Null));
        let mut begun = item.clone();
        begun.set("status", Json::text("in_progress"));
        for key in ["content", "summary"] {
            if begun.get(key).is_some() {
                begun.set(key, Json::Array(Vec::new()));
            }
        }
        for key in ["arguments", "input"] {
            if begun.get(key).is_some() {
                begun.set(key, Json::text(""));
            }
        }
        self.push("response.output_item.added", [at(), ("item", begun)]);
        let is_thought = item.get("type").and_then(Json::as_str) == Some("reasoning");
        for (j, part) in item.get("content").and_then(Json::as_array).unwrap_or_default().iter().enumerate() {
            let place = || [id(), at(), ("content_index", Json::Uint(j as u64))];
            self.part(place, part, is_thought);
        }
        for (j, part) in item.get("summary").and_then(Json::as_array).unwrap_or_default().iter().enumerate() {
            let place = || [id(), at(), ("summary_index", Json::Uint(j as u64))];
            let text = part.get("text").cloned().unwrap_or(Json::text(""));
            self.said("response.reasoning_summary_text.delta", "delta", place(), text.clone());
            self.said("response.reasoning_summary_text.done", "text", place(), text);
        }
        if let Some(arguments) = item.get("arguments") {
            let [delta, done] = ["response.function_call_arguments.delta", "response.function_call_arguments.done"];
            self.push(delta, [id(), at(), ("delta", arguments.clone())]);
            self.push(done, [id(), at(), ("arguments", arguments.clone())]);
        }
        if let Some(input) = item.get("input") {
            self.push("response.custom_tool_call_input.delta", [id(), at(), ("delta", input.clone())]);
            self.push("response.custom_tool_call_input.done", [id(), at(), ("input", input.clone())]);
        }
        self.push("response.output_item.done", [at(), ("item", item.clone())]);
    }

    fn part(&mut self, place: impl Fn() -> [(&'static str, Json); 3], part: &Json, is_thought: bool) {
        let (key, delta, done) = match part.get("refusal") {
            Some(_) => ("refusal", "response.refusal.delta", "response.refusal.done"),
            None if is_thought => ("text", "response.reasoning_text.delta", "response.reasoning_text.done"),
            None => ("text", "response.output_text.delta", "response.output_text.done"),
        };
        let mut begun = part.clone();
        begun.set(key, Json::text(""));
        let text = part.get(key).cloned().unwrap_or(Json::text(""));
        self.said("response.content_part.added", "part", place(), begun);
        self.said(delta, "delta", place(), text.clone());
        self.said(done, key, place(), text);
        self.said("response.content_part.done", "part", place(), part.clone());
    }

    fn said(&mut self, name: &'static str, key: &'static str, place: [(&'static str, Json); 3], value: Json) {
        let [id, at, index] = place;
        self.push(name, [id, at, index, (key, value)]);
    }
}
