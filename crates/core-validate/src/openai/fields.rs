//! Which fields each operation knows, and what each may hold; how fields agree with each other.
//!
//! After the API reference of OpenAI as its client of version 3.57 has it, and with what all self-hosted servers
//! share (`top_k`, `min_p`, `repetition_penalty`).

use crate::invalid::{Invalid, InvalidCode, is_word};
use crate::json::{Kind, Value};
use crate::openai::chat::{FUNCTION, PREDICTION, RESPONSE_FORMAT, TOOL_CHOICE, TOOL_LIST, TOOLS, WEB_SEARCH};
use crate::openai::extensions;
use crate::openai::responses::RESPOND;
use crate::openai::rule::{Rule, Table, Walk, find};
use crate::refuse::{conflict, missing};
use crate::request::{Operation, Origin};

use Rule::*;

pub(super) const TOKENS: Rule = Integer(1, 1 << 24);
const ID: Rule = Text(256);
pub(super) const METADATA: Rule = Map(16, 64, &Text(512));
pub(super) const EFFORT: Rule = Word(&["none", "minimal", "low", "medium", "high", "xhigh", "max"]);
pub(super) const VERBOSITY: Rule = Word(&["low", "medium", "high"]);

/// What the operations that write text share.
pub(super) const WRITING: Table = &[
    ("model", Elsewhere),
    ("temperature", Number(0.0, 2.0)),
    ("top_p", Number(0.0, 1.0)),
    ("top_k", Integer(-1, 1_000_000)),
    ("min_p", Number(0.0, 1.0)),
    ("repetition_penalty", Number(0.01, 10.0)),
    ("stream", Flag),
    ("user", ID),
    ("store", Stored(&Flag)),
    ("metadata", METADATA),
    ("service_tier", Word(&["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"])),
    ("safety_identifier", ID),
    ("prompt_cache_key", ID),
    ("prompt_cache_retention", Word(&["in_memory", "in-memory", "24h"])),
    ("prompt_cache_options", Object(&[("mode", Word(&["implicit", "explicit"])), ("ttl", Text(8))])),
    ("moderation", Refused("moderation elsewhere is not offered")),
];

const SAMPLING: Table = &[
    ("presence_penalty", Number(-2.0, 2.0)),
    ("frequency_penalty", Number(-2.0, 2.0)),
    ("seed", Integer(i64::MIN, i64::MAX)),
    ("stop", Or(&Text(256), &List(16, &Text(256)))),
    (
        "stream_options",
        Object(&[("include_usage", Flag), ("include_obfuscation", Flag), ("continuous_usage_stats", Flag)]),
    ),
    ("logit_bias", Bias(300, -100.0, 100.0)),
];

const CHAT: Table = &[
    ("messages", Elsewhere),
    ("max_tokens", TOKENS),
    ("max_completion_tokens", TOKENS),
    ("logprobs", Flag),
    ("top_logprobs", Integer(0, 20)),
    ("tools", From(Origin::ToolDescription, &TOOL_LIST)),
    ("tool_choice", TOOL_CHOICE),
    ("parallel_tool_calls", Flag),
    ("functions", From(Origin::ToolDescription, &List(TOOLS, &Object(FUNCTION)))),
    ("function_call", Or(&Text(64), &Object(&[("name", Text(64))]))),
    ("response_format", From(Origin::Schema, &RESPONSE_FORMAT)),
    ("prediction", From(Origin::Assistant, &PREDICTION)),
    ("reasoning_effort", EFFORT),
    ("verbosity", VERBOSITY),
    ("modalities", List(2, &Word(&["text", "audio"]))),
    ("audio", Refused("answers in audio are not offered")),
    ("web_search_options", WEB_SEARCH),
];

const COMPLETE: Table = &[
    ("prompt", Elsewhere),
    // None are asked for by those who want a prompt's log-probabilities.
    ("max_tokens", Integer(0, 1 << 24)),
    ("suffix", From(Origin::User, &Text(1 << 20))),
    ("echo", Flag),
    ("logprobs", Integer(0, 5)),
];

const EMBED: Table = &[
    ("model", Elsewhere),
    ("input", Elsewhere),
    ("encoding_format", Word(&["float", "base64"])),
    ("dimensions", Integer(1, 65_536)),
    ("user", ID),
];

/// The tables of an operation, and the field it cannot do without.
fn tables(operation: Operation) -> (&'static [Table], &'static str) {
    match operation {
        Operation::Chat => (&[WRITING, SAMPLING, CHAT], "messages"),
        Operation::Complete => (&[WRITING, SAMPLING, COMPLETE], "prompt"),
        Operation::Embed => (&[EMBED], "input"),
        Operation::Respond => (&[WRITING, RESPOND], "input"),
        Operation::Infer => (&[], "inputs"),
    }
}

