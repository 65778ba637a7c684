//! The dialects of JSON: OpenAI's chat, completions, embeddings and responses, and Anthropic's messages.

pub(crate) mod answer;
mod base64;
mod chat;
mod extensions;
mod fields;
mod media;
pub(crate) mod message;
mod messages;
mod pattern;
mod pixels;
mod reduce;
mod reference;
pub(crate) mod respond;
mod responses;
mod rule;
mod schema;

use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::{Document, Edits, Json, Kind, Value};
use crate::names::ModelName;
use crate::openai::rule::{Rule, Walk};
use crate::operation::Operation;
use crate::refuse::{empty, missing, unsupported, wrong_type};
use crate::request::{Content, InferenceRequest, JsonRequest, Origin};
use crate::rules::ModelRules;
use crate::tensor::too_long;

pub(crate) use fields::RESERVED;

/// Most prompts, or texts to embed, in one request: the bound of OpenAI's own API.
const PROMPTS: usize = 2_048;
/// Most token numbers in one prompt.
const PROMPT_TOKENS: usize = 300_000;

/// Reads a request body by the rules of the model it names, or else by `base`.
pub(crate) fn parse(
    base: &Arc<ModelRules>,
    operation: Operation,
    body: &Bytes,
    rules: impl FnOnce(&ModelName) -> Option<Arc<ModelRules>>,
) -> Result<InferenceRequest, Invalid> {
    let document = Document::read(body, &base.limits, None)?;
    let root = document.root();
    if root.kind() != Kind::Object {
        return Err(wrong_type(Pointer::root(), "an object"));
    }
    let model = model(root)?;
    let rules = rules(&model).unwrap_or_else(|| base.clone());
    let mut walk = Walk::new(&rules.limits, &document);
    walk.root(operation, root)?;
    match operation {
        Operation::Chat => walk.messages(walk.required(root, "messages")?)?,
        Operation::Complete => walk.prompt(walk.required(root, "prompt")?)?,
        Operation::Respond => root.field("input").map_or(Ok(()), |input| walk.items(input))?,
        Operation::Message => walk.turns(root)?,
        Operation::Embed | Operation::Infer => walk.prompt(walk.required(root, "input")?)?,
    }
    let Walk { marks, parts, mut schemas, dropped, media_tokens, has_other, .. } = walk;
    // Tools that must be called are compiled as one.
    if root.field("tool_choice").is_some_and(fields::must_call) {
        schemas.extend(root.field("tools").map(Value::id));
    }
    let edits = edits(operation, root, dropped, &rules);
    let flag = |key: &str| root.field(key).and_then(Value::as_bool) == Some(true);
    let count = |key: &str| root.field(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    // A list of token numbers is one prompt.
    let prompts = root.field("prompt").filter(|prompt| prompt.kind() == Kind::Array).map_or(1, Value::size);
    let prompts = u32::try_from(prompts).unwrap_or(u32::MAX);
    let returned = count("n").unwrap_or(1).saturating_mul(prompts);
    let wants_events = operation.is_told_whole() && flag("stream");
    let usage_asked = root.field("stream_options").and_then(|o| o.get("include_usage")?.as_bool()) == Some(true);
    let max_output = ["max_completion_tokens", "max_tokens", "max_output_tokens"].iter().find_map(|key| count(key));
    let mut request = InferenceRequest {
        operation,
        model,
        version: None,
        stream: flag("stream") && !wants_events,
        wants_events,
        usage_asked,
        max_output,
        choices: returned,
        computed: returned.max(count("best_of").unwrap_or(1).saturating_mul(prompts)),
        media_tokens,
        has_other,
        input_tokens: 0,
        content: Content::Json(JsonRequest { document, edits, marks, parts, schemas }),
        rules,
        written: OnceLock::new(),
    };
    request.repeat_output();
    request.estimate();
    Ok(request)
}

/// What is different in the body that goes on from the start.
fn edits(operation: Operation, root: Value<'_>, mut dropped: Vec<u32>, rules: &ModelRules) -> Edits {
    let mut edits = Edits::default();
    if operation == Operation::Respond {
        dropped.extend(root.get("stream_options").map(Value::id));
        if !rules.limits.stored_state {
            // It is on unless it is off.
            edits.set_field("store", Json::Bool(false));
        }
    }
    if operation.is_told_whole() && root.field("stream").and_then(Value::as_bool) == Some(true) {
        // The events are written from a whole answer.
        edits.set_field("stream", Json::Bool(false));
    }
    edits.drop_nodes(dropped);
    edits
}

fn model(root: Value<'_>) -> Result<ModelName, Invalid> {
    let at = || Pointer::root().key("model");
    let value = root.field("model").ok_or_else(|| missing(at()))?;
    let text = value.as_word().ok_or_else(|| wrong_type(at(), "a string"))?;
    ModelName::from_str(&text).map_err(|error| Invalid::new(InvalidCode::OutOfRange, at(), error.to_string()))
}

fn is_empty(list: Value<'_>) -> bool {
    list.kind() == Kind::Array && list.size() == 0
}

impl Walk<'_> {
    /// A prompt is a text or a list of texts; token numbers only when they are allowed.
    fn prompt(&mut self, value: Value<'_>) -> Result<(), Invalid> {
        match value.kind() {
            Kind::Text => self.one_prompt(value),
            Kind::Numbers => self.tokens(value),
            Kind::Array if value.size() == 0 => Err(empty(value.pointer())),
            Kind::Array if value.size() > PROMPTS => {
                Err(too_long(value.size() as u64, PROMPTS as u64, value.pointer()))
            }
            Kind::Array if value.items().all(|item| item.kind() == Kind::Text) => {
                value.items().try_for_each(|item| self.one_prompt(item))
            }
            Kind::Array if value.items().all(|item| item.kind() == Kind::Numbers || is_empty(item)) => {
                value.items().try_for_each(|item| self.tokens(item))
            }
            _ => Err(wrong_type(value.pointer(), "a string or a list of strings")),
        }
    }

    fn one_prompt(&mut self, value: Value<'_>) -> Result<(), Invalid> {
        if value.raw().is_empty() {
            return Err(empty(value.pointer()));
        }
        self.apply(&Rule::Text(usize::MAX), value, Origin::User)
    }

    fn tokens(&mut self, value: Value<'_>) -> Result<(), Invalid> {
        if !self.limits.token_prompts {
            return Err(unsupported(
                value.pointer(),
                "token number prompts are not accepted (an operator can set danger_token_prompts)",
            ));
        }
        rule::tokens(value, PROMPT_TOKENS)?;
        self.media_tokens += value.size() as u64;
        self.has_other = true;
        Ok(())
    }
}
