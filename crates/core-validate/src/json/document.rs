//! A JSON text that was read strictly: one flat list of nodes that point into the text.
//!
//! Beyond RFC 8259 the reader refuses duplicate keys, limits depth, values, keys and strings, refuses numbers
//! that readers take differently, and keeps the place of the first fault. A node takes 24 bytes whatever it
//! stands for, and the text is not copied.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::cursor::{Cursor, Fault};
use crate::json::number::Number;
use crate::json::text::Span;
use crate::limits::Limits;

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Number,
    Text,
    Array,
    /// A list of nothing but numbers, which have no nodes.
    Numbers,
    Object,
    /// A value that was read by [`OnData`].
    Data,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// The node of the list or object it stands in.
    parent: u32,
    /// The node after its last descendant.
    end: u32,
    /// Where its key starts, in an object; its index, in a list.
    key: u32,
    /// Where it starts in the text; of a string, behind the quote.
    start: u32,
    length: u32,
    key_length: u16,
    kind: Kind,
    /// Bit 0: the key holds escapes. Bit 1: the string does.
    escapes: u8,
}

/// A text that was read.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    text: ByteString,
    nodes: Vec<Node>,
}

/// Reads the value of a field `data` in an element of a list in the root, which the cursor stands before;
/// `false` leaves it to the reader. It gets the object as far as it was read.
pub(crate) type OnData<'a> = &'a mut dyn FnMut(&mut Cursor<'_>, Value<'_>) -> Result<bool, Invalid>;

/// How deep such a field stands.
const DATA_DEPTH: usize = 3;

impl Document {
    /// Reads one value, the whole of `body`.
    pub(crate) fn read<'r>(body: &Bytes, limits: &'r Limits, on_data: Option<OnData<'r>>) -> Result<Self, Invalid> {
        let Ok(text) = ByteString::try_from(body.clone()) else {
            return Err(Invalid::new(InvalidCode::InvalidUtf8, Pointer::root(), "body is not UTF-8"));
        };
        if u32::try_from(text.len()).is_err() {
            return Err(Invalid::new(InvalidCode::InputTooLong, Pointer::root(), "body of 4 GiB or more"));
        }
        let nodes = Vec::with_capacity((text.len() / BYTES_A_VALUE).clamp(8, MANY_VALUES));
        let document = Self { text: text.clone(), nodes };
        let mut reader = Reader { cursor: Cursor::new(&text), document, limits, on_data };
        reader.value(Place::ROOT, 0)?;
        if reader.cursor.peek().is_some() {
            return Err(reader.cursor.broken().at(Pointer::root()));
        }
        Ok(reader.document)
    }

    /// The value that everything stands in.
    pub(crate) fn root(&self) -> Value<'_> {
        self.value(0)
    }

    /// The value of a node.
    pub(crate) fn value(&self, node: u32) -> Value<'_> {
        Value { document: self, node }
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The text that was read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text alone.
    pub(crate) fn clone_text(&self) -> ByteString {
        self.text.clone()
    }

    fn node(&self, node: u32) -> Node {
        const NOTHING: Node =
            Node { parent: 0, end: 0, key: 0, start: 0, length: 0, key_length: 0, kind: Kind::Null, escapes: 0 };
        self.nodes.get(node as usize).copied().unwrap_or(NOTHING)
    }
}

/// Room is made for as many values as texts of this kind hold, and no more than this many before they are there.
const BYTES_A_VALUE: usize = 32;
const MANY_VALUES: usize = 1_024;

/// One value of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'d> {
    document: &'d Document,
    node: u32,
}

impl<'d> Value<'d> {
    /// The number of its node.
    pub(crate) fn id(self) -> u32 {
        self.node
    }

    pub(crate) fn kind(self) -> Kind {
        self.document.node(self.node).kind
    }

