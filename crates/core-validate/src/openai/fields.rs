//! Which fields each operation knows, and what each may hold; how fields agree with each other.
//!
//! After the API reference of OpenAI as its client of version 3.57 has it, and with what all self-hosted servers
//! share (`top_k`, `min_p`, `repetition_penalty`).

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::invalid::{Invalid, InvalidCode, is_word};
use crate::json::{Kind, Value};
use crate::openai::chat::{FUNCTION, PREDICTION, RESPONSE_FORMAT, TOOL_CHOICE, TOOL_LIST, TOOLS, WEB_SEARCH};
use crate::openai::extensions;
use crate::openai::messages::MESSAGES;
use crate::openai::responses::RESPOND;
use crate::openai::rule::{Rule, Table, Walk, find};
use crate::operation::Operation;
use crate::refuse::{conflict, missing, unsupported};
use crate::request::Origin;

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
    ("stop", Or(&Said(256), &List(16, &Said(256)))),
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
    ("functions", From(Origin::ToolDescription, &List(TOOLS, &Needs(&["name"], &Object(FUNCTION))))),
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
        Operation::Message => (&[MESSAGES], "messages"),
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
            } else if self.limits.fields.iter().any(|name| *name == key) && !RESERVED.contains(&&*key) {
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
        let caps = (number("max_tokens"), number("max_completion_tokens"));
        if let (Some(older), Some(newer)) = caps
            && older != newer
        {
            return Err(conflict(at("max_tokens"), "max_tokens and max_completion_tokens differ"));
        }
        if let (Some(least), Some(most)) = (number("min_tokens"), caps.1.or(caps.0))
            && least > most
        {
            return Err(conflict(at("min_tokens"), "min_tokens is more than may be written"));
        }
        if let Some(modalities) = root.field("modalities")
            && !modalities.items().any(|word| word.is_text("text"))
        {
            return Err(unsupported(at("modalities"), "answers in audio are not offered"));
        }
        let gives_logprobs = is_on("logprobs") || number("logprobs").is_some_and(|most| most > 0);
        let bias = root.field("logit_bias").filter(|bias| bias.size() > 0);
        if gives_logprobs && bias.is_some() && !self.limits.bias_with_logprobs {
            return Err(conflict(
                at("logit_bias"),
                "logit_bias and logprobs exclude each other (an operator can set danger_bias_with_logprobs)",
            ));
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
    choice.is_text("required") || choice.kind() == Kind::Object && !is_type(choice, &["auto", "none"])
}

/// Anthropic's API says in an object what others say in a word.
fn is_type(choice: Value<'_>, words: &[&str]) -> bool {
    choice.field("type").is_some_and(|kind| words.iter().any(|word| kind.is_text(word)))
}

/// The name of a tool, in any API.
fn name_of(tool: Value<'_>) -> Option<Cow<'_, str>> {
    let inner = tool.field("function").or_else(|| tool.field("custom")).unwrap_or(tool);
    inner.field("name")?.as_word()
}

/// Tools have names of their own, and one that must or may be called is one of them.
fn choice(root: Value<'_>) -> Result<(), Invalid> {
    let mut names = BTreeSet::new();
    for tool in root.field("tools").into_iter().flat_map(Value::items) {
        if name_of(tool).is_some_and(|name| !names.insert(name)) {
            return Err(conflict(tool.pointer(), "two tools have the same name"));
        }
    }
    let Some(choice) = root.field("tool_choice") else { return Ok(()) };
    if must_call(choice) && names.is_empty() {
        return Err(conflict(choice.pointer(), "tool_choice needs tools"));
    }
    let allowed = choice.field("allowed_tools").unwrap_or(choice).field("tools");
    let named = allowed
        .into_iter()
        .flat_map(Value::items)
        .chain([choice])
        .filter(|tool| tool.kind() == Kind::Object && !is_type(*tool, &["auto", "any", "none"]));
    for tool in named {
        match name_of(tool) {
            Some(name) if !names.contains(&name) => {
                return Err(conflict(tool.pointer(), "tool_choice names no tool of the request"));
            }
            Some(_) => {}
            // The choice itself may be of several.
            None if tool.id() == choice.id() && allowed.is_some() => {}
            None => return Err(missing(tool.pointer().key("name"))),
        }
    }
    Ok(())
}

/// Fields that are aliases of others, which the gateway counts by, or texts in another form: never passed on unread.
pub(crate) const RESERVED: &[&str] = &[
    "model",
    "messages",
    "prompt",
    "input",
    "input_ids",
    "prompt_embeds",
    "input_embeds",
    "inputs",
    "text",
    "num_predict",
    "min_new_tokens",
    "max_length",
    "prompt_token_ids",
    "stream",
    "n",
    "n_cmpl",
    "best_of",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "n_predict",
];

/// An unknown field is named when it is a plain word, with what an operator can do about it.
#[cold]
fn refused(operation: Operation, key: &str, field: Value<'_>) -> Invalid {
    let message = match extensions::of(operation, key) {
        _ if !is_word(key) => "a field is not accepted".to_owned(),
        _ if RESERVED.contains(&key) => format!("field {key} is not accepted here"),
        Some(set) => format!("field {key} is not accepted (an operator can list {set} under extensions of the model)"),
        None => format!("field {key} is not accepted (an operator can list it under allow_fields of the model)"),
    };
    Invalid::new(InvalidCode::UnknownField, field.pointer(), message)
}
