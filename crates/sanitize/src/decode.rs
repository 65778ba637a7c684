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
/// How many bytes are looked at together. The shortest run fills one such block wherever it stands.
const BLOCK: usize = 8;

const _: () = assert!(MIN_RUN >= 2 * BLOCK - 1);

static BASE64: GeneralPurpose = GeneralPurpose::new(
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

pub(crate) fn views(text: &str) -> Vec<View> {
    let mut left = text.len().saturating_mul(MAX_GROWTH);
    let outer = layer(text, &mut left);
    let inner: Vec<View> = outer.iter().flat_map(|view| layer(&view.text, &mut left)).collect();
    outer.into_iter().chain(inner).collect()
}

fn layer(text: &str, left: &mut usize) -> Vec<View> {
    // Hexadecimal digits are base64 digits too, so both stand in the same runs.
    let runs = runs(text.as_bytes(), is_base64);
    let decoded = [
        (Encoding::Base64, from_base64(text, &runs)),
        (Encoding::Hex, from_hex(text, &runs)),
        (Encoding::Percent, from_percent(text)),
        (Encoding::Tags, from_tags(text)),
    ];
    let mut views = Vec::new();
    for (encoding, mut text) in decoded {
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

fn from_base64(text: &str, runs: &[Range<usize>]) -> String {
    from_runs(text, runs.iter().cloned(), |run| {
        let standard = |byte: &u8| match byte {
            b'-' => b'+',
            b'_' => b'/',
            _ => *byte,
        };
        let end = if run.len() % 4 == 1 { run.len() - 1 } else { run.len() };
        let digits = run.get(..end)?;
        if digits.contains(&b'-') || digits.contains(&b'_') {
            BASE64.decode(digits.iter().map(standard).collect::<Vec<u8>>()).ok()
        } else {
            BASE64.decode(digits).ok()
        }
    })
}

fn from_hex(text: &str, outer: &[Range<usize>]) -> String {
    let runs = outer.iter().flat_map(|outer| {
        let bytes = text.as_bytes().get(outer.clone()).unwrap_or_default();
        let inner = runs(bytes, |byte| byte.is_ascii_hexdigit());
        inner.into_iter().map(|inner| outer.start + inner.start..outer.start + inner.end)
    });
    from_runs(text, runs, |run| {
        let (pairs, _) = run.as_chunks::<2>();
        pairs.iter().map(|[high, low]| hex_value(*high).zip(hex_value(*low)).map(joined)).collect()
    })
}

fn from_percent(text: &str) -> String {
    let decode = |part: &[u8]| {
        let [high, low, rest @ ..] = part else { return None };
        Some((joined((hex_value(*high)?, hex_value(*low)?)), rest.len()))
    };
    let parts = || text.split('%').map(str::as_bytes);
    if parts().skip(1).filter_map(decode).take(2).count() < 2 {
        return String::new();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for (index, part) in parts().enumerate() {
        match decode(part) {
            _ if index == 0 => bytes.extend_from_slice(part),
            Some((byte, rest)) => {
                bytes.push(byte);
                bytes.extend_from_slice(part.get(part.len() - rest..).unwrap_or_default());
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part);
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn from_tags(text: &str) -> String {
    // The first byte of every tag character.
    if !text.as_bytes().contains(&0xf3) {
        return String::new();
    }
    let shown = |ch: char| match ch {
        '\u{e0020}'..='\u{e007e}' => char::from_u32(u32::from(ch) - 0xe0000),
        _ => None,
    };
    text.chars().filter_map(shown).collect()
}

/// Decodes runs of digits; keeps what comes out as text. Runs that only a line break parts are read
/// on, as in MIME.
fn from_runs(
    text: &str,
    runs: impl Iterator<Item = Range<usize>>,
    decode: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> String {
    let mut out = String::new();
    let mut behind = 0;
    for run in runs {
        let digits = text.as_bytes().get(run.clone()).unwrap_or_default();
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

/// The long runs of digits of base64 or hexadecimal. Looks at single bytes only around blocks that are
/// full of them.
fn runs(text: &[u8], is_digit: impl Fn(u8) -> bool + Copy) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut full = 0..0;
    for block in text.as_chunks().0 {
        if is_full(block, is_digit) {
            full.end += BLOCK;
            continue;
        }
        if !full.is_empty() {
            runs.extend(run_around(text, full.clone(), is_digit));
        }
        full = full.end + BLOCK..full.end + BLOCK;
    }
    if !full.is_empty() {
        runs.extend(run_around(text, full, is_digit));
    }
    runs
}

/// The run that these full blocks are part of, if it is long enough.
fn run_around(text: &[u8], full: Range<usize>, is_digit: impl Fn(u8) -> bool) -> Option<Range<usize>> {
    let is_digit = |byte: &&u8| is_digit(**byte);
    let head = text.get(..full.start)?.iter().rev().take_while(is_digit).count();
    let tail = text.get(full.end..)?.iter().take_while(is_digit).count();
    let run = full.start - head..full.end + tail;
    (run.len() >= MIN_RUN).then_some(run)
}

fn is_full(block: &[u8; BLOCK], is_digit: impl Fn(u8) -> bool) -> bool {
    // Most blocks of prose hold a space or a mark, which stand before all digits; this subtraction
    // borrows then (Warren, "Hacker's Delight", 6-1).
    let word = u64::from_le_bytes(*block);
    let has_mark =
        word.wrapping_sub(u64::from_le_bytes([b'+'; BLOCK])) & !word & u64::from_le_bytes([0x80; BLOCK]) != 0;
    let mut is_full = !has_mark;
    for byte in block {
        is_full = is_full && is_digit(*byte);
    }
    is_full
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// The bytes as text, if nine in ten characters of it can be read.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let all = text.chars().count();
    let odd = if text.is_ascii() {
        let is_odd = |byte: u8| byte.is_ascii_control() && !char::from(byte).is_whitespace();
        text.bytes().filter(|byte| is_odd(*byte)).count()
    } else {
        text.chars().filter(|ch| ch.is_control() && !ch.is_whitespace()).count()
    };
    (odd * 10 <= all).then_some(text)
}

const fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

const fn joined((high, low): (u8, u8)) -> u8 {
    (high << 4) | low
}
