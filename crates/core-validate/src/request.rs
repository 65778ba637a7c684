//! The checked request: what every later step of the line works on.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::invalid::Pointer;
use crate::json::{Document, Edits, Json, Value};
use crate::limits::Extensions;
use crate::names::ModelName;
use crate::oip::{TensorRequest, TensorSummary};
use crate::operation::Operation;
use crate::rules::ModelRules;

/// Where a text stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// A user's words, a prompt, a text to embed.
    User,
    /// System or developer instructions.
    System,
    /// An earlier answer of the model, or what it is asked to continue.
    Assistant,
    /// The result of a tool call.
    ToolResult,
    /// A tool's name, description or parameter schema.
    ToolDescription,
    /// The schema of an asked-for answer format.
    Schema,
    /// An element of a `BYTES` tensor.
    Element,
    /// Any other string that reaches the model server.
    Other,
}

impl Origin {
    /// The stable word for this origin.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::System => "system",
            Self::Assistant => "assistant",
            Self::ToolResult => "tool_result",
            Self::ToolDescription => "tool_description",
            Self::Schema => "schema",
            Self::Element => "element",
            Self::Other => "other",
        }
    }
}

/// One text of a request: where it is, read when it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    of: &'a InferenceRequest,
    place: Place,
    origin: Origin,
}

impl<'a> Text<'a> {
    /// Where it stands.
    pub fn pointer(&self) -> Pointer {
        self.of.pointer(self.place)
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether it is an object's key: another one may come to be the same when it is changed.
    pub fn is_key(&self) -> bool {
        matches!(self.place, Place::Key(_))
    }

    /// What it says. Copied when it holds escapes.
    pub fn text(&self) -> Cow<'a, str> {
        self.of.text(self.place)
    }
}

/// Where a text is kept.
#[derive(Debug, Clone, Copy)]
enum Place {
    Value(u32),
    Key(u32),
    Element(usize, usize),
    /// The caller's name for a tensor request.
    Id,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Json(JsonRequest),
    Tensors(TensorRequest),
}

/// A request in a dialect of JSON.
#[derive(Debug, Clone)]
pub(crate) struct JsonRequest {
    pub(crate) document: Document,
    pub(crate) edits: Edits,
    /// For each node, what texts it holds.
    pub(crate) marks: Vec<Mark>,
    /// Lists of parts that a server may put together to one text.
    pub(crate) parts: Vec<u32>,
    /// Schemas that a server compiles.
    pub(crate) schemas: Vec<u32>,
}

/// What texts a node holds: its value, its key, or none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    pub(crate) value: Option<Origin>,
    pub(crate) key: Option<Origin>,
}

/// A request that passed every check of [`Validator::parse`](crate::Validator::parse).
///
/// Its body is written anew from what was read, so that a server behind sees exactly what was
/// checked; only numbers are forwarded as the bytes that were scanned.
#[derive(Debug, Clone)]
pub struct InferenceRequest {
    pub(crate) operation: Operation,
    pub(crate) model: ModelName,
    pub(crate) version: Option<String>,
    pub(crate) stream: bool,
    pub(crate) wants_events: bool,
    pub(crate) usage_asked: bool,
    pub(crate) max_output: Option<u32>,
    pub(crate) choices: u32,
    pub(crate) computed: u32,
    pub(crate) media_tokens: u64,
    pub(crate) has_other: bool,
    pub(crate) input_tokens: u64,
    pub(crate) content: Content,
    pub(crate) rules: Arc<ModelRules>,
    /// The body once it is written, until something changes.
    pub(crate) written: OnceLock<Encoded>,
}

impl InferenceRequest {
    /// What is asked for.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The model that is asked for.
    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// The model version of the request path, if it names one.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Whether the server's answer comes in pieces.
    pub fn is_stream(&self) -> bool {
        self.stream
    }

    /// Whether the caller wants a whole answer told in events; see
    /// [`InferenceAnswer::to_events`](crate::InferenceAnswer::to_events).
    pub fn wants_events(&self) -> bool {
        self.wants_events
    }

    /// Whether the caller wants token counts at the end of a stream.
    pub fn wants_stream_usage(&self) -> bool {
        self.usage_asked
    }

    /// Most tokens the model may write for each choice, as the request says.
    pub fn max_output_tokens(&self) -> Option<u32> {
        self.max_output
    }

    /// How many answers come back: for each prompt as many as are asked for.
    pub fn choices(&self) -> u32 {
        self.choices
    }

    /// How many answers the model writes; with `best_of` more than come back.
    pub fn computed_choices(&self) -> u32 {
        self.computed
    }

    /// Tokens the model will read, estimated without a tokenizer: four ASCII bytes or two other
    /// bytes each, escapes as they were written, four for every text, a fixed price for each image. Zero for numbers.
    pub fn estimated_input_tokens(&self) -> u64 {
        self.input_tokens
    }

