//! From `[quotas]` to the quotas of the line.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use core_validate::{ModelName, Operation};
use keys::Rate;
use pipeline::{Counts, LEASE, Model, OWN_UNITS, QuotaRule, Whose, to_quota};
use ratelimit_redis::{OnOutage, Quota, Window};

use crate::config::{InvalidSettings, QuotaCounts, QuotaOf, QuotaOnOutage, QuotaSettings, Settings, nearest};

/// Most quotas: together with those of a key they must go into one call of the limiter.
const MOST: usize = 24;
/// Most bytes of a quota's name.
const NAME_BYTES: usize = 32;

type Models = BTreeMap<ModelName, Arc<Model>>;

/// What rates do while Redis is away, when their settings do not say.
pub(crate) fn of_rates(replicas: u32) -> OnOutage {
    NonZeroU32::new(replicas).map_or(OnOutage::AskCaller, |replicas| OnOutage::LocalShare { replicas })
}

/// The quotas of the settings.
///
/// # Errors
/// [`InvalidSettings`] for the first that cannot be used.
pub(crate) fn rules(settings: &Settings, models: &Models) -> Result<Vec<QuotaRule>, InvalidSettings> {
    if settings.quotas.len() > MOST {
        return Err(InvalidSettings::new("quotas", format!("expected at most {MOST}")));
    }
    let mut rules: Vec<QuotaRule> = Vec::with_capacity(settings.quotas.len());
    for (name, quota) in &settings.quotas {
        let rule = rule(name, quota, models, settings.redis.replicas)?;
        let others = rules.iter().map(|other| other.unit).chain(OWN_UNITS);
        if let Some(other) = others.into_iter().find(|other| ratelimit_redis::is_same_unit(other, rule.unit)) {
            let problem = format!("it is stored like {other}; another name is needed");
            return Err(InvalidSettings::new(format!("quotas.{name}"), problem));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(name: &str, settings: &QuotaSettings, models: &Models, replicas: u32) -> Result<QuotaRule, InvalidSettings> {
    let at = |key: &str| format!("quotas.{name}{key}");
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(is_plain) {
        let problem = format!("a name is 1 to {NAME_BYTES} of a-z 0-9 - _");
        return Err(InvalidSettings::new(at(""), problem));
    }
    if OWN_UNITS.contains(&name) {
        return Err(InvalidSettings::new(at(""), "a quota of keys has this name"));
    }
    let named = named(&at(".models"), &settings.models, models)?;
    let counts = counts(settings.counts);
    if counts == Counts::Spend
        && let Some(model) = models.values().find(|model| is_meant(&named, model) && is_unpriced(model))
    {
        return Err(InvalidSettings::new(at(".counts"), format!("model {} has no price", model.name())));
    }
    let quota = limit(settings, &at(".limit"))?;
    // What never comes back, and money, is not given away unseen.
    let is_budget = counts == Counts::Spend || quota.window() == Some(Window::Total);
    let on_outage = match settings.on_outage {
        Some(QuotaOnOutage::Share) if is_budget => {
            let problem = "spend and totals are not shared out: a gateway that starts anew has a whole share again";
            return Err(InvalidSettings::new(at(".on_outage"), problem));
        }
        Some(QuotaOnOutage::Share) if replicas == 0 => {
            return Err(InvalidSettings::new(at(".on_outage"), "share needs redis.replicas"));
        }
        Some(QuotaOnOutage::Share) => of_rates(replicas),
        Some(QuotaOnOutage::DangerAllow) => OnOutage::DangerAllow,
        Some(QuotaOnOutage::Refuse) => OnOutage::AskCaller,
        None if is_budget => OnOutage::AskCaller,
        None => of_rates(replicas),
    };
    Ok(QuotaRule {
        name: lasting(name),
        // What was counted of one thing means nothing for another.
        unit: lasting(&format!("{name}.{}", counts.as_str())),
        whose: whose(settings.of),
        models: named,
        each_model: settings.each_model,
        counts,
        quota: quota.on_outage(on_outage),
    })
}

fn named(at: &str, names: &[String], models: &Models) -> Result<Vec<ModelName>, InvalidSettings> {
    let find = |name: &String| {
        let found = models.keys().find(|known| known.as_str() == name).cloned();
        found.ok_or_else(|| {
            let near = nearest(name, models.keys().map(ModelName::as_str));
            InvalidSettings::new(at, format!("there is no model {name}{near}"))
        })
    };
    names.iter().map(find).collect()
}

fn is_meant(named: &[ModelName], model: &Model) -> bool {
    named.is_empty() || named.contains(model.name())
}

/// Whether it reads tokens, and nobody knows what they cost.
fn is_unpriced(model: &Model) -> bool {
    model.price().is_none() && model.operations().iter().any(|operation| *operation != Operation::Infer)
}

fn limit(settings: &QuotaSettings, at: &str) -> Result<Quota, InvalidSettings> {
    let wrong = |problem: String| InvalidSettings::new(at, problem);
    if settings.counts == QuotaCounts::Concurrent {
        let most: Result<NonZeroU32, _> = settings.limit.trim().parse();
        let most = most.map_err(|_| wrong("expected a number of 1 or more, as text".to_owned()))?;
        return Ok(Quota::at_once(most, LEASE));
    }
    let rate: Rate = settings.limit.parse().map_err(|error: keys::InvalidRate| wrong(error.to_string()))?;
    to_quota(&rate).map_err(|error| wrong(error.to_string()))
}

fn whose(of: QuotaOf) -> Whose {
    match of {
        QuotaOf::Key => Whose::Key,
        QuotaOf::Family => Whose::Family,
        QuotaOf::Tenant => Whose::Tenant,
        QuotaOf::Address => Whose::Address,
        QuotaOf::All => Whose::All,
    }
}

fn counts(counts: QuotaCounts) -> Counts {
    match counts {
        QuotaCounts::Requests => Counts::Requests,
        QuotaCounts::Tokens => Counts::Tokens,
        QuotaCounts::InputTokens => Counts::InputTokens,
        QuotaCounts::OutputTokens => Counts::OutputTokens,
        QuotaCounts::Spend => Counts::Spend,
        QuotaCounts::Concurrent => Counts::Concurrent,
    }
}

/// A name that lives as long as the program: buckets are told apart by it. The same name is kept once,
/// however often the settings are read.
fn lasting(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let lasting: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(lasting);
    lasting
}
