//! The dialect of OpenAI: chat, completions and embeddings.

pub(crate) mod answer;
mod fields;
mod messages;
mod reduce;

use std::str::FromStr;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::invalid::{Invalid, InvalidCode, Pointer, is_word};
use crate::json::{self, Json};
use crate::limits::Limits;
use crate::names::ModelName;
use crate::request::{Content, InferenceRequest, Operation, Origin, Place};
use crate::tensor::too_long;

/// Most prompts, or texts to embed, in one request: the bound of OpenAI's own API.
const PROMPTS: usize = 2_048;

/// Reads a request body of one of the three operations.
pub(crate) fn parse(limits: &Limits, operation: Operation, body: &Bytes) -> Result<InferenceRequest, Invalid> {
    let mut root = json::read(body, limits, None)?;
    drop_nulls(&mut root)?;
    fields::check(limits, operation, &root)?;
    let model = model(&root)?;
    let mut walk = Walk { limits, steps: Vec::new(), places: Vec::new(), media_tokens: 0 };
    walk.root(operation, &root)?;
    let flag = |key: &str| matches!(root.get(key), Some(Json::Bool(true)));
    let count = |key: &str| root.get(key).and_then(Json::as_u64).and_then(|n| u32::try_from(n).ok());
    let prompts = root.get("prompt").and_then(Json::as_array).map_or(1, <[Json]>::len);
    let prompts = u32::try_from(prompts).unwrap_or(u32::MAX);
    let returned = count("n").unwrap_or(1).saturating_mul(prompts);
    let usage_asked = root.get("stream_options").and_then(|o| o.get("include_usage")) == Some(&Json::Bool(true));
    Ok(InferenceRequest {
        operation,
        model,
        version: None,
        stream: flag("stream"),
        usage_asked,
        max_output: count("max_completion_tokens").or_else(|| count("max_tokens")),
        choices: returned,
        computed: returned.max(count("best_of").unwrap_or(1).saturating_mul(prompts)),
        media_tokens: walk.media_tokens,
        places: walk.places,
        content: Content::Json(root),
        written: OnceLock::new(),
    })
}

/// Clients write absent fields as `null`; what is absent is not passed on.
fn drop_nulls(root: &mut Json) -> Result<(), Invalid> {
    match root {
        Json::Object(fields) => {
            fields.retain(|(_, value)| *value != Json::Null);
            Ok(())
        }
        _ => Err(wrong_type(Pointer::root(), "an object")),
    }
}

fn model(root: &Json) -> Result<ModelName, Invalid> {
    let at = Pointer::root().key("model");
    let Some(value) = root.get("model") else { return Err(missing(at)) };
    let text = value.as_str().ok_or_else(|| wrong_type(at.clone(), "a string"))?;
    ModelName::from_str(text).map_err(|error| Invalid::new(InvalidCode::OutOfRange, at, error.to_string()))
}

pub(crate) fn missing(at: Pointer) -> Invalid {
    Invalid::new(InvalidCode::MissingField, at, "field is required")
}

pub(crate) fn wrong_type(at: Pointer, wanted: &str) -> Invalid {
    Invalid::new(InvalidCode::WrongType, at, format!("expected {wanted}"))
}

pub(crate) fn unsupported(at: Pointer, message: &'static str) -> Invalid {
    Invalid::new(InvalidCode::UnsupportedContent, at, message)
}

pub(crate) fn empty(at: Pointer) -> Invalid {
    Invalid::new(InvalidCode::EmptyInput, at, "input is empty")
}

/// Finds every text of a request and checks the parts that fields alone cannot say.
struct Walk<'l> {
    limits: &'l Limits,
    steps: Vec<usize>,
    places: Vec<Place>,
    media_tokens: u64,
}

impl Walk<'_> {
    fn root(&mut self, operation: Operation, root: &Json) -> Result<(), Invalid> {
        let Json::Object(fields) = root else { return Ok(()) };
        for (i, (key, value)) in fields.iter().enumerate() {
            let at = Pointer::root().key(key);
            self.steps.push(i);
            match (operation, key.as_str()) {
                (_, "model")
                | (Operation::Embed, "encoding_format")
                | (Operation::Chat, "service_tier" | "reasoning_effort" | "verbosity") => {}
                (Operation::Chat, "messages") => self.messages(value, &at)?,
                (Operation::Complete, "prompt") | (Operation::Embed, "input") => self.prompt(value, &at)?,
                (_, "tools" | "functions") => self.every_text(value, &at, Origin::ToolDescription),
                (_, "response_format") => self.every_text(value, &at, Origin::Schema),
                (_, "suffix") => self.every_text(value, &at, Origin::User),
                (_, "prediction") => self.every_text(value, &at, Origin::Assistant),
                _ => self.every_text(value, &at, Origin::Other),
            }
            self.steps.pop();
        }
        Ok(())
    }

    /// A prompt is a text or a list of texts; token numbers only when they are allowed.
    fn prompt(&mut self, value: &Json, at: &Pointer) -> Result<(), Invalid> {
        match value {
            Json::Text(text) if text.is_empty() => Err(empty(at.clone())),
            Json::Text(_) => {
                self.every_text(value, at, Origin::User);
                Ok(())
            }
            Json::Array(items) if items.is_empty() => Err(empty(at.clone())),
            Json::Array(items) if items.len() > PROMPTS && !items.iter().all(|item| item.as_u64().is_some()) => {
                Err(too_long(items.len() as u64, PROMPTS as u64, at.clone()))
            }
            Json::Array(items) if items.iter().all(|item| item.as_str().is_some()) => {
                if let Some(i) = items.iter().position(|item| item.as_str() == Some("")) {
                    return Err(empty(at.index(i)));
                }
                self.every_text(value, at, Origin::User);
                Ok(())
            }
            Json::Array(items) if items.iter().all(is_tokens) => {
                if !self.limits.token_prompts {
                    return Err(unsupported(at.clone(), "token number prompts are not accepted"));
                }
                self.media_tokens +=
                    items.iter().map(|item| item.as_array().map_or(1, |a| a.len() as u64)).sum::<u64>();
                Ok(())
            }
            _ => Err(wrong_type(at.clone(), "a string or a list of strings")),
        }
    }

    fn note(&mut self, at: &Pointer, origin: Origin, is_key: bool) {
        self.places.push(Place { steps: self.steps.clone(), pointer: at.clone(), origin, is_key });
    }

    /// Notes every string below `value`, and every key that is more than a word.
    fn every_text(&mut self, value: &Json, at: &Pointer, origin: Origin) {
        match value {
            Json::Text(_) => self.note(at, origin, false),
            Json::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.steps.push(i);
                    self.every_text(item, &at.index(i), origin);
                    self.steps.pop();
                }
            }
            Json::Object(fields) => {
                for (i, (key, item)) in fields.iter().enumerate() {
                    self.steps.push(i);
                    if !is_word(key) {
                        self.note(&at.key(key), origin, true);
                    }
                    self.every_text(item, &at.key(key), origin);
                    self.steps.pop();
                }
            }
            _ => {}
        }
    }
}

fn is_tokens(value: &Json) -> bool {
    match value {
        Json::Array(items) => !items.is_empty() && items.iter().all(|item| item.as_u64().is_some()),
        other => other.as_u64().is_some(),
    }
}
