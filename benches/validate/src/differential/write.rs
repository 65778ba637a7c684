//! Documents as they are made up, and a writer with all the freedom that RFC 8259 leaves.

use bench_validate::measure::Random;

/// A document to be written.
#[derive(Debug, Clone)]
pub(crate) enum Doc {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    List(Vec<Doc>),
    Map(Vec<(String, Doc)>),
    /// Not JSON, or not always.
    Raw(String),
}

impl Doc {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn int(number: impl Into<i64>) -> Self {
        Self::Number(number.into().to_string())
    }

    pub(crate) fn map<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::Map(fields.map(|(key, value)| (key.to_owned(), value)).into())
    }
}

/// How freely a document is written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// How likely white space is where it may stand.
    space: f64,
    /// How likely a letter is written as an escape.
    escape: f64,
    /// How likely the fields of an object are put in another order.
    shuffle: f64,
}

impl Style {
    pub(crate) fn any(random: &mut Random) -> Self {
        let space = random.of(&[0.0, 0.0, 0.1, 0.6]).copied().unwrap_or_default();
        let escape = random.of(&[0.0, 0.0, 0.02, 0.3]).copied().unwrap_or_default();
        let shuffle = random.of(&[0.0, 0.5]).copied().unwrap_or_default();
        Self { space, escape, shuffle }
    }
}

pub(crate) fn write(doc: &Doc, style: Style, random: &mut Random, out: &mut Vec<u8>) {
    space(style, random, out);
    match doc {
        Doc::Null => out.extend(b"null"),
        Doc::Bool(value) => out.extend(if *value { &b"true"[..] } else { b"false" }),
        Doc::Number(text) | Doc::Raw(text) => out.extend(text.as_bytes()),
        Doc::Text(text) => write_text(text, style, random, out),
        Doc::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                out.extend(if i > 0 { &b","[..] } else { b"" });
                write(item, style, random, out);
            }
            space(style, random, out);
            out.push(b']');
        }
        Doc::Map(fields) => {
            let mut order: Vec<&(String, Doc)> = fields.iter().collect();
            if random.is(style.shuffle) {
                (1..order.len()).for_each(|end| order.swap(end, random.below(end + 1)));
            }
            out.push(b'{');
            for (i, (key, value)) in order.into_iter().enumerate() {
                out.extend(if i > 0 { &b","[..] } else { b"" });
                space(style, random, out);
                // Fewer escapes in keys, or hardly any field would be written plain.
                write_text(key, Style { escape: style.escape / 8.0, ..style }, random, out);
                space(style, random, out);
                out.push(b':');
                write(value, style, random, out);
            }
            space(style, random, out);
            out.push(b'}');
        }
    }
    space(style, random, out);
}

fn space(style: Style, random: &mut Random, out: &mut Vec<u8>) {
    while random.is(style.space) {
        out.extend(random.of(b"  \n\t\r"));
    }
}

fn write_text(text: &str, style: Style, random: &mut Random, out: &mut Vec<u8>) {
    out.push(b'"');
    for char in text.chars() {
        let short = match char {
            '"' => Some('"'),
            '\\' => Some('\\'),
            '/' => Some('/'),
            '\n' => Some('n'),
            '\r' => Some('r'),
            '\t' => Some('t'),
            '\u{8}' => Some('b'),
            '\u{c}' => Some('f'),
            _ => None,
        };
        let must = char < ' ' || matches!(char, '"' | '\\');
        match short {
            Some(letter) if must || random.is(style.escape) => out.extend([b'\\', letter as u8]),
            _ if must || random.is(style.escape) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let digits = if random.is(0.5) { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
                    out.extend(digits.as_bytes());
                }
            }
            _ => out.extend(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