impl Walk<'_> {
    /// Checks the fields of the root against the tables of the operation.
    pub(super) fn root(&mut self, operation: Operation, root: Value<'_>) -> Result<(), Invalid> {
        let (tables, required) = tables(operation);
        let choices = Integer(1, i64::from(self.limits.choices));
        for field in root.fields() {
            let key = field.key();
            if matches!(&*key, "n" | "best_of") && matches!(operation, Operation::Chat | Operation::Complete) {
                self.apply(&choices, field, Origin::Other)?;
            } else if let Some(rule) = find(tables, &key) {
                self.apply(rule, field, Origin::Other)?;
            } else if let Some(rule) = extensions::find(&self.limits.extensions, operation, &key) {
                self.apply(rule, field, Origin::Other)?;
            } else if self.limits.fields.iter().any(|name| *name == key) {
                self.every_text(field, Origin::Other);
            } else if !field.is_null() {
                return Err(refused(operation, &key, field));
            }
        }
        // A server may put the parts of a prediction together, too.
        let prediction = root.field("prediction").and_then(|prediction| prediction.get("content"));
        self.parts.extend(prediction.filter(|content| content.kind() == Kind::Array).map(Value::id));
        let builds_on = ["prompt", "previous_response_id", "conversation"];
        let has_state = operation == Operation::Respond && builds_on.iter().any(|key| root.field(key).is_some());
        if root.field(required).is_none() && !has_state {
            return Err(missing(root.pointer().key(required)));
        }
        self.agree(operation, root)
    }

    /// Refuses fields that contradict each other, or ask for more together than each alone.
    fn agree(&self, operation: Operation, root: Value<'_>) -> Result<(), Invalid> {
        let at = |key: &str| root.pointer().key(key);
        let has = |key: &str| root.field(key).is_some();
        let is_on = |key: &str| root.field(key).is_some_and(|field| field.as_bool() == Some(true));
        let number = |key: &str| root.field(key).and_then(Value::as_u64);
        let is_stream = is_on("stream");
        if has("stream_options") && !is_stream {
            return Err(conflict(at("stream_options"), "stream_options needs stream"));
        }
        if has("top_logprobs") && operation == Operation::Chat && !is_on("logprobs") {
            return Err(conflict(at("top_logprobs"), "top_logprobs needs logprobs"));
        }
        if has("max_tokens") && has("max_completion_tokens") {
            return Err(conflict(at("max_tokens"), "max_tokens and max_completion_tokens exclude each other"));
        }
        let gives_logprobs = is_on("logprobs") || number("logprobs").is_some_and(|most| most > 0);
        let bias = root.field("logit_bias").filter(|bias| bias.size() > 0);
        if gives_logprobs && bias.is_some() && !self.limits.bias_with_logprobs {
            return Err(conflict(at("logit_bias"), "logit_bias and logprobs exclude each other"));
        }
        let (n, best_of) = (number("n").unwrap_or(1), number("best_of"));
        if best_of.is_some_and(|best_of| best_of < n) {
            return Err(conflict(at("best_of"), "best_of is smaller than n"));
        }
        if best_of.is_some_and(|best_of| best_of > 1) && is_stream {
            return Err(conflict(at("best_of"), "best_of and stream exclude each other"));
        }
        self.output(root, n.max(best_of.unwrap_or(1)))?;
        choice(root)
    }

    /// All answers together may be no longer than allowed.
    fn output(&self, root: Value<'_>, answers: u64) -> Result<(), Invalid> {
        const FIELDS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
        let prompts = root.field("prompt").filter(|prompt| prompt.kind() == Kind::Array).map_or(1, Value::size) as u64;
        for field in FIELDS.iter().filter_map(|key| root.field(key)) {
            let asked = field.as_u64().unwrap_or_default();
            let all = asked.checked_mul(answers).and_then(|all| all.checked_mul(prompts)).unwrap_or(u64::MAX);
            if all > self.limits.output_tokens {
                let message = format!("{all} tokens in all answers exceed maximum {}", self.limits.output_tokens);
                return Err(Invalid::new(InvalidCode::OutOfRange, field.pointer(), message));
            }
        }
        Ok(())
    }
}

/// Whether a choice of tools makes the model call one.
pub(super) fn must_call(choice: Value<'_>) -> bool {
    choice.is_text("required") || choice.kind() == Kind::Object
}

/// A tool that must be called is one of those that are there.
fn choice(root: Value<'_>) -> Result<(), Invalid> {
    let Some(choice) = root.field("tool_choice") else { return Ok(()) };
    let tools = root.field("tools");
    let name = |tool: Value<'_>| {
        let inner = tool.get("function").or_else(|| tool.get("custom")).unwrap_or(tool);
        inner.get("name").and_then(Value::as_str).map(std::borrow::Cow::into_owned)
    };
    if must_call(choice) && tools.is_none_or(|tools| tools.size() == 0) {
        return Err(conflict(choice.pointer(), "tool_choice needs tools"));
    }
    let Some(named) = Some(choice).filter(|choice| choice.kind() == Kind::Object).and_then(name) else { return Ok(()) };
    let known = tools.into_iter().flat_map(Value::items).filter_map(name).any(|tool| tool == named);
    if known { Ok(()) } else { Err(conflict(choice.pointer(), "tool_choice names no tool of the request")) }
}

/// An unknown field is named when it is a plain word, with what an operator can do about it.
#[cold]
fn refused(operation: Operation, key: &str, field: Value<'_>) -> Invalid {
    let message = match extensions::of(operation, key) {
        _ if !is_word(key) => "a field is not accepted".to_owned(),
        Some(set) => format!("field {key} is not accepted (an operator can list {set} under extensions of the model)"),
        None => format!("field {key} is not accepted (an operator can list it under allow_fields of the model)"),
    };
    Invalid::new(InvalidCode::UnknownField, field.pointer(), message)
}
