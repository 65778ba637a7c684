//! What a text carries in a simple encoding. Used to look, never to hand out.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::fold::fold;

/// Two layers of all encodings together give less than so many times the text, so that nothing stays
/// undecoded behind harmless runs.
const MAX_GROWTH: usize = 4;
/// The shortest run of base64 or hexadecimal characters that is looked into.
const MIN_RUN: usize = 16;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a [`View`] was encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Base64, standard or URL-safe alphabet (RFC 4648).
    Base64,
    /// Hexadecimal.
    Hex,
    /// Percent encoding (RFC 3986).
    Percent,
    /// Unicode tag characters, which do not show.
    Tags,
}

/// All that one layer of a text contained in one encoding.
#[derive(Debug, Clone)]
pub struct View {
    encoding: Encoding,
    text: String,
    /// `None` if folding changes nothing.
    folded: Option<String>,
}

impl View {
    /// How it was encoded; in a second layer, the inner encoding.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The decoded text. Pieces that stood apart are separated by a space.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The decoded text, folded like [`Normalized::folded`](crate::Normalized::folded).
    pub fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.text)
    }
}

type Decoder = fn(&str) -> String;

const DECODERS: [(Encoding, Decoder); 4] = [
    (Encoding::Base64, from_base64),
    (Encoding::Hex, from_hex),
    (Encoding::Percent, from_percent),
    (Encoding::Tags, from_tags),
];

pub(crate) fn views(text: &str) -> Vec<View> {
    let mut left = text.len().saturating_mul(MAX_GROWTH);
    let outer = layer(text, &mut left);
    let inner: Vec<View> = outer.iter().flat_map(|view| layer(&view.text, &mut left)).collect();
    outer.into_iter().chain(inner).collect()
}

fn layer(text: &str, left: &mut usize) -> Vec<View> {
    let mut views = Vec::new();
    for (encoding, decode) in DECODERS {
        let mut text = decode(text);
        text.truncate(text.floor_char_boundary(*left));
        *left -= text.len();
        if !text.is_empty() {
            let folded = match fold(&text) {
                Cow::Borrowed(_) => None,
                Cow::Owned(folded) => Some(folded),
            };
            views.push(View { encoding, text, folded });
        }
    }
    views
}

fn from_base64(text: &str) -> String {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    from_runs(text, is_digit, |run| {
        let standard = |byte: u8| match byte {
            b'-' => b'+',
            b'_' => b'/',
            _ => byte,
        };
        let mut digits: Vec<u8> = run.bytes().map(standard).collect();
        if digits.len() % 4 == 1 {
            digits.pop();
        }
        BASE64.decode(digits).ok()
    })
}

fn from_hex(text: &str) -> String {
    let is_digit = |byte: u8| byte.is_ascii_hexdigit();
    from_runs(text, is_digit, |run| {
        let digits: Vec<u8> = run.bytes().filter_map(hex_value).collect();
        let pairs = digits.chunks_exact(2);
        Some(pairs.map(|pair| pair.iter().fold(0_u8, |byte, digit| (byte << 4) | digit)).collect())
    })
}

fn from_percent(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut decoded = 0_usize;
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).copied().and_then(hex_value);
        let digits = digit(0).zip(digit(1));
        match digits {
            Some((high, low)) if *first == b'%' => {
                bytes.push((high << 4) | low);
                decoded += 1;
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    if decoded < 2 { String::new() } else { String::from_utf8_lossy(&bytes).into_owned() }
}

fn from_tags(text: &str) -> String {
    let shown = |ch: char| match ch {
        '\u{e0020}'..='\u{e007e}' => char::from_u32(u32::from(ch) - 0xe0000),
        _ => None,
    };
    text.chars().filter_map(shown).collect()
}

/// Decodes every long run of `is_digit`; keeps what comes out as text. Runs that only a line break
/// parts are read on, as in MIME.
fn from_runs(text: &str, is_digit: impl Fn(u8) -> bool, decode: impl Fn(&str) -> Option<Vec<u8>>) -> String {
    let mut out = String::new();
    let mut behind = 0;
    for run in runs(text, is_digit) {
        let digits = text.get(run.clone()).unwrap_or_default();
        let Some(piece) = decode(digits).and_then(readable) else { continue };
        let gap = text.get(behind..run.start).unwrap_or_default();
        if !out.is_empty() && !gap.bytes().all(|byte| matches!(byte, b'\r' | b'\n')) {
            out.push(' ');
        }
        out.push_str(&piece);
        behind = run.end;
    }
    out
}

fn runs(text: &str, is_digit: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for (at, byte) in text.bytes().chain([b' ']).enumerate() {
        if is_digit(byte) {
            continue;
        }
        if at - start >= MIN_RUN {
            runs.push(start..at);
        }
        start = at + 1;
    }
    runs
}

/// The bytes as text, if nine in ten characters of it can be read.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let all = text.chars().count();
    let odd = text.chars().filter(|ch| ch.is_control() && !ch.is_whitespace()).count();
    (odd * 10 <= all).then_some(text)
}

fn hex_value(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
