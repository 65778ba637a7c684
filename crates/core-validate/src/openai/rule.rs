//! A small language for what a field may hold, and the walk that holds a request against it.
//!
//! The tables of fields are data in this language; one loop reads them, and notes every text that a model may
//! read on the way.

use crate::invalid::{Invalid, InvalidCode, is_word};
use crate::json::{Document, Kind, Value};
use crate::limits::Limits;
use crate::openai::reduce::is_base64;
use crate::openai::reference::References;
use crate::openai::{media, schema};
use crate::refuse::{empty, list_length, missing, out_of_range, text_length, unknown, unsupported, wrong_type};
use crate::request::{Mark, Origin};

/// Fields by name.
pub(super) type Table = &'static [(&'static str, Rule)];

/// What an object of one `type` is: the fields it has to have, and those it may have.
pub(super) type Case = (&'static str, &'static [&'static str], Table);

/// What a value may be. `null` stands for absence everywhere.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Flag,
    Integer(i64, i64),
    Number(f64, f64),
    /// A string of at most so many bytes.
    Text(usize),
    /// The same, and not empty.
    Said(usize),
    /// A name of at most 128 bytes of `[A-Za-z0-9_.:/-]`, as tools have them.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of at most so many of these.
    List(usize, &'static Rule),
    /// A string by the first rule, anything else by the second.
    Or(&'static Rule, &'static Rule),
    /// An object of these fields.
    Object(Table),
    /// An object that has these fields, by the rule.
    Needs(&'static [&'static str], &'static Rule),
    /// An object whose `type` says which fields it has.
    Tagged(&'static [Case]),
    /// The same, with these fields in each case.
    TaggedWith(Table, &'static [Case]),
    /// An object of at most so many values by this rule, under keys of at most so many bytes.
    Map(usize, usize, &'static Rule),
    /// Numbers in this range by token number.
    Bias(usize, f64, f64),
    /// A list of token numbers.
    Tokens(usize),
    /// A JSON schema.
    Schema,
    /// Anything; every string in it is a text.
    Free,
    /// Checked by another step.
    Elsewhere,
    /// What stands below comes from here.
    From(Origin, &'static Rule),
    /// Not passed on: clients send it back, and no server needs it.
    Dropped,
    /// Known, but not accepted.
    Refused(&'static str),
    /// The request builds on what the server kept.
    Stored(&'static Rule),
    /// A grammar or pattern that the server compiles.
    Grammar(&'static Rule),
    /// What a server sealed for itself, in base64.
    Sealed,
    /// An image by address.
    Image,
    /// Base64 of an image.
    ImageData,
    /// Base64 of audio.
    Audio,
    /// A file as a `data:` address.
    File,
    /// Base64 of a file.
    FileData,
}

use Rule::*;

/// Finds every text of a request and checks what it is made of.
pub(super) struct Walk<'w> {
    pub(super) limits: &'w Limits,
    pub(super) marks: Vec<Mark>,
    pub(super) parts: Vec<u32>,
    pub(super) schemas: Vec<u32>,
    pub(super) dropped: Vec<u32>,
    pub(super) media_tokens: u64,
    /// There is something in it that is no text: media, or the numbers of tokens.
    pub(super) has_other: bool,
    /// Of all images.
    pub(super) pixels: u64,
    /// Of all schemas' patterns.
    pub(super) pattern_bytes: usize,
    pub(super) schema_steps: u64,
    pub(super) references: References,
}

impl<'w> Walk<'w> {
    pub(super) fn new(limits: &'w Limits, document: &Document) -> Self {
        Self {
            limits,
            marks: vec![Mark::default(); document.len()],
            parts: Vec::new(),
            schemas: Vec::new(),
            dropped: Vec::new(),
            media_tokens: 0,
            has_other: false,
            pixels: 0,
            pattern_bytes: 0,
            schema_steps: 0,
            references: References::default(),
        }
    }

    /// Holds a value against a rule.
    pub(super) fn apply(&mut self, rule: &Rule, value: Value<'_>, origin: Origin) -> Result<(), Invalid> {
        let kind = value.kind();
        match (rule, kind) {
            (Dropped, _) => {
                self.dropped.push(value.id());
                Ok(())
            }
            (Elsewhere, _) | (_, Kind::Null) => Ok(()),
            (From(origin, rule), _) => {
                if *origin == Origin::Schema {
                    self.schemas.push(value.id());
                }
                self.apply(rule, value, *origin)
            }
            (Or(rule, _), Kind::Text) | (Or(_, rule), _) => self.apply(rule, value, origin),
            (List(max, rule), Kind::Array) => {
                list_length(value.size(), *max, || value.pointer())?;
                value.items().try_for_each(|item| match item.kind() {
                    Kind::Null => Err(wrong_type(item.pointer(), rule.wanted())),
                    _ => self.apply(rule, item, origin),
                })
            }
            (List(_, rule), Kind::Numbers) => Err(wrong_type(value.pointer().index(0), rule.wanted())),
            (Needs(keys, rule), _) => {
                if kind == Kind::Object {
                    keys.iter().try_for_each(|key| self.required(value, key).map(drop))?;
                }
                self.apply(rule, value, origin)
            }
            (Object(table), Kind::Object) => self.object(value, origin, &[table]),
            (Tagged(cases), Kind::Object) => self.tagged(value, origin, &[], cases),
            (TaggedWith(table, cases), Kind::Object) => self.tagged(value, origin, table, cases),
            (Map(most, key_bytes, rule), Kind::Object) => self.map(value, origin, (*most, *key_bytes), rule),
            (Stored(rule), _) if self.limits.stored_state || value.as_bool() == Some(false) => {
                self.apply(rule, value, origin)
            }
            (Grammar(rule), _) if self.limits.grammars => self.apply(rule, value, origin),
            _ => self.apply_one(rule, value, origin),
        }
    }

    /// The same of rules that hold no others.
    fn apply_one(&mut self, rule: &Rule, value: Value<'_>, origin: Origin) -> Result<(), Invalid> {
        match (rule, value.kind()) {
            (Flag, Kind::True | Kind::False) => {}
            (Integer(min, max), Kind::Number) => integer(value, *min, *max)?,
            (Number(min, max), Kind::Number) => number(value, *min, *max)?,
            (Text(max), Kind::Text) => {
                text_length(value.text_beyond(*max).unwrap_or_default(), *max, || value.pointer())?;
                self.mark(value, origin);
            }
            (Said(_), Kind::Text) if value.raw().is_empty() => return Err(empty(value.pointer())),
            (Said(max), Kind::Text) => self.apply_one(&Text(*max), value, origin)?,
            (Name, Kind::Text) => {
                name(value)?;
                self.mark(value, origin);
            }
            (Word(words), Kind::Text) => word(value, words)?,
            (Bias(most, min, max), Kind::Object) => bias(value, *most, (*min, *max))?,
            (Tokens(max), Kind::Numbers) => tokens(value, *max)?,
            (Tokens(_), Kind::Array) if value.size() == 0 => {}
            (Schema, Kind::Object | Kind::True | Kind::False) => {
                schema::check(self, value)?;
                self.schema_texts(value, origin);
            }
            (Free, _) => self.every_text(value, origin),
            (Refused(message), _) => return Err(unsupported(value.pointer(), message)),
            (Stored(_), _) => {
                return Err(unsupported(
                    value.pointer(),
                    "what a server kept of other requests is not used (an operator can set danger_stored_state)",
                ));
            }
            (Grammar(_), _) => {
                return Err(unsupported(
                    value.pointer(),
                    "grammars and patterns are not accepted (an operator can set danger_grammars)",
                ));
            }
            (Sealed, Kind::Text) if value.chars().all(|char| char.is_ascii() && is_base64(char as u8)) => {
                self.mark(value, origin);
            }
            (Sealed, Kind::Text) => return Err(unsupported(value.pointer(), "not base64 of RFC 4648")),
            (Image, Kind::Text) => media::image(self, value)?,
            (ImageData, Kind::Text) => media::image_data(self, value, 0)?,
            (Audio, Kind::Text) => media::audio(self, value)?,
            (File, Kind::Text) => media::file(self, value)?,
            (FileData, Kind::Text) => media::file_data(self, value)?,
            (rule, _) => return Err(wrong_type(value.pointer(), rule.wanted())),
        }
        Ok(())
    }

    /// Checks an object's fields against tables.
    pub(super) fn object(&mut self, value: Value<'_>, origin: Origin, tables: &[Table]) -> Result<(), Invalid> {
        for field in value.fields() {
            let key = field.key();
            let Some(rule) = find(tables, &key) else { return Err(unknown(&key, field.pointer())) };
            self.apply(rule, field, origin)?;
        }
        Ok(())
    }

    fn tagged(
        &mut self,
        value: Value<'_>,
        origin: Origin,
        table: Table,
        cases: &'static [Case],
    ) -> Result<(), Invalid> {
        const TYPE: Table = &[("type", Elsewhere)];
        let tag = value.field("type").ok_or_else(|| missing(value.pointer().key("type")))?;
        let word = tag.as_word().ok_or_else(|| wrong_type(tag.pointer(), "a string"))?;
        let Some((_, needed, case)) = cases.iter().find(|(name, _, _)| *name == word) else {
            return Err(unsupported(tag.pointer(), "this kind of content is not accepted"));
        };
        needed.iter().try_for_each(|key| self.required(value, key).map(drop))?;
        self.object(value, origin, &[TYPE, table, case])
    }

    fn map(
        &mut self,
        value: Value<'_>,
        origin: Origin,
        (most, key_bytes): (usize, usize),
        rule: &Rule,
    ) -> Result<(), Invalid> {
        list_length(value.size(), most, || value.pointer())?;
        for field in value.fields() {
            text_length(field.key().len(), key_bytes, || field.pointer())?;
            self.mark_key(field, origin);
            self.apply(rule, field, origin)?;
        }
        Ok(())
    }

    /// Notes that a string is a text.
    pub(super) fn mark(&mut self, value: Value<'_>, origin: Origin) {
        if let Some(mark) = self.marks.get_mut(value.id() as usize) {
            mark.value = Some(origin);
        }
    }

    /// Notes that a key is a text, when it is more than a word.
    fn mark_key(&mut self, field: Value<'_>, origin: Origin) {
        if !is_word(&field.key())
            && let Some(mark) = self.marks.get_mut(field.id() as usize)
        {
            mark.key = Some(origin);
        }
    }

    /// Notes every string below `value`, and every key that is more than a word.
    pub(super) fn every_text(&mut self, value: Value<'_>, origin: Origin) {
        match value.kind() {
            Kind::Text => self.mark(value, origin),
            Kind::Array => value.items().for_each(|item| self.every_text(item, origin)),
            Kind::Object => value.fields().for_each(|field| {
                self.mark_key(field, origin);
                self.every_text(field, origin);
            }),
            _ => {}
        }
    }

    /// The same of a schema: what it says of itself comes from `origin`, its keywords are a schema's.
    fn schema_texts(&mut self, value: Value<'_>, origin: Origin) {
        self.every_text(value, Origin::Schema);
        self.said_in_schema(value, origin);
    }

    fn said_in_schema(&mut self, value: Value<'_>, origin: Origin) {
        for field in value.fields() {
            match (&*field.key(), field.kind()) {
                ("description" | "title" | "$comment", Kind::Text) => self.mark(field, origin),
                _ => self.said_in_schema(field, origin),
            }
        }
        value.items().for_each(|item| self.said_in_schema(item, origin));
    }

    /// A field that must be there, not `null`.
    pub(super) fn required<'d>(&self, value: Value<'d>, key: &str) -> Result<Value<'d>, Invalid> {
        value.field(key).ok_or_else(|| missing(value.pointer().key(key)))
    }
}

/// The rule of a field.
pub(super) fn find(tables: &[Table], key: &str) -> Option<&'static Rule> {
    tables.iter().copied().flatten().find(|(name, _)| *name == key).map(|(_, rule)| rule)
}

impl Rule {
    fn wanted(self) -> &'static str {
        match self {
            Flag => "true or false",
            Integer(..) => "an integer",
            Number(..) => "a number",
            Text(_) | Said(_) | Name | Word(_) | Sealed | Image | ImageData | Audio | File | FileData => "a string",
            List(..) => "a list",
            Or(_, List(..)) => "a string or a list",
            Or(..) => "a string or an object",
            Tokens(_) => "a list of token numbers",
            From(_, rule) | Stored(rule) | Grammar(rule) | Needs(_, rule) => rule.wanted(),
            Object(_) | Tagged(_) | TaggedWith(..) | Map(..) | Bias(..) | Schema => "an object",
            Free | Elsewhere | Dropped | Refused(_) => "another type",
        }
    }
}

fn integer(value: Value<'_>, min: i64, max: i64) -> Result<(), Invalid> {
    let Some(number) = value.as_integer() else { return Err(wrong_type(value.pointer(), "an integer")) };
    if (i128::from(min)..=i128::from(max)).contains(&number) {
        Ok(())
    } else {
        Err(out_of_range(min, max, value.pointer()))
    }
}

fn number(value: Value<'_>, min: f64, max: f64) -> Result<(), Invalid> {
    let inside = value.as_f64().is_some_and(|number| (min..=max).contains(&number));
    if inside { Ok(()) } else { Err(out_of_range(min, max, value.pointer())) }
}

fn name(value: Value<'_>) -> Result<(), Invalid> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-');
    let word = value.as_word().unwrap_or_default();
    if (1..=128).contains(&word.len()) && word.bytes().all(is_plain) {
        return Ok(());
    }
    let message = "a name is 1 to 128 characters of letters, digits and _ . : / -";
    Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message))
}

fn word(value: Value<'_>, words: &[&str]) -> Result<(), Invalid> {
    if words.iter().any(|word| value.is_text(word)) {
        return Ok(());
    }
    let message = format!("expected one of {}", words.join(", "));
    Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message))
}

fn bias(value: Value<'_>, most: usize, (min, max): (f64, f64)) -> Result<(), Invalid> {
    list_length(value.size(), most, || value.pointer())?;
    for field in value.fields() {
        let key = field.key();
        // One token under two names would be one bias too many.
        let is_short = key.len() <= 10 && (key == "0" || !key.starts_with('0'));
        if key.is_empty() || !is_short || !key.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), "expected token numbers as keys"));
        }
        match field.kind() {
            Kind::Number => number(field, min, max)?,
            _ => return Err(wrong_type(field.pointer(), "a number")),
        }
    }
    Ok(())
}

/// A list of token numbers.
pub(super) fn tokens(value: Value<'_>, max: usize) -> Result<(), Invalid> {
    list_length(value.size(), max, || value.pointer())?;
    if value.size() == 0 {
        return Err(empty(value.pointer()));
    }
    let is_token =
        |number: crate::json::Number| number.integer().is_some_and(|token| (0..=i128::from(u32::MAX)).contains(&token));
    match value.numbers().position(|(number, _)| !is_token(number)) {
        None => Ok(()),
        Some(i) => Err(wrong_type(value.pointer().index(i), "a token number")),
    }
}
