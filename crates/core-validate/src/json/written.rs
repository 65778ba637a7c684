//! JSON that goes out: values to be put together and changed, and their writer.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json::document::{Kind, Value};

/// A JSON value to be written. Objects keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Uint(u64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<Field>),
    /// The bytes of a number, or of a list of numbers, that was checked: they go out as they came in.
    Raw(Bytes),
}

/// A key and its value.
pub(crate) type Field = (Cow<'static, str>, Json);

impl Json {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn object<const N: usize>(fields: [(&'static str, Json); N]) -> Self {
        Self::Object(fields.map(|(key, value)| (Cow::Borrowed(key), value)).into())
    }

    /// What was read, to be written again.
    pub(crate) fn copy(value: Value<'_>) -> Self {
        match value.kind() {
            Kind::Null | Kind::Data => Self::Null,
            Kind::False => Self::Bool(false),
            Kind::True => Self::Bool(true),
            Kind::Number => value.as_u64().map_or_else(|| Self::Raw(value.raw_bytes()), Self::Uint),
            Kind::Numbers => Self::Raw(value.raw_bytes()),
            Kind::Text => Self::Text(value.as_str().unwrap_or_default().into_owned()),
            Kind::Array => Self::Array(value.items().map(Self::copy).collect()),
            Kind::Object => {
                Self::Object(value.fields().map(|f| (Cow::Owned(f.key().into_owned()), Self::copy(f))).collect())
            }
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
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
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Json]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_array_mut(&mut self) -> Option<&mut Vec<Json>> {
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
    pub(crate) fn set(&mut self, key: &'static str, value: Json) {
        if let Self::Object(fields) = self {
            match fields.iter_mut().find(|(k, _)| k == key) {
                Some((_, old)) => *old = value,
                None => fields.push((Cow::Borrowed(key), value)),
            }
        }
    }

    /// Removes a field of an object.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Self::Object(fields) = self {
            fields.retain(|(k, _)| k != key);
        }
    }

    /// The value at a path of child positions (object fields count in order).
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
            Self::Uint(n) => out.extend_from_slice(n.to_string().as_bytes()),
            Self::Text(text) => write_text(text, out),
            Self::Raw(bytes) => out.extend_from_slice(bytes),
            Self::Array(items) => {
                write_list(b"[]", items.iter(), out, |item, out| item.write(out));
            }
            Self::Object(fields) => write_list(b"{}", fields.iter(), out, |(key, value), out| {
                write_text(key, out);
                out.push(b':');
                value.write(out);
            }),
        }
    }
}

/// Writes items between brackets, with commas.
pub(super) fn write_list<T>(
    brackets: &[u8; 2],
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    let [open, close] = *brackets;
    out.push(open);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(close);
}

/// Text as `serde_json` writes it. That looks at each byte in turn; here those that need no escape, nearly all,
/// are told from the others many at a time.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
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
