//! What is asked of a model, and the wire shape it is asked in.

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
    /// An answer of the `responses` API.
    Respond,
    /// An answer of Anthropic's Messages API.
    Message,
    /// Tensors in, tensors out.
    Infer,
}

/// The wire shape of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// The API of OpenAI and of the servers that follow it.
    OpenAi,
    /// The Messages API of Anthropic.
    Anthropic,
    /// Open Inference Protocol, version 2.
    Oip,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 6] = [Self::Chat, Self::Complete, Self::Embed, Self::Respond, Self::Message, Self::Infer];

    /// The stable word for this operation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Complete => "complete",
            Self::Embed => "embed",
            Self::Respond => "respond",
            Self::Message => "message",
            Self::Infer => "infer",
        }
    }

    /// The wire shape this operation is written in.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Complete | Self::Embed | Self::Respond => Dialect::OpenAi,
            Self::Message => Dialect::Anthropic,
            Self::Infer => Dialect::Oip,
        }
    }

    /// Whether the model writes text.
    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::Chat | Self::Complete | Self::Respond | Self::Message)
    }

    /// Whether a stream is asked for whole, and its events are written from the answer.
    pub(crate) const fn is_told_whole(self) -> bool {
        matches!(self, Self::Respond | Self::Message)
    }
}

impl Dialect {
    /// The stable word for this wire shape.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Oip => "oip",
        }
    }
}
