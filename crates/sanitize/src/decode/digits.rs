//! Base64, base32, hexadecimal and binary digits, in one run or in groups.

use std::ops::Range;

use super::Piece;

/// The shortest run that is looked into, in digits and what may part them.
const MIN_RUN: usize = 16;
/// How many bytes are looked at together. The shortest run fills one such block wherever it stands.
const BLOCK: usize = 8;
/// Fewer decoded bytes are taken for chance.
const MIN_DECODED: usize = 8;
/// How many bytes are decoded before they are looked at.
const PROBE: usize = 24;
/// How many decoded bytes may follow what can be read before reading ends. Without an end every run of digits would be
/// read to the end of the text, and the next one again.
const MAX_UNREADABLE: usize = 48;
/// The most bytes between two groups.
const MAX_GAP: usize = 4;

/// How far into a run of base64, and behind how many marks, its digits are looked for: a path may lead to them.
const MAX_PREFIX: usize = 64;
const MAX_MARKS: usize = 4;

const _: () = assert!(MIN_RUN >= 2 * BLOCK - 1);

/// Digits of a power of two.
struct Radix {
    /// How many bits a digit has.
    bits: u32,
    /// What each byte is worth as a digit.
    values: [Option<u8>; 256],
    /// What may stand between groups besides white space.
    is_gap: fn(u8) -> bool,
    /// How many digits at the start of a run may belong to something else.
    skips: usize,
}

static BINARY: Radix = Radix { bits: 1, values: values(1), is_gap: |byte| byte == b',', skips: 1 };
static HEX: Radix = Radix { bits: 4, values: values(4), is_gap: is_hex_gap, skips: 2 };
static BASE32: Radix = Radix { bits: 5, values: values(5), is_gap: |_| false, skips: 1 };
static BASE64: Radix = Radix { bits: 6, values: values(6), is_gap: |_| false, skips: 4 };

/// Reads runs of digits that say something readable.
pub(crate) fn read(text: &str, pieces: &mut Vec<Piece>) {
    let bytes = text.as_bytes();
    let mut behind = 0;
    for run in runs(bytes, |byte| base64(byte).is_some()) {
        if run.start >= behind {
            behind = try_each(bytes, run, &[&BINARY, &HEX, &BASE32, &BASE64], pieces);
        }
    }
    behind = 0;
    for run in runs(bytes, |byte| hex(byte).is_some() || byte.is_ascii_whitespace() || is_hex_gap(byte)) {
        let has_gaps =
            |run: &Range<usize>| bytes.get(run.clone()).is_some_and(|run| run.iter().any(|b| hex(*b).is_none()));
        if run.start >= behind && has_gaps(&run) {
            behind = run.end;
            for start in first_groups(bytes, &run) {
                let before = pieces.len();
                let end = try_each(bytes, start..start + 1, &[&BINARY, &HEX], pieces);
                if pieces.len() > before {
                    behind = end;
                    break;
                }
            }
        }
    }
    behind = 0;
    for group in groups(bytes) {
        if group.start >= behind {
            behind = try_each(bytes, group, &[&BASE64], pieces);
        }
    }
}

/// Adds what the run says in the first of these that is readable; returns how far was read.
fn try_each(bytes: &[u8], run: Range<usize>, radixes: &[&Radix], pieces: &mut Vec<Piece>) -> usize {
    for radix in radixes {
        for start in radix.starts(bytes, &run) {
            if let Some((end, text)) = radix.read(bytes, start) {
                // Digits stand for words of their own.
                pieces.push(Piece { range: start..end, text: format!(" {text} ") });
                return end;
            }
        }
    }
    run.end
}

/// What each byte is worth as a digit of so many bits. A table, as compares are slow where nobody can foresee how they end.
const fn values(bits: u32) -> [Option<u8>; 256] {
    let mut values = [None; 256];
    let (mut rest, mut byte) = (values.as_mut_slice(), 0_u8);
    while let Some((value, behind)) = rest.split_first_mut() {
        *value = match bits {
            1 => bit(byte),
            4 => hex(byte),
            5 => base32(byte),
            _ => base64(byte),
        };
        byte = byte.wrapping_add(1);
        rest = behind;
    }
    values
}

impl Radix {
    fn value(&self, byte: u8) -> Option<u8> {
        self.values.get(usize::from(byte)).copied().flatten()
    }