    pub(crate) fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The text as it was written: of a string without its quotes, of a list of numbers with its brackets.
    pub(crate) fn raw(self) -> &'d str {
        self.span().raw(&self.document.text)
    }

    /// Where it starts in the text.
    pub(crate) fn start(self) -> usize {
        self.span().start as usize
    }

    /// The same as bytes that share the body's memory.
    pub(crate) fn raw_bytes(self) -> Bytes {
        self.document.text.slice_ref(self.raw()).into_bytes()
    }

    fn span(self) -> Span {
        let node = self.document.node(self.node);
        Span { start: node.start, length: node.length, escaped: node.escapes & 2 != 0 }
    }

    fn key_span(self) -> Span {
        let node = self.document.node(self.node);
        Span { start: node.key, length: u32::from(node.key_length), escaped: node.escapes & 1 != 0 }
    }

    /// The key it has in its object; empty for others.
    pub(crate) fn key(self) -> Cow<'d, str> {
        self.key_span().read(&self.document.text)
    }

    /// Its key as it was written.
    pub(crate) fn raw_key(self) -> &'d str {
        self.key_span().raw(&self.document.text)
    }

    /// The text of a string.
    pub(crate) fn as_str(self) -> Option<Cow<'d, str>> {
        (self.kind() == Kind::Text).then(|| self.span().read(&self.document.text))
    }

    /// The text of a string without escapes.
    pub(crate) fn as_plain(self) -> Option<&'d str> {
        (self.kind() == Kind::Text && !self.span().escaped).then(|| self.raw())
    }

    /// What a string says, without memory of its own.
    pub(crate) fn chars(self) -> impl Iterator<Item = char> {
        self.span().chars(&self.document.text)
    }

    /// The text of a string that is to be a word, a name or an address. Of one that is too long for that, no more than shows it:
    /// nobody is to fill memory with what is refused at a glance.
    pub(crate) fn as_word(self) -> Option<Cow<'d, str>> {
        const LONGEST: usize = 4 << 10;
        (self.kind() == Kind::Text).then(|| self.span().read_start(&self.document.text, LONGEST + 1))
    }

    /// Whether it is a string of more than `most` bytes, and of how many.
    pub(crate) fn text_beyond(self, most: usize) -> Option<usize> {
        // It says no more than it takes.
        let may_be = self.kind() == Kind::Text && self.raw().len() > most;
        may_be.then(|| self.span().bytes(&self.document.text)).filter(|bytes| *bytes > most)
    }

    /// Whether it is a string that says this.
    pub(crate) fn is_text(self, text: &str) -> bool {
        self.kind() == Kind::Text && self.span().says(text, &self.document.text)
    }

    pub(crate) fn as_bool(self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    fn number(self) -> Option<Number> {
        (self.kind() == Kind::Number).then(|| Number::read(self.raw().as_bytes())).flatten()
    }

    /// The value of an integer.
    pub(crate) fn as_integer(self) -> Option<i128> {
        self.number()?.integer()
    }

    pub(crate) fn as_u64(self) -> Option<u64> {
        u64::try_from(self.as_integer()?).ok()
    }

    pub(crate) fn as_f64(self) -> Option<f64> {
        Some(self.number()?.float(self.raw()))
    }

    /// The field of an object.
    pub(crate) fn get(self, key: &str) -> Option<Value<'d>> {
        let text = &self.document.text;
        self.fields().find(|field| field.key_span().says(key, text))
    }

    /// The field of an object, unless it is `null`.
    pub(crate) fn field(self, key: &str) -> Option<Value<'d>> {
        self.get(key).filter(|field| !field.is_null())
    }

    /// The values of an object, in order.
    pub(crate) fn fields(self) -> impl Iterator<Item = Value<'d>> {
        self.children(Kind::Object)
    }

    /// The elements of a list, in order. Those of [`Kind::Numbers`] have no nodes.
    pub(crate) fn items(self) -> impl Iterator<Item = Value<'d>> {
        self.children(Kind::Array)
    }

    fn children(self, kind: Kind) -> impl Iterator<Item = Value<'d>> {
        let node = self.document.node(self.node);
        let end = if node.kind == kind { node.end } else { 0 };
        let mut next = self.node + 1;
        std::iter::from_fn(move || {
            (next < end).then(|| {
                let child = self.document.value(next);
                next = self.document.node(next).end.max(next + 1);
                child
            })
        })
    }

    /// How many elements or fields it has.
    pub(crate) fn size(self) -> usize {
        match self.kind() {
            Kind::Numbers => 1 + self.raw().bytes().filter(|byte| *byte == b',').count(),
            Kind::Array => self.items().count(),
            _ => self.fields().count(),
        }
    }

    /// How many values stand below it.
    pub(crate) fn descendants(self) -> usize {
        (self.document.node(self.node).end as usize).saturating_sub(self.node as usize + 1)
    }

    /// The numbers of a list of numbers.
    pub(crate) fn numbers(self) -> impl Iterator<Item = (Number, &'d str)> {
        let list = if self.kind() == Kind::Numbers { self.raw() } else { "" };
        let items = list.trim_start_matches('[').trim_end_matches(']').split(',').map(str::trim_ascii);
        items.filter_map(|item| Some((Number::read(item.as_bytes())?, item)))
    }

    /// The list or object it stands in.
    pub(crate) fn parent(self) -> Option<Value<'d>> {
        (self.node != 0).then(|| self.document.value(self.document.node(self.node).parent))
    }

    /// Where it stands.
    pub(crate) fn pointer(self) -> Pointer {
        let way: Vec<Value<'_>> = std::iter::successors(Some(self), |value| value.parent()).collect();
        way.iter().rev().skip(1).fold(Pointer::root(), |at, value| match value.parent().map(Value::kind) {
            Some(Kind::Object) => at.key(&value.key()),
            _ => at.index(self.document.node(value.node).key as usize),
        })
    }
}

