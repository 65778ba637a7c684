//! What of an OpenAI-style answer a caller may see: known fields of known types, one table.
//!
//! Fields that are not in the table are dropped. A field of another type than documented breaks the
//! protocol: nobody would screen it. `null` is allowed everywhere.

use crate::invalid::{Invalid, InvalidCode, Pointer, is_word};
use crate::json::Json;
use crate::openai::wrong_type;

enum Kind {
    Whole,
    Number,
    Numbers,
    Text,
    /// A piece of text that is no longer than a token.
    Short,
    /// One of these words; another one is dropped.
    Word(&'static [&'static str]),
    /// A text, or a list of text parts.
    Content,
    Reason,
    /// Numbers by name.
    Counts,
    /// A list of numbers, or of numbers in base64.
    Vector,
    /// Numbers by token.
    Alternatives,
    Object(&'static [(&'static str, Kind)]),
    List(&'static Kind),
}

use Kind::{Alternatives, Content, Counts, List, Number, Numbers, Object, Reason, Short, Text, Vector, Whole, Word};

const OBJECTS: &[&str] = &["chat.completion", "chat.completion.chunk", "text_completion", "list", "embedding"];

const ROOT: &[(&str, Kind)] = &[
    ("object", Word(OBJECTS)),
    ("created", Whole),
    ("choices", List(&Object(CHOICE))),
    ("data", List(&Object(&[("object", Word(OBJECTS)), ("index", Whole), ("embedding", Vector)]))),
    ("usage", Counts),
];

const CHOICE: &[(&str, Kind)] = &[
    ("index", Whole),
    ("message", Object(MESSAGE)),
    ("delta", Object(MESSAGE)),
    ("text", Text),
    ("finish_reason", Reason),
    ("logprobs", Object(LOGPROBS)),
];

const MESSAGE: &[(&str, Kind)] = &[
    ("role", Word(&["assistant", "tool", "system", "user", "developer"])),
    ("content", Content),
    ("refusal", Text),
    ("reasoning_content", Text),
    ("reasoning", Text),
    ("tool_calls", List(&Object(TOOL_CALL))),
    ("function_call", Object(FUNCTION)),
];

const TOOL_CALL: &[(&str, Kind)] =
    &[("index", Whole), ("id", Text), ("type", Word(&["function", "custom"])), ("function", Object(FUNCTION))];

const FUNCTION: &[(&str, Kind)] = &[("name", Text), ("arguments", Text)];

const LOGPROBS: &[(&str, Kind)] = &[
    ("content", List(&Object(TOKEN))),
    ("tokens", List(&Short)),
    ("token_logprobs", Numbers),
    ("top_logprobs", List(&Alternatives)),
    ("text_offset", Numbers),
];

const TOKEN: &[(&str, Kind)] = &[("token", Short), ("logprob", Number), ("top_logprobs", List(&Object(TOP_TOKEN)))];

const TOP_TOKEN: &[(&str, Kind)] = &[("token", Short), ("logprob", Number)];

/// The longest token.
const SHORT: usize = 64;

/// Reduces an answer, or one event of a streamed answer.
pub(super) fn reduce(root: &mut Json) -> Result<(), Invalid> {
    if root.get("error").is_some_and(|error| *error != Json::Null) {
        let message = "the server answered with an error";
        return Err(Invalid::new(InvalidCode::UnsupportedContent, Pointer::root().key("error"), message));
    }
    shape(root, &Object(ROOT), &Pointer::root())?;
    if let Some(Json::Array(choices)) = root.get_mut("choices") {
        choices.iter_mut().for_each(drop_strange_logprobs);
    }
    Ok(())
}

