//! The parts of a chat: messages by role, content, tools, formats.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use crate::invalid::{Invalid, InvalidCode};
use crate::json::{Kind, Value};
use crate::openai::rule::{Case, Rule, Table, Walk, find};
use crate::refuse::{conflict, empty, unknown, unsupported, wrong_type};
use crate::request::Origin;

use Rule::*;

/// Tools of one request.
pub(super) const TOOLS: usize = 256;
/// Longest name of a tool or a caller's word for something.
pub(super) const NAME: Rule = Text(128);
/// What a call is told by. It is never rewritten: it would be told from others no more.
pub(super) const ID: Rule = From(Origin::Other, &NAME);
/// Longest text in a message, but for the limit on strings.
pub(super) const ANY_TEXT: Rule = Text(usize::MAX);

pub(super) const DETAIL: Rule = Word(&["auto", "low", "high", "original", "default"]);

/// What every part may carry, and no self-hosted server reads.
const PART: Table = &[("prompt_cache_breakpoint", Dropped), ("cache_control", Dropped), ("annotations", Dropped)];

/// Kinds of parts; which of them a message may hold, its role says.
pub(super) const PARTS: &[Case] = &[
    ("text", &["text"], &[("text", ANY_TEXT)]),
    ("refusal", &["refusal"], &[("refusal", ANY_TEXT)]),
    // Some clients write the address alone.
    ("image_url", &["image_url"], &[("image_url", Or(&Image, &Needs(&["url"], &Object(IMAGE))))]),
    ("input_audio", &["input_audio"], &[("input_audio", Needs(&["data", "format"], &Object(AUDIO)))]),
    ("file", &["file"], &[("file", Needs(&["file_data"], &Object(FILE)))]),
];

const IMAGE: Table = &[("url", Image), ("detail", DETAIL)];
pub(super) const AUDIO: Table = &[("data", Audio), ("format", Word(&["wav", "mp3"]))];
const FILE: Table = &[("file_data", File), ("filename", NAME), ("file_id", Refused("files are accepted inline only"))];

/// Of an answer that comes back: models call what is not there, by names that are none.
const FUNCTION_CALL: Table = &[("name", NAME), ("arguments", ANY_TEXT), ("parsed_arguments", Dropped)];
const CUSTOM_CALL: Table = &[("name", NAME), ("input", ANY_TEXT)];

const TOOL_CALLS: Rule = List(
    TOOLS,
    &TaggedWith(
        &[("id", ID), ("index", Dropped)],
        &[
            ("function", &["function"], &[("function", Needs(&["name", "arguments"], &Object(FUNCTION_CALL)))]),
            ("custom", &["custom"], &[("custom", Needs(&["name", "input"], &Object(CUSTOM_CALL)))]),
        ],
    ),
);

/// Fields of any message. Clients send back what a server answered, so that the fields of answers are here, too.
const MESSAGE: Table = &[("role", Elsewhere), ("content", Elsewhere), ("name", NAME)];

const ASSISTANT: Table = &[
    ("refusal", ANY_TEXT),
    ("reasoning", ANY_TEXT),
    ("reasoning_content", ANY_TEXT),
    ("tool_calls", TOOL_CALLS),
    ("function_call", Object(FUNCTION_CALL)),
    ("annotations", Dropped),
    ("parsed", Dropped),
    ("audio", Stored(&Object(&[("id", NAME)]))),
];

const TOOL: Table = &[("tool_call_id", ID)];

/// Tools that a model may call.
pub(super) const TOOL_LIST: Rule = List(
    TOOLS,
    &Tagged(&[
        ("function", &["function"], &[("function", Needs(&["name"], &Object(FUNCTION)))]),
        ("custom", &["custom"], &[("custom", Needs(&["name"], &Object(CUSTOM)))]),
    ]),
);

pub(super) const FUNCTION: Table =
    &[("name", Name), ("description", ANY_TEXT), ("parameters", Schema), ("strict", Flag)];

const CUSTOM: Table = &[("name", Name), ("description", ANY_TEXT), ("format", CUSTOM_FORMAT)];

