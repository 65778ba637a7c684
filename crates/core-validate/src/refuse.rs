//! The refusals that are said in many places.

use crate::invalid::{Invalid, InvalidCode, Pointer, is_word};

pub(crate) fn missing(at: Pointer) -> Invalid {
    Invalid::new(InvalidCode::MissingField, at, "field is required")
}

pub(crate) fn wrong_type(at: Pointer, wanted: &str) -> Invalid {
    Invalid::new(InvalidCode::WrongType, at, format!("expected {wanted}"))
}

pub(crate) fn unsupported(at: Pointer, message: &'static str) -> Invalid {
    Invalid::new(InvalidCode::UnsupportedContent, at, message)
}

pub(crate) fn empty(at: Pointer) -> Invalid {
    Invalid::new(InvalidCode::EmptyInput, at, "input is empty")
}

pub(crate) fn conflict(at: Pointer, message: &'static str) -> Invalid {
    Invalid::new(InvalidCode::ConflictingFields, at, message)
}

/// A field that is not part of the shape, named when its name is a plain word.
pub(crate) fn unknown(key: &str, at: Pointer) -> Invalid {
    let message = if is_word(key) {
        format!("field {key} is not accepted here")
    } else {
        "a field is not accepted here".to_owned()
    };
    Invalid::new(InvalidCode::UnknownField, at, message)
}

pub(crate) fn out_of_range(min: impl std::fmt::Display, max: impl std::fmt::Display, at: Pointer) -> Invalid {
    Invalid::new(InvalidCode::OutOfRange, at, format!("expected a value from {min} to {max}"))
}

pub(crate) fn text_length(bytes: usize, max: usize, at: impl Fn() -> Pointer) -> Result<(), Invalid> {
    if bytes > max {
        let message = format!("text of {bytes} bytes exceeds maximum {max}");
        return Err(Invalid::new(InvalidCode::StringTooLong, at(), message));
    }
    Ok(())
}

pub(crate) fn list_length(length: usize, max: usize, at: impl Fn() -> Pointer) -> Result<(), Invalid> {
    if length > max {
        let message = format!("list of {length} exceeds maximum {max}");
        return Err(Invalid::new(InvalidCode::OutOfRange, at(), message));
    }
    Ok(())
}
