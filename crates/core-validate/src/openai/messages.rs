//! Anthropic's Messages API: its root, and its messages of blocks.
//!
//! After the API reference of Anthropic as its client of version 2.14 has it. What a provider runs (search, code,
//! servers of tools, containers) is not offered.

use crate::invalid::Invalid;
use crate::json::{Kind, Value};
use crate::openai::chat::{ANY_TEXT, Calls, ID, NAME, TOOLS};
use crate::openai::fields::TOKENS;
use crate::openai::rule::{Case, Rule, Table, Walk, find};
use crate::refuse::{conflict, empty, list_length, unknown, unsupported, wrong_type};
use crate::request::Origin;

use Rule::*;

/// Fields of the root.
pub(super) const MESSAGES: Table = &[
    ("model", Elsewhere),
    ("messages", Elsewhere),
    ("max_tokens", TOKENS),
    ("system", From(Origin::System, &Or(&ANY_TEXT, &List(usize::MAX, &TaggedWith(BLOCK, &[TEXT]))))),
    ("temperature", Number(0.0, 1.0)),
    ("top_p", Number(0.0, 1.0)),
    ("top_k", Integer(-1, 1_000_000)),
    ("stop_sequences", List(16, &Said(256))),
    ("stream", Flag),
    ("tools", From(Origin::ToolDescription, &List(TOOLS, &Object(TOOL)))),
    ("tool_choice", TOOL_CHOICE),
    ("thinking", THINKING),
    ("metadata", Object(&[("user_id", Text(256))])),
    ("output_config", Object(&[("effort", EFFORT), ("format", FORMAT)])),
    ("output_format", FORMAT),
    ("cache_control", Dropped),
    ("service_tier", Word(&["auto", "standard_only"])),
    ("container", Refused("containers of a provider are not offered")),
    ("context_management", Refused("what a server makes of a context is not asked for")),
    ("mcp_servers", Refused("servers of tools elsewhere are not asked")),
];

const EFFORT: Rule = Word(&["low", "medium", "high", "xhigh", "max"]);
const FORMAT: Rule = From(Origin::Schema, &Tagged(&[("json_schema", &["schema"], &[("schema", Schema)])]));

const THINKING: Rule = Tagged(&[
    ("enabled", &["budget_tokens"], &[("budget_tokens", TOKENS), ("display", DISPLAY)]),
    ("adaptive", &[], &[("display", DISPLAY)]),
    ("between_tools", &[], &[]),
    ("disabled", &[], &[]),
]);
const DISPLAY: Rule = Word(&["summarized", "omitted"]);

/// Tools that the caller runs. Those that a provider runs have another type.
const TOOL: Table = &[
    ("type", Word(&["custom"])),
    ("name", Name),
    ("description", ANY_TEXT),
    ("input_schema", Schema),
    ("input_examples", List(64, &INPUT)),
    ("strict", Flag),
    ("cache_control", Dropped),
    ("defer_loading", Dropped),
    ("allowed_callers", Dropped),
    ("eager_input_streaming", Dropped),
];

const TOOL_CHOICE: Rule = Tagged(&[
    ("auto", &[], &[("disable_parallel_tool_use", Flag)]),
    ("any", &[], &[("disable_parallel_tool_use", Flag)]),
    ("tool", &["name"], &[("name", Name), ("disable_parallel_tool_use", Flag)]),
    ("none", &[], &[]),
]);

/// What a tool is called with: an object of anything.
const INPUT: Rule = Map(1_024, 256, &Free);

/// What every block may carry, and no self-hosted server reads.
const BLOCK: Table = &[("cache_control", Dropped), ("citations", Dropped)];

const TEXT: Case = ("text", &["text"], &[("text", ANY_TEXT)]);
const IMAGE: Case =
    ("image", &["source"], &[("source", Tagged(&[BASE64_IMAGE, ("url", &["url"], &[("url", Image)])]))]);
const BASE64_IMAGE: Case = (
    "base64",
    &["media_type", "data"],
    &[("media_type", Word(&["image/png", "image/jpeg", "image/gif", "image/webp"])), ("data", ImageData)],
);
const DOCUMENT: Case =
    ("document", &["source"], &[("source", Tagged(&[BASE64_FILE])), ("title", ANY_TEXT), ("context", ANY_TEXT)]);
const BASE64_FILE: Case =
    ("base64", &["media_type", "data"], &[("media_type", Word(&["application/pdf"])), ("data", FileData)]);