const CUSTOM_FORMAT: Rule =
    Tagged(&[("text", &[], &[]), ("grammar", &["grammar"], &[("grammar", Grammar(&Object(GRAMMAR)))])]);

pub(super) const GRAMMAR: Table = &[("definition", Text(64 << 10)), ("syntax", Word(&["lark", "regex"]))];

pub(super) const TOOL_CHOICE: Rule = Or(
    &Word(&["none", "auto", "required"]),
    &Tagged(&[
        ("function", &["function"], &[("function", Needs(&["name"], &Object(NAMED)))]),
        ("custom", &["custom"], &[("custom", Needs(&["name"], &Object(NAMED)))]),
        ("allowed_tools", &["allowed_tools"], &[("allowed_tools", Needs(&["mode", "tools"], &Object(ALLOWED_TOOLS)))]),
    ]),
);

const NAMED: Table = &[("name", Name)];

pub(super) const ALLOWED_TOOLS: Table =
    &[("mode", Word(&["auto", "required"])), ("tools", List(TOOLS, &Object(ALLOWED_TOOL)))];

const ALLOWED_TOOL: Table =
    &[("type", Word(&["function", "custom"])), ("name", Name), ("function", Object(NAMED)), ("custom", Object(NAMED))];

pub(super) const RESPONSE_FORMAT: Rule = Tagged(&[
    ("text", &[], &[]),
    ("json_object", &[], &[("schema", Schema)]),
    ("json_schema", &["json_schema"], &[("json_schema", Needs(&["name"], &Object(NAMED_SCHEMA)))]),
    ("json", &["value"], &[("value", Schema)]),
    ("regex", &["value"], &[("value", Grammar(&Text(1_024)))]),
    ("structural_tag", &[], &[("structures", Grammar(&Free)), ("triggers", Free), ("format", Grammar(&Free))]),
]);

pub(super) const NAMED_SCHEMA: Table =
    &[("name", NAME), ("description", ANY_TEXT), ("schema", Schema), ("strict", Flag)];

/// Text that the answer is likely to repeat.
pub(super) const PREDICTION: Rule = Tagged(&[(
    "content",
    &["content"],
    &[("content", Or(&ANY_TEXT, &List(64, &Tagged(&[("text", &["text"], &[("text", ANY_TEXT)])]))))],
)]);

pub(super) const WEB_SEARCH: Rule = Refused("search of the web is not offered");

