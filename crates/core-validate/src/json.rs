//! A strict JSON reader: one reading, or an error. Also the writer for what was read.
//!
//! Beyond RFC 8259 it refuses duplicate keys, limits depth, values, keys and strings, and keeps
//! the place of the first fault. Numbers that are no integers are `f64`; one that overflows is an
//! error, never infinity.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::limits::Limits;

/// A JSON value that was read strictly. Objects keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// The unread bytes of one value: tensor data, scanned by its type later.
    Raw(Bytes),
}

impl Json {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Uint(n) => Some(n),
            Self::Int(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Json]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Self::Object(fields) => fields.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        match self {
            Self::Object(fields) => fields.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Sets a field of an object; does nothing to other values.
    pub(crate) fn set(&mut self, key: &str, value: Json) {
        if let Self::Object(fields) = self {
            match fields.iter_mut().find(|(k, _)| k == key) {
                Some((_, old)) => *old = value,
                None => fields.push((key.to_owned(), value)),
            }
        }
    }

    /// Removes a field of an object.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Self::Object(fields) = self {
            fields.retain(|(k, _)| k != key);
        }
    }

    /// The key at a path of child positions.
    pub(crate) fn key(&self, steps: &[usize]) -> Option<&str> {
        let (last, parent) = steps.split_last()?;
        match self.child(parent)? {
            Self::Object(fields) => fields.get(*last).map(|(key, _)| key.as_str()),
            _ => None,
        }
    }

    pub(crate) fn key_mut(&mut self, steps: &[usize]) -> Option<&mut String> {
        let (last, parent) = steps.split_last()?;
        match self.child_mut(parent)? {
            Self::Object(fields) => fields.get_mut(*last).map(|(key, _)| key),
            _ => None,
        }
    }

    /// The value at a path of child positions (object fields count in order).
    pub(crate) fn child(&self, steps: &[usize]) -> Option<&Json> {
        steps.iter().try_fold(self, |value, &step| match value {
            Self::Array(items) => items.get(step),
            Self::Object(fields) => fields.get(step).map(|(_, v)| v),
            _ => None,
        })
    }

    pub(crate) fn child_mut(&mut self, steps: &[usize]) -> Option<&mut Json> {
        steps.iter().try_fold(self, |value, &step| match value {
            Self::Array(items) => items.get_mut(step),
            Self::Object(fields) => fields.get_mut(step).map(|(_, v)| v),
            _ => None,
        })
    }

    /// Appends the value as compact JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(n) => out.extend_from_slice(n.to_string().as_bytes()),
            Self::Uint(n) => out.extend_from_slice(n.to_string().as_bytes()),
            Self::Float(n) => write_float(*n, out),
            Self::Text(text) => write_text(text, out),
            Self::Raw(bytes) => out.extend_from_slice(bytes),
            Self::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(fields) => {
                out.push(b'{');
                for (i, (key, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_text(key, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// Finite floats cannot fail to serialise into memory.
fn write_float(number: f64, out: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *out, &number).is_err() {
        out.extend_from_slice(b"null");
    }
}

/// Text as `serde_json` writes it. That looks at each byte in turn; here those that need no escape, nearly all,
/// are told from the others many at a time.
fn write_text(text: &str, out: &mut Vec<u8>) {
    const BLOCK: usize = 64;
    let is_escaped = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    out.reserve(text.len() + 2);
    out.push(b'"');
    for block in text.as_bytes().chunks(BLOCK) {
        if block.iter().fold(false, |any, byte| any | is_escaped(*byte)) {
            block.iter().for_each(|byte| write_byte(*byte, out));
        } else {
            out.extend_from_slice(block);
        }
    }
    out.push(b'"');
}

fn write_byte(byte: u8, out: &mut Vec<u8>) {
    let escape: &[u8] = match byte {
        b'"' => b"\\\"",
        b'\\' => b"\\\\",
        b'\n' => b"\\n",
        b'\r' => b"\\r",
        b'\t' => b"\\t",
        0x8 => b"\\b",
        0xc => b"\\f",
        0..0x20 => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let digit = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
        _ => return out.push(byte),
    };
    out.extend_from_slice(escape);
}

/// Reads one value from `body`. With `raw_key`, values under that key are kept as bytes.
pub(crate) fn read(body: &Bytes, limits: &Limits, raw_key: Option<&'static str>) -> Result<Json, Invalid> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(Invalid::new(InvalidCode::InvalidUtf8, Pointer::root(), "body is not UTF-8"));
    };
    let mut reader = Reader { body, limits, raw_key, values: 0, trail: Vec::new(), fault: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let read =
        Node { reader: &mut reader, depth: 0 }.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    read.map_err(|error| reader.fault().or_else(|| non_number(text, &error, raw_key)).unwrap_or_else(|| broken(&error)))
}

fn broken(error: &serde_json::Error) -> Invalid {
    let place = format!("body is not valid JSON (line {}, column {})", error.line(), error.column());
    Invalid::new(InvalidCode::InvalidJson, Pointer::root(), place)
}

/// Clients that write tensors with a lax JSON library send `NaN` and `Infinity`, which are no JSON;
/// they are told so in the words of the tensor check.
fn non_number(text: &str, error: &serde_json::Error, raw_key: Option<&str>) -> Option<Invalid> {
    let line: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = line + error.column().saturating_sub(1);
    let start = text.get(..at)?.rfind(['[', ',', ':', ' '])? + 1;
    let word = text.get(start..)?.trim_start().trim_start_matches('-');
    if !["NaN", "Infinity", "nan", "inf"].iter().any(|name| word.starts_with(name)) {
        return None;
    }
    let data = text.get(..start)?.rfind(&format!("\"{}\"", raw_key?))?;
    let index = text.get(data..start)?.matches(',').count();
    Some(crate::tensor::non_finite(index as u64, Pointer::root()))
}

struct Reader<'b> {
    body: &'b Bytes,
    limits: &'b Limits,
    raw_key: Option<&'static str>,
    values: usize,
    /// The way to a fault, innermost step first; filled only while an error unwinds.
    trail: Vec<Step>,
    fault: Option<(InvalidCode, String)>,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Reader<'_> {
    fn fail<E: serde::de::Error>(&mut self, code: InvalidCode, message: String) -> E {
        self.fault = Some((code, message));
        E::custom("refused")
    }

    fn fault(&mut self) -> Option<Invalid> {
        let (code, message) = self.fault.take()?;
        let at = self.trail.iter().rev().fold(Pointer::root(), |at, step| match step {
            Step::Key(key) => at.key(key),
            Step::Index(index) => at.index(*index),
        });
        Some(Invalid::new(code, at, message))
    }

    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.values += 1;
        if self.values > self.limits.values {
            let message = format!("body holds more than {} values", self.limits.values);
            return Err(self.fail(InvalidCode::TooManyValues, message));
        }
        Ok(())
    }

    fn check_text<E: serde::de::Error>(&mut self, length: usize, limit: usize) -> Result<(), E> {
        if length > limit {
            let message = format!("text of {length} bytes exceeds maximum {limit}");
            return Err(self.fail(InvalidCode::StringTooLong, message));
        }
        Ok(())
    }
}

struct Node<'r, 'b> {
    reader: &'r mut Reader<'b>,
    depth: usize,
}

impl Node<'_, '_> {
    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth >= self.reader.limits.depth {
            let message = format!("values are nested deeper than {}", self.reader.limits.depth);
            return Err(self.reader.fail(InvalidCode::TooDeep, message));
        }
        Ok(())
    }

    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Json, A::Error> {
        if self.reader.raw_key == Some(key) {
            let raw: &RawValue = map.next_value()?;
            return Ok(Json::Raw(self.reader.body.slice_ref(raw.get().as_bytes())));
        }
        map.next_value_seed(Node { reader: &mut *self.reader, depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.reader.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Uint(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        if value.is_finite() {
            Ok(Json::Float(value))
        } else {
            Err(self.reader.fail(InvalidCode::OutOfRange, "number is out of range".to_owned()))
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Json, E> {
        self.reader.check_text(value.len(), self.reader.limits.string_bytes)?;
        Ok(Json::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Json, A::Error> {
        self.enter()?;
        let mut items = Vec::new();
        loop {
            let node = Node { reader: &mut *self.reader, depth: self.depth + 1 };
            match seq.next_element_seed(node) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Json::Array(items)),
                Err(error) => {
                    self.reader.trail.push(Step::Index(items.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Json, A::Error> {
        self.enter()?;
        let mut fields: Vec<(String, Json)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            self.reader.check_text(key.len(), self.reader.limits.key_bytes)?;
            match self.field(&key, &mut map) {
                Ok(value) => fields.push((key, value)),
                Err(error) => {
                    self.reader.trail.push(Step::Key(key));
                    return Err(error);
                }
            }
        }
        if let Some(twice) = repeated(&fields) {
            self.reader.trail.push(Step::Key(twice));
            return Err(self.reader.fail(InvalidCode::DuplicateKey, "key appears twice".to_owned()));
        }
        Ok(Json::Object(fields))
    }
}

/// A key that appears twice, compared after unescaping.
fn repeated(fields: &[(String, Json)]) -> Option<String> {
    let mut keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some((*a).to_owned()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_written_as_serde_json_writes_them(text in prop_oneof![any::<String>(), "[\u{0}-\u{ff}]{0,200}", "[ -~]{0,200}"]) {
            let mut out = Vec::new();
            write_text(&text, &mut out);
            prop_assert_eq!(out, serde_json::to_vec(&text).unwrap());
        }
    }
}
