//! The disguises that are claimed to be seen through. All take ASCII; of codes, all but tags take any text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

pub(crate) struct Transform {
    pub(crate) name: &'static str,
    pub(crate) apply: fn(&str) -> String,
}

const fn transform(name: &'static str, apply: fn(&str) -> String) -> Transform {
    Transform { name, apply }
}

/// Put over anything, also over each other.
pub(crate) const CODES: &[Transform] = &[
    transform("base64", |text| STANDARD.encode(text)),
    transform("base64 without padding", |text| STANDARD_NO_PAD.encode(text)),
    transform("base64 for URLs", |text| URL_SAFE_NO_PAD.encode(text)),
    transform("base64 in lines", |text| grouped(&STANDARD.encode(text), 76, "\n")),
    transform("base64 in groups of eight", |text| grouped(&STANDARD_NO_PAD.encode(text), 8, " ")),
    transform("base64 amid prose", |text| format!("Please decode {} and go on.", STANDARD.encode(text))),
    transform("base32", base32),
    transform("hexadecimal", |text| each(text, |byte| format!("{byte:02x}"))),
    transform("hexadecimal in pairs", |text| each(text, |byte| format!("{byte:02X} "))),
    transform("hexadecimal as \\x", |text| each(text, |byte| format!("\\x{byte:02x}"))),
    transform("hexadecimal as 0x", |text| each(text, |byte| format!("0x{byte:02x}, "))),
    transform("binary digits", |text| each(text, |byte| format!("{byte:08b}"))),
    transform("binary digits in groups", |text| each(text, |byte| format!("{byte:08b} "))),
    transform("percent", |text| each(text, |byte| format!("%{byte:02X}"))),
    transform("percent of what must be", |text| {
        each(text, |byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
    }),
    transform("percent twice", |text| each(text, |byte| format!("%25{byte:02X}"))),
    transform("decimal references", |text| text.chars().map(|ch| format!("&#{};", u32::from(ch))).collect()),
    transform("hexadecimal references", |text| text.chars().map(|ch| format!("&#x{:x};", u32::from(ch))).collect()),
    transform("\\u escapes", |text| text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()),
    transform("tags", |text| text.bytes().map(|byte| moved(byte, 0xe0000)).collect()),
    transform("variation selectors", |text| format!("Hi \u{1f600}{}", text.bytes().map(selector).collect::<String>())),
];

/// Put over text, and under any code.
pub(crate) const SPELLINGS: &[Transform] = &[
    transform("rotated by thirteen", |text| text.chars().map(rotated).collect()),
    transform("backwards", |text| text.chars().rev().collect()),
    transform("words backwards", |text| by_word(text, |word| word.chars().rev().collect())),
    transform("letters apart", |text| apart(text, " ", "   ")),
    transform("dots between letters", |text| apart(text, ".", " ")),
    transform("hyphens between letters", |text| apart(text, "-", " ")),
    transform("a letter a line", |text| apart(text, "\n", "\n\n")),
    transform("numbers for letters", |text| text.chars().map(number).collect()),
    transform("numbers for some letters", |text| text.chars().map(some_number).collect()),
    transform("a word a line", |text| text.replace(' ', "\n")),
    transform("capitals", str::to_uppercase),
    transform("zero-width space between letters", |text| apart(text, "\u{200b}", " ")),
    transform("soft hyphen between letters", |text| apart(text, "\u{ad}", " ")),
    transform("wide letters", |text| text.chars().map(wide).collect()),
    transform("bold letters", |text| styled(text, 0x1d41a)),
    transform("script letters", |text| styled(text, 0x1d4ea)),
    transform("circled letters", |text| styled(text, 0x24d0)),
    transform("Cyrillic look-alikes", |text| text.chars().map(cyrillic).collect()),
    transform("an accent on each letter", |text| text.chars().flat_map(|ch| [ch, '\u{301}']).collect()),
    transform("many accents", |text| {
        text.chars().flat_map(|ch| [ch, '\u{336}', '\u{31b}', '\u{35c}', '\u{359}']).collect()
    }),
    transform("direction marks", |text| format!("\u{202e}{}\u{202c}", apart(text, "\u{2066}", " "))),
];

fn each(text: &str, code: impl Fn(u8) -> String) -> String {
    text.bytes().map(code).collect()
}

fn grouped(text: &str, size: usize, gap: &str) -> String {
    let groups: Vec<String> =
        text.as_bytes().chunks(size).map(|group| group.iter().copied().map(char::from).collect()).collect();
    groups.join(gap)
}

fn base32(text: &str) -> String {
    let bits: Vec<u8> = text.bytes().flat_map(|byte| (0..8).rev().map(move |bit| (byte >> bit) & 1)).collect();
    let value = |group: &[u8]| group.iter().fold(0, |value, bit| value * 2 + bit) << (5 - group.len());
    let digit = |value: u8| char::from(if value < 26 { b'A' + value } else { b'2' + value - 26 });
    bits.chunks(5).map(|group| digit(value(group))).collect()
}

fn moved(byte: u8, by: u32) -> char {
    char::from_u32(u32::from(byte) + by).unwrap_or_default()
}

/// A byte as Unicode's 256 variation selectors number it.
fn selector(byte: u8) -> char {
    moved(byte, if byte < 16 { 0xfe00 } else { 0xe0100 - 16 })
}

fn rotated(ch: char) -> char {
    let turn = |first: u8| char::from((ch as u8 - first + 13) % 26 + first);
    match ch {
        'a'..='z' => turn(b'a'),
        'A'..='Z' => turn(b'A'),
        _ => ch,
    }
}

impl Transform {
    /// How many codes this is.
    fn depth(&self) -> usize {
        match self.name {
            "percent twice" => 2,
            name => usize::from(CODES.iter().any(|code| code.name == name)),
        }
    }

    /// Whether this can be put over another, and both are claimed to be seen through: three codes are, and tags
    /// repeat ASCII that shows.
    pub(crate) fn takes(&self, inner: &Self) -> bool {
        let is_shown = |ch: char| matches!(ch, ' '..='~');
        self.depth() + inner.depth() <= 3 && (self.name != "tags" || (inner.apply)("a b").chars().all(is_shown))
    }
}

fn by_word(text: &str, change: impl Fn(&str) -> String) -> String {
    text.split(' ').map(change).collect::<Vec<_>>().join(" ")
}

fn apart(text: &str, gap: &str, between: &str) -> String {
    let word = |word: &str| word.chars().map(String::from).collect::<Vec<_>>().join(gap);
    text.split(' ').map(word).collect::<Vec<_>>().join(between)
}

fn number(ch: char) -> char {
    match ch.to_ascii_lowercase() {
        'a' => '4',
        'e' => '3',
        'i' => '1',
        'o' => '0',
        's' => '5',
        't' => '7',
        _ => ch,
    }
}

fn some_number(ch: char) -> char {
    match ch {
        'i' | 'o' | 'e' => number(ch),
        _ => ch,
    }
}

fn wide(ch: char) -> char {
    match ch {
        '!'..='~' => char::from_u32(u32::from(ch) + 0xfee0).unwrap_or(ch),
        _ => ch,
    }
}

fn styled(text: &str, first: u32) -> String {
    let one = |ch: char| match ch.to_ascii_lowercase() {
        small @ 'a'..='z' => char::from_u32(u32::from(small) - u32::from('a') + first).unwrap_or(ch),
        _ => ch,
    };
    text.chars().map(one).collect()
}

fn cyrillic(ch: char) -> char {
    match ch {
        'a' => 'а',
        'c' => 'с',
        'e' => 'е',
        'o' => 'о',
        'p' => 'р',
        'x' => 'х',
        'y' => 'у',
        _ => ch,
    }
}