/// Where a value that is read next will stand.
#[derive(Clone, Copy)]
struct Place {
    parent: u32,
    key: Span,
}

impl Place {
    const ROOT: Self = Self { parent: 0, key: Span { start: 0, length: 0, escaped: false } };
}

struct Reader<'r, 't> {
    cursor: Cursor<'t>,
    document: Document,
    limits: &'r Limits,
    on_data: Option<OnData<'r>>,
}

impl Reader<'_, '_> {
    /// Reads one value. Recursion ends at the limit of depth.
    fn value(&mut self, place: Place, depth: usize) -> Result<(), Invalid> {
        let first = self.cursor.peek();
        let node = self.open(place)?;
        let start = self.cursor.position();
        let read = match first {
            Some(b'"') => return self.text(node),
            Some(b'{') => return self.object(node, depth),
            Some(b'[') => return self.list(node, depth),
            Some(b't') => self.cursor.word("true").map(|()| Kind::True),
            Some(b'f') => self.cursor.word("false").map(|()| Kind::False),
            Some(b'n') => self.cursor.word("null").map(|()| Kind::Null),
            _ => self.cursor.sound_number().map(|_| Kind::Number),
        };
        let kind = read.map_err(|fault| self.at(fault, node))?;
        self.close(node, kind, start, self.cursor.position());
        Ok(())
    }

    /// Adds a node, to be filled once its value is read.
    fn open(&mut self, place: Place) -> Result<u32, Invalid> {
        let nodes = &mut self.document.nodes;
        if nodes.len() >= self.limits.values {
            let message = format!("body holds more than {} values", self.limits.values);
            let at = self.document.value(place.parent).pointer();
            return Err(Invalid::new(InvalidCode::TooManyValues, at, message));
        }
        if nodes.len() == nodes.capacity() {
            // Doubled, but for no more than there may be.
            nodes.reserve_exact(nodes.len().clamp(1, self.limits.values - nodes.len()));
        }
        let node = nodes.len() as u32;
        nodes.push(Node {
            parent: place.parent,
            end: node + 1,
            key: place.key.start,
            start: 0,
            length: 0,
            key_length: place.key.length as u16,
            kind: Kind::Null,
            escapes: u8::from(place.key.escaped),
        });
        Ok(node)
    }

    fn close(&mut self, node: u32, kind: Kind, start: usize, end: usize) {
        let after = self.document.nodes.len() as u32;
        if let Some(node) = self.document.nodes.get_mut(node as usize) {
            (node.kind, node.start, node.length, node.end) = (kind, start as u32, (end - start) as u32, after);
        }
    }

    fn at(&self, fault: Fault, node: u32) -> Invalid {
        // Where the text is no JSON there is no telling what was meant.
        let is_broken = fault.code == InvalidCode::InvalidJson;
        fault.at(if is_broken { Pointer::root() } else { self.document.value(node).pointer() })
    }

    fn text(&mut self, node: u32) -> Result<(), Invalid> {
        let span = self.cursor.string(self.limits.string_bytes).map_err(|fault| self.at(fault, node))?;
        self.close(node, Kind::Text, span.start as usize, span.end());
        if let Some(node) = self.document.nodes.get_mut(node as usize) {
            node.escapes |= u8::from(span.escaped) << 1;
        }
        Ok(())
    }

    fn enter(&self, node: u32, depth: usize) -> Result<(), Invalid> {
        if depth >= self.limits.depth {
            let message = format!("values are nested deeper than {}", self.limits.depth);
            return Err(Invalid::new(InvalidCode::TooDeep, self.document.value(node).pointer(), message));
        }
        Ok(())
    }