    /// Whether there is something in it for the model to read that is no text: images, audio, files, or the numbers of
    /// tokens. Whoever screens texts has not seen it.
    pub fn has_other_than_text(&self) -> bool {
        self.has_other
    }

    /// Done once, when the request was read. Escapes are not undone for it: it is an estimate.
    pub(crate) fn estimate(&mut self) {
        let Content::Json(json) = &self.content else { return };
        let marked = json.marks.iter().zip(0_u32..).map(|(mark, node)| (mark, json.document.value(node)));
        let texts = marked.flat_map(|(mark, value)| {
            [mark.key.map(|_| value.raw_key()), mark.value.map(|_| value.raw())].into_iter().flatten()
        });
        let texts: u64 = texts.map(|text| 4 + estimate(text)).sum();
        self.input_tokens = texts + self.media_tokens;
    }

    /// Every text the model may read.
    pub fn texts(&self) -> impl Iterator<Item = Text<'_>> {
        self.places().map(|(place, origin)| Text { of: self, place, origin })
    }

    fn places(&self) -> impl Iterator<Item = (Place, Origin)> {
        let (json, tensors) = match &self.content {
            Content::Json(json) => (Some(json), None),
            Content::Tensors(tensors) => (None, Some(tensors)),
        };
        let marks = json.map(|json| json.marks.as_slice()).unwrap_or_default();
        let marked = marks.iter().zip(0_u32..).flat_map(|(mark, node)| {
            let key = mark.key.map(|origin| (Place::Key(node), origin));
            let value = mark.value.map(|origin| (Place::Value(node), origin));
            key.into_iter().chain(value)
        });
        let id = tensors.and_then(TensorRequest::id).map(|_| (Place::Id, Origin::Other));
        let elements = tensors.into_iter().flat_map(TensorRequest::places);
        marked.chain(id).chain(elements.map(|(tensor, element)| (Place::Element(tensor, element), Origin::Element)))
    }

    fn text(&self, place: Place) -> Cow<'_, str> {
        match (&self.content, place) {
            (Content::Json(json), Place::Value(node)) => json.edits.text(json.document.value(node), false),
            (Content::Json(json), Place::Key(node)) => json.edits.text(json.document.value(node), true),
            (Content::Tensors(tensors), Place::Element(tensor, element)) => {
                tensors.text(tensor, element).unwrap_or_default()
            }
            (Content::Tensors(tensors), Place::Id) => Cow::Borrowed(tensors.id().unwrap_or_default()),
            _ => Cow::default(),
        }
    }

    fn pointer(&self, place: Place) -> Pointer {
        match (&self.content, place) {
            (Content::Json(json), Place::Value(node) | Place::Key(node)) => json.document.value(node).pointer(),
            (_, Place::Element(tensor, element)) => TensorRequest::pointer(tensor, element),
            (_, Place::Id) => Pointer::root().key("id"),
            _ => Pointer::root(),
        }
    }

    /// Texts that a server may put together: the parts of one message, joined as servers join them,
    /// with nothing between and with a line break. For looking only; the parts are texts as well.
    pub fn joined_texts(&self) -> Vec<(Pointer, Origin, String)> {
        let Content::Json(json) = &self.content else { return Vec::new() };
        let mut joined = Vec::new();
        for list in json.parts.iter().map(|node| json.document.value(*node)) {
            let texts = list.items().filter_map(|part| part.get("text").or_else(|| part.get("refusal")));
            let mark = |text: &Value<'_>| json.marks.get(text.id() as usize).and_then(|mark| mark.value);
            let marked: Vec<(Value<'_>, Origin)> = texts.filter_map(|text| Some((text, mark(&text)?))).collect();
            let [(first, origin), _, ..] = *marked else { continue };
            let texts: Vec<Cow<'_, str>> = marked.iter().map(|(text, _)| json.edits.text(*text, false)).collect();
            joined.push((first.pointer(), origin, texts.concat()));
            joined.push((first.pointer(), origin, texts.join("\n")));
        }
        joined
    }

    /// The schemas that a server compiles for this request, as they were written: of its answer's format, and of
    /// tools that must be called.
    pub fn schemas(&self) -> impl Iterator<Item = &str> {
        let json = match &self.content {
            Content::Json(json) => Some(json),
            Content::Tensors(_) => None,
        };
        json.into_iter().flat_map(|json| json.schemas.iter().map(|node| json.document.value(*node).raw()))
    }

    /// Shows every text to `change`, which may put another one in its place; the first error ends the walk.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn map_texts<E>(&mut self, mut change: impl FnMut(&Text<'_>) -> Result<Option<String>, E>) -> Result<(), E> {
        let mut changed = Vec::new();
        for text in self.texts() {
            if let Some(other) = change(&text)? {
                changed.push((text.place, other));
            }
        }
        if !changed.is_empty() {
            self.written.take();
        }
        for (place, text) in changed {
            match (&mut self.content, place) {
                (Content::Json(json), Place::Value(node)) => json.edits.set_text(node, false, text),
                (Content::Json(json), Place::Key(node)) => json.edits.set_text(node, true, text),
                (Content::Tensors(tensors), Place::Element(tensor, element)) => {
                    tensors.set_text(tensor, element, text);
                }
                (Content::Tensors(tensors), Place::Id) => tensors.set_id(text),
                _ => {}
            }
        }
        Ok(())
    }

    /// The tensors of the request, described without their data.
    pub fn tensors(&self) -> Vec<TensorSummary> {
        match &self.content {
            Content::Tensors(request) => request.summaries(),
            Content::Json(_) => Vec::new(),
        }
    }

    /// Whether output tensors are asked for as classes: texts that hold the scores.
    pub fn wants_classes(&self) -> bool {
        matches!(&self.content, Content::Tensors(request) if request.wants_classes())
    }

    /// Checks the tensors against what a model says it takes.
    ///
    /// # Errors
    /// [`Invalid`](crate::Invalid) for the first fault.
    pub fn check_spec(&self, spec: &crate::ModelSpec) -> Result<(), crate::Invalid> {
        match &self.content {
            Content::Tensors(request) => request.check_spec(spec),
            Content::Json(_) => Ok(()),
        }
    }

    fn set_field(&mut self, key: &'static str, value: Json) {
        if let Content::Json(json) = &mut self.content {
            self.written.take();
            json.edits.set_field(key, value);
        }
    }

    /// Replaces the model's name by the one the server behind knows.
    pub fn set_model(&mut self, name: &ModelName) {
        if self.model == *name {
            return;
        }
        self.model = name.clone();
        self.set_field("model", Json::text(name.as_str()));
    }

    /// Makes sure that no choice may be longer than `most` tokens.
    pub fn clamp_output(&mut self, most: u32) {
        let field = match &self.content {
            _ if !self.operation.writes() || self.max_output.is_some_and(|asked| asked <= most) => return,
            Content::Json(_) if self.operation == Operation::Respond => "max_output_tokens",
            Content::Json(json) if json.document.root().field("max_completion_tokens").is_some() => {
                "max_completion_tokens"
            }
            _ => "max_tokens",
        };
        self.max_output = Some(most);
        self.set_field(field, Json::Uint(u64::from(most)));
        self.repeat_output();
        // No server writes at least more than at most.
        let least = match &self.content {
            Content::Json(json) => json.document.root().field("min_tokens").and_then(Value::as_u64),
            Content::Tensors(_) => None,
        };
        if least.is_some_and(|least| least > u64::from(most)) {
            self.set_field("min_tokens", Json::Uint(u64::from(most)));
        }
    }

    /// Some servers read the older name only, and write without end when they do not find it.
    pub(crate) fn repeat_output(&mut self) {
        let is_deaf = |set: &Extensions| matches!(set, Extensions::Ollama | Extensions::Tgi);
        if let (Operation::Chat, Some(most), true) =
            (self.operation, self.max_output, self.rules.limits.extensions.iter().any(is_deaf))
        {
            self.set_field("max_tokens", Json::Uint(u64::from(most)));
        }
    }

    /// Asks the server to end a stream with its token counts.
    pub fn ask_stream_usage(&mut self) {
        if self.stream && matches!(self.operation, Operation::Chat | Operation::Complete) {
            self.set_field("stream_options", Json::object([("include_usage", Json::Bool(true))]));
        }
    }

    /// The body, written anew. It is written once, until something changes.
    pub fn to_body(&self) -> Encoded {
        let write = || match &self.content {
            Content::Json(json) => {
                Encoded { bytes: json.edits.write(&json.document).into(), tensor_header_length: None }
            }
            Content::Tensors(request) => request.to_body(),
        };
        self.written.get_or_init(write).clone()
    }
}

/// A body as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The bytes.
    pub bytes: Bytes,
    /// Length of the JSON part when binary tensors follow it: the value of the header
    /// `Inference-Header-Content-Length`.
    pub tensor_header_length: Option<usize>,
}

impl Encoded {
    pub(crate) fn json(body: &Json) -> Self {
        let mut out = Vec::new();
        body.write(&mut out);
        Self { bytes: out.into(), tensor_header_length: None }
    }
}

/// Tokens in a text, estimated.
fn estimate(text: &str) -> u64 {
    // Most text is ASCII, which many bytes at a time can tell.
    let ascii = if text.is_ascii() { text.len() } else { text.bytes().filter(u8::is_ascii).count() };
    (ascii.div_ceil(4) + (text.len() - ascii).div_ceil(2)) as u64
}
