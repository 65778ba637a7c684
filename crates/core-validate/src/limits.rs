//! The bounds that hold before anything is believed, and what of a request is passed on.

use std::fmt;
use std::str::FromStr;

/// Bounds on one request. `Default` is safe for a gateway on the open network.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct Limits {
    pub(crate) depth: usize,
    pub(crate) values: usize,
    pub(crate) key_bytes: usize,
    pub(crate) string_bytes: usize,
    pub(crate) messages: usize,
    pub(crate) choices: u32,
    pub(crate) output_tokens: u64,
    pub(crate) tensors: usize,
    pub(crate) rank: usize,
    pub(crate) elements: u64,
    pub(crate) media_bytes: usize,
    pub(crate) extensions: Vec<Extensions>,
    pub(crate) fields: Vec<String>,
    pub(crate) parameters: Vec<String>,
    pub(crate) media: Media,
    pub(crate) remote_media: bool,
    pub(crate) token_prompts: bool,
    pub(crate) bias_with_logprobs: bool,
    pub(crate) stored_state: bool,
    pub(crate) grammars: bool,
    pub(crate) empty_tensors: bool,
}

/// Kinds of parts of a message beside text and images.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Media {
    pub(crate) audio: bool,
    pub(crate) files: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            values: 25_000,
            key_bytes: 256,
            string_bytes: 4 << 20,
            messages: 1_024,
            choices: 8,
            output_tokens: 1 << 20,
            tensors: 64,
            rank: 8,
            elements: 4 << 20,
            media_bytes: 3 << 20,
            extensions: Vec::new(),
            fields: Vec::new(),
            parameters: Vec::new(),
            media: Media::default(),
            remote_media: false,
            token_prompts: false,
            bias_with_logprobs: false,
            stored_state: false,
            grammars: false,
            empty_tensors: false,
        }
    }
}

impl Limits {
    /// Deepest nesting of JSON values. Default 64, never above 100.
    #[must_use]
    pub fn depth(mut self, levels: usize) -> Self {
        self.depth = levels.clamp(1, 100);
        self
    }

    /// Most JSON values in one body, and most elements of its `BYTES` tensors. Lists of numbers count as one value.
    /// Default 25000; each takes 26 bytes of memory.
    #[must_use]
    pub fn values(mut self, count: usize) -> Self {
        self.values = count;
        self
    }

    /// Longest string in bytes. Default 4 MiB.
    #[must_use]
    pub fn string_bytes(mut self, bytes: usize) -> Self {
        self.string_bytes = bytes;
        self
    }

    /// Most messages in a chat. Default 1024.
    #[must_use]
    pub fn messages(mut self, count: usize) -> Self {
        self.messages = count;
        self
    }

    /// Most answers for one prompt (`n`, `best_of`). Default 8.
    #[must_use]
    pub fn choices(mut self, count: u32) -> Self {
        self.choices = count.max(1);
        self
    }

    /// Most tokens that all answers of one request may be long together, as far as it says. Default 1048576.
    #[must_use]
    pub fn output_tokens(mut self, count: u64) -> Self {
        self.output_tokens = count;
        self
    }

    /// Most elements in one tensor. Default 4194304.
    #[must_use]
    pub fn elements(mut self, count: u64) -> Self {
        self.elements = count;
        self
    }

    /// Largest image, audio or file in a message, in bytes once it is decoded. Default 3 MiB;
    /// as base64 it is within the bounds of strings, too.
    #[must_use]
    pub fn media_bytes(mut self, bytes: usize) -> Self {
        self.media_bytes = bytes;
        self
    }

    /// Fields beyond the API of OpenAI that servers of these kinds take, each by type and range. Default none.
    #[must_use]
    pub fn extensions(mut self, sets: impl IntoIterator<Item = Extensions>) -> Self {
        self.extensions = sets.into_iter().collect();
        self
    }

    /// Request fields that are passed on although this crate does not know them. Every string in
    /// them counts as a text. Default none; those of [`Limits::is_reserved`] never are.
    #[must_use]
    pub fn allow_fields(mut self, names: Vec<String>) -> Self {
        self.fields = names;
        self
    }

