//! From settings to what is claimed of the answers of a model. A claim that means nothing stops the start with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use pipeline::{Claim, InvalidRelease, PrivateData, ReleaseRule};
use privacy::PrivacySecret;
use privacy::distinct::QueryKey;
use privacy::dp::{Aggregates, Clipped, DataSet, Epsilon, Grid, Rho};
use privacy::vote::Vote;

use crate::config::{
    AggregatesSettings, BackendKind, DataSetSettings, InvalidSettings, ModelDisclosureSettings, ModelSettings, Noise,
    ReleaseSettings, Settings, TensorSettings, VoteSettings, nearest,
};

/// Most numbers of one answer: noise for each takes some microseconds.
const MAX_COUNT: u32 = 1_024;
/// How far a bound may be from the grid, in steps: as far as decimal fractions are from binary ones.
const OFF_GRID: f64 = 1e-6;

/// The data sets by name.
pub(crate) type DataSets = BTreeMap<String, Arc<PrivateData>>;

/// The data sets of the settings, which all models made of them share.
///
/// # Errors
/// [`InvalidSettings`] for the first that cannot be used.
pub(crate) fn data_sets(settings: &Settings) -> Result<DataSets, InvalidSettings> {
    let is_shared = settings.redis.url.reveal().is_some();
    settings.data_sets.iter().map(|(name, data)| Ok((name.clone(), data_set(name, data, is_shared)?))).collect()
}

fn data_set(name: &str, settings: &DataSetSettings, is_shared: bool) -> Result<Arc<PrivateData>, InvalidSettings> {
    let at = format!("data_sets.{name}");
    let data_set = DataSet::new(name).map_err(|error| InvalidSettings::new(at.clone(), error.to_string()))?;
    if !is_shared && !settings.danger_in_memory {
        let problem = "a restart would forget what is spent: set redis.url, or danger_in_memory";
        return Err(InvalidSettings::new(at, problem));
    }
    let budget: Rho = number(&format!("{at}.budget"), &settings.budget)?;
    let per_key: Rho = number(&format!("{at}.budget_per_key"), &settings.budget_per_key)?;
    let data = PrivateData::new(data_set, budget, per_key);
    data.map(Arc::new).map_err(|error| match error {
        InvalidRelease::PartAboveWhole => InvalidSettings::new(format!("{at}.budget_per_key"), error.to_string()),
        _ => InvalidSettings::new(at, error.to_string()),
    })
}

/// How the answers of a model are released, if privacy is claimed of them.
///
/// # Errors
/// [`InvalidSettings`] for the first setting that cannot be used.
pub(crate) fn release(
    all: &Settings,
    data_sets: &DataSets,
    name: &str,
    model: &ModelSettings,
) -> Result<Option<ReleaseRule>, InvalidSettings> {
    let Some(settings) = &model.release else { return Ok(None) };
    let at = format!("models.{name}.release");
    let (at, data_set, output, claim) = match settings {
        ReleaseSettings { aggregates: Some(aggregates), vote: None } => {
            let at = format!("{at}.aggregates");
            let claim = Claim::Aggregates(numbers(&at, aggregates)?);
            (at, &aggregates.data_set, &aggregates.output, claim)
        }
        ReleaseSettings { aggregates: None, vote: Some(vote) } => {
            let at = format!("{at}.vote");
            let claim = Claim::Vote(self::vote(&at, vote)?);
            disjoint(all, &at, model)?;
            (at, &vote.data_set, &vote.output, claim)
        }
        _ => return Err(InvalidSettings::new(at, "expected aggregates or vote, one of them")),
    };
    nothing_else(&at, model)?;
    known_output(&at, model, output)?;
    alone(all, &at, name, model, data_set)?;
    let data = data_sets.get(data_set).cloned().ok_or_else(|| {
        let near = nearest(data_set, data_sets.keys().map(String::as_str));
        InvalidSettings::new(format!("{at}.data_set"), format!("there is no data set {data_set}{near}"))
    })?;
    let key = question_key(all, &at, name, model, settings)?;
    let rule = ReleaseRule::new(data, output.clone(), claim, key);
    rule.map(Some).map_err(|error| InvalidSettings::new(at, error.to_string()))
}

