//! Control tokens of the common chat templates, and role headers.

use crate::detector::Detector;
use crate::finding::{Finding, Label};
use crate::normalize::Normalized;
use crate::tokens::TokenSet;

/// `(rule, token)`. `<s>` and `<image>` are left out: they are ordinary markup.
const TOKENS: &[(&str, &str)] = &[
    ("control.chatml", "<|im_start|>"),
    ("control.chatml", "<|im_end|>"),
    ("control.chatml", "<|im_sep|>"),
    ("control.chatml", "<|endoftext|>"),
    ("control.llama2", "[INST]"),
    ("control.llama2", "[/INST]"),
    ("control.llama2", "<<SYS>>"),
    ("control.llama2", "<</SYS>>"),
    ("control.llama3", "<|begin_of_text|>"),
    ("control.llama3", "<|end_of_text|>"),
    ("control.llama3", "<|start_header_id|>"),
    ("control.llama3", "<|end_header_id|>"),
    ("control.llama3", "<|eot_id|>"),
    ("control.llama3", "<|eom_id|>"),
    ("control.llama3", "<|python_tag|>"),
    ("control.llama3", "<|finetune_right_pad_id|>"),
    ("control.mistral", "[SYSTEM_PROMPT]"),
    ("control.mistral", "[/SYSTEM_PROMPT]"),
    ("control.mistral", "[AVAILABLE_TOOLS]"),
    ("control.mistral", "[/AVAILABLE_TOOLS]"),
    ("control.mistral", "[TOOL_CALLS]"),
    ("control.mistral", "[TOOL_RESULTS]"),
    ("control.mistral", "[/TOOL_RESULTS]"),
    ("control.gemma", "<start_of_turn>"),
    ("control.gemma", "<end_of_turn>"),
    ("control.phi", "<|system|>"),
    ("control.phi", "<|user|>"),
    ("control.phi", "<|assistant|>"),
    ("control.phi", "<|end|>"),
    ("control.deepseek", "<｜begin▁of▁sentence｜>"),
    ("control.deepseek", "<｜end▁of▁sentence｜>"),
    ("control.deepseek", "<｜User｜>"),
    ("control.deepseek", "<｜Assistant｜>"),
    ("control.command", "<|START_OF_TURN_TOKEN|>"),
    ("control.command", "<|END_OF_TURN_TOKEN|>"),
    ("control.command", "<|SYSTEM_TOKEN|>"),
    ("control.command", "<|USER_TOKEN|>"),
    ("control.command", "<|CHATBOT_TOKEN|>"),
    ("control.harmony", "<|start|>"),
    ("control.harmony", "<|channel|>"),
    ("control.harmony", "<|message|>"),
    ("control.harmony", "<|return|>"),
    ("control.harmony", "<|call|>"),
    ("control.harmony", "<|constrain|>"),
    // They stand for media that is not there: engines have crashed looking for it (CVE-2026-44222). `[IMG]` of Pixtral
    // is left out, since it is how forums write an image.
    ("control.media", "<|image|>"),
    ("control.media", "<|image_pad|>"),
    ("control.media", "<|image_1|>"),
    ("control.media", "<|image_2|>"),
    ("control.media", "<|image_3|>"),
    ("control.media", "<|image_4|>"),
    ("control.media", "<|video|>"),
    ("control.media", "<|video_pad|>"),
    ("control.media", "<|audio|>"),
    ("control.media", "<|audio_pad|>"),
    ("control.media", "<|audio_bos|>"),
    ("control.media", "<|audio_eos|>"),
    ("control.media", "<|vision_start|>"),
    ("control.media", "<|vision_end|>"),
    ("control.media", "<|vision_pad|>"),
    ("control.media", "<image_soft_token>"),
    ("control.media", "<audio_soft_token>"),
    ("control.media", "<start_of_image>"),
    ("control.media", "<end_of_image>"),
];

/// `(rule, header)`. Upper case only: `System: Ubuntu` at the start of a line is honest prose.
const HEADERS: &[(&str, &str)] = &[("role.system", "SYSTEM:"), ("role.assistant", "ASSISTANT:")];

/// Finds control tokens of the common chat templates (ChatML, Llama 2 and 3, Mistral, Gemma, Phi,
/// DeepSeek, Command, harmony), tokens that stand for media, and the role headers `SYSTEM:` and `ASSISTANT:`.
///
/// Tokens are matched literally, without regard to ASCII case: spelled any other way they are not
/// tokens to the model either, unless its tokenizer normalizes first. Headers are matched in upper
/// case at the start of a line. With [`Action::Redact`](crate::Action::Redact) both are erased to
/// nothing and to a fixed point (see [`TokenSet`]).
#[derive(Debug, Clone)]
pub struct ControlTokens {
    set: TokenSet,
}

impl ControlTokens {
    /// Tokens and role headers.
    pub fn new() -> Self {
        Self::from_set(TokenSet::new(TOKENS.iter().copied(), HEADERS.iter().copied()))
    }

    /// Tokens alone.
    pub fn tokens_only() -> Self {
        Self::from_set(TokenSet::new(TOKENS.iter().copied(), []))
    }

    /// Role headers alone.
    pub fn headers_only() -> Self {
        Self::from_set(TokenSet::new([], HEADERS.iter().copied()))
    }

    /// Tokens and headers of your own.
    pub fn from_set(set: TokenSet) -> Self {
        Self { set }
    }

    /// The ids of the built-in rules. A family of tokens is one rule.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        TOKENS.iter().chain(HEADERS).map(|(rule, _)| *rule)
    }

    /// The built-in tokens and headers, for tests and documentation.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        TOKENS.iter().chain(HEADERS).map(|(_, text)| *text)
    }
}

impl Default for ControlTokens {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector for ControlTokens {
    fn label(&self) -> Label {
        Label::ControlToken
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        self.set.scan(text.original(), found);
    }

    fn window(&self) -> Option<usize> {
        Some(self.set.longest())
    }

    fn open_from(&self, tail: &str) -> usize {
        self.set.open_from(tail)
    }

    fn token_set(&self) -> Option<&TokenSet> {
        Some(&self.set)
    }
}