const RESULT: Case = (
    "tool_result",
    &["tool_use_id"],
    &[
        ("tool_use_id", ID),
        ("is_error", Flag),
        ("toolset_name", Dropped),
        ("content", From(Origin::ToolResult, &Or(&ANY_TEXT, &List(usize::MAX, &TaggedWith(BLOCK, RESULT_BLOCKS))))),
    ],
);
const RESULT_BLOCKS: &[Case] = &[TEXT, IMAGE, DOCUMENT];

const CALL: Case = (
    "tool_use",
    &["id", "name", "input"],
    &[("id", ID), ("name", NAME), ("input", INPUT), ("caller", Dropped), ("toolset_name", Dropped)],
);
const THOUGHT: Case = ("thinking", &["thinking"], &[("thinking", ANY_TEXT), ("signature", Sealed)]);
const SEALED_THOUGHT: Case = ("redacted_thinking", &["data"], &[("data", Sealed)]);

const USER_CONTENT: Rule = Or(&ANY_TEXT, &List(usize::MAX, &TaggedWith(BLOCK, &[TEXT, IMAGE, RESULT, DOCUMENT])));
const ASSISTANT_CONTENT: Rule =
    Or(&ANY_TEXT, &List(usize::MAX, &TaggedWith(BLOCK, &[TEXT, CALL, THOUGHT, SEALED_THOUGHT])));

/// Fields of a message. Clients send back an answer's content and role, and nothing else of it.
const MESSAGE: Table = &[("role", Elsewhere), ("content", Elsewhere)];

impl Walk<'_> {
    /// Checks what the tables of the root do not say: the messages, and what has to be there.
    pub(super) fn turns(&mut self, root: Value<'_>) -> Result<(), Invalid> {
        self.required(root, "max_tokens")?;
        for tool in root.field("tools").into_iter().flat_map(Value::items) {
            ["name", "input_schema"].iter().try_for_each(|key| self.required(tool, key).map(drop))?;
        }
        self.parts.extend(root.field("system").filter(|system| system.kind() == Kind::Array).map(Value::id));
        let messages = self.required(root, "messages")?;
        match messages.kind() {
            Kind::Array if messages.size() == 0 => return Err(empty(messages.pointer())),
            Kind::Array => list_length(messages.size(), self.limits.messages, || messages.pointer())?,
            Kind::Numbers => return Err(wrong_type(messages.pointer().index(0), "an object")),
            _ => return Err(wrong_type(messages.pointer(), "a list of messages")),
        }
        let mut calls = Calls::default();
        messages.items().try_for_each(|message| self.turn(message, &mut calls))
    }

    fn turn(&mut self, message: Value<'_>, calls: &mut Calls) -> Result<(), Invalid> {
        if message.kind() != Kind::Object {
            return Err(wrong_type(message.pointer(), "an object"));
        }
        let role = self.required(message, "role")?;
        let (origin, rule) = match role.as_word().as_deref() {
            Some("user") => (Origin::User, &USER_CONTENT),
            Some("assistant") => (Origin::Assistant, &ASSISTANT_CONTENT),
            Some(_) => return Err(unsupported(role.pointer(), "expected user or assistant")),
            None => return Err(wrong_type(role.pointer(), "a string")),
        };
        if let Some(odd) = message.fields().find(|field| find(&[MESSAGE], &field.key()).is_none()) {
            return Err(unknown(&odd.key(), odd.pointer()));
        }
        let content = self.required(message, "content")?;
        if content.kind() == Kind::Array && content.size() == 0 && origin == Origin::User {
            return Err(empty(content.pointer()));
        }
        self.apply(rule, content, origin)?;
        self.blocks(content, calls)
    }

    /// Notes what a server may put together, and which calls there were: a result belongs to one of them.
    fn blocks(&mut self, content: Value<'_>, calls: &mut Calls) -> Result<(), Invalid> {
        if content.kind() != Kind::Array {
            return Ok(());
        }
        self.parts.push(content.id());
        for block in content.items() {
            calls.note_block(block);
            let Some(id) = block.field("tool_use_id") else { continue };
            if !calls.has(id) {
                return Err(conflict(id.pointer(), "no tool call before has this id"));
            }
            self.parts.extend(block.field("content").filter(|list| list.kind() == Kind::Array).map(Value::id));
        }
        Ok(())
    }
}