/// A claim that is stated otherwise gives other answers, so that the digest of a question depends on it.
fn question_key(
    all: &Settings,
    at: &str,
    name: &str,
    model: &ModelSettings,
    settings: &ReleaseSettings,
) -> Result<QueryKey, InvalidSettings> {
    let stated = serde_json::to_string(settings).map_err(|error| InvalidSettings::new(at, error.to_string()))?;
    let secret = all.disclosure.derive(at, "portcullis 2026-11-26 released answers")?;
    let named = format!("{}\n{stated}", theirs(name, model));
    Ok(QueryKey::new(&PrivacySecret::from_bytes(*secret), &named))
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(at: &str, text: &str) -> Result<T, InvalidSettings> {
    text.parse().map_err(|error: T::Err| InvalidSettings::new(at, error.to_string()))
}

fn numbers(at: &str, settings: &AggregatesSettings) -> Result<Aggregates, InvalidSettings> {
    let wrong = |key: &str, problem: String| InvalidSettings::new(format!("{at}.{key}"), problem);
    let steps = (1.0 / settings.step).round();
    let is_step = settings.step > 0.0 && (1.0 / settings.step - steps).abs() < OFF_GRID;
    let grid = NonZeroU32::new(steps as u32).filter(|_| is_step && steps <= 1e9);
    let grid = grid.ok_or_else(|| wrong("step", "expected one part of 1, such as 0.001".to_owned()))?;
    let on_grid = |key: &str, bound: f64| {
        let steps = bound * f64::from(grid.get());
        let is_on = (steps - steps.round()).abs() < OFF_GRID && steps.abs() < 1e15;
        if is_on { Ok(steps.round() as i64) } else { Err(wrong(key, "expected a number of steps".to_owned())) }
    };
    let (low, high) = (on_grid("low", settings.low)?, on_grid("high", settings.high)?);
    let clipped = Clipped::new(Grid::steps(grid), low, high).map_err(|error| wrong("high", error.to_string()))?;
    let count = NonZeroU32::new(settings.count).filter(|count| count.get() <= MAX_COUNT);
    let count = count.ok_or_else(|| wrong("count", format!("expected 1 to {MAX_COUNT} numbers")))?;
    match (settings.mechanism, &settings.rho, &settings.epsilon, settings.danger_sensitivity) {
        (Noise::Gaussian, Some(rho), None, stated) => {
            let rho: Rho = number(&format!("{at}.rho"), rho)?;
            let made = match stated {
                None => Aggregates::gaussian(clipped, count, rho),
                Some(stated) => {
                    let steps = (stated * f64::from(grid.get())).ceil();
                    // The cast saturates.
                    let sensitivity = NonZeroU32::new(steps as u32).filter(|_| steps <= f64::from(u32::MAX));
                    let problem = || wrong("danger_sensitivity", "expected a number of more than 0".to_owned());
                    Aggregates::danger_gaussian(clipped, count, sensitivity.ok_or_else(problem)?, rho)
                }
            };
            made.map_err(|error| wrong("rho", error.to_string()))
        }
        (Noise::Laplace, None, Some(epsilon), None) => {
            let epsilon: Epsilon = number(&format!("{at}.epsilon"), epsilon)?;
            Aggregates::laplace(clipped, count, epsilon).map_err(|error| wrong("epsilon", error.to_string()))
        }
        (Noise::Gaussian, ..) => Err(wrong("rho", "gaussian takes rho, and no epsilon".to_owned())),
        (Noise::Laplace, _, _, None) => Err(wrong("epsilon", "laplace takes epsilon, and no rho".to_owned())),
        (Noise::Laplace, ..) => Err(wrong("danger_sensitivity", "only gaussian takes it".to_owned())),
    }
}

fn vote(at: &str, settings: &VoteSettings) -> Result<Vote, InvalidSettings> {
    let epsilon: Epsilon = number(&format!("{at}.epsilon"), &settings.epsilon)?;
    let quorum = NonZeroUsize::new(settings.quorum).filter(|quorum| quorum.get() > 1);
    let one = || InvalidSettings::new(format!("{at}.quorum"), "expected 2 or more: one server is no vote");
    let vote = Vote::new(&settings.labels, quorum.ok_or_else(one)?, epsilon);
    vote.map_err(|error| InvalidSettings::new(format!("{at}.labels"), error.to_string()))
}

/// A server that votes twice lets one individual change two votes.
fn disjoint(all: &Settings, at: &str, model: &ModelSettings) -> Result<(), InvalidSettings> {
    let places: BTreeSet<&str> = model.backends.iter().map(|label| place(all, label)).collect();
    if places.len() == model.backends.len() {
        return Ok(());
    }
    let problem = "two backends are the same server: an individual would change two votes";
    Err(InvalidSettings::new(format!("{at}.quorum"), problem))
}

/// Where a backend is: two of one address are one server, and so are all that echo.
fn place<'s>(all: &'s Settings, label: &'s str) -> &'s str {
    match all.backends.get(label) {
        Some(backend) if backend.kind == BackendKind::Echo => "",
        Some(backend) => backend.url.trim_end_matches('/'),
        None => label,
    }
}

/// What the servers call a model.
fn theirs<'s>(name: &'s str, model: &'s ModelSettings) -> &'s str {
    if model.backend_model.is_empty() { name } else { &model.backend_model }
}

/// Scores that are perturbed, and outputs that are named, are no part of a released answer.
fn nothing_else(at: &str, model: &ModelSettings) -> Result<(), InvalidSettings> {
    let Some(disclosure) = &model.disclosure else { return Ok(()) };
    let ModelDisclosureSettings { preset, top, decimals, noise, embedding_decimals, embedding_noise, .. } = disclosure;
    let perturbs = preset.is_some()
        || top.is_some()
        || decimals.is_some()
        || noise.is_some()
        || embedding_decimals.is_some()
        || embedding_noise.is_some()
        || !disclosure.outputs.is_empty()
        || disclosure.top_logprobs.is_some()
        || disclosure.logprob_decimals.is_some();
    let problem = "a released answer is not perturbed as well: of disclosure, only budgets of queries go with it";
    if perturbs { Err(InvalidSettings::new(at, problem)) } else { Ok(()) }
}

/// The output is among those that are described, and nothing is said of its values.
fn known_output(at: &str, model: &ModelSettings, output: &str) -> Result<(), InvalidSettings> {
    let wrong = |problem: String| Err(InvalidSettings::new(format!("{at}.output"), problem));
    let known = model.outputs.iter().find(|known| known.name == output);
    if output.is_empty() || (!model.outputs.is_empty() && known.is_none()) {
        let near = nearest(output, model.outputs.iter().map(|known| known.name.as_str()));
        return wrong(format!("there is no such output{near}"));
    }
    let is_bounded = |known: &TensorSettings| {
        let TensorSettings { min, max, allowed, normalised, texts, .. } = known;
        min.is_some() || max.is_some() || allowed.is_some() || normalised.is_some() || texts.is_some()
    };
    if known.is_some_and(is_bounded) {
        return wrong("an answer that is refused for its values tells of them: leave out what they must be".to_owned());
    }
    Ok(())
}

/// Whoever asks the same servers under another name, without this claim, would get around it.
fn alone(all: &Settings, at: &str, name: &str, model: &ModelSettings, data_set: &str) -> Result<(), InvalidSettings> {
    let asks = |name: &str, model: &ModelSettings| -> BTreeSet<(String, String)> {
        let theirs = theirs(name, model);
        model.backends.iter().map(|label| (place(all, label).to_owned(), theirs.to_owned())).collect()
    };
    let ours = asks(name, model);
    let others = all.models.iter().filter(|(other, _)| *other != name);
    for (other, settings) in others.filter(|(other, settings)| !asks(other, settings).is_disjoint(&ours)) {
        let spends = settings.release.as_ref().and_then(ReleaseSettings::data_set);
        if spends != Some(data_set) {
            let problem = format!("models.{other} asks the same servers and does not spend of this data set");
            return Err(InvalidSettings::new(at, problem));
        }
    }
    Ok(())
}
