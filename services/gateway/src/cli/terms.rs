//! The terms of a key as arguments: for a new key, and for one that changes.

use std::num::{NonZeroU32, NonZeroU64};

use clap::{Args, ValueEnum};
use keys::{AdminAct, AdminScopes, InferenceScopes, KeyId, KeyLimits, Networks, Operation, Rate, Scopes};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::Failure;
use crate::key_form::ChangeForm;

#[derive(Debug, Args)]
pub(super) struct TermsArguments {
    #[command(flatten)]
    pub(super) scopes: ScopesArguments,
    #[command(flatten)]
    pub(super) limits: LimitsArguments,
    /// A network from which it may be used, such as 192.0.2.0/24; from anywhere without. May be given again.
    #[arg(long = "address", value_name = "CIDR")]
    addresses: Vec<String>,
    /// When it begins to work, in seconds from now.
    #[arg(long, value_name = "SECONDS")]
    begins_in: Option<u64>,
    /// When it ends, in seconds from now.
    #[arg(long, value_name = "SECONDS")]
    pub(super) expires_in: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct ScopesArguments {
    /// A model it may use; `*` stands for anything. May be given again.
    #[arg(long = "model", value_name = "PATTERN")]
    models: Vec<String>,
    /// What it may do: chat, complete, embed, infer. May be given again; default: all.
    #[arg(long = "operation")]
    operations: Vec<Operation>,
    /// Leave the system texts of its requests unscreened.
    #[arg(long)]
    trust_system: bool,
    /// Instead of models: what it may administer, such as keys:write. May be given again.
    #[arg(long = "admin", value_name = "ACT", conflicts_with_all = ["models", "operations", "trust_system"])]
    acts: Vec<AdminAct>,
    /// A model that keys made with this admin key may use; any without. May be given again.
    #[arg(long = "grant-model", value_name = "PATTERN", requires = "acts")]
    granted_models: Vec<String>,
    /// What keys made with this admin key may do; anything without. May be given again.
    #[arg(long = "grant-operation", value_name = "OPERATION", requires = "acts")]
    granted_operations: Vec<Operation>,
}

#[derive(Debug, Args)]
pub(super) struct LimitsArguments {
    /// How many requests, such as '5/second burst 10', '1000/day' or '100000/total'.
    #[arg(long)]
    requests: Option<Rate>,
    /// How many tokens, such as '100000/minute'.
    #[arg(long)]
    tokens: Option<Rate>,
    /// How many tokens models may read for it.
    #[arg(long)]
    input_tokens: Option<Rate>,
    /// How many tokens models may write for it.
    #[arg(long)]
    output_tokens: Option<Rate>,
    /// How much it may cost, in millionths of what prices are in, such as '5000000/day'.
    #[arg(long)]
    spend: Option<Rate>,
    /// How much it may cost in all, in the same unit.
    #[arg(long)]
    budget: Option<NonZeroU64>,
    /// How many requests may be under way at once.
    #[arg(long)]
    concurrent: Option<NonZeroU32>,
}

#[derive(Debug, Args)]
pub(super) struct ChangeArguments {
    /// The key's id, such as pck1_Ab3...
    pub(super) id: KeyId,
    /// What the key is for.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    terms: TermsArguments,
    /// What shall hold no more. May be given again.
    #[arg(long, value_name = "TERM")]
    clear: Vec<Clear>,
}

/// A term that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Clear {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
    Spend,
    Budget,
    Concurrent,
    Addresses,
    NotBefore,
    ExpiresAt,
}

impl TermsArguments {
    /// The networks, if there are any.
    pub(super) fn addresses(&self) -> Result<Option<Networks>, Failure> {
        let networks = Networks::new(&self.addresses).map_err(Failure::new)?;
        Ok((!networks.is_anywhere()).then_some(networks))
    }

    pub(super) fn not_before(&self, now: u64) -> Option<u64> {
        self.begins_in.map(|seconds| now.saturating_add(seconds.saturating_mul(1_000)))
    }
}

impl ScopesArguments {
    fn is_empty(&self) -> bool {
        self.models.is_empty() && self.operations.is_empty() && !self.trust_system && self.acts.is_empty()
    }

    pub(super) fn scopes(&self) -> Result<Scopes, Failure> {
        if self.acts.is_empty() {
            let scopes = inference(&self.models, &self.operations)?;
            return Ok(Scopes::Inference(if self.trust_system { scopes.with_trust_system() } else { scopes }));
        }
        let scopes = AdminScopes::new(self.acts.iter().copied()).map_err(Failure::new)?;
        if self.granted_models.is_empty() && self.granted_operations.is_empty() {
            return Ok(Scopes::Admin(scopes));
        }
        Ok(Scopes::Admin(scopes.with_grants(inference(&self.granted_models, &self.granted_operations)?)))
    }
}

/// Every model and every operation, where none is named.
fn inference(models: &[String], operations: &[Operation]) -> Result<InferenceScopes, Failure> {
    let all = ["*".to_owned()];
    let models = if models.is_empty() { &all } else { models };
    let operations = if operations.is_empty() { Operation::ALL } else { operations };
    InferenceScopes::new(models.iter().cloned(), operations.iter().copied()).map_err(Failure::new)
}

impl LimitsArguments {
    /// These limits, and the others as they are.
    pub(super) fn over(&self, limits: KeyLimits) -> KeyLimits {
        KeyLimits {
            requests: self.requests.or(limits.requests),
            tokens: self.tokens.or(limits.tokens),
            input_tokens: self.input_tokens.or(limits.input_tokens),
            output_tokens: self.output_tokens.or(limits.output_tokens),
            spend: self.spend.or(limits.spend),
            budget: self.budget.or(limits.budget),
            concurrent: self.concurrent.or(limits.concurrent),
        }
    }
}

impl ChangeArguments {
    /// What to ask for, of a key that was seen like this.
    pub(super) fn form(&self, seen: &Value, now: u64) -> Result<ChangeForm, Failure> {
        let Self { name, terms, clear, .. } = self;
        let is_cleared = |term| clear.contains(&term);
        let mut limits: KeyLimits = read(seen, "limits")?;
        for (term, rate) in [
            (Clear::Requests, &mut limits.requests),
            (Clear::Tokens, &mut limits.tokens),
            (Clear::InputTokens, &mut limits.input_tokens),
            (Clear::OutputTokens, &mut limits.output_tokens),
            (Clear::Spend, &mut limits.spend),
        ] {
            *rate = rate.filter(|_| !is_cleared(term));
        }
        limits.budget = limits.budget.filter(|_| !is_cleared(Clear::Budget));
        limits.concurrent = limits.concurrent.filter(|_| !is_cleared(Clear::Concurrent));
        let cleared_addresses = is_cleared(Clear::Addresses).then(Networks::default);
        Ok(ChangeForm {
            name: name.clone(),
            scopes: if terms.scopes.is_empty() { None } else { Some(terms.scopes.scopes()?) },
            limits: Some(terms.limits.over(limits)),
            addresses: terms.addresses()?.or(cleared_addresses),
            not_before: terms.not_before(now).map(Some).or(is_cleared(Clear::NotBefore).then_some(None)),
            expires_at: is_cleared(Clear::ExpiresAt).then_some(None),
            expires_in_seconds: terms.expires_in,
            version: Some(read(seen, "version")?),
        })
    }
}

fn read<T: DeserializeOwned>(seen: &Value, key: &str) -> Result<T, Failure> {
    let value = seen.get(key).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|_| Failure::new(format!("the gateway's answer has no {key}")))
}