    /// Whether a field is another name of one that is known, such as `n_predict` for `max_tokens`, or holds a prompt in
    /// another form, such as `input_ids`: passed on unread it would undo what was checked.
    #[cfg(feature = "requests")]
    pub fn is_reserved(field: &str) -> bool {
        crate::openai::RESERVED.contains(&field)
    }

    /// Parameters of tensor requests and tensors that are passed on, such as `sequence_id` or `priority`, when their
    /// values are truths, numbers or words. Default none but those of the protocol. Shared memory is never passed on.
    #[must_use]
    pub fn allow_parameters(mut self, names: Vec<String>) -> Self {
        self.parameters = names;
        self
    }

    /// Lets tensors have dimensions of zero, and so no values; servers have crashed on them. Default off.
    #[must_use]
    pub fn danger_empty_tensors(mut self, allowed: bool) -> Self {
        self.empty_tensors = allowed;
        self
    }

    /// Lets requests bring grammars and patterns that the server compiles and that its answer must match; some have
    /// crashed servers, others take their time. Default off; JSON schemas always work.
    #[must_use]
    pub fn danger_grammars(mut self, allowed: bool) -> Self {
        self.grammars = allowed;
        self
    }

    /// Lets messages hold audio. Nobody screens what it says. Default off.
    #[must_use]
    pub fn danger_audio(mut self, allowed: bool) -> Self {
        self.media.audio = allowed;
        self
    }

    /// Lets messages hold files. Nobody screens what they say. Default off.
    #[must_use]
    pub fn danger_files(mut self, allowed: bool) -> Self {
        self.media.files = allowed;
        self
    }

    /// Lets a request name media by `https` address: the model server will fetch what a caller
    /// tells it to fetch. Hosts that are numbers, have a port or a user, or end in `.local` and the like stay
    /// refused. Default off; `data:` addresses always work.
    #[must_use]
    pub fn danger_remote_media(mut self, allowed: bool) -> Self {
        self.remote_media = allowed;
        self
    }

    /// Lets prompts be token numbers, which no text screening can read. Default off.
    #[must_use]
    pub fn danger_token_prompts(mut self, allowed: bool) -> Self {
        self.token_prompts = allowed;
        self
    }

    /// Lets a request ask for `logit_bias` and `logprobs` at once, by which a model's last layer can be computed
    /// (Carlini et al. 2024, "Stealing Part of a Production Language Model"). Default off.
    #[must_use]
    pub fn danger_bias_with_logprobs(mut self, allowed: bool) -> Self {
        self.bias_with_logprobs = allowed;
        self
    }

    /// Lets a request build on what the server kept of earlier ones (`previous_response_id`, `conversation`,
    /// `background`), which nobody screens again and which may be another caller's. Default off.
    #[must_use]
    pub fn danger_stored_state(mut self, allowed: bool) -> Self {
        self.stored_state = allowed;
        self
    }

    pub(crate) fn allows_parameter(&self, name: &str) -> bool {
        // Whatever else is allowed: an address in the server's own memory is none of a caller's.
        !name.starts_with("shared_memory") && self.parameters.iter().any(|allowed| allowed == name)
    }
}

/// A set of request fields beyond the API of OpenAI, by the server that takes them.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extensions {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// llama.cpp's server.
    LlamaCpp,
    /// Text Generation Inference.
    Tgi,
    /// Ollama.
    Ollama,
}

impl Extensions {
    /// All sets.
    pub const ALL: [Self; 5] = [Self::Vllm, Self::Sglang, Self::LlamaCpp, Self::Tgi, Self::Ollama];

    /// The stable word for this set.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::LlamaCpp => "llama.cpp",
            Self::Tgi => "tgi",
            Self::Ollama => "ollama",
        }
    }
}

impl fmt::Display for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no [`Extensions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of vllm, sglang, llama.cpp, tgi, ollama")]
pub struct NotExtensions;

impl FromStr for Extensions {
    type Err = NotExtensions;

    fn from_str(text: &str) -> Result<Self, NotExtensions> {
        Self::ALL.into_iter().find(|set| set.as_str() == text).ok_or(NotExtensions)
    }
}
