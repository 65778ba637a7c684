//! The checked request: what every later step of the line works on.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::invalid::Pointer;
use crate::json::Json;
use crate::names::ModelName;
use crate::oip::{TensorRequest, TensorSummary};

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A chat answer.
    Chat,
    /// A text completion.
    Complete,
    /// Embedding vectors.
    Embed,
    /// Tensors in, tensors out.
    Infer,
}

/// The wire shape of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// The API of OpenAI and of the servers that follow it.
    OpenAi,
    /// Open Inference Protocol, version 2.
    Oip,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Complete, Self::Embed, Self::Infer];

    /// The stable word for this operation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Complete => "complete",
            Self::Embed => "embed",
            Self::Infer => "infer",
        }
    }

    /// The wire shape this operation is written in.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Complete | Self::Embed => Dialect::OpenAi,
            Self::Infer => Dialect::Oip,
        }
    }
}

impl Dialect {
    /// The stable word for this wire shape.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Oip => "oip",
        }
    }
}

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

/// One text of a request, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// Its place.
    pub pointer: &'a Pointer,
    /// Its origin.
    pub origin: Origin,
    /// The text.
    pub text: &'a str,
}

/// `messages`, message, `content`, part, `text`.
const PART_STEPS: usize = 5;

/// Where a text of the request is kept.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) steps: Vec<usize>,
    pub(crate) pointer: Pointer,
    pub(crate) origin: Origin,
    /// The text is an object's key, not its value.
    pub(crate) is_key: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Json(Json),
    Tensors(TensorRequest),
}

/// A request that passed every check of [`Validator::parse`](crate::Validator::parse).
///
/// Its body is written anew from what was read, so that a server behind sees exactly what was
/// checked; only the numbers of tensors are forwarded as the bytes that were scanned.
#[derive(Debug, Clone)]
pub struct InferenceRequest {
    pub(crate) operation: Operation,
    pub(crate) model: ModelName,
    pub(crate) version: Option<String>,
    pub(crate) stream: bool,
    pub(crate) usage_asked: bool,
    pub(crate) max_output: Option<u32>,
    pub(crate) choices: u32,
    pub(crate) computed: u32,
    pub(crate) media_tokens: u64,
    pub(crate) content: Content,
    pub(crate) places: Vec<Place>,
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

    /// Whether the answer comes in pieces.
    pub fn is_stream(&self) -> bool {
        self.stream
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
    /// bytes each, four for every text, a fixed price for each image. Zero for numbers.
    pub fn estimated_input_tokens(&self) -> u64 {
        if self.operation == Operation::Infer {
            return 0;
        }
        let texts: u64 = self.texts().map(|text| 4 + estimate(text.text)).sum();
        texts + self.media_tokens
    }

    /// Every text the model may read.
    pub fn texts(&self) -> impl Iterator<Item = Text<'_>> {
        self.places.iter().filter_map(|place| {
            let text = match &self.content {
                Content::Json(body) if place.is_key => body.key(&place.steps)?,
                Content::Json(body) => body.child(&place.steps)?.as_str()?,
                Content::Tensors(request) => request.text(&place.steps)?,
            };
            Some(Text { pointer: &place.pointer, origin: place.origin, text })
        })
    }

    /// Texts that a server may put together: the parts of one message, joined as servers join them,
    /// with nothing between and with a line break. For looking only; the parts are texts as well.
    pub fn joined_texts(&self) -> Vec<(&Pointer, Origin, String)> {
        let Content::Json(body) = &self.content else { return Vec::new() };
        let is_part = |place: &&Place| place.steps.len() == PART_STEPS && !place.is_key;
        let parts: Vec<&Place> = self.places.iter().filter(is_part).collect();
        let of = |place: &Place| place.steps.first_chunk::<3>().copied();
        let mut joined = Vec::new();
        for message in parts.chunk_by(|a, b| of(a) == of(b)).filter(|message| message.len() > 1) {
            let texts = message.iter().filter_map(|place| body.child(&place.steps)?.as_str());
            let texts: Vec<&str> = texts.collect();
            if let Some(first) = message.first() {
                joined.push((&first.pointer, first.origin, texts.concat()));
                joined.push((&first.pointer, first.origin, texts.join("\n")));
            }
        }
        joined
    }

    /// Lets `change` read and replace every text; the first error ends the walk.
    pub fn map_texts<E>(
        &mut self,
        mut change: impl FnMut(&Pointer, Origin, &mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        self.written.take();
        for place in &self.places {
            let text = match &mut self.content {
                Content::Json(body) if place.is_key => body.key_mut(&place.steps),
                Content::Json(body) => match body.child_mut(&place.steps) {
                    Some(Json::Text(text)) => Some(text),
                    _ => None,
                },
                Content::Tensors(request) => request.text_mut(&place.steps),
            };
            if let Some(text) = text {
                change(&place.pointer, place.origin, text)?;
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

    /// Checks the tensors against what a model says it takes.
    pub fn check_spec(&self, spec: &crate::ModelSpec) -> Result<(), crate::Invalid> {
        match &self.content {
            Content::Tensors(request) => request.check_spec(spec),
            Content::Json(_) => Ok(()),
        }
    }

    /// Replaces the model's name by the one the server behind knows.
    pub fn set_model(&mut self, name: &ModelName) {
        if self.model == *name {
            return;
        }
        self.written.take();
        self.model = name.clone();
        if let Content::Json(body) = &mut self.content {
            body.set("model", Json::text(name.as_str()));
        }
    }

    /// Makes sure that no choice may be longer than `most` tokens.
    pub fn clamp_output(&mut self, most: u32) {
        let Content::Json(body) = &mut self.content else { return };
        if self.operation == Operation::Embed || self.max_output.is_some_and(|asked| asked <= most) {
            return;
        }
        self.written.take();
        self.max_output = Some(most);
        let field = if body.get("max_completion_tokens").is_some() { "max_completion_tokens" } else { "max_tokens" };
        body.set(field, Json::Uint(u64::from(most)));
    }

    /// Asks the server to end a stream with its token counts.
    pub fn ask_stream_usage(&mut self) {
        if let (true, Content::Json(body)) = (self.stream, &mut self.content) {
            self.written.take();
            let asked = vec![("include_usage".to_owned(), Json::Bool(true))];
            body.set("stream_options", Json::Object(asked));
        }
    }

    /// The body, written anew. It is written once, until something changes.
    pub fn to_body(&self) -> Encoded {
        let write = || match &self.content {
            Content::Json(body) => Encoded::json(body),
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
