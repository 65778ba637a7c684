//! The `responses` API: its root and its items.

use crate::invalid::Invalid;
use crate::json::{Kind, Value};
use crate::openai::chat::{ALLOWED_TOOLS, ANY_TEXT, AUDIO, Calls, DETAIL, ID, NAME, NAMED_SCHEMA, TOOLS};
use crate::openai::fields::{EFFORT, TOKENS, VERBOSITY};
use crate::openai::rule::{Case, Rule, Table, Walk, find};
use crate::refuse::{conflict, empty, missing, unknown, unsupported, wrong_type};
use crate::request::Origin;

use Rule::*;

/// Fields of the root beside those that all operations share.
pub(super) const RESPOND: Table = &[
    ("input", Elsewhere),
    ("instructions", From(Origin::System, &ANY_TEXT)),
    ("max_output_tokens", TOKENS),
    ("max_tool_calls", Integer(1, 1_024)),
    ("parallel_tool_calls", Flag),
    ("stream_options", Object(&[("include_obfuscation", Flag)])),
    ("top_logprobs", Integer(0, 20)),
    ("truncation", Word(&["auto", "disabled"])),
    (
        "include",
        List(
            8,
            &Word(&["reasoning.encrypted_content", "message.output_text.logprobs", "message.input_image.image_url"]),
        ),
    ),
    (
        "reasoning",
        Object(&[
            ("effort", EFFORT),
            ("summary", SUMMARY),
            ("generate_summary", SUMMARY),
            ("context", Dropped),
            ("mode", Dropped),
        ]),
    ),
    ("text", Object(&[("format", From(Origin::Schema, &FORMAT)), ("verbosity", VERBOSITY)])),
    ("tools", From(Origin::ToolDescription, &TOOL_LIST)),
    ("tool_choice", TOOL_CHOICE),
    ("previous_response_id", Stored(&NAME)),
    ("conversation", Stored(&Free)),
    ("background", Stored(&Flag)),
    ("background_options", Stored(&Free)),
    ("prompt", Stored(&Free)),
    ("context_management", Refused("what a server makes of a context is not asked for")),
    ("access_programs", Refused("programs of a provider are not offered")),
];

const SUMMARY: Rule = Word(&["auto", "concise", "detailed"]);

const FORMAT: Rule =
    Tagged(&[("text", &[], &[]), ("json_object", &[], &[]), ("json_schema", &["name", "schema"], NAMED_SCHEMA)]);

/// Tools that the caller runs. Those that a provider runs fetch, compute or remember elsewhere.
const TOOL_LIST: Rule = List(
    TOOLS,
    &Tagged(&[
        ("function", &["name"], FUNCTION_TOOL),
        ("custom", &["name"], &[("name", Name), ("description", ANY_TEXT), ("format", CUSTOM_FORMAT)]),
    ]),
);

const FUNCTION_TOOL: Table = &[
    ("name", Name),
    ("description", ANY_TEXT),
    ("parameters", Schema),
    ("strict", Flag),
    ("output_schema", Dropped),
    ("defer_loading", Dropped),
    ("allowed_callers", Dropped),
    ("async", Dropped),
];

const CUSTOM_FORMAT: Rule = Tagged(&[
    ("text", &[], &[]),
    ("grammar", &["definition"], &[("definition", Grammar(&Text(64 << 10))), ("syntax", Word(&["lark", "regex"]))]),
]);

const TOOL_CHOICE: Rule = Or(
    &Word(&["none", "auto", "required"]),
    &Tagged(&[
        ("function", &["name"], &[("name", Name)]),
        ("custom", &["name"], &[("name", Name)]),
        ("allowed_tools", &["mode", "tools"], ALLOWED_TOOLS),
    ]),
);

/// What every item may carry from the answer it was in.
const ITEM: Table = &[
    ("type", Elsewhere),
    ("id", ID),
    ("status", Word(&["in_progress", "completed", "incomplete", "failed", "cancelled", "queued"])),
    ("caller", Dropped),
    ("namespace", Dropped),
    ("async", Dropped),
    ("phase", Word(&["commentary", "final_answer"])),
];

const MESSAGE: Table = &[("role", Elsewhere), ("content", Elsewhere)];
const CALL: Table = &[("call_id", ID), ("name", NAME), ("arguments", ANY_TEXT), ("parsed_arguments", Dropped)];
const OUTPUT: Table = &[("call_id", ID), ("name", NAME), ("output", Elsewhere)];
const REASONING: Table = &[
    ("summary", List(64, &Tagged(&[("summary_text", &["text"], &[("text", ANY_TEXT)])]))),
    ("content", List(64, &Tagged(&[("reasoning_text", &["text"], &[("text", ANY_TEXT)])]))),
    ("encrypted_content", Sealed),
];
const CUSTOM_CALL: Table = &[("call_id", ID), ("name", NAME), ("input", ANY_TEXT)];

const PART: Table = &[
    ("prompt_cache_breakpoint", Dropped),
    ("annotations", From(Origin::Assistant, &Free)),
    ("logprobs", Dropped),
    ("parsed", Dropped),
];

const PARTS: &[Case] = &[
    ("input_text", &["text"], &[("text", ANY_TEXT)]),
    ("output_text", &["text"], &[("text", ANY_TEXT)]),
    ("refusal", &["refusal"], &[("refusal", ANY_TEXT)]),
    ("input_image", &[], &[("image_url", Image), ("detail", DETAIL), ("file_id", Stored(&NAME))]),
    ("input_file", &[], FILE),
    ("input_audio", &["input_audio"], &[("input_audio", Needs(&["data", "format"], &Object(AUDIO)))]),
];

