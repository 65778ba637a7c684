//! Cleans JSON text that comes in chunks, such as the arguments of a tool call, so that it stays JSON.
//!
//! Whoever reads the text decodes it first, so detectors see each string decoded: `\u0067lpat-` is as good a secret as
//! `glpat-`. What they leave is encoded anew. A number in which something is found becomes a string. From the first
//! character that JSON cannot have there (RFC 8259), the rest is plain text to the detectors.

use std::fmt;
use std::sync::Arc;

use crate::error::Blocked;
use crate::finding::{Action, Finding};
use crate::placeholders::{Placeholders, Restorer};
use crate::sanitizer::Policy;
use crate::stream::StreamSanitizer;
use crate::verdict::MAX_FINDINGS;

/// The longest number or literal that is read, in bytes.
const MAX_WORD: usize = 64;

/// Cleans JSON text that comes in chunks. Made by [`Sanitizer::json_stream`](crate::Sanitizer::json_stream); holds back
/// what a [`StreamSanitizer`] does, and a number to its end.
pub struct JsonStream {
    policy: Arc<Policy>,
    placeholders: Placeholders,
    restorer: Option<Restorer>,
    at: Place,
    out: String,
    findings: Vec<Finding>,
    action: Action,
    blocked: Option<Blocked>,
    /// Looks at the text as it is written.
    written: Option<Box<StreamSanitizer>>,
    /// How many bytes were read.
    seen: usize,
}

enum Place {
    /// Between strings and numbers.
    Between,
    /// In a number or a literal.
    Word(String),
    String(Box<InString>),
    /// Behind something that is not JSON.
    Plain(Box<StreamSanitizer>),
}

struct InString {
    stream: StreamSanitizer,
    /// Where the string starts in the text.
    from: usize,
    escape: Escape,
    /// The first half of a pair of `\u` escapes.
    high: Option<u16>,
}

enum Escape {
    None,
    Begun,
    Unicode(u16, u8),
}

impl JsonStream {
    pub(crate) fn new(policy: Arc<Policy>, placeholders: Placeholders) -> Self {
        let (at, out, findings) = (Place::Between, String::new(), Vec::new());
        let (action, blocked, restorer, written) = (Action::Allow, None, None, None);
        Self { policy, placeholders, restorer, at, out, findings, action, blocked, written, seen: 0 }
    }

    /// Also looks at the text as it is written, for what no single string shows: a password that only its name tells, a
    /// word split over two strings. It changes nothing but [`written_findings`](Self::written_findings). Costs about as
    /// much again.
    #[must_use]
    pub fn reporting_written(mut self) -> Self {
        let stream = StreamSanitizer::new(Arc::clone(&self.policy), Placeholders::new());
        self.written = Some(Box::new(stream));
        self
    }

    /// Puts the values that the placeholders stood for at the start back into every string.
    #[must_use]
    pub fn restoring(mut self) -> Self {
        self.restorer = Some(self.placeholders.restorer());
        self
    }

    /// Takes a chunk and gives the text that may be handed on.
    ///
    /// # Errors
    /// [`Blocked`] as for [`StreamSanitizer::push`].
    pub fn push(&mut self, chunk: &str) -> Result<String, Blocked> {
        if let Some(written) = &mut self.written {
            // That it blocks is told by its action.
            let _ = written.push(chunk);
        }
        let mut rest = chunk;
        while self.blocked.is_none() && !rest.is_empty() {
            let before = rest.len();
            rest = self.step(rest);
            self.seen += before - rest.len();
        }
        self.take()
    }

    /// Ends the text and gives what was held back.
    ///
    /// # Errors
    /// [`Blocked`] as for [`StreamSanitizer::push`].
    pub fn finish(&mut self) -> Result<String, Blocked> {
        if let Some(written) = &mut self.written {
            let _ = written.finish();
        }
        // A word that is none ends as plain text, which has an end of its own.
        while self.blocked.is_none() {
            match std::mem::replace(&mut self.at, Place::Between) {
                Place::Between => break,
                Place::Word(word) => self.end_word(&word),
                Place::String(string) => {
                    let InString { stream, from, .. } = *string;
                    self.end_stream(stream, from, true);
                }
                Place::Plain(stream) => self.end_stream(*stream, 0, false),
            }
        }
        self.take()
    }

    /// What was found so far, at most [`MAX_FINDINGS`]. Findings in strings and numbers have the place of the whole
    /// string or number, which is where that starts.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The strongest action that was taken in what has ended so far.
    pub fn action(&self) -> Action {
        self.action
    }

