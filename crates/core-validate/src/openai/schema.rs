//! JSON schemas that a server compiles into a grammar: small, of known types, with patterns that any engine can
//! match in linear time. Servers have crashed, or filled their disks, on others.

use crate::invalid::{Invalid, InvalidCode};
use crate::json::{Kind, Value};
use crate::openai::pattern::{self, Pattern};
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

const TYPES: &[&str] = &["string", "number", "integer", "boolean", "object", "array", "null"];

/// Checks one schema. A pattern that looks around, as pydantic and zod make them for a few types, is not passed on:
/// servers cannot use it.
pub(super) fn check(walk: &mut Walk<'_>, value: Value<'_>) -> Result<(), Invalid> {
    if value.raw().len() > BYTES {
        let message = format!("schema of {} bytes exceeds maximum {BYTES}", value.raw().len());
        return Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message));
    }
    list_length(value.descendants(), VALUES, || value.pointer())?;
    schema(walk, value, 0)
}

fn schema(walk: &mut Walk<'_>, value: Value<'_>, depth: usize) -> Result<(), Invalid> {
    if depth > DEPTH {
        let message = format!("schema is nested deeper than {DEPTH}");
        return Err(Invalid::new(InvalidCode::TooDeep, value.pointer(), message));
    }
    for field in value.fields() {
        match (&*field.key(), field.kind()) {
            // Values, not schemas.
            ("enum" | "const" | "default" | "examples" | "example" | "required", _) => {}
            (key, _) if key.starts_with("x-") => {}
            // Schemas under names that are no keywords.
            ("patternProperties", Kind::Object) => {
                for field in field.fields() {
                    check_pattern(walk, &field.key(), field)?;
                    schema(walk, field, depth + 1)?;
                }
            }
            ("properties" | "$defs" | "definitions" | "dependentSchemas", Kind::Object) => {
                field.fields().try_for_each(|field| schema(walk, field, depth + 1))?;
            }
            ("type", Kind::Text) => known_type(field)?,
            ("type", Kind::Array) => field.items().try_for_each(known_type)?,
            ("type", Kind::Null) => {}
            ("type", _) => return Err(wrong_type(field.pointer(), "a type of JSON schema")),
            ("pattern", Kind::Text) => check_pattern(walk, &field.as_str().unwrap_or_default(), field)?,
            ("pattern", _) => return Err(wrong_type(field.pointer(), "a string")),
            (_, Kind::Array) => field.items().try_for_each(|item| schema(walk, item, depth + 1))?,
            _ => schema(walk, field, depth + 1)?,
        }
    }
    Ok(())
}

fn known_type(value: Value<'_>) -> Result<(), Invalid> {
    match TYPES.iter().any(|word| value.is_text(word)) {
        true => Ok(()),
        false => Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), "not a type of JSON schema")),
    }
}

fn check_pattern(walk: &mut Walk<'_>, text: &str, value: Value<'_>) -> Result<(), Invalid> {
    text_length(text.len(), PATTERN, || value.pointer())?;
    match pattern::read(text) {
        Pattern::Sound => Ok(()),
        Pattern::Beyond => {
            walk.dropped.push(value.id());
            Ok(())
        }
        Pattern::Unsound => {
            let message = "a pattern that cannot be matched in linear time, or is too large";
            Err(Invalid::new(InvalidCode::UnsupportedContent, value.pointer(), message))
        }
    }
}
