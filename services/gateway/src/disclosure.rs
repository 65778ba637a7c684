//! From settings to what the answers of a model tell of it.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use pipeline::Disclosure;
use privacy::distinct::{QueryBudget, QueryKey, Window};
use privacy::{Perturb, PerturbError, PerturbVectors, PrivacySecret};

use crate::config::{
    DisclosureSettings, InvalidSettings, ModelDisclosureSettings, ModelSettings, OperationSetting, Preset,
};

/// Log-probabilities with more digits than this are as they come.
const ALL_DECIMALS: u32 = 17;

/// What the answers of a model tell, as the settings say. `at` is the model.
///
/// # Errors
/// [`InvalidSettings`] for the first setting that cannot be used.
pub(crate) fn disclosure(
    all: &DisclosureSettings,
    name: &str,
    model: &ModelSettings,
) -> Result<Disclosure, InvalidSettings> {
    let Some(settings) = &model.disclosure else { return Ok(Disclosure::default()) };
    let at = format!("models.{name}.disclosure");
    // As the server calls it: under two names it is still one model.
    let name = if model.backend_model.is_empty() { name } else { &model.backend_model };
    let making = Making { all, name, settings, at };
    let embeds = model.operations.contains(&OperationSetting::Embed);
    if settings.preset == Some(Preset::Labels) && embeds {
        return Err(making.wrong("preset", "an embedding is no score: there is no label to tell"));
    }
    Ok(Disclosure {
        scores: making.scores()?,
        vectors: making.vectors()?,
        outputs: settings.outputs.clone(),
        logprobs: making.logprobs(),
        queries: making.queries()?,
    })
}

struct Making<'s> {
    all: &'s DisclosureSettings,
    name: &'s str,
    settings: &'s ModelDisclosureSettings,
    at: String,
}

impl Making<'_> {
    fn wrong(&self, key: &str, problem: impl Into<String>) -> InvalidSettings {
        InvalidSettings::new(format!("{}.{key}", self.at), problem.into())
    }

    fn scores(&self) -> Result<Option<Perturb>, InvalidSettings> {
        let ModelDisclosureSettings { preset, top, decimals, noise, .. } = *self.settings;
        if preset == Some(Preset::Labels) {
            return match (top, decimals, noise) {
                (None, None, None) => Ok(Some(Perturb::labels())),
                _ => Err(self.wrong("preset", "labels are not rounded: leave out top, decimals and noise")),
            };
        }
        let decimals = decimals.or((preset == Some(Preset::Scores)).then_some(2));
        if top.is_none() && decimals.is_none() && noise.is_none() {
            return Ok(None);
        }
        let mut builder = Perturb::builder();
        if let Some(top) = top {
            builder = builder.top_k(top);
        }
        if let Some(decimals) = decimals {
            builder = builder.decimals(decimals);
        }
        if let Some(noise) = noise {
            builder = builder.smooth(noise, &self.secret("noise")?, self.name);
        }
        builder.build().map(Some).map_err(|error| self.meaningless("decimals", "noise", &error))
    }

    fn vectors(&self) -> Result<Option<PerturbVectors>, InvalidSettings> {
        let ModelDisclosureSettings { preset, embedding_decimals, embedding_noise, .. } = *self.settings;
        let made = match (embedding_decimals, embedding_noise) {
            (Some(_), Some(_)) => {
                return Err(self.wrong("embedding_noise", "expected embedding_decimals or embedding_noise, not both"));
            }
            (Some(decimals), None) => PerturbVectors::decimals(decimals),
            (None, Some(noise)) => PerturbVectors::smooth(noise, &self.secret("embedding_noise")?, self.name),
            (None, None) if preset == Some(Preset::Scores) => PerturbVectors::decimals(2),
            (None, None) => return Ok(None),
        };
        made.map(Some).map_err(|error| self.meaningless("embedding_decimals", "embedding_noise", &error))
    }

    fn meaningless(&self, decimals: &str, noise: &str, error: &PerturbError) -> InvalidSettings {
        let key = match error {
            PerturbError::Decimals { .. } => decimals,
            PerturbError::KeepsNone => "top",
            _ => noise,
        };
        self.wrong(key, error.to_string())
    }

    fn logprobs(&self) -> Option<(usize, u32)> {
        let by_preset = match self.settings.preset {
            Some(Preset::Open) => None,
            Some(Preset::Labels) => Some((0, 1)),
            _ => Disclosure::default().logprobs,
        };
        let (top, decimals) = (self.settings.top_logprobs, self.settings.logprob_decimals);
        match (by_preset, top, decimals) {
            (None, None, None) => None,
            _ => {
                let (most, digits) = by_preset.unwrap_or((usize::MAX, ALL_DECIMALS));
                Some((top.unwrap_or(most), decimals.unwrap_or(digits)))
            }
        }
    }

    fn queries(&self) -> Result<Option<(QueryBudget, Arc<QueryKey>)>, InvalidSettings> {
        let ModelDisclosureSettings { queries, warn_at, parameters, numbers, .. } = self.settings;
        let budget = match (queries, parameters) {
            (Some(_), Some(_)) => return Err(self.wrong("parameters", "expected queries or parameters, not both")),
            (Some(text), None) => self.budget(text)?,
            (None, Some(parameters)) => {
                let zero = || self.wrong("parameters", "expected numbers of 1 or more");
                let numbers = NonZeroU32::new(numbers.unwrap_or(1)).ok_or_else(zero)?;
                QueryBudget::for_classical_model(NonZeroU64::new(*parameters).ok_or_else(zero)?, numbers)
            }
            (None, None) if warn_at.is_some() || numbers.is_some() => {
                return Err(self.wrong("queries", "there is no budget: set queries or parameters"));
            }
            (None, None) => return Ok(None),
        };
        let budget = match warn_at {
            Some(soft) => budget.soft(*soft).map_err(|error| self.wrong("warn_at", error.to_string()))?,
            None => budget,
        };
        let secret = self.secret("queries")?;
        Ok(Some((budget, Arc::new(QueryKey::new(&secret, self.name)))))
    }

    fn budget(&self, text: &str) -> Result<QueryBudget, InvalidSettings> {
        let parsed = text.split_once('/').and_then(|(count, window)| {
            let window = match window.trim() {
                "day" => Window::Day,
                "month" => Window::Month,
                _ => return None,
            };
            Some(QueryBudget::new(count.trim().parse().ok()?, window))
        });
        parsed.ok_or_else(|| self.wrong("queries", "expected a number a day or a month, such as \"5000/month\""))
    }

    /// What follows from the secret of the settings.
    fn secret(&self, key: &str) -> Result<PrivacySecret, InvalidSettings> {
        let derived = self.all.derive(&format!("{}.{key}", self.at), "portcullis 2026-11-26 disclosure")?;
        Ok(PrivacySecret::from_bytes(*derived))
    }
}
