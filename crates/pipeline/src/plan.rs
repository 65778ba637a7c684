//! Which quotas count a request, and what it costs in each.

use std::fmt::Write as _;
use std::net::IpAddr;

use core_validate::{ModelName, Usage};
use keys::Principal;
use ratelimit_redis::{Actual, Charge, OnOutage, Quota};

use crate::convert::to_largest_quota;
use crate::estimate::Price;

/// The units of a key's own quotas, which no other quota may be called.
pub const OWN_UNITS: [&str; 7] =
    ["requests", "tokens", "input_tokens", "output_tokens", "spend", "budget", "concurrent"];

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// One for each request.
    Requests,
    /// Tokens read and written.
    Tokens,
    /// Tokens read.
    InputTokens,
    /// Tokens written.
    OutputTokens,
    /// Millionths of the currency that prices are in.
    Spend,
    /// Requests under way.
    Concurrent,
}

impl Counts {
    /// The word for it, as in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Spend => "spend",
            Self::Concurrent => "concurrent",
        }
    }
}

/// Whose requests a quota counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of one key.
    Key,
    /// Those of a key and of what it was rotated from and into.
    Family,
    /// Those of a tenant.
    Tenant,
    /// Those from one address; of IPv6, one /64.
    Address,
    /// Everybody's.
    All,
}

impl Whose {
    /// The word for it, as in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Family => "family",
            Self::Tenant => "tenant",
            Self::Address => "address",
            Self::All => "all",
        }
    }
}

/// A quota of the settings.
#[derive(Debug, Clone)]
pub struct QuotaRule {
    /// Its name, in refusals, headers and metrics.
    pub name: &'static str,
    /// Its unit in a bucket; another one for each thing that it may count.
    pub unit: &'static str,
    /// Whose requests it counts.
    pub whose: Whose,
    /// For these models only; for all of them, if there are none.
    pub models: Vec<ModelName>,
    /// Whether each model has a bucket of its own.
    pub each_model: bool,
    /// What it counts.
    pub counts: Counts,
    /// How much.
    pub quota: Quota,
}

/// What a request costs, or cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) usage: Usage,
    pub(crate) price: Option<Price>,
    /// Whether the request is one that goes to a model, and so is under way for a while.
    pub(crate) is_under_way: bool,
}

impl Cost {
    /// In millionths of the currency, if there is a price.
    pub(crate) fn spend(&self) -> Option<u64> {
        self.price.map(|price| price.of(self.usage))
    }

    fn of(&self, counts: Counts) -> u64 {
        let Usage { input_tokens, output_tokens } = self.usage;
        match counts {
            Counts::Requests => 1,
            Counts::Tokens => input_tokens.saturating_add(output_tokens),
            Counts::InputTokens => input_tokens,
            Counts::OutputTokens => output_tokens,
            Counts::Spend => self.spend().unwrap_or(0),
            Counts::Concurrent => u64::from(self.is_under_way),
        }
    }
}

/// The quotas that count one request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    name: String,
    whose: Whose,
    apart: Apart,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: &'static str,
    unit: &'static str,
    counts: Counts,
    quota: Quota,
}

/// What shares a bucket: only quotas that always count together, because a bucket refills those that a request
/// names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Apart {
    /// Quotas over all models.
    No,
    /// Those that each model has for itself.
    EachModel,
    /// A quota over some models.
    Rule(&'static str),
}

/// A quota of a plan, beside its standing.
#[derive(Debug, Clone)]
pub struct Planned {
    pub(crate) bucket: String,
    /// Whose requests it counts.
    pub whose: Whose,
    /// The models that it counts together or alone; all of them, if there are none.
    pub models: Vec<ModelName>,
    /// What it counts.
    pub counts: Counts,
}

/// Who asks, as buckets are named after them. The tenant is the part that a Redis Cluster places them by, so
/// that all buckets of a request but those of addresses and of everybody are in one place.
struct Subject<'a> {
    principal: &'a Principal,
    address: IpAddr,
}

impl Subject<'_> {
    fn bucket(&self, whose: Whose, apart: Apart, model: Option<&ModelName>) -> String {
        let (tenant, principal) = (self.principal.tenant(), self.principal);
        let mut name = match whose {
            Whose::Key => format!("{{{tenant}}}key:{}", principal.key_id()),
            Whose::Family => format!("{{{tenant}}}family:{}", principal.family()),
            Whose::Tenant => format!("{{{tenant}}}tenant"),
            Whose::Address => format!("address:{}", keys::network_of(self.address)),
            Whose::All => "all".to_owned(),
        };
        let _ = match (apart, model) {
            (Apart::EachModel, Some(model)) => write!(name, "/{model}"),
            (Apart::Rule(rule), _) => write!(name, "#{rule}"),
            _ => Ok(()),
        };
        name
    }
}

