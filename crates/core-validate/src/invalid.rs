//! The one error of this crate: what is wrong, where, and in which generic words.

use std::borrow::Cow;
use std::fmt;

/// Why input was refused. The words are stable; match on the code, show the message.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvalidCode {
    /// The media type is not one this operation reads.
    UnsupportedMediaType,
    /// A header that describes the body is wrong.
    BadHeader,
    /// The body is not UTF-8.
    InvalidUtf8,
    /// The body is not one JSON value by RFC 8259.
    InvalidJson,
    /// An object names a key twice.
    DuplicateKey,
    /// Values are nested deeper than allowed.
    TooDeep,
    /// The body holds more values than allowed.
    TooManyValues,
    /// A key or string is longer than allowed.
    StringTooLong,
    /// A required field is absent.
    MissingField,
    /// A field is not part of the request shape.
    UnknownField,
    /// A field holds another type than documented.
    WrongType,
    /// A number or a length leaves its documented range.
    OutOfRange,
    /// Two fields contradict each other.
    ConflictingFields,
    /// The content is documented, but this gateway does not pass it on.
    UnsupportedContent,
    /// There is nothing to work on.
    EmptyInput,
    /// The input holds more elements than allowed.
    InputTooLong,
    /// A tensor has another number of dimensions than expected.
    WrongRank,
    /// A tensor's shape is not the expected one, or does not fit its data.
    WrongShape,
    /// A tensor has another data type than expected.
    WrongDtype,
    /// A floating point value is infinite or not a number.
    NonFinite,
}

impl InvalidCode {
    /// All codes.
    pub const ALL: [Self; 20] = [
        Self::UnsupportedMediaType,
        Self::BadHeader,
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::DuplicateKey,
        Self::TooDeep,
        Self::TooManyValues,
        Self::StringTooLong,
        Self::MissingField,
        Self::UnknownField,
        Self::WrongType,
        Self::OutOfRange,
        Self::ConflictingFields,
        Self::UnsupportedContent,
        Self::EmptyInput,
        Self::InputTooLong,
        Self::WrongRank,
        Self::WrongShape,
        Self::WrongDtype,
        Self::NonFinite,
    ];

    /// What the code means, in one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::UnsupportedMediaType => "the media type is not one this operation reads",
            Self::BadHeader => "a header that describes the body is wrong",
            Self::InvalidUtf8 => "the body is not UTF-8",
            Self::InvalidJson => "the body is not one JSON value",
            Self::DuplicateKey => "an object names a key twice",
            Self::TooDeep => "values are nested too deep",
            Self::TooManyValues => "the body holds too many values",
            Self::StringTooLong => "a key or string is too long",
            Self::MissingField => "a required field is absent",
            Self::UnknownField => "a field is not part of the request shape",
            Self::WrongType => "a field holds another type than documented",
            Self::OutOfRange => "a number or length leaves its range",
            Self::ConflictingFields => "two fields contradict each other",
            Self::UnsupportedContent => "the content is not passed on",
            Self::EmptyInput => "there is nothing to work on",
            Self::InputTooLong => "the input holds too many elements",
            Self::WrongRank => "a tensor has another number of dimensions than expected",
            Self::WrongShape => "a tensor's shape is not the expected one, or does not fit its data",
            Self::WrongDtype => "a tensor has another data type than expected",
            Self::NonFinite => "a value is infinite or not a number",
        }
    }

    /// The stable word for this code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BadHeader => "bad_header",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::DuplicateKey => "duplicate_key",
            Self::TooDeep => "too_deep",
            Self::TooManyValues => "too_many_values",
            Self::StringTooLong => "string_too_long",
            Self::MissingField => "missing_field",
            Self::UnknownField => "unknown_field",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::ConflictingFields => "conflicting_fields",
            Self::UnsupportedContent => "unsupported_content",
            Self::EmptyInput => "empty_input",
            Self::InputTooLong => "input_too_long",
            Self::WrongRank => "wrong_rank",
            Self::WrongShape => "wrong_shape",
            Self::WrongDtype => "wrong_dtype",
            Self::NonFinite => "non_finite",
        }
    }
}

/// A place in a request, as an RFC 6901 JSON pointer of at most 128 bytes. What is deeper than that is said to be where
/// the pointer ends.
///
/// Keys that are not plain words (`[A-Za-z_][A-Za-z0-9_.-]{0,39}`) show as `?`: a pointer never
/// repeats input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: String,
    /// A step did not fit; those behind it must not be put in its place.
    is_full: bool,
}

impl Pointer {
    const MAX: usize = 128;

    /// The whole request.
    pub fn root() -> Self {
        Self::default()
    }

    /// This pointer, one key further.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(if is_word(key) { key } else { "?" })
    }

    /// This pointer, one array element further.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(&index.to_string())
    }

    fn step(&self, step: &str) -> Self {
        if self.is_full || self.text.len() + 1 + step.len() > Self::MAX {
            return Self { text: self.text.clone(), is_full: true };
        }
        Self { text: format!("{}/{step}", self.text), is_full: false }
    }

    /// The pointer's text; empty for the whole request.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a key may be named in an answer.
pub(crate) fn is_word(key: &str) -> bool {
    (1..=40).contains(&key.len())
        && !key.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '.' | '-'))
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Input that is refused. The caller is to blame; retrying the same input is useless.
///
/// The message consists of this crate's words, limits and sizes only, never of input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    code: InvalidCode,
    at: Pointer,
    message: Cow<'static, str>,
}

impl Invalid {
    pub(crate) fn new(code: InvalidCode, at: Pointer, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, at, message: message.into() }
    }

    /// The same, one list element further.
    pub(crate) fn below(self, index: usize) -> Self {
        Self { at: self.at.index(index), ..self }
    }

    /// Why.
    pub fn code(&self) -> InvalidCode {
        self.code
    }

    /// Where.
    pub fn at(&self) -> &Pointer {
        &self.at
    }

    /// In words.
    pub fn message(&self) -> &str {
        &self.message
    }
}
