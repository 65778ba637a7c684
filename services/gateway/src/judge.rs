//! A judge elsewhere, asked over HTTP: a moderation endpoint of OpenAI's API, or a chat model that answers `safe` or
//! `unsafe`, as Llama Guard does.

use std::time::Duration;

use backend::{BackendError, Endpoint, Timeouts};
use sanitize::{Classifier, ClassifierError, Judgement, Judging};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{InvalidSettings, JudgeApi, JudgeSettings};
use crate::models::endpoint;

/// Most bytes of an answer that is read.
const MAX_ANSWER: usize = 256 << 10;
/// Most tokens of a verdict: the word and some categories.
const VERDICT_TOKENS: u32 = 32;

/// A judge at an address.
pub(crate) struct HttpJudge {
    endpoint: Endpoint,
    api: JudgeApi,
    model: String,
}

/// The part of a moderation that is read.
#[derive(Deserialize)]
struct Moderation {
    results: Vec<Moderated>,
}

#[derive(Deserialize)]
struct Moderated {
    flagged: bool,
    #[serde(default)]
    categories: std::collections::BTreeMap<String, Value>,
}

/// The part of a chat answer that is read.
#[derive(Deserialize)]
struct Chat {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: String,
}

impl HttpJudge {
    /// The judge that the settings name.
    ///
    /// # Errors
    /// [`InvalidSettings`] when its address, key or model is not usable.
    pub(crate) fn new(settings: &JudgeSettings, deadline: Duration) -> Result<Self, InvalidSettings> {
        let key = settings.api_key.or_file("screening.judge.api_key", &settings.api_key_file)?;
        if settings.model.is_empty() && settings.api == JudgeApi::Chat {
            return Err(InvalidSettings::new("screening.judge.model", "a chat model is asked by its name"));
        }
        let path = settings.url.trim_end_matches('/');
        if path.ends_with("/moderations") || path.ends_with("/chat/completions") {
            let problem = "expected the address below which moderations or chat/completions stand";
            return Err(InvalidSettings::new("screening.judge.url", problem));
        }
        let mut timeouts = Timeouts::default();
        (timeouts.connect, timeouts.answer, timeouts.max_bytes) = (deadline, deadline, MAX_ANSWER);
        let endpoint = endpoint("screening.judge", &settings.url, key, timeouts)?;
        Ok(Self { endpoint, api: settings.api, model: settings.model.clone() })
    }

    async fn ask(&self, texts: &[&str]) -> Result<Judgement, ClassifierError> {
        let (path, question) = self.question(texts);
        let answer = self.endpoint.ask(path, question.to_string().into()).await.map_err(|error| match error {
            BackendError::TimedOut => ClassifierError::TimedOut,
            BackendError::Refused | BackendError::TooLarge | BackendError::Settings => ClassifierError::Unusable,
            _ => ClassifierError::Unreachable,
        })?;
        let read = match self.api {
            JudgeApi::Moderations => moderated(&answer, texts.len()),
            JudgeApi::Chat => said(&answer),
        };
        read.ok_or(ClassifierError::Unusable)
    }

    fn question(&self, texts: &[&str]) -> (&'static str, Value) {
        match self.api {
            JudgeApi::Moderations if self.model.is_empty() => ("moderations", json!({"input": texts})),
            JudgeApi::Moderations => ("moderations", json!({"model": self.model, "input": texts})),
            JudgeApi::Chat => {
                let content = texts.join("\n\n");
                let question = json!({
                    "model": self.model,
                    "messages": [{"role": "user", "content": content}],
                    "temperature": 0,
                    "max_tokens": VERDICT_TOKENS,
                });
                ("chat/completions", question)
            }
        }
    }
}

impl Classifier for HttpJudge {
    fn judge<'a>(&'a self, texts: &'a [&'a str]) -> Judging<'a> {
        Box::pin(self.ask(texts))
    }
}

/// What is no result for each text is no judgement.
fn moderated(answer: &[u8], texts: usize) -> Option<Judgement> {
    let Moderation { results } = serde_json::from_slice(answer).ok()?;
    if results.len() != texts {
        return None;
    }
    let flagged: Vec<&Moderated> = results.iter().filter(|result| result.flagged).collect();
    if flagged.is_empty() {
        return Some(Judgement::clean());
    }
    let categories = flagged.iter().flat_map(|result| &result.categories);
    let mut named: Vec<&str> = categories.filter(|(_, is_it)| **is_it == true).map(|(name, _)| name.as_str()).collect();
    named.sort_unstable();
    named.dedup();
    Some(Judgement::flagged(named))
}

/// `safe`, or `unsafe` and a line of categories parted by commas. Anything else is no judgement.
fn said(answer: &[u8]) -> Option<Judgement> {
    let Chat { choices } = serde_json::from_slice(answer).ok()?;
    let mut lines = choices.first()?.message.content.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines.next()?.to_ascii_lowercase().as_str() {
        "safe" if lines.next().is_none() => Some(Judgement::clean()),
        "unsafe" => Some(Judgement::flagged(lines.next().unwrap_or_default().split(',').map(str::trim))),
        _ => None,
    }
}
