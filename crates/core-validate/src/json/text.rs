//! JSON strings: where one ends, and what it says once it is unescaped.

use std::borrow::Cow;

/// Where a string stands, without its quotes, and whether it holds escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) length: u32,
    pub(crate) escaped: bool,
}

impl Span {
    pub(crate) fn end(self) -> usize {
        self.start as usize + self.length as usize
    }

    /// The bytes between the quotes.
    pub(crate) fn raw(self, text: &str) -> &str {
        text.get(self.start as usize..self.end()).unwrap_or_default()
    }

    /// What the string says.
    pub(crate) fn read(self, text: &str) -> Cow<'_, str> {
        let raw = self.raw(text);
        if self.escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    /// The first characters of what the string says, when it holds escapes; all of it otherwise.
    pub(crate) fn read_start(self, text: &str, chars: usize) -> Cow<'_, str> {
        let raw = self.raw(text);
        if self.escaped { Cow::Owned(unescaped(raw).take(chars).collect()) } else { Cow::Borrowed(raw) }
    }

    /// What the string says, without memory of its own.
    pub(crate) fn chars(self, text: &str) -> impl Iterator<Item = char> {
        unescaped(self.raw(text))
    }

    /// Whether the string says this, without memory of its own.
    pub(crate) fn says(self, words: &str, text: &str) -> bool {
        let raw = self.raw(text);
        if self.escaped { unescaped(raw).eq(words.chars()) } else { raw == words }
    }

    /// Bytes of what the string says, without memory of its own.
    pub(crate) fn bytes(self, text: &str) -> usize {
        let raw = self.raw(text);
        if self.escaped { unescaped(raw).map(char::len_utf8).sum() } else { raw.len() }
    }

    /// Compares what two strings say, without memory of its own.
    pub(crate) fn cmp(self, other: Self, text: &str) -> std::cmp::Ordering {
        match self.escaped || other.escaped {
            false => self.raw(text).cmp(other.raw(text)),
            true => unescaped(self.raw(text)).cmp(unescaped(other.raw(text))),
        }
    }
}

/// What a string says that [`escape`] found sound, run by run.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, _)) = rest.split_once('\\') {
        text.push_str(plain);
        let Some((char, length)) = rest.as_bytes().get(plain.len()..).and_then(escape) else { break };
        text.push(char);
        rest = rest.get(plain.len() + length..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// The characters of a string that [`escape`] found sound.
fn unescaped(raw: &str) -> impl Iterator<Item = char> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        if first != '\\' {
            rest = rest.get(first.len_utf8()..)?;
            return Some(first);
        }
        let (char, length) = escape(rest.as_bytes())?;
        rest = rest.get(length..)?;
        Some(char)
    })
}

/// The character of the escape at the start of `bytes`, and the escape's length. `None` when it is none of
/// RFC 8259, or half of a surrogate pair.
pub(super) fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let char = match *bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(bytes),
        _ => return None,
    };
    Some((char, 2))
}

fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 4)?;
        digits.iter().try_fold(0_u32, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    };
    match unit(2)? {
        high @ 0xd800..=0xdbff => {
            let low = bytes.get(6..8).filter(|next| *next == b"\\u").and_then(|_| unit(8))?;
            let low = Some(low).filter(|low| (0xdc00..=0xdfff).contains(low))?;
            Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12))
        }
        unit => Some((char::from_u32(unit)?, 6)),
    }
}

/// Position of the first byte that ends or breaks a run of plain text: a quote, a backslash or a control character.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let is_special = |byte: &u8| (*byte < b' ') | (*byte == b'"') | (*byte == b'\\');
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    // Whole blocks without a special byte, many bytes at a time.
    let plain = blocks.iter().take_while(|block| !block.iter().fold(false, |any, byte| any | is_special(byte)));
    let done = plain.count() * BLOCK;
    let rest = bytes.get(done..).unwrap_or_default();
    done + rest.iter().position(is_special).unwrap_or(rest.len())
}