    /// Where the digits of a run may start: near its start, and behind marks that may be digits too.
    fn starts(&self, bytes: &[u8], run: &Range<usize>) -> impl Iterator<Item = usize> {
        let behind_mark = bytes.get(run.clone()).unwrap_or_default().iter().take(MAX_PREFIX).enumerate();
        let behind_mark = behind_mark.filter(|(_, byte)| self.bits == 6 && !byte.is_ascii_alphanumeric());
        let first = run.start;
        let marks = behind_mark.map(move |(at, _)| first + at + 1).take(MAX_MARKS);
        (first..(first + self.skips).min(run.end)).chain(marks)
    }

    /// What the digits from `start` on say, and where those that say it end: words may follow.
    fn read(&self, bytes: &[u8], start: usize) -> Option<(usize, String)> {
        let mut decoded = Decoded::default();
        let (mut held, mut count) = (0_u32, 0);
        let mut at = start;
        while let Some(byte) = bytes.get(at) {
            if let Some(value) = self.value(*byte) {
                held = (held << self.bits) | u32::from(value);
                count += self.bits;
                if count >= 8 {
                    count -= 8;
                    let [byte, ..] = (held >> count).to_le_bytes();
                    decoded.bytes.push(byte);
                }
                at += 1;
            } else {
                let gap = self.gap(bytes, at);
                if gap == 0 {
                    break;
                }
                at += gap;
            }
            if decoded.bytes.len() >= decoded.checked + PROBE && !decoded.check() {
                break;
            }
        }
        let len = decoded.bytes.len();
        let text = decoded.text()?;
        match (len - text.len()) * 8 / self.bits as usize {
            0 => at += bytes.get(at..)?.iter().take(6).take_while(|byte| **byte == b'=').count(),
            unread => at = self.before(bytes.get(..at)?, unread)?,
        }
        Some((at, text))
    }

    /// Where the last so many digits of `bytes` start.
    fn before(&self, bytes: &[u8], digits: usize) -> Option<usize> {
        let digit = bytes.iter().enumerate().rev().filter(|(_, byte)| self.value(**byte).is_some());
        digit.take(digits).last().map(|(at, _)| at)
    }

    /// How many bytes stand between two groups here; none if the digits end.
    fn gap(&self, bytes: &[u8], at: usize) -> usize {
        let rest = bytes.get(at..).unwrap_or_default();
        let is_gap = |byte: &&u8| byte.is_ascii_whitespace() || (self.is_gap)(**byte);
        let mut gap = rest.iter().take(MAX_GAP).take_while(is_gap).count();
        let behind = rest.get(gap..).unwrap_or_default();
        if self.bits == 4 && (behind.starts_with(b"0x") || behind.starts_with(b"x")) {
            gap += if behind.starts_with(b"0") { 2 } else { 1 };
        }
        let word = rest.get(gap..).unwrap_or_default();
        let len = word.iter().take(128).take_while(|byte| self.value(**byte).is_some()).count();
        let is_group = match (self.bits, word.split_at_checked(len)) {
            (_, None | Some(([], _))) => false,
            (_, Some((_, [next, ..]))) if next.is_ascii_alphanumeric() && *next != b'x' && len < 128 => false,
            (1, _) => len.is_multiple_of(8),
            (4, _) => len.is_multiple_of(2),
            (5, _) => len >= 4,
            (_, Some((word, _))) => rest.get(..gap).is_some_and(|gap| gap.contains(&b'\n')) || is_odd(word),
        };
        if is_group { gap } else { 0 }
    }
}

/// Whether this is hardly a word of prose: it has a digit, or a capital behind a small letter.
fn is_odd(word: &[u8]) -> bool {
    word.iter().any(|byte| !byte.is_ascii_alphabetic())
        || word.array_windows().any(|[one, other]| one.is_ascii_lowercase() && other.is_ascii_uppercase())
}

/// What digits say so far.
#[derive(Default)]
struct Decoded {
    bytes: Vec<u8>,
    /// How many of the bytes were looked at: whole characters.
    checked: usize,
    /// How many characters those are, and how many of them nobody can read.
    all: usize,
    odd: usize,
    /// How long the start is of which nine in ten characters can be read, in bytes.
    readable: usize,
}

impl Decoded {
    /// Looks at what is new; whether it makes sense to read on.
    fn check(&mut self) -> bool {
        let new = self.bytes.get(self.checked..).unwrap_or_default();
        let mostly_controls = 2 * new.iter().filter(|byte| **byte < b'\t').count() > new.len();
        let (valid, is_text) = match std::str::from_utf8(new) {
            Ok(valid) => (valid, true),
            Err(error) => {
                let valid = new.get(..error.valid_up_to()).map(str::from_utf8).and_then(Result::ok);
                (valid.unwrap_or_default(), error.error_len().is_none())
            }
        };
        for (at, ch) in valid.char_indices() {
            self.all += 1;
            self.odd += usize::from(ch.is_control() && !ch.is_whitespace());
            if self.odd * 10 <= self.all {
                self.readable = self.checked + at + ch.len_utf8();
            }
        }
        self.checked += valid.len();
        is_text && !mostly_controls && self.checked - self.readable <= MAX_UNREADABLE
    }

