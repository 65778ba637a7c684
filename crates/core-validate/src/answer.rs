//! What a model server answered, checked and reduced to the fields a caller may see.

use crate::json::Json;
use crate::names::ModelName;
use crate::oip::TensorAnswer;
use crate::request::Encoded;

/// Tokens actually spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens the model read.
    pub input_tokens: u64,
    /// Tokens the model wrote.
    pub output_tokens: u64,
}

/// One text channel of an answer. Texts of one slot follow each other in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Slot {
    /// What the model says.
    Content(u32),
    /// What it says while it thinks, as `reasoning_content`.
    Reasoning(u32),
    /// The same, as `reasoning`.
    Thinking(u32),
    /// Why it will not say it.
    Refusal(u32),
    /// The arguments of one tool call.
    Arguments(u32, u32),
    /// The arguments of a `function_call`.
    FunctionArguments(u32),
    /// An element of a `BYTES` tensor.
    Element(u32, u32),
    /// A short string beside the texts, such as a tool's name. Never split over chunks.
    Label(u32),
}

impl Slot {
    /// The choice (or tensor) the slot belongs to.
    pub const fn choice(self) -> u32 {
        match self {
            Self::Content(c) | Self::Reasoning(c) | Self::Thinking(c) | Self::Refusal(c) => c,
            Self::FunctionArguments(c) | Self::Label(c) => c,
            Self::Arguments(c, _) | Self::Element(c, _) => c,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct SlotPlace {
    pub(crate) steps: Vec<usize>,
    pub(crate) slot: Slot,
}

#[derive(Debug, Clone)]
pub(crate) enum AnswerContent {
    Json(Json),
    Tensors(TensorAnswer),
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct InferenceAnswer {
    pub(crate) content: AnswerContent,
    pub(crate) places: Vec<SlotPlace>,
    pub(crate) usage: Option<Usage>,
}

impl InferenceAnswer {
    /// Tokens spent, when the server said so.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Lets `change` read and replace every text. Log-probabilities of a changed choice, which
    /// spell out its text, are removed.
    pub fn map_texts(&mut self, mut change: impl FnMut(Slot, &mut String)) {
        match &mut self.content {
            AnswerContent::Json(root) => map_places(root, &self.places, &mut change),
            AnswerContent::Tensors(answer) => {
                for place in &self.places {
                    answer.map_text(&place.steps, |text| change(place.slot, text));
                }
            }
        }
    }

    /// Empties one choice and marks it as filtered. `false` when the answer has no choices.
    pub fn filter_choice(&mut self, choice: u32) -> bool {
        match &mut self.content {
            AnswerContent::Json(root) if root.get("output").is_some() => {
                crate::openai::respond::filter_item(root, choice)
            }
            AnswerContent::Json(root) if root.get("content").is_some() => {
                crate::openai::message::filter_block(root, choice)
            }
            AnswerContent::Json(root) => filter_choice(root, choice),
            AnswerContent::Tensors(_) => false,
        }
    }

    /// Replaces the server's own name for the answer and the model.
    pub fn rename(&mut self, id: &str, model: &ModelName) {
        match &mut self.content {
            AnswerContent::Json(root) => rename(root, id, model),
            AnswerContent::Tensors(answer) => answer.rename(model),
        }
    }

    /// The answer of the `responses` or the Messages API as the events of a stream: name and JSON of each. Empty for others.
    pub fn to_events(&self) -> Vec<(&'static str, bytes::Bytes)> {
        match &self.content {
            AnswerContent::Json(root) if root.get("output").is_some() => crate::openai::respond::events(root),
            AnswerContent::Json(root) if root.get("content").is_some() => crate::openai::message::events(root),
            _ => Vec::new(),
        }
    }

    /// The body, written anew.
    pub fn to_body(&self) -> Encoded {
        match &self.content {
            AnswerContent::Json(root) if root.get("content").is_some() => {
                Encoded::json(&crate::openai::message::written(root))
            }
            AnswerContent::Json(root) => Encoded::json(root),
            AnswerContent::Tensors(answer) => answer.to_body(),
        }
    }
}

/// One piece of a streamed answer.
#[derive(Debug, Clone)]
pub struct AnswerChunk {
    pub(crate) root: Json,
    pub(crate) places: Vec<SlotPlace>,
    pub(crate) usage: Option<Usage>,
}

impl AnswerChunk {
    /// A piece with one text, in the shape of `self`.
    #[must_use]
    pub fn with_text(&self, slot: Slot, text: &str) -> Self {
        let choice = crate::openai::answer::text_choice(&self.root, slot, text);
        self.with_choices(vec![choice])
    }

    /// A piece that ends one choice as filtered, in the shape of `self`.
    #[must_use]
    pub fn with_filtered(&self, choice: u32) -> Self {
        self.with_choices(vec![crate::openai::answer::ended_choice(&self.root, choice, "content_filter")])
    }

    /// A piece that ends one choice as too long, in the shape of `self`.
    #[must_use]
    pub fn with_cut(&self, choice: u32) -> Self {
        self.with_choices(vec![crate::openai::answer::ended_choice(&self.root, choice, "length")])
    }

    /// The piece without what it says, for pieces of its kind.
    #[must_use]
    pub fn shape(&self) -> Self {
        let fields = match &self.root {
            Json::Object(fields) => {
                fields.iter().filter(|(key, _)| key != "choices" && key != "usage").cloned().collect()
            }
            _ => Vec::new(),
        };
        let mut root = Json::Object(fields);
        root.set("choices", Json::Array(Vec::new()));
        Self { root, places: Vec::new(), usage: None }
    }

    fn with_choices(&self, choices: Vec<Json>) -> Self {
        let mut root = self.root.clone();
        root.set("choices", Json::Array(choices));
        if let Json::Object(fields) = &mut root {
            fields.retain(|(key, _)| key != "usage");
        }
        Self { root, places: Vec::new(), usage: None }
    }

    /// Tokens spent, on the piece that carries them.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether the piece carries no choice: the extra event with the token counts.
    pub fn is_usage_only(&self) -> bool {
        self.root.get("choices").and_then(Json::as_array).is_none_or(<[Json]>::is_empty)
    }

    /// Choices of this piece.
    pub fn choices(&self) -> Vec<u32> {
        let choices = self.root.get("choices").and_then(Json::as_array).unwrap_or_default();
        choices.iter().map(crate::openai::answer::index_of).collect()
    }

    /// Choices that end with this piece.
    pub fn finished(&self) -> Vec<u32> {
        let choices = self.root.get("choices").and_then(Json::as_array).unwrap_or_default();
        choices
            .iter()
            .filter(|choice| choice.get("finish_reason").is_some_and(|reason| !reason.is_null()))
            .map(crate::openai::answer::index_of)
            .collect()
    }

    /// Removes a choice from the piece.
    pub fn drop_choice(&mut self, choice: u32) {
        if let Some(Json::Array(choices)) = self.root.get_mut("choices") {
            choices.retain(|c| crate::openai::answer::index_of(c) != choice);
            self.places = crate::openai::answer::places(&self.root);
        }
    }

    /// Removes the token counts, which the caller did not ask for.
    pub fn drop_usage(&mut self) {
        if let Json::Object(fields) = &mut self.root {
            fields.retain(|(key, _)| key != "usage");
        }
    }

    /// Lets `change` read and replace every text, as in [`InferenceAnswer::map_texts`].
    pub fn map_texts(&mut self, mut change: impl FnMut(Slot, &mut String)) {
        map_places(&mut self.root, &self.places, &mut change);
    }

    /// Replaces the server's own name for the answer and the model.
    pub fn rename(&mut self, id: &str, model: &ModelName) {
        rename(&mut self.root, id, model);
    }

    /// The piece as compact JSON.
    pub fn to_body(&self) -> Encoded {
        Encoded::json(&self.root)
    }
}

fn map_places(root: &mut Json, places: &[SlotPlace], change: &mut impl FnMut(Slot, &mut String)) {
    let mut changed = Vec::new();
    for place in places {
        if let Some(Json::Text(text)) = root.child_mut(&place.steps) {
            let before = text.clone();
            change(place.slot, text);
            if before != *text {
                changed.push(place.slot.choice());
            }
        }
    }
    let Some(Json::Array(choices)) = root.get_mut("choices") else { return };
    for choice in choices {
        if changed.contains(&crate::openai::answer::index_of(choice)) && choice.get("logprobs").is_some() {
            choice.set("logprobs", Json::Null);
        }
    }
}

fn filter_choice(root: &mut Json, index: u32) -> bool {
    let filtered = crate::openai::answer::ended_choice(root, index, "content_filter");
    let Some(Json::Array(choices)) = root.get_mut("choices") else { return false };
    match choices.iter_mut().find(|choice| crate::openai::answer::index_of(choice) == index) {
        Some(choice) => {
            *choice = filtered;
            true
        }
        None => false,
    }
}

fn rename(root: &mut Json, id: &str, model: &ModelName) {
    if let Some(place) = root.get_mut("id") {
        *place = Json::text(id);
    }
    root.set("model", Json::text(model.as_str()));
}