const FILE: Table = &[
    ("file_data", Rule::File),
    ("filename", NAME),
    ("file_url", Refused("files are accepted inline only")),
    ("file_id", Stored(&NAME)),
    ("detail", DETAIL),
];

impl Walk<'_> {
    /// Checks the input of a response: a text, or items.
    pub(super) fn items(&mut self, value: Value<'_>) -> Result<(), Invalid> {
        match value.kind() {
            Kind::Text if value.raw().is_empty() => Err(empty(value.pointer())),
            Kind::Text => self.apply(&ANY_TEXT, value, Origin::User),
            Kind::Array if value.size() == 0 => Err(empty(value.pointer())),
            Kind::Array => {
                crate::refuse::list_length(value.size(), self.limits.messages, || value.pointer())?;
                let mut calls = Calls::default();
                value.items().try_for_each(|item| {
                    self.item(item, &calls)?;
                    calls.note_item(item);
                    Ok(())
                })
            }
            _ => Err(wrong_type(value.pointer(), "a string or a list of items")),
        }
    }

    fn item(&mut self, item: Value<'_>, calls: &Calls) -> Result<(), Invalid> {
        if item.kind() != Kind::Object {
            return Err(wrong_type(item.pointer(), "an object"));
        }
        let is_bare = item.field("role").is_none() && item.field("id").is_some();
        let kind = match item.field("type") {
            Some(kind) => Some(kind.as_word().ok_or_else(|| wrong_type(kind.pointer(), "a string"))?),
            None => None,
        };
        let kind = kind.unwrap_or(if is_bare { "item_reference".into() } else { "message".into() });
        let (origin, own) = match &*kind {
            "message" => (self.role(item)?, MESSAGE),
            "function_call" => (Origin::Assistant, CALL),
            "custom_tool_call" => (Origin::Assistant, CUSTOM_CALL),
            "function_call_output" | "custom_tool_call_output" => (Origin::ToolResult, OUTPUT),
            "reasoning" => (Origin::Assistant, REASONING),
            "item_reference" => {
                if item.field("id").is_none() {
                    return Err(missing(item.pointer().key("id")));
                }
                return self.object(item, Origin::Other, &[&[("type", Elsewhere), ("id", Stored(&NAME))]]);
            }
            _ => {
                let at = item.pointer().key("type");
                return Err(unsupported(at, "this kind of item is not accepted"));
            }
        };
        for field in item.fields() {
            let key = field.key();
            let Some(rule) = find(&[own, ITEM], &key) else { return Err(unknown(&key, field.pointer())) };
            match &*key {
                "content" if &*kind == "message" => self.item_content(field, origin)?,
                "output" => self.item_content(field, origin)?,
                "summary" | "content" => {
                    self.parts.push(field.id());
                    self.apply(rule, field, origin)?;
                }
                _ => self.apply(rule, field, origin)?,
            }
        }
        let needed: &[&str] = match &*kind {
            "message" => &["content"],
            "function_call" => &["call_id", "name", "arguments"],
            "custom_tool_call" => &["call_id", "name", "input"],
            "reasoning" => &[],
            _ => &["call_id", "output"],
        };
        needed.iter().try_for_each(|key| self.required(item, key).map(drop))?;
        match item.field("call_id") {
            // With state on, the call may be in what the server kept.
            Some(id) if origin == Origin::ToolResult && !self.limits.stored_state && !calls.has(id) => {
                Err(conflict(id.pointer(), "no tool call before has this id"))
            }
            _ => Ok(()),
        }
    }

    fn role(&self, item: Value<'_>) -> Result<Origin, Invalid> {
        let role = self.required(item, "role")?;
        match role.as_word().as_deref() {
            Some("user") => Ok(Origin::User),
            Some("system" | "developer") => Ok(Origin::System),
            Some("assistant") => Ok(Origin::Assistant),
            Some(_) => Err(unsupported(role.pointer(), "expected a role of the responses API")),
            None => Err(wrong_type(role.pointer(), "a string")),
        }
    }

    fn item_content(&mut self, value: Value<'_>, origin: Origin) -> Result<(), Invalid> {
        match value.kind() {
            Kind::Array if value.size() == 0 && !matches!(origin, Origin::Assistant | Origin::ToolResult) => {
                Err(empty(value.pointer()))
            }
            Kind::Numbers => Err(wrong_type(value.pointer().index(0), "an object")),
            Kind::Array => {
                self.parts.push(value.id());
                value.items().try_for_each(|part| {
                    if part.kind() != Kind::Object {
                        return Err(wrong_type(part.pointer(), "an object"));
                    }
                    self.apply(&TaggedWith(PART, PARTS), part, origin)?;
                    part_fits(part, origin)
                })
            }
            Kind::Text | Kind::Null => self.apply(&ANY_TEXT, value, origin),
            _ => Err(wrong_type(value.pointer(), "a string or a list of parts")),
        }
    }
}

/// Whether a part is one that who speaks may say, and says anything.
fn part_fits(part: Value<'_>, origin: Origin) -> Result<(), Invalid> {
    let kind = part.field("type").and_then(Value::as_word).unwrap_or_default();
    let fits = match &*kind {
        "input_text" => true,
        "output_text" | "refusal" => origin == Origin::Assistant,
        _ => matches!(origin, Origin::User | Origin::ToolResult),
    };
    if !fits {
        return Err(unsupported(part.pointer().key("type"), "this kind of content is not accepted"));
    }
    let holds: &[&str] = match &*kind {
        "input_image" => &["image_url", "file_id"],
        "input_file" => &["file_data", "file_id"],
        _ => return Ok(()),
    };
    match holds.iter().any(|key| part.field(key).is_some()) {
        true => Ok(()),
        false => Err(missing(part.pointer().key(holds.first().copied().unwrap_or_default()))),
    }
}
