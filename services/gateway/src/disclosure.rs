//! From settings to what the answers of a model tell of it.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use keys::InvalidTenant;
use pipeline::{Disclosure, Monitoring};
use privacy::distinct::{QueryBudget, QueryKey, Window};
use privacy::{Perturb, PerturbError, PerturbVectors, PrivacySecret, Projection, Watch};

use crate::config::{
    DisclosureSettings, InvalidSettings, ModelDisclosureSettings, ModelSettings, MonitorSettings, OnSuspicion,
    OperationSetting, Preset,
};

/// Log-probabilities with more digits than this are as they come.
const ALL_DECIMALS: u32 = 17;
/// Key families that are watched at once at a model: 9 MiB, and as much for each other gateway. One more takes the place
/// of the one that asked longest ago.
const WATCHED: usize = 256;
/// Decimals of what is told to who is suspected, if nothing else is said.
const ROUNDED: u8 = 1;

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
        monitor: making.monitor(model.operations.contains(&OperationSetting::Infer))?,
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
        match (top, self.usual_decimals(), noise) {
            (None, None, None) => Ok(None),
            (_, decimals, _) => self.rounded(decimals, "decimals").map(Some),
        }
    }

    fn usual_decimals(&self) -> Option<u8> {
        self.settings.decimals.or((self.settings.preset == Some(Preset::Scores)).then_some(2))
    }

    /// Scores with so many decimals, else as the settings say; `key` says how many.
    fn rounded(&self, decimals: Option<u8>, key: &str) -> Result<Perturb, InvalidSettings> {
        let ModelDisclosureSettings { top, noise, .. } = *self.settings;
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
        builder.build().map_err(|error| self.meaningless(key, "noise", &error))
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

    /// How questions are watched, and what follows from suspicion.
    fn monitor(&self, infers: bool) -> Result<Option<Monitoring>, InvalidSettings> {
        let Some(settings) = &self.settings.monitor else { return Ok(None) };
        let MonitorSettings { then, budget_percent, scale, learn_from, .. } = settings;
        if !infers {
            return Err(self.wrong("monitor", "only questions of numbers are watched, and this model does not infer"));
        }
        if !scale.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
            return Err(self.wrong("monitor.scale", "expected numbers above 0"));
        }
        let has_budget = self.settings.queries.is_some() || self.settings.parameters.is_some();
        let percent = match (then.contains(&OnSuspicion::Budget), *budget_percent) {
            (true, _) if !has_budget => return Err(self.wrong("monitor.then", "there is no budget of queries")),
            (true, Some(0 | 100..)) => return Err(self.wrong("monitor.budget_percent", "expected 1 to 99")),
            (true, percent) => Some(percent.unwrap_or(50)),
            (false, Some(_)) => return Err(self.wrong("monitor.budget_percent", "monitor.then does not say budget")),
            (false, None) => None,
        };
        let tenants: Result<_, _> = learn_from.iter().map(|tenant| tenant.parse()).collect();
        // Distances in another scale are other distances.
        let model = if scale.is_empty() { self.name.to_owned() } else { format!("{} / {scale:?}", self.name) };
        let projection = Projection::new(&self.secret("monitor")?, &model);
        Ok(Some(Monitoring {
            watch: Arc::new(Watch::new(&projection, NonZeroUsize::MIN.saturating_add(WATCHED - 1))),
            scale: scale.clone(),
            learn_from: tenants.map_err(|error: InvalidTenant| self.wrong("monitor.learn_from", error.to_string()))?,
            alerts: then.contains(&OnSuspicion::Alert),
            scores: self.scores_of_suspects(settings)?,
            percent,
        }))
    }

    /// What is told of scores to who is suspected: less than to anybody.
    fn scores_of_suspects(&self, settings: &MonitorSettings) -> Result<Option<Perturb>, InvalidSettings> {
        let then = |word| settings.then.contains(&word);
        let is_label = self.settings.preset == Some(Preset::Labels);
        match (then(OnSuspicion::Round), then(OnSuspicion::Labels), settings.decimals) {
            (false, _, Some(_)) => Err(self.wrong("monitor.decimals", "monitor.then does not say round")),
            (true, true, _) => Err(self.wrong("monitor.then", "expected round or labels, not both")),
            (false, false, None) => Ok(None),
            _ if is_label => Err(self.wrong("monitor.then", "only labels are told already")),
            (false, true, None) => Ok(Some(Perturb::labels())),
            (true, false, decimals) => {
                let decimals = decimals.unwrap_or(ROUNDED);
                if self.usual_decimals().is_some_and(|usual| usual <= decimals) {
                    return Err(self.wrong("monitor.decimals", "expected fewer decimals than usual"));
                }
                self.rounded(Some(decimals), "monitor.decimals").map(Some)
            }
        }
    }

    /// What follows from the secret of the settings.
    fn secret(&self, key: &str) -> Result<PrivacySecret, InvalidSettings> {
        let derived = self.all.derive(&format!("{}.{key}", self.at), "portcullis 2026-11-26 disclosure")?;
        Ok(PrivacySecret::from_bytes(*derived))
    }
}