    fn list(&mut self, node: u32, depth: usize) -> Result<(), Invalid> {
        self.enter(node, depth)?;
        let start = self.cursor.position();
        if self.numbers(node)? {
            self.close(node, Kind::Numbers, start, self.cursor.position());
            return Ok(());
        }
        self.cursor.set_position(start + 1);
        self.set_kind(node, Kind::Array);
        if !self.cursor.take(b']') {
            for index in 0.. {
                self.value(Place { parent: node, key: Span { start: index, ..Span::default() } }, depth + 1)?;
                if self.cursor.take(b']') {
                    break;
                }
                self.cursor.expect(b',').map_err(|fault| self.at(fault, node))?;
            }
        }
        self.close(node, Kind::Array, start, self.cursor.position());
        Ok(())
    }

    /// Takes a list of nothing but numbers; `false` when it is another list.
    fn numbers(&mut self, node: u32) -> Result<bool, Invalid> {
        self.cursor.expect(b'[').map_err(|fault| self.at(fault, node))?;
        for index in 0.. {
            if !matches!(self.cursor.peek(), Some(b'-' | b'0'..=b'9')) {
                return Ok(false);
            }
            self.cursor.sound_number().map_err(|fault| match self.at(fault, node) {
                invalid if invalid.code() == InvalidCode::InvalidJson => invalid,
                invalid => invalid.below(index),
            })?;
            if self.cursor.take(b']') {
                break;
            }
            self.cursor.expect(b',').map_err(|fault| self.at(fault, node))?;
        }
        Ok(true)
    }

    /// So that those who look at what was read so far see what it is.
    fn set_kind(&mut self, node: u32, kind: Kind) {
        if let Some(node) = self.document.nodes.get_mut(node as usize) {
            node.kind = kind;
        }
    }

    fn object(&mut self, node: u32, depth: usize) -> Result<(), Invalid> {
        self.enter(node, depth)?;
        let start = self.cursor.position();
        self.cursor.set_position(start + 1);
        self.set_kind(node, Kind::Object);
        if !self.cursor.take(b'}') {
            loop {
                self.field(node, depth)?;
                if self.cursor.take(b'}') {
                    break;
                }
                self.cursor.expect(b',').map_err(|fault| self.at(fault, node))?;
            }
        }
        self.close(node, Kind::Object, start, self.cursor.position());
        match self.repeated(node) {
            None => Ok(()),
            Some(field) => Err(Invalid::new(InvalidCode::DuplicateKey, field.pointer(), "key appears twice")),
        }
    }

    fn field(&mut self, node: u32, depth: usize) -> Result<(), Invalid> {
        let key = self.cursor.string(self.limits.key_bytes).map_err(|fault| self.at(fault, node))?;
        self.cursor.expect(b':').map_err(|fault| self.at(fault, node))?;
        let place = Place { parent: node, key };
        if depth + 1 == DATA_DEPTH && key.says("data", &self.document.text) && self.data(place)? {
            return Ok(());
        }
        self.value(place, depth + 1)
    }

    /// Lets the owner of tensor data read it; `false` when it is nothing of theirs.
    fn data(&mut self, place: Place) -> Result<bool, Invalid> {
        let Some(on_data) = self.on_data.as_mut() else { return Ok(false) };
        self.cursor.peek();
        let start = self.cursor.position();
        let so_far = self.document.nodes.len() as u32;
        if let Some(object) = self.document.nodes.get_mut(place.parent as usize) {
            object.end = so_far;
        }
        if !on_data(&mut self.cursor, self.document.value(place.parent))? {
            return Ok(false);
        }
        let node = self.open(place)?;
        self.close(node, Kind::Data, start, self.cursor.position());
        Ok(true)
    }

    /// A field whose key another one has too, compared after unescaping.
    fn repeated(&self, object: u32) -> Option<Value<'_>> {
        const FEW: usize = 8;
        let text: &str = &self.document.text;
        let fields = || self.document.value(object).fields();
        let is_same = |a: Value<'_>, b: Value<'_>| a.key_span().cmp(b.key_span(), text).is_eq();
        if fields().nth(FEW).is_none() {
            return fields()
                .enumerate()
                .find(|(i, field)| fields().take(*i).any(|other| is_same(other, *field)))
                .map(|(_, field)| field);
        }
        let mut ids: Vec<u32> = fields().map(Value::id).collect();
        let field = |id: &u32| self.document.value(*id);
        ids.sort_unstable_by(|a, b| field(a).key_span().cmp(field(b).key_span(), text));
        ids.array_windows().find(|[a, b]| is_same(field(a), field(b))).map(|[a, b]| field(a.max(b)))
    }
}
