//! Strict JSON (RFC 8259): one reading of a text, or an error; and the writer for what goes out.

mod cursor;
mod document;
mod edits;
mod number;
mod text;
mod written;

pub(crate) use cursor::{Cursor, Fault};
pub(crate) use document::{Document, Kind, Value};
pub(crate) use edits::Edits;
pub(crate) use number::{Number, ROUGH};
pub(crate) use text::Span;
pub(crate) use written::{Field, Json};