    /// The start that can be read, if it is long enough.
    fn text(mut self) -> Option<String> {
        self.check();
        self.bytes.truncate(self.readable);
        String::from_utf8(self.bytes).ok().filter(|text| text.len() >= MIN_DECODED)
    }
}

/// Where the first groups of two or eight digits start: words may stand before them.
fn first_groups(bytes: &[u8], run: &Range<usize>) -> impl Iterator<Item = usize> {
    let is_digit = |at: usize| bytes.get(at).is_some_and(|byte| hex(*byte).is_some());
    let is_part = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let is_start = move |at: &usize| {
        let is_behind =
            at.checked_sub(1).is_some_and(is_part) && at.checked_sub(1).and_then(|at| bytes.get(at)) != Some(&b'x');
        let len = (*at..run.end).take(9).take_while(|at| is_digit(*at)).count();
        !is_behind && matches!(len, 2 | 8) && !is_part(at + len)
    };
    (run.start..run.end).filter(is_start).take(MAX_MARKS)
}

/// Three groups of base64 digits of one length, at least four, of which two have a capital behind a small letter.
fn groups(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    for (index, block) in bytes.as_chunks::<16>().0.iter().enumerate() {
        let mut pairs = 0_u8;
        for [one, other] in block.array_windows() {
            pairs += u8::from(one.is_ascii_lowercase() & other.is_ascii_uppercase());
        }
        if pairs >= 2
            && let Some(group) = group_around(bytes, index * 16)
        {
            groups.push(group);
        }
    }
    groups
}

fn group_around(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    const MOST: usize = 64;
    let is_digit = |byte: &&u8| BASE64.value(**byte).is_some();
    let before = bytes.get(..at)?.iter().rev().take(MOST).take_while(is_digit).count();
    let mut start = at - before;
    let len = bytes.get(start..)?.iter().take(MOST).take_while(is_digit).count();
    // A long run without an end in sight, which was looked into already.
    if len == MOST && bytes.get(start + MOST).as_ref().is_some_and(is_digit) {
        return None;
    }
    let is_group = |from: usize| {
        let digits = bytes.get(from..from + len).is_some_and(|part| part.iter().all(|byte| base64(*byte).is_some()));
        digits && bytes.get(from + len).is_none_or(u8::is_ascii_whitespace)
    };
    if len < 4 || !is_group(start + len + 1) || !is_group(start + 2 * (len + 1)) {
        return None;
    }
    for _ in 0..4 {
        match start.checked_sub(len + 1) {
            Some(earlier) if is_group(earlier) => start = earlier,
            _ => break,
        }
    }
    Some(start..start + 1)
}

/// The long runs of bytes of a kind. Looks at single bytes only around blocks that are full of them.
fn runs(text: &[u8], is_kind: impl Fn(u8) -> bool + Copy) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut full = 0..0;
    for block in text.as_chunks::<BLOCK>().0 {
        if block.iter().fold(true, |all, byte| all & is_kind(*byte)) {
            full.end += BLOCK;
            continue;
        }
        if !full.is_empty() {
            runs.extend(run_around(text, full.clone(), is_kind));
        }
        full = full.end + BLOCK..full.end + BLOCK;
    }
    if !full.is_empty() {
        runs.extend(run_around(text, full, is_kind));
    }
    runs
}

/// The run that these full blocks are part of, if it is long enough.
fn run_around(text: &[u8], full: Range<usize>, is_kind: impl Fn(u8) -> bool) -> Option<Range<usize>> {
    let is_kind = |byte: &&u8| is_kind(**byte);
    let head = text.get(..full.start)?.iter().rev().take_while(is_kind).count();
    let tail = text.get(full.end..)?.iter().take_while(is_kind).count();
    let run = full.start - head..full.end + tail;
    (run.len() >= MIN_RUN).then_some(run)
}

const fn base64(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

const fn base32(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'2'..=b'7' => Some(byte - b'2' + 26),
        _ => None,
    }
}

pub(super) const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

const fn bit(byte: u8) -> Option<u8> {
    match byte {
        b'0' | b'1' => Some(byte - b'0'),
        _ => None,
    }
}

const fn is_hex_gap(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b';' | b'-' | b'x' | b'\\')
}
