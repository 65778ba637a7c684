//! A place in a JSON text, and the tokens that may follow it.

use std::borrow::Cow;

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::number::Number;
use crate::json::text::{Span, escape, plain_run};

/// What is wrong at the cursor; the reader knows where in the document that is.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: InvalidCode,
    pub(crate) message: Cow<'static, str>,
}

impl Fault {
    pub(crate) fn new(code: InvalidCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn at(self, at: Pointer) -> Invalid {
        Invalid::new(self.code, at, self.message)
    }
}

/// A place in a JSON text. Texts are shorter than 4 GiB.
pub(crate) struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    /// The start of a text.
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn set_position(&mut self, at: usize) {
        self.at = at;
    }

    /// What is not read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no white space.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                next => return next.copied(),
            }
        }
    }

    /// Takes the next byte when it is this one.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes a byte that must come.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(self.broken()) }
    }

    /// Takes a word such as `true`.
    pub(crate) fn word(&mut self, word: &str) -> Result<(), Fault> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.broken());
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes a number.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number, Fault> {
        let Some(number) = Number::read(self.rest()) else { return Err(self.broken()) };
        self.at += number.length;
        Ok(number)
    }

    /// Takes a number that every reader reads alike: an integer of 64 bits, or a finite `f64`.
    #[inline]
    pub(crate) fn sound_number(&mut self) -> Result<Number, Fault> {
        let start = self.at;
        let number = self.number()?;
        let is_sound = match number.is_integer {
            true => number.integer().is_some(),
            false => number.float(self.text.get(start..).unwrap_or_default()).is_finite(),
        };
        if is_sound { Ok(number) } else { Err(Fault::new(InvalidCode::OutOfRange, "number is out of range")) }
    }

    /// Takes a string of at most `most` bytes once it is unescaped.
    pub(crate) fn string(&mut self, most: usize) -> Result<Span, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        // Bytes that escapes take beyond what they stand for.
        let mut saved = 0;
        loop {
            let plain = plain_run(self.rest());
            self.at += plain;
            match self.rest().first() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let Some((char, length)) = escape(self.rest()) else { return Err(self.broken()) };
                    self.at += length;
                    saved += length - char.len_utf8();
                }
                _ => return Err(self.broken()),
            }
        }
        let raw = self.at - start;
        self.at += 1;
        if raw - saved > most {
            let message = format!("text of {} bytes exceeds maximum {most}", raw - saved);
            return Err(Fault::new(InvalidCode::StringTooLong, message));
        }
        Ok(Span { start: start as u32, length: raw as u32, escaped: saved > 0 })
    }

    /// The text from `start` to here.
    pub(crate) fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The text is no JSON here.
    #[cold]
    pub(crate) fn broken(&self) -> Fault {
        let read = self.text.get(..self.at).unwrap_or_default();
        let line = read.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = read.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Fault::new(InvalidCode::InvalidJson, format!("body is not valid JSON (line {line}, column {column})"))
    }
}
