//! A document with changes, written anew.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::json::document::{Document, Kind, Value};
use crate::json::written::{Json, write_list, write_text};

/// What is to be different when a document is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edits {
    /// Texts by node; `true` for the node's key.
    texts: BTreeMap<(u32, bool), String>,
    /// Fields that are left out, by node, in order.
    dropped: Vec<u32>,
    /// Fields of the root.
    root: Vec<(&'static str, Json)>,
}

impl Edits {
    pub(crate) fn set_text(&mut self, node: u32, is_key: bool, text: String) {
        self.texts.insert((node, is_key), text);
    }

    /// Leaves fields out. Call it once.
    pub(crate) fn drop_nodes(&mut self, mut nodes: Vec<u32>) {
        nodes.sort_unstable();
        self.dropped = nodes;
    }

    fn is_dropped(&self, value: &Value<'_>) -> bool {
        self.dropped.binary_search(&value.id()).is_ok()
    }

    /// The text of a string or of a key, as changed.
    pub(crate) fn text<'a>(&'a self, value: Value<'a>, is_key: bool) -> Cow<'a, str> {
        match self.texts.get(&(value.id(), is_key)) {
            Some(text) => Cow::Borrowed(text),
            None if is_key => value.key(),
            None => value.as_str().unwrap_or_default(),
        }
    }

    /// Sets a field of the root.
    pub(crate) fn set_field(&mut self, key: &'static str, value: Json) {
        self.root.retain(|(k, _)| *k != key);
        self.root.push((key, value));
    }

    /// Writes the document as compact JSON. Clients write absent fields of the root as `null`; what is absent
    /// is not passed on.
    pub(crate) fn write(&self, document: &Document) -> Vec<u8> {
        let mut out = Vec::with_capacity(document.text().len());
        let root = document.root();
        if root.kind() != Kind::Object {
            self.write_value(root, &mut out);
            return out;
        }
        let set = |field: Value<'_>| self.root.iter().find(|(key, _)| field.key() == *key);
        let is_kept = |field: &Value<'_>| set(*field).is_some() || !(field.is_null() || self.is_dropped(field));
        let kept = root.fields().filter(is_kept).map(|field| set(field).map_or(Ok(field), Err));
        let added = self.root.iter().filter(|(key, _)| root.get(key).is_none()).map(Err);
        write_list(b"{}", kept.chain(added), &mut out, |field, out| match field {
            Ok(field) => self.write_field(field, out),
            Err((key, value)) => {
                write_text(key, out);
                out.push(b':');
                value.write(out);
            }
        });
        out
    }

    fn write_field(&self, field: Value<'_>, out: &mut Vec<u8>) {
        write_text(&self.text(field, true), out);
        out.push(b':');
        self.write_value(field, out);
    }

    fn write_value(&self, value: Value<'_>, out: &mut Vec<u8>) {
        match value.kind() {
            Kind::Text => write_text(&self.text(value, false), out),
            Kind::Array => write_list(b"[]", value.items(), out, |item, out| self.write_value(item, out)),
            Kind::Object => {
                let kept = value.fields().filter(|field| !self.is_dropped(field));
                write_list(b"{}", kept, out, |field, out| self.write_field(field, out));
            }
            _ => out.extend_from_slice(value.raw().as_bytes()),
        }
    }
}