fn shape(value: &mut Json, kind: &Kind, at: &Pointer) -> Result<(), Invalid> {
    let is_number = |value: &Json| matches!(value, Json::Int(_) | Json::Uint(_) | Json::Float(_) | Json::Null);
    match (kind, value) {
        (_, Json::Null) | (Whole, Json::Int(_) | Json::Uint(_)) | (Text, Json::Text(_)) => Ok(()),
        (Number, value) if is_number(value) => Ok(()),
        (Numbers | Vector, Json::Array(items)) if items.iter().all(is_number) => Ok(()),
        (Vector, Json::Text(text)) if text.bytes().all(is_base64) => Ok(()),
        (Short, Json::Text(text)) if text.len() <= SHORT => Ok(()),
        (Word(words), value @ Json::Text(_)) => {
            if !value.as_str().is_some_and(|word| words.contains(&word)) {
                *value = Json::Null;
            }
            Ok(())
        }
        (Content, Json::Text(_)) => Ok(()),
        (Content, Json::Array(parts)) => {
            parts.iter_mut().enumerate().try_for_each(|(i, part)| text_part(part, &at.index(i)))
        }
        (Reason, value) => reason(value, at),
        (Counts, value @ Json::Object(_)) => {
            numbers_only(value);
            Ok(())
        }
        (Alternatives, Json::Object(fields)) => {
            fields.retain(|(token, value)| token.len() <= SHORT && is_number(value));
            Ok(())
        }
        (Object(table), Json::Object(fields)) => {
            fields.retain(|(key, _)| table.iter().any(|(name, _)| name == key));
            for (key, field) in fields {
                if let Some((_, kind)) = table.iter().find(|(name, _)| name == key) {
                    shape(field, kind, &at.key(key))?;
                }
            }
            Ok(())
        }
        (List(kind), Json::Array(items)) => {
            items.iter_mut().enumerate().try_for_each(|(i, item)| shape(item, kind, &at.index(i)))
        }
        _ => Err(wrong_type(at.clone(), "another type")),
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Only parts of text are passed on.
fn text_part(part: &mut Json, at: &Pointer) -> Result<(), Invalid> {
    let is_text = part.get("type").and_then(Json::as_str) == Some("text");
    match part {
        Json::Object(fields) if is_text => {
            fields.retain(|(key, value)| matches!(key.as_str(), "type" | "text") && matches!(value, Json::Text(_)));
            Ok(())
        }
        _ => Err(wrong_type(at.clone(), "a part of text")),
    }
}

/// A finish reason is one of the API's words; another one is reported as `stop`.
fn reason(value: &mut Json, at: &Pointer) -> Result<(), Invalid> {
    const REASONS: &[&str] = &["stop", "length", "tool_calls", "content_filter", "function_call"];
    match value {
        Json::Text(word) if REASONS.contains(&word.as_str()) => Ok(()),
        Json::Text(word) => {
            *word = "stop".to_owned();
            Ok(())
        }
        _ => Err(wrong_type(at.clone(), "a string")),
    }
}

fn numbers_only(value: &mut Json) {
    if let Json::Object(fields) = value {
        fields.retain(|(key, v)| is_word(key) && matches!(v, Json::Uint(_) | Json::Float(_) | Json::Object(_)));
        fields.iter_mut().for_each(|(_, v)| numbers_only(v));
    }
}

/// Log-probabilities spell a text out. They stay only when it is the text of their choice.
fn drop_strange_logprobs(choice: &mut Json) {
    let Some(logprobs) = choice.get_mut("logprobs") else { return };
    if logprobs.get("content").is_some_and(|content| *content != Json::Null) {
        ["tokens", "token_logprobs", "top_logprobs", "text_offset"].iter().for_each(|key| logprobs.remove(key));
    }
    let Some(logprobs) = choice.get("logprobs") else { return };
    let spelled = match (logprobs.get("content"), logprobs.get("tokens")) {
        (Some(Json::Array(tokens)), _) => tokens.iter().filter_map(|token| token.get("token")?.as_str()).collect(),
        (_, Some(Json::Array(tokens))) => tokens.iter().filter_map(Json::as_str).collect(),
        _ => String::new(),
    };
    let message = choice.get("message").or_else(|| choice.get("delta"));
    let said = choice.get("text").or_else(|| message?.get("content")).and_then(Json::as_str).unwrap_or_default();
    if spelled != said {
        choice.set("logprobs", Json::Null);
    }
}