    /// What the text as it is written has shown so far, in strings and across them, at most [`MAX_FINDINGS`]; nothing
    /// unless [`reporting_written`](Self::reporting_written) was called. Complete once the text is finished, when the
    /// strings it is about have left.
    pub fn written_findings(&self) -> &[Finding] {
        self.written.as_ref().map_or(&[], |written| written.findings())
    }

    /// The strongest action that those findings would lead to in plain text.
    pub fn written_action(&self) -> Action {
        self.written.as_ref().map_or(Action::Allow, |written| written.action())
    }

    /// What the placeholders stand for, with those that were added. Complete once the text is finished.
    pub fn into_placeholders(self) -> Placeholders {
        self.placeholders
    }

    fn take(&mut self) -> Result<String, Blocked> {
        match &self.blocked {
            Some(blocked) => Err(blocked.clone()),
            None => Ok(std::mem::take(&mut self.out)),
        }
    }

    /// Reads a piece of `text`, at least a character of it; what is left.
    fn step<'t>(&mut self, text: &'t str) -> &'t str {
        match std::mem::replace(&mut self.at, Place::Between) {
            Place::Between => self.between(text),
            Place::Word(word) => self.word(word, text),
            Place::String(string) => self.string(string, text),
            Place::Plain(mut stream) => {
                self.pass(stream.push(text));
                self.at = Place::Plain(stream);
                ""
            }
        }
    }

    fn between<'t>(&mut self, text: &'t str) -> &'t str {
        let marks = text.bytes().take_while(|byte| b" \t\r\n{}[]:,".contains(byte)).count();
        let (marks, rest) = text.split_at(marks);
        self.out.push_str(marks);
        match rest.bytes().next() {
            None => {}
            Some(b'"') => {
                self.out.push('"');
                let from = self.seen + marks.len();
                let (escape, high) = (Escape::None, None);
                self.at = Place::String(Box::new(InString { stream: self.stream(), from, escape, high }));
                return rest.get(1..).unwrap_or_default();
            }
            Some(byte) if is_word(byte) => self.at = Place::Word(String::new()),
            Some(_) => self.at = Place::Plain(Box::new(self.stream())),
        }
        rest
    }

    fn word<'t>(&mut self, mut word: String, text: &'t str) -> &'t str {
        let len = text.bytes().take_while(|byte| is_word(*byte)).count();
        let (more, rest) = text.split_at(len);
        word.push_str(more);
        if word.len() > MAX_WORD {
            self.plain(&word);
        } else if rest.is_empty() {
            self.at = Place::Word(word);
        } else {
            self.end_word(&word);
        }
        rest
    }

    /// A number that is safe leaves as it is; what is no number and no literal is the start of plain text.
    fn end_word(&mut self, word: &str) {
        let is_number = word.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if matches!(word, "true" | "false" | "null") {
            self.out.push_str(word);
        } else if is_number && word.parse::<f64>().is_ok() {
            let mut stream = self.stream();
            let clean = stream.push(word).and_then(|start| Ok(start + &stream.finish()?));
            self.note(&stream, self.seen);
            let clean = clean.map(|clean| if clean == word { clean } else { quoted(&clean) });
            self.placeholders = stream.into_parts().1;
            self.pass(clean);
        } else {
            self.plain(word);
        }
    }

    /// The rest is not JSON.
    fn plain(&mut self, begun: &str) {
        let mut stream = Box::new(self.stream());
        self.pass(stream.push(begun));
        self.at = Place::Plain(stream);
    }

    fn string<'t>(&mut self, mut string: Box<InString>, text: &'t str) -> &'t str {
        let (decoded, behind) = string.decode(text);
        // At once, as each push is judged.
        if !decoded.is_empty() {
            self.encode(string.stream.push(&decoded));
        }
        if self.blocked.is_some() {
            return "";
        }
        let Some(behind) = behind else {
            self.at = Place::String(string);
            return "";
        };
        let InString { stream, from, .. } = *string;
        self.end_stream(stream, from, true);
        self.out.push('"');
        behind
    }

    fn end_stream(&mut self, mut stream: StreamSanitizer, from: usize, is_string: bool) {
        let last = stream.finish();
        self.note(&stream, from);
        self.placeholders = stream.into_parts().1;
        if is_string { self.encode(last) } else { self.pass(last) }
    }

    /// A sanitizer for one string. It goes on with the placeholders of those before.
    fn stream(&mut self) -> StreamSanitizer {
        let placeholders = std::mem::take(&mut self.placeholders);
        StreamSanitizer::new(Arc::clone(&self.policy), placeholders).restored_by(self.restorer.clone())
    }

    fn note(&mut self, stream: &StreamSanitizer, from: usize) {
        self.action = self.action.max(stream.action());
        let room = MAX_FINDINGS.saturating_sub(self.findings.len());
        let placed = stream.findings().iter().take(room).map(|finding| match finding.range() {
            Some(range) => finding.clone().at(range.start + from..range.end + from),
            None => finding.clone(),
        });
        self.findings.extend(placed);
    }

    fn pass(&mut self, clean: Result<String, Blocked>) {
        match clean {
            Ok(clean) => self.out.push_str(&clean),
            Err(blocked) => self.block(blocked),
        }
    }

    fn encode(&mut self, clean: Result<String, Blocked>) {
        match clean {
            Ok(clean) => escape(&clean, &mut self.out),
            Err(blocked) => self.block(blocked),
        }
    }

    fn block(&mut self, blocked: Blocked) {
        self.action = Action::Block;
        if self.findings.len() < MAX_FINDINGS && !self.findings.contains(blocked.finding()) {
            self.findings.push(blocked.finding().clone());
        }
        self.blocked = Some(blocked);
    }
}

