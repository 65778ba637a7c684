//! What of an OpenAI-style answer a caller may see: known fields of known types, one table.
//!
//! Fields that are not in the table are dropped. A field of another type than documented breaks the
//! protocol: nobody would screen it. `null` is allowed everywhere.

use std::borrow::Cow;

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::{self, Json, Value};
use crate::refuse::wrong_type;

/// What a field of an answer must be.
pub(super) enum Kind {
    Flag,
    Whole,
    Number,
    Numbers,
    Text,
    /// What a server sealed for itself, in base64.
    Sealed,
    /// What a tool is called with: an object, kept as the text of its JSON.
    Arguments,
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

use Kind::{
    Alternatives, Arguments, Content, Counts, Flag, List, Number, Numbers, Object, Reason, Sealed, Short, Text, Vector,
    Whole, Word,
};

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

/// The part of an answer, or of one event of a streamed answer, that a caller may see.
pub(super) fn reduce(root: Value<'_>) -> Result<Json, Invalid> {
    no_error(root)?;
    let mut reduced = shape(root, &Object(ROOT))?;
    if let Some(Json::Array(choices)) = reduced.get_mut("choices") {
        choices.iter_mut().for_each(drop_strange_logprobs);
    }
    Ok(reduced)
}

/// What of an answer that is an object a caller may see, behind room for our own names: places are counted from there.
pub(super) fn named(root: Value<'_>, fields: &'static [(&'static str, Kind)]) -> Result<Json, Invalid> {
    if root.kind() != json::Kind::Object {
        return Err(wrong_type(Pointer::root(), "an object"));
    }
    no_error(root)?;
    let mut named = vec![("id".into(), Json::Null), ("model".into(), Json::Null)];
    if let Json::Object(read) = shape(root, &Object(fields))? {
        named.extend(read);
    }
    Ok(Json::Object(named))
}

/// Whether the server answers at all.
pub(super) fn no_error(root: Value<'_>) -> Result<(), Invalid> {
    if root.field("error").is_none() {
        return Ok(());
    }
    let message = "the server answered with an error";
    Err(Invalid::new(InvalidCode::UnsupportedContent, Pointer::root().key("error"), message))
}

/// What of `value` is of this kind.
pub(super) fn shape(value: Value<'_>, kind: &Kind) -> Result<Json, Invalid> {
    let is_whole = |value: Value<'_>| value.as_integer().is_some();
    match (kind, value.kind()) {
        (_, json::Kind::Null) => Ok(Json::Null),
        (Whole, json::Kind::Number) if is_whole(value) => Ok(Json::copy(value)),
        (Number, json::Kind::Number) | (Numbers | Vector, json::Kind::Numbers) => Ok(Json::copy(value)),
        (Numbers, json::Kind::Array) if value.items().all(|item| item.is_null() || is_number(item)) => {
            Ok(Json::copy(value))
        }
        (Flag, json::Kind::True | json::Kind::False) => Ok(Json::copy(value)),
        (Vector | Sealed, json::Kind::Text) if value.chars().all(|char| char.is_ascii() && is_base64(char as u8)) => {
            Ok(Json::copy(value))
        }
        (Text | Content, json::Kind::Text) => Ok(Json::copy(value)),
        (Arguments, json::Kind::Object) => {
            let mut text = Vec::new();
            Json::copy(value).write(&mut text);
            Ok(Json::text(String::from_utf8(text).unwrap_or_default()))
        }
        (Short, json::Kind::Text) if value.raw().len() <= SHORT => Ok(Json::copy(value)),
        (Word(words), json::Kind::Text) => Ok(match words.iter().find(|word| value.is_text(word)) {
            Some(word) => Json::text(*word),
            None => Json::Null,
        }),
        (Content, json::Kind::Array) => value.items().map(text_part).collect::<Result<_, _>>().map(Json::Array),
        (Reason, json::Kind::Text) => Ok(reason(value)),
        (Counts, json::Kind::Object) => Ok(counts(value)),
        (Alternatives, json::Kind::Object) => {
            let kept = value.fields().filter(|field| field.key().len() <= SHORT && is_number(*field));
            Ok(Json::Object(kept.map(|field| (Cow::Owned(field.key().into_owned()), Json::copy(field))).collect()))
        }
        (Object(table), json::Kind::Object) => {
            let mut kept = Vec::with_capacity(table.len());
            for field in value.fields() {
                let key = field.key();
                if let Some((name, kind)) = table.iter().find(|(name, _)| *name == key) {
                    kept.push((Cow::Borrowed(*name), shape(field, kind)?));
                }
            }
            Ok(Json::Object(kept))
        }
        (List(kind), json::Kind::Array) => {
            value.items().map(|item| shape(item, kind)).collect::<Result<_, _>>().map(Json::Array)
        }
        _ => Err(wrong_type(value.pointer(), "another type")),
    }
}

fn is_number(value: Value<'_>) -> bool {
    value.kind() == json::Kind::Number
}

pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// Only parts of text are passed on.
fn text_part(part: Value<'_>) -> Result<Json, Invalid> {
    match part.field("type").is_some_and(|kind| kind.is_text("text")) {
        true => shape(part, &Object(&[("type", Word(&["text"])), ("text", Text)])),
        false => Err(wrong_type(part.pointer(), "a part of text")),
    }
}

/// A finish reason is one of the API's words; another one is reported as `stop`. Some servers write an empty one while
/// there is more to come.
fn reason(value: Value<'_>) -> Json {
    if value.is_text("") {
        return Json::Null;
    }
    const REASONS: &[&str] = &["stop", "length", "tool_calls", "content_filter", "function_call"];
    Json::text(*REASONS.iter().find(|word| value.is_text(word)).unwrap_or(&"stop"))
}

/// Whole numbers by name.
fn counts(value: Value<'_>) -> Json {
    let is_name = |key: &str| (1..=40).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let is_count = |field: &Value<'_>| field.as_u64().is_some() || field.kind() == json::Kind::Object;
    let kept = value.fields().filter(|field| is_name(&field.key()) && is_count(field));
    let kept = kept.map(|field| {
        let value = if field.kind() == json::Kind::Object { counts(field) } else { Json::copy(field) };
        (Cow::Owned(field.key().into_owned()), value)
    });
    Json::Object(kept.collect())
}

/// Log-probabilities spell a text out. They stay only when it is the text of their choice.
fn drop_strange_logprobs(choice: &mut Json) {
    let Some(logprobs) = choice.get_mut("logprobs") else { return };
    if logprobs.get("content").is_some_and(|content| !content.is_null()) {
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
