//! Which fields each operation knows, and the range of each: one table, read by one loop.
//!
//! After the API reference of OpenAI, with the sampling extensions that vLLM, llama.cpp and TGI
//! share (`top_k`, `min_p`, `repetition_penalty`).

use crate::invalid::{Invalid, InvalidCode, Pointer, is_word};
use crate::json::Json;
use crate::limits::Limits;
use crate::openai::{missing, wrong_type};
use crate::request::Operation;

#[derive(Clone, Copy)]
enum Rule {
    Flag,
    Integer(i64, i64),
    Number(f64, f64),
    /// A string of at most so many bytes.
    Text(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A string, or at most so many strings.
    Texts(usize),
    /// An object of numbers in this range, with at most so many fields.
    Bias(usize, f64, f64),
    Object,
    Array(usize),
    /// Checked by the walk over texts.
    Walked,
    /// A string or an object.
    Choice,
}

use Rule::{Array, Bias, Choice, Flag, Integer, Number, Object, Text, Texts, Walked, Word};

const TOKENS: Rule = Integer(1, 1 << 24);

const SAMPLING: &[(&str, Rule)] = &[
    ("model", Walked),
    ("temperature", Number(0.0, 2.0)),
    ("top_p", Number(0.0, 1.0)),
    ("top_k", Integer(-1, 1_000_000)),
    ("min_p", Number(0.0, 1.0)),
    ("repetition_penalty", Number(0.01, 10.0)),
    ("presence_penalty", Number(-2.0, 2.0)),
    ("frequency_penalty", Number(-2.0, 2.0)),
    ("seed", Integer(i64::MIN, i64::MAX)),
    ("stop", Texts(16)),
    ("stream", Flag),
    ("stream_options", Object),
    ("max_tokens", TOKENS),
    ("logit_bias", Bias(300, -100.0, 100.0)),
    ("user", Text(256)),
];

const CHAT: &[(&str, Rule)] = &[
    ("messages", Walked),
    ("max_completion_tokens", TOKENS),
    ("logprobs", Flag),
    ("top_logprobs", Integer(0, 20)),
    ("tools", Array(256)),
    ("tool_choice", Choice),
    ("parallel_tool_calls", Flag),
    ("functions", Array(256)),
    ("function_call", Choice),
    ("response_format", Object),
    ("prediction", Object),
    ("metadata", Object),
    ("store", Flag),
    ("reasoning_effort", Word(&["none", "minimal", "low", "medium", "high", "xhigh"])),
    ("verbosity", Word(&["low", "medium", "high"])),
    ("service_tier", Word(&["auto", "default", "flex", "scale", "priority"])),
    ("modalities", Array(2)),
    ("safety_identifier", Text(256)),
    ("prompt_cache_key", Text(256)),
];

const COMPLETE: &[(&str, Rule)] =
    &[("prompt", Walked), ("suffix", Text(1 << 20)), ("echo", Flag), ("logprobs", Integer(0, 5))];

const EMBED: &[(&str, Rule)] = &[
    ("model", Walked),
    ("input", Walked),
    ("encoding_format", Word(&["float", "base64"])),
    ("dimensions", Integer(1, 65_536)),
    ("user", Text(256)),
];

/// Checks the fields of the root object against the table of the operation.
pub(super) fn check(limits: &Limits, operation: Operation, root: &Json) -> Result<(), Invalid> {
    let Json::Object(fields) = root else { return Ok(()) };
    let (tables, required): (&[&[(&str, Rule)]], &str) = match operation {
        Operation::Chat => (&[SAMPLING, CHAT], "messages"),
        Operation::Complete => (&[SAMPLING, COMPLETE], "prompt"),
        Operation::Embed => (&[EMBED], "input"),
        Operation::Infer => (&[], "inputs"),
    };
    for (key, value) in fields {
        let at = Pointer::root().key(key);
        let rule = tables.iter().copied().flatten().find(|(name, _)| name == key).map(|(_, rule)| *rule);
        match (key.as_str(), rule) {
            ("n" | "best_of", _) if operation != Operation::Embed => {
                apply(Integer(1, i64::from(limits.choices)), value, at)?;
            }
            (_, Some(rule)) => apply(rule, value, at)?,
            (_, None) if limits.allow_fields.iter().any(|name| name == key) => {}
            (_, None) => return Err(unknown(key, at)),
        }
    }
    if root.get(required).is_none() {
        return Err(missing(Pointer::root().key(required)));
    }
    cross(root)
}

fn unknown(key: &str, at: Pointer) -> Invalid {
    let message = if is_word(key) {
        format!("field {key} is not accepted (an operator can list it under limits.allow_fields)")
    } else {
        "a field is not accepted".to_owned()
    };
    Invalid::new(InvalidCode::UnknownField, at, message)
}

/// Fields that contradict each other.
fn cross(root: &Json) -> Result<(), Invalid> {
    let conflict = |key: &str, message: &'static str| {
        Err(Invalid::new(InvalidCode::ConflictingFields, Pointer::root().key(key), message))
    };
    let is_on = |key: &str| root.get(key) == Some(&Json::Bool(true));
    if root.get("stream_options").is_some() && !is_on("stream") {
        return conflict("stream_options", "stream_options needs stream");
    }
    if root.get("top_logprobs").is_some() && !is_on("logprobs") {
        return conflict("top_logprobs", "top_logprobs needs logprobs");
    }
    if root.get("max_tokens").is_some() && root.get("max_completion_tokens").is_some() {
        return conflict("max_tokens", "max_tokens and max_completion_tokens exclude each other");
    }
    let (n, best_of) = (root.get("n").and_then(Json::as_u64), root.get("best_of").and_then(Json::as_u64));
    match best_of {
        Some(best_of) if best_of < n.unwrap_or(1) => conflict("best_of", "best_of is smaller than n"),
        _ => Ok(()),
    }
}