impl InString {
    /// What `text` adds to the decoded string, and what stands behind the quote that ends it, if it does.
    fn decode<'t>(&mut self, text: &'t str) -> (String, Option<&'t str>) {
        let mut decoded = String::new();
        let mut rest = text;
        loop {
            if matches!(self.escape, Escape::None) {
                let plain = rest.bytes().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
                let (plain, behind) = rest.split_at(plain);
                if !plain.is_empty() {
                    self.unpaired(&mut decoded);
                    decoded.push_str(plain);
                }
                if let Some(behind) = behind.strip_prefix('"') {
                    self.unpaired(&mut decoded);
                    return (decoded, Some(behind));
                }
                rest = behind;
            }
            let mut chars = rest.chars();
            let Some(ch) = chars.next() else { return (decoded, None) };
            self.escaped(ch, &mut decoded);
            rest = chars.as_str();
        }
    }

    /// Adds what a character of an escape adds to the decoded string.
    fn escaped(&mut self, ch: char, decoded: &mut String) {
        match std::mem::replace(&mut self.escape, Escape::None) {
            Escape::None => self.escape = Escape::Begun,
            Escape::Begun if ch == 'u' => self.escape = Escape::Unicode(0, 0),
            Escape::Begun => {
                self.unpaired(decoded);
                decoded.push(match ch {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    other => other,
                });
            }
            Escape::Unicode(value, count) => match ch.to_digit(16).and_then(|digit| u16::try_from(digit).ok()) {
                Some(digit) if count == 3 => self.unit((value << 4) | digit, decoded),
                Some(digit) => self.escape = Escape::Unicode((value << 4) | digit, count + 1),
                // Not an escape: whoever reads it will refuse it, or take it as it is.
                None => decoded.push(ch),
            },
        }
    }

    /// A unit of UTF-16.
    fn unit(&mut self, unit: u16, decoded: &mut String) {
        let pair = self.high.take().map(|high| [high, unit]);
        let joined = pair.and_then(|pair| char::decode_utf16(pair).next()).and_then(Result::ok);
        match joined {
            Some(ch) => decoded.push(ch),
            None => {
                decoded.extend(pair.map(|_| char::REPLACEMENT_CHARACTER));
                match char::from_u32(u32::from(unit)) {
                    Some(ch) => decoded.push(ch),
                    None if (0xd800..0xdc00).contains(&unit) => self.high = Some(unit),
                    None => decoded.push(char::REPLACEMENT_CHARACTER),
                }
            }
        }
    }

    fn unpaired(&mut self, decoded: &mut String) {
        decoded.extend(self.high.take().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

impl fmt::Debug for JsonStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("JsonStream");
        debug.field("seen", &self.seen).field("action", &self.action).finish_non_exhaustive()
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    escape(text, &mut out);
    out.push('"');
    out
}

/// Appends `text` as it is written inside a JSON string (RFC 8259, section 7).
fn escape(text: &str, out: &mut String) {
    for ch in text.chars() {
        match ch {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(ch))),
            _ => out.push(ch),
        }
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}
