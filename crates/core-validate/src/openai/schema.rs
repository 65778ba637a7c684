//! JSON schemas that a server compiles into a grammar: small, of known types, with patterns that any engine can
//! match in linear time. Servers have crashed, or filled their disks, on others.

use crate::invalid::{Invalid, InvalidCode};
use crate::json::{Kind, Value};
use crate::openai::pattern::{self, Pattern};
use crate::openai::reference::{holds_by_name, holds_schemas, holds_values};
use crate::openai::rule::Walk;
use crate::refuse::{list_length, text_length, wrong_type};

/// Deepest nesting of schemas; the whole body's depth is bounded as well.
const DEPTH: usize = 48;
/// Most JSON values in a schema.
const VALUES: usize = 5_000;
/// Longest schema, as it was written.
const BYTES: usize = 64 << 10;
/// Longest pattern. Those that zod makes are up to 700 bytes long.
const PATTERN: usize = 1_024;

/// Longest patterns of one request together: each is read.
const PATTERNS: usize = 64 << 10;
/// Most steps of all counts and patterns of a request together.
const STEPS: u64 = 1_000_000;
/// Largest count that is passed on.
const COUNT: f64 = 10_000.0;

const TYPES: &[&str] = &["string", "number", "integer", "boolean", "object", "array", "null"];

/// Checks one schema. A pattern that looks around, as pydantic and zod make them for a few types, is not passed on,
/// since servers cannot use it; nor is a count so large that they would write it out without end.
pub(super) fn check(walk: &mut Walk<'_>, value: Value<'_>) -> Result<(), Invalid> {
    if value.raw().len() > BYTES {
        let message = format!("schema of {} bytes exceeds maximum {BYTES}", value.raw().len());
        return Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message));
    }
    list_length(value.descendants(), VALUES, || value.pointer())?;
    schema(walk, value, value, 0)
}

fn schema(walk: &mut Walk<'_>, root: Value<'_>, value: Value<'_>, depth: usize) -> Result<(), Invalid> {
    if depth > DEPTH {
        let message = format!("schema is nested deeper than {DEPTH}");
        return Err(Invalid::new(InvalidCode::TooDeep, value.pointer(), message));
    }
    let each = |walk: &mut Walk<'_>, value: Value<'_>| match value.kind() {
        Kind::Object | Kind::True | Kind::False => schema(walk, root, value, depth + 1),
        _ => Err(wrong_type(value.pointer(), "a schema")),
    };
    for field in value.fields() {
        if field.is_null() && is_known(&field.key()) {
            walk.dropped.push(field.id());
            continue;
        }
        shape(field)?;
        match (&*field.key(), field.kind()) {
            (key, _) if holds_values(key) => {}
            (key, Kind::Object) if holds_by_name(key) => {
                for field in field.fields() {
                    if key == "patternProperties" {
                        check_pattern(walk, &field.key(), field)?;
                    }
                    each(walk, field)?;
                }
            }
            // Names again, of schemas or of lists of names.
            ("dependencies", Kind::Object) => {
                let schemas = field.fields().filter(|field| field.kind() == Kind::Object);
                schemas.into_iter().try_for_each(|field| each(walk, field))?;
            }
            ("type", Kind::Text) => known_type(field)?,
            ("type", Kind::Array) => field.items().try_for_each(known_type)?,
            ("type", _) => return Err(wrong_type(field.pointer(), "a type of JSON schema")),
            ("pattern", Kind::Text) => check_pattern(walk, &field.as_word().unwrap_or_default(), field)?,
            ("pattern", _) => return Err(wrong_type(field.pointer(), "a string")),
            ("$ref", Kind::Text) if walk.references.leads_home(root, field) => {}
            ("$ref", _) => {
                let message = "a reference leads to a schema of the same schema, and to an end";
                return Err(Invalid::new(InvalidCode::UnsupportedContent, field.pointer(), message));
            }
            (key, _) if is_count(key) => check_count(walk, field)?,
            (key, Kind::Array) if holds_schemas(key) => field.items().try_for_each(|item| each(walk, item))?,
            (key, _) if holds_schemas(key) => each(walk, field)?,
            // Nothing that is compiled.
            _ => {}
        }
    }
    Ok(())
}