impl Plan {
    /// Of a request to `model`, or to none; `on_outage` is what a key's own rates do without Redis.
    pub(crate) fn of(
        principal: &Principal,
        address: IpAddr,
        rules: &[QuotaRule],
        on_outage: OnOutage,
        model: Option<&ModelName>,
    ) -> Self {
        let subject = Subject { principal, address };
        let mut plan = Self::default();
        for (unit, counts, quota) in own(principal, on_outage) {
            plan.add(&subject, Whose::Family, Apart::No, model, Entry { name: unit, unit, counts, quota });
        }
        for rule in rules {
            let is_meant = if rule.models.is_empty() {
                model.is_some() || !rule.each_model
            } else {
                model.is_some_and(|model| rule.models.contains(model))
            };
            if is_meant {
                let apart = match rule.each_model {
                    true => Apart::EachModel,
                    false if rule.models.is_empty() => Apart::No,
                    false => Apart::Rule(rule.name),
                };
                let QuotaRule { name, unit, counts, quota, .. } = *rule;
                plan.add(&subject, rule.whose, apart, model, Entry { name, unit, counts, quota });
            }
        }
        plan
    }

    fn add(&mut self, subject: &Subject<'_>, whose: Whose, apart: Apart, model: Option<&ModelName>, entry: Entry) {
        match self.buckets.iter_mut().find(|bucket| (bucket.whose, bucket.apart) == (whose, apart)) {
            Some(bucket) => bucket.entries.push(entry),
            None => {
                let name = subject.bucket(whose, apart, model);
                self.buckets.push(Bucket { name, whose, apart, entries: vec![entry] });
            }
        }
    }

    /// What the request costs in each quota.
    pub(crate) fn charges(&self, cost: &Cost) -> Vec<Charge<'_>> {
        let mut charges = Vec::with_capacity(self.entries().count());
        for bucket in &self.buckets {
            for Entry { name, unit, counts, quota } in &bucket.entries {
                charges.push(Charge::new(&bucket.name, unit, *quota, cost.of(*counts)).policy(name));
            }
        }
        charges
    }

    /// What it cost in the end.
    pub(crate) fn actual(&self, cost: &Cost) -> Actual {
        let is_known = |entry: &&Entry| !matches!(entry.counts, Counts::Requests | Counts::Concurrent);
        let entries = self.entries().filter(is_known);
        entries.fold(Actual::as_charged(), |actual, entry| actual.unit(entry.unit, cost.of(entry.counts)))
    }

    /// Whether a quota counts spend, so that a model must have a price.
    pub(crate) fn counts_spend(&self) -> bool {
        self.entries().any(|entry| entry.counts == Counts::Spend)
    }

    /// Whether a quota counts what is under way, so that it must be told who still is.
    pub(crate) fn has_slots(&self) -> bool {
        self.entries().any(|entry| entry.counts == Counts::Concurrent)
    }

    /// What each of its charges is about.
    pub(crate) fn planned(&self, rules: &[QuotaRule], model: Option<&ModelName>) -> Vec<Planned> {
        let mut planned = Vec::new();
        for Bucket { name, whose, entries, .. } in &self.buckets {
            for Entry { unit, counts, .. } in entries {
                let models = match rules.iter().find(|rule| rule.unit == *unit) {
                    Some(rule) if rule.each_model => model.cloned().into_iter().collect(),
                    Some(rule) => rule.models.clone(),
                    None => Vec::new(),
                };
                planned.push(Planned { bucket: name.clone(), whose: *whose, models, counts: *counts });
            }
        }
        planned
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flat_map(|bucket| &bucket.entries)
    }
}

/// The quotas that a key names itself. Its budgets are never allowed unseen.
fn own(principal: &Principal, on_outage: OnOutage) -> impl Iterator<Item = (&'static str, Counts, Quota)> {
    let limits = principal.limits();
    let rate = |unit, counts, rate: Option<keys::Rate>| {
        rate.map(|rate| {
            let quota = to_largest_quota(&rate);
            let is_budget = rate.per == keys::Per::Total || counts == Counts::Spend;
            (unit, counts, if is_budget { quota } else { quota.on_outage(on_outage) })
        })
    };
    let budget = limits.budget.map(|units| keys::Rate { units, per: keys::Per::Total, burst: units });
    let slots = limits.concurrent.map(|most| {
        ("concurrent", Counts::Concurrent, Quota::at_once(most, crate::ticket::LEASE).on_outage(on_outage))
    });
    [
        rate("requests", Counts::Requests, limits.requests),
        rate("tokens", Counts::Tokens, limits.tokens),
        rate("input_tokens", Counts::InputTokens, limits.input_tokens),
        rate("output_tokens", Counts::OutputTokens, limits.output_tokens),
        rate("spend", Counts::Spend, limits.spend),
        rate("budget", Counts::Spend, budget),
        slots,
    ]
    .into_iter()
    .flatten()
}
