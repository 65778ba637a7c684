//! Control tokens of the common chat templates, and role headers.

use std::borrow::Cow;

use crate::control_families::{HEADERS, TOKENS};
use crate::detector::Detector;
use crate::finding::{Finding, Label};
use crate::normalize::Normalized;
use crate::tokens::TokenSet;

/// Finds control tokens of the common chat templates (ChatML, Llama 2 to 4, Mistral, Gemma, Phi, GLM, Qwen, DeepSeek,
/// Command, Granite, EXAONE, InternLM, Kimi, harmony), of code to fill in and of media, and the role headers `SYSTEM:`
/// and `ASSISTANT:`. A family is one rule; a token that several share belongs to the first.
///
/// Tokens are matched literally, without regard to ASCII case: spelled any other way they are not
/// tokens to the model either, unless its tokenizer normalizes first; so those in `<|` and `|>` are also found with
/// wide bars, which normalization makes plain. Headers are matched in upper case at the start of a line. With
/// [`Action::Redact`](crate::Action::Redact) both are erased to nothing and to a fixed point (see [`TokenSet`]).
#[derive(Debug, Clone)]
pub struct ControlTokens {
    set: TokenSet,
}

impl ControlTokens {
    /// Tokens and role headers.
    pub fn new() -> Self {
        Self::from_set(TokenSet::new(tokens(), headers()))
    }

    /// Tokens alone.
    pub fn tokens_only() -> Self {
        Self::from_set(TokenSet::new(tokens(), []))
    }

    /// Role headers alone.
    pub fn headers_only() -> Self {
        Self::from_set(TokenSet::new([], headers()))
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

type Pair = (&'static str, Cow<'static, str>);

/// The tokens, and those in `<|` and `|>` with wide bars where no family has that as a token of its own.
fn tokens() -> impl Iterator<Item = Pair> {
    let is_own = |wide: &str| TOKENS.iter().any(|(_, token)| token.eq_ignore_ascii_case(wide));
    let wide = TOKENS.iter().filter_map(move |(rule, token)| {
        let name = token.strip_prefix("<|")?.strip_suffix("|>")?;
        let wide = format!("<｜{name}｜>");
        (!is_own(&wide)).then_some((*rule, Cow::Owned(wide)))
    });
    TOKENS.iter().map(|(rule, token)| (*rule, Cow::Borrowed(*token))).chain(wide)
}

fn headers() -> impl Iterator<Item = Pair> {
    HEADERS.iter().map(|(rule, header)| (*rule, Cow::Borrowed(*header)))
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
