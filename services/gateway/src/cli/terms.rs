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
    /// A model it may use; `*` stands for anything. May be given again; of a new key, default: `*`.
    #[arg(long = "model", value_name = "PATTERN")]
    models: Vec<String>,
    /// What it may do: chat, complete, embed, infer. May be given again; of a new key, default: all.
    #[arg(long = "operation")]
    operations: Vec<Operation>,
    /// Leave the system texts of its requests unscreened.
    #[arg(long)]
    trust_system: bool,
    /// Instead of models: what it may administer, such as keys:write. May be given again.
    #[arg(long = "admin", value_name = "ACT", conflicts_with_all = ["models", "operations", "trust_system"])]
    acts: Vec<AdminAct>,
    /// A model that keys made with this admin key may use; any without. May be given again.
    #[arg(long = "grant-model", value_name = "PATTERN", conflicts_with_all = ["models", "operations", "trust_system"])]
    granted_models: Vec<String>,
    /// What keys made with this admin key may do; anything without. May be given again.
    #[arg(long = "grant-operation", value_name = "OPERATION", conflicts_with_all = ["models", "operations", "trust_system"])]
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
        let Self { models, operations, trust_system, acts, granted_models, granted_operations } = self;
        let names_nothing = models.is_empty() && operations.is_empty() && !trust_system && acts.is_empty();
        names_nothing && granted_models.is_empty() && granted_operations.is_empty()
    }

    /// The scopes of a new key: every model and every operation, where none is named.
    pub(super) fn scopes(&self) -> Result<Scopes, Failure> {
        if self.is_of_admin() { self.admin(None) } else { self.inference(None) }
    }

    fn is_of_admin(&self) -> bool {
        !self.acts.is_empty() || !self.granted_models.is_empty() || !self.granted_operations.is_empty()
    }

    /// The scopes of a key that has some: what is not named stays.
    fn over(&self, seen: &Scopes) -> Result<Scopes, Failure> {
        match seen {
            _ if self.is_empty() => Ok(seen.clone()),
            Scopes::Inference(seen) if !self.is_of_admin() => self.inference(Some(seen)),
            Scopes::Admin(seen) if self.is_of_admin() => self.admin(Some(seen)),
            // Of the other kind: the gateway says why not.
            _ => self.scopes(),
        }
    }

    fn inference(&self, seen: Option<&InferenceScopes>) -> Result<Scopes, Failure> {
        let scopes = asked_of_models(&self.models, &self.operations, seen)?;
        let is_trusting = self.trust_system || seen.is_some_and(InferenceScopes::trusts_system);
        Ok(Scopes::Inference(if is_trusting { scopes.with_trust_system() } else { scopes }))
    }

    fn admin(&self, seen: Option<&AdminScopes>) -> Result<Scopes, Failure> {
        let acts = match seen {
            Some(seen) if self.acts.is_empty() => seen.acts().collect(),
            _ => self.acts.clone(),
        };
        let scopes = AdminScopes::new(acts).map_err(Failure::new)?;
        let granted = seen.and_then(AdminScopes::grants);
        Ok(Scopes::Admin(match granted {
            None if self.granted_models.is_empty() && self.granted_operations.is_empty() => scopes,
            _ => {
                let most = asked_of_models(&self.granted_models, &self.granted_operations, granted)?;
                let is_trusting = granted.is_some_and(InferenceScopes::trusts_system);
                scopes.with_grants(if is_trusting { most.with_trust_system() } else { most })
            }
        }))
    }
}

/// What is named, else what was seen, else everything.
fn asked_of_models(
    models: &[String],
    operations: &[Operation],
    seen: Option<&InferenceScopes>,
) -> Result<InferenceScopes, Failure> {
    let models = match seen {
        Some(seen) if models.is_empty() => seen.models().to_vec(),
        None if models.is_empty() => vec!["*".to_owned()],
        _ => models.to_vec(),
    };
    let operations = match seen {
        Some(seen) if operations.is_empty() => seen.operations().collect(),
        None if operations.is_empty() => Operation::ALL.to_vec(),
        _ => operations.to_vec(),
    };
    InferenceScopes::new(models, operations).map_err(Failure::new)
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
            scopes: Some(terms.scopes.over(&read(seen, "scopes")?)?),
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