fn apply(rule: Rule, value: &Json, at: Pointer) -> Result<(), Invalid> {
    match (rule, value) {
        (Walked, _) | (Flag, Json::Bool(_)) | (Object | Choice, Json::Object(_)) => Ok(()),
        (Integer(min, max), Json::Int(_) | Json::Uint(_)) => integer(value, min, max, at),
        (Number(min, max), _) => number(value, min, max, at),
        (Text(max), Json::Text(text)) => text_length(text, max, at),
        (Choice, Json::Text(text)) => text_length(text, 64, at),
        (Word(words), Json::Text(text)) if words.contains(&text.as_str()) => Ok(()),
        (Word(words), Json::Text(_)) => {
            let message = format!("expected one of {}", words.join(", "));
            Err(Invalid::new(InvalidCode::OutOfRange, at, message))
        }
        (Texts(_), Json::Text(_)) => Ok(()),
        (Texts(max), Json::Array(items)) => {
            if let Some(i) = items.iter().position(|item| item.as_str().is_none()) {
                return Err(wrong_type(at.index(i), "a string"));
            }
            list_length(items.len(), max, at)
        }
        (Array(max), Json::Array(items)) => list_length(items.len(), max, at),
        (Bias(most, min, max), Json::Object(fields)) => {
            list_length(fields.len(), most, at.clone())?;
            for (key, value) in fields {
                if key.is_empty() || key.len() > 10 || !key.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(Invalid::new(InvalidCode::OutOfRange, at, "expected token numbers as keys"));
                }
                number(value, min, max, at.clone())?;
            }
            Ok(())
        }
        (rule, _) => Err(wrong_type(at, wanted(rule))),
    }
}

fn wanted(rule: Rule) -> &'static str {
    match rule {
        Flag => "true or false",
        Integer(..) => "an integer",
        Number(..) => "a number",
        Text(_) | Word(_) => "a string",
        Texts(_) => "a string or a list of strings",
        Array(_) => "a list",
        Choice => "a string or an object",
        Bias(..) | Object | Walked => "an object",
    }
}

fn integer(value: &Json, min: i64, max: i64, at: Pointer) -> Result<(), Invalid> {
    let inside = match *value {
        Json::Int(n) => (min..=max).contains(&n),
        Json::Uint(n) => i64::try_from(n).is_ok_and(|n| (min..=max).contains(&n)),
        _ => false,
    };
    if inside { Ok(()) } else { Err(out_of_range(min, max, at)) }
}

fn number(value: &Json, min: f64, max: f64, at: Pointer) -> Result<(), Invalid> {
    let number = match *value {
        Json::Int(n) => n as f64,
        Json::Uint(n) => n as f64,
        Json::Float(n) => n,
        _ => return Err(wrong_type(at, "a number")),
    };
    if (min..=max).contains(&number) { Ok(()) } else { Err(out_of_range(min, max, at)) }
}

fn out_of_range(min: impl std::fmt::Display, max: impl std::fmt::Display, at: Pointer) -> Invalid {
    Invalid::new(InvalidCode::OutOfRange, at, format!("expected a value from {min} to {max}"))
}

fn text_length(text: &str, max: usize, at: Pointer) -> Result<(), Invalid> {
    if text.len() > max {
        let message = format!("text of {} bytes exceeds maximum {max}", text.len());
        return Err(Invalid::new(InvalidCode::StringTooLong, at, message));
    }
    Ok(())
}

fn list_length(length: usize, max: usize, at: Pointer) -> Result<(), Invalid> {
    if length > max {
        let message = format!("list of {length} exceeds maximum {max}");
        return Err(Invalid::new(InvalidCode::OutOfRange, at, message));
    }
    Ok(())
}