impl Walk<'_> {
    /// Checks the messages of a chat.
    pub(super) fn messages(&mut self, value: Value<'_>) -> Result<(), Invalid> {
        match value.kind() {
            Kind::Array => {}
            Kind::Numbers => return Err(wrong_type(value.pointer().index(0), "an object")),
            _ => return Err(wrong_type(value.pointer(), "a list of messages")),
        }
        let count = value.size();
        if count == 0 {
            return Err(empty(value.pointer()));
        }
        if count > self.limits.messages {
            let message = format!("{count} messages exceed maximum {}", self.limits.messages);
            return Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message));
        }
        let mut calls = Calls::default();
        value.items().try_for_each(|message| {
            self.message(message, &calls)?;
            calls.note(message);
            Ok(())
        })
    }

    fn message(&mut self, value: Value<'_>, calls: &Calls) -> Result<(), Invalid> {
        if value.kind() != Kind::Object {
            return Err(wrong_type(value.pointer(), "an object"));
        }
        let role = self.required(value, "role")?;
        let word = role.as_word().ok_or_else(|| wrong_type(role.pointer(), "a string"))?;
        let Some((origin, own)) = of_role(&word) else {
            return Err(Invalid::new(InvalidCode::OutOfRange, role.pointer(), "expected a role of the chat API"));
        };
        let says = ["content", "tool_calls", "function_call", "refusal", "audio", "reasoning", "reasoning_content"];
        let says = if origin == Origin::Assistant { &says[..] } else { &["content"] };
        if !says.iter().any(|key| value.field(key).is_some()) {
            self.required(value, "content")?;
        }
        for field in value.fields() {
            let key = field.key();
            let Some(rule) = find(&[MESSAGE, own], &key) else { return Err(unknown(&key, field.pointer())) };
            match &*key {
                "content" => self.content(field, origin)?,
                _ => self.apply(rule, field, origin)?,
            }
        }
        if &*word != "tool" {
            return Ok(());
        }
        let id = self.required(value, "tool_call_id")?;
        if calls.has(id) { Ok(()) } else { Err(conflict(id.pointer(), "no tool call before has this id")) }
    }

    /// Text, or parts of it.
    fn content(&mut self, value: Value<'_>, origin: Origin) -> Result<(), Invalid> {
        match value.kind() {
            // Beside its calls an assistant may say nothing, and a tool may give nothing.
            Kind::Array if value.size() == 0 && matches!(origin, Origin::Assistant | Origin::ToolResult) => Ok(()),
            Kind::Array if value.size() == 0 => Err(empty(value.pointer())),
            Kind::Array => {
                self.parts.push(value.id());
                value.items().try_for_each(|part| self.part(part, origin))
            }
            Kind::Text | Kind::Null => self.apply(&ANY_TEXT, value, origin),
            Kind::Numbers => Err(wrong_type(value.pointer().index(0), "an object")),
            _ => Err(wrong_type(value.pointer(), "a string or a list of parts")),
        }
    }

    fn part(&mut self, part: Value<'_>, origin: Origin) -> Result<(), Invalid> {
        if part.kind() != Kind::Object {
            return Err(wrong_type(part.pointer(), "an object"));
        }
        let kind = self.required(part, "type")?;
        let kind_word = kind.as_word().unwrap_or_default();
        let is_media = matches!(&*kind_word, "image_url" | "input_audio" | "file");
        let fits = match origin {
            Origin::User | Origin::ToolResult => &*kind_word != "refusal",
            _ => !is_media,
        };
        if !fits {
            return Err(unsupported(kind.pointer(), "this kind of content is not accepted"));
        }
        self.apply(&TaggedWith(PART, PARTS), part, origin)
    }
}

/// The tool calls of the messages so far, by a keyed hash of their ids: a tool's result belongs to one of them.
#[derive(Default)]
pub(super) struct Calls {
    hasher: RandomState,
    ids: HashSet<u64>,
}

impl Calls {
    fn note(&mut self, message: Value<'_>) {
        let calls = message.get("tool_calls").into_iter().flat_map(Value::items);
        for id in calls.filter_map(|call| call.get("id")?.as_str()) {
            self.ids.insert(self.hasher.hash_one(&*id));
        }
    }

    /// The same of an item of the responses API.
    pub(super) fn note_item(&mut self, item: Value<'_>) {
        let is_call =
            item.field("type").is_some_and(|kind| kind.is_text("function_call") || kind.is_text("custom_tool_call"));
        if let Some(id) = item.field("call_id").filter(|_| is_call).and_then(Value::as_str) {
            self.ids.insert(self.hasher.hash_one(&*id));
        }
    }

    /// The same of a block of the Messages API.
    pub(super) fn note_block(&mut self, block: Value<'_>) {
        let is_call = block.field("type").is_some_and(|kind| kind.is_text("tool_use"));
        if let Some(id) = block.field("id").filter(|_| is_call).and_then(Value::as_str) {
            self.ids.insert(self.hasher.hash_one(&*id));
        }
    }

    pub(super) fn has(&self, id: Value<'_>) -> bool {
        id.as_str().is_some_and(|id| self.ids.contains(&self.hasher.hash_one(&*id)))
    }
}

/// Where a message of this role comes from, and the fields it has beside those of any message.
fn of_role(role: &str) -> Option<(Origin, Table)> {
    match role {
        "user" => Some((Origin::User, &[])),
        "system" | "developer" => Some((Origin::System, &[])),
        "assistant" => Some((Origin::Assistant, ASSISTANT)),
        "tool" => Some((Origin::ToolResult, TOOL)),
        "function" => Some((Origin::ToolResult, &[])),
        _ => None,
    }
}