/// Keywords of which `null` says that they are not there, as those write it who dump what they have.
fn is_known(keyword: &str) -> bool {
    let is_other = matches!(
        keyword,
        "type" | "pattern" | "$ref" | "enum" | "required" | "dependencies" | "format" | "title" | "description"
    );
    is_other || holds_schemas(keyword) || holds_by_name(keyword) || is_count(keyword)
}

/// Whether a keyword has what JSON schema says it has. Unknown ones may have anything.
fn shape(field: Value<'_>) -> Result<(), Invalid> {
    let (fits, wanted) = match (&*field.key(), field.kind()) {
        ("properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas", kind) => {
            (kind == Kind::Object, "an object")
        }
        ("anyOf" | "oneOf" | "allOf" | "prefixItems", kind) => {
            (kind == Kind::Array && field.size() > 0, "a list of schemas")
        }
        ("enum", kind) => (matches!(kind, Kind::Array | Kind::Numbers) && field.size() > 0, "a list of values"),
        ("required", kind) => {
            let is_names = kind == Kind::Array && field.items().all(|name| name.kind() == Kind::Text);
            (is_names || kind == Kind::True || kind == Kind::False, "a list of names")
        }
        ("type", Kind::Array) => (field.size() > 0, "a list of types"),
        _ => return Ok(()),
    };
    if fits { Ok(()) } else { Err(wrong_type(field.pointer(), wanted)) }
}

/// Keywords whose number a compiler writes out as so many steps.
fn is_count(keyword: &str) -> bool {
    let bounded = keyword.strip_prefix("min").or_else(|| keyword.strip_prefix("max"));
    bounded.is_some_and(|what| matches!(what, "Length" | "Items" | "Properties" | "Contains"))
}

/// A count beyond what servers write out is not passed on.
fn check_count(walk: &mut Walk<'_>, value: Value<'_>) -> Result<(), Invalid> {
    let Some(count) = value.as_f64().filter(|count| *count >= 0.0) else {
        return Err(wrong_type(value.pointer(), "a number of 0 or more"));
    };
    if count > COUNT {
        walk.dropped.push(value.id());
        return Ok(());
    }
    written_out(walk, value, count as u64)
}

fn known_type(value: Value<'_>) -> Result<(), Invalid> {
    match TYPES.iter().any(|word| value.is_text(word)) {
        true => Ok(()),
        false => Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), "not a type of JSON schema")),
    }
}

fn check_pattern(walk: &mut Walk<'_>, text: &str, value: Value<'_>) -> Result<(), Invalid> {
    text_length(text.len(), PATTERN, || value.pointer())?;
    walk.pattern_bytes += text.len();
    if walk.pattern_bytes > PATTERNS {
        let message = format!("patterns of more than {PATTERNS} bytes together");
        return Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message));
    }
    match pattern::read(text) {
        Pattern::Sound(steps) => written_out(walk, value, steps),
        Pattern::Beyond => {
            walk.dropped.push(value.id());
            Ok(())
        }
        Pattern::Unsound => {
            let message = "a pattern that is not understood, or is too large";
            Err(Invalid::new(InvalidCode::UnsupportedContent, value.pointer(), message))
        }
    }
}

/// All schemas of a request together are bounded by what a compiler would write out for them.
fn written_out(walk: &mut Walk<'_>, value: Value<'_>, steps: u64) -> Result<(), Invalid> {
    walk.schema_steps = walk.schema_steps.saturating_add(steps);
    if walk.schema_steps <= STEPS {
        return Ok(());
    }
    let message = format!("schemas of more than {STEPS} steps together, counts and patterns written out");
    Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message))
}
