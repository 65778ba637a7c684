//! Percent encoding (RFC 3986), character references of HTML, and escapes as in JSON and C.

use super::Piece;
use super::digits::hex;

/// Escapes that are no further apart, in bytes, are one piece with what stands between them.
const MAX_GAP: usize = 16;

/// The character references that stand between or for words, without letters that have one.
const NAMES: &[(&[u8], char)] = &[
    (b"nbsp;", ' '),
    (b"Tab;", ' '),
    (b"NewLine;", ' '),
    (b"ensp;", ' '),
    (b"emsp;", ' '),
    (b"thinsp;", ' '),
    (b"amp;", '&'),
    (b"lt;", '<'),
    (b"gt;", '>'),
    (b"quot;", '"'),
    (b"apos;", '\''),
    (b"shy;", '\u{ad}'),
    (b"ZeroWidthSpace;", '\u{200b}'),
    (b"colon;", ':'),
    (b"period;", '.'),
    (b"comma;", ','),
    (b"excl;", '!'),
    (b"quest;", '?'),
    (b"lsqb;", '['),
    (b"rsqb;", ']'),
    (b"percnt;", '%'),
    (b"num;", '#'),
    (b"sol;", '/'),
    (b"bsol;", '\\'),
    (b"hyphen;", '-'),
];

/// Reads runs of escapes of any kind, with the plain text in between.
pub(crate) fn read(text: &str, pieces: &mut Vec<Piece>) {
    let bytes = text.as_bytes();
    let mut run = Run { start: 0, end: 0, decoded: Vec::new() };
    let mut at = 0;
    while let Some(next) = next_lead(bytes, at) {
        let rest = bytes.get(next..).unwrap_or_default();
        let Some((len, value)) = escape(rest) else {
            at = next + 1;
            continue;
        };
        let between = bytes.get(run.end..next).unwrap_or_default();
        if run.decoded.is_empty() || between.len() > MAX_GAP {
            run.finish(pieces);
            run.start = next;
        } else {
            run.decoded.extend_from_slice(between);
        }
        match value {
            Value::Byte(byte) => run.decoded.push(byte),
            Value::Char(ch) => run.decoded.extend_from_slice(ch.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        at = next + len;
        run.end = at;
    }
    run.finish(pieces);
}

/// Where the next escape may start.
fn next_lead(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr3(b'%', b'&', b'\\', bytes.get(from..)?).map(|at| from + at)
}

/// Escapes that follow one another.
struct Run {
    start: usize,
    end: usize,
    decoded: Vec<u8>,
}

impl Run {
    fn finish(&mut self, pieces: &mut Vec<Piece>) {
        let decoded = std::mem::take(&mut self.decoded);
        if !decoded.is_empty() {
            let text = String::from_utf8(decoded)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            pieces.push(Piece { range: self.start..self.end, text });
        }
    }
}

enum Value {
    Byte(u8),
    Char(char),
}

/// The escape that `rest` starts with: how long it is, and what it stands for.
fn escape(rest: &[u8]) -> Option<(usize, Value)> {
    match rest {
        [b'%', high, low, ..] => Some((3, Value::Byte(pair(*high, *low)?))),
        [b'\\', b'x', high, low, ..] => Some((4, Value::Byte(pair(*high, *low)?))),
        [b'\\', b'u' | b'U', b'{', digits @ ..] => braced(digits),
        [b'\\', b'u', digits @ ..] => utf16(digits),
        [b'\\', b'U', digits @ ..] => number(digits.get(..8)?, 16).map(|ch| (10, Value::Char(ch))),
        [b'\\', b'n' | b'r' | b't', ..] => Some((2, Value::Char('\n'))),
        [b'&', b'#', b'x' | b'X', digits @ ..] => reference(digits, 16, 3),
        [b'&', b'#', digits @ ..] => reference(digits, 10, 2),
        [b'&', name @ ..] => {
            let (name, ch) =
                NAMES.iter().find(|(known, _)| known.first() == name.first() && name.starts_with(known))?;
            Some((name.len() + 1, Value::Char(*ch)))
        }
        _ => None,
    }
}

fn pair(high: u8, low: u8) -> Option<u8> {
    Some((hex(high)? << 4) | hex(low)?)
}

/// Digits as a character.
fn number(digits: &[u8], radix: u32) -> Option<char> {
    let digits = std::str::from_utf8(digits).ok()?;
    char::from_u32(u32::from_str_radix(digits, radix).ok()?)
}

/// `69}` behind `\u{`.
fn braced(digits: &[u8]) -> Option<(usize, Value)> {
    let len = digits.iter().take(7).position(|byte| *byte == b'}')?;
    Some((len + 4, Value::Char(number(digits.get(..len)?, 16)?)))
}

/// Four digits behind `\u`, or the two halves of a surrogate pair.
fn utf16(digits: &[u8]) -> Option<(usize, Value)> {
    let unit = |digits: &[u8]| {
        let digits = digits.first_chunk::<4>()?;
        digits.iter().try_fold(0, |unit, digit| Some((unit << 4) | u16::from(hex(*digit)?)))
    };
    let high = unit(digits)?;
    if let Some(ch) = char::from_u32(u32::from(high)) {
        return Some((6, Value::Char(ch)));
    }
    let low = unit(digits.get(4..)?.strip_prefix(b"\\u")?)?;
    let ch = char::decode_utf16([high, low]).next()?.ok()?;
    Some((12, Value::Char(ch)))
}

/// The digits of a character reference; the semicolon may be left out, as browsers allow.
fn reference(digits: &[u8], radix: u32, lead: usize) -> Option<(usize, Value)> {
    let len = digits.iter().take(8).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    let ch = number(digits.get(..len)?, radix)?;
    let end = usize::from(digits.get(len) == Some(&b';'));
    Some((lead + len + end, Value::Char(ch)))
}
