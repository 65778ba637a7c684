//! Admit: the model is in scope, its tensors fit, every quota holds the cost. Opens the ticket.

use std::sync::Arc;
use std::time::Duration;

use core_validate::InferenceRequest;
use keys::Principal;
use ratelimit_redis::{Charge, Decision, Denial, Limiter, Quota, Standing};

use crate::about::About;
use crate::code::{Code, Step};
use crate::convert::to_quota;
use crate::policy::{Model, Policy};
use crate::read::Parsed;
use crate::rejection::Rejection;
use crate::ticket::{Ticket, Tickets};

/// A request that may be answered, and whose cost is held.
pub struct Admitted {
    pub(crate) ticket: Ticket,
    pub(crate) request: InferenceRequest,
    pub(crate) model: Arc<Model>,
    pub(crate) standings: Vec<Standing>,
    pub(crate) body_bytes: usize,
}

impl Parsed {
    /// Finds the model and reserves the cost, all quotas or none.
    pub(crate) async fn admit(
        self,
        policy: &Policy,
        limiter: &dyn Limiter,
        tickets: &Tickets,
    ) -> Result<Admitted, Rejection> {
        let Self { about, principal, mut request, body_bytes, room } = self;
        let Some(model) = policy.model(&principal, request.model(), request.operation()).cloned() else {
            return Err(Rejection::new(about, Step::Admit, Code::ModelNotFound));
        };
        if let Some(spec) = model.spec()
            && let Err(invalid) = request.check_spec(spec)
        {
            return Err(Rejection::invalid(about, Step::Admit, &invalid));
        }
        request.clamp_output(model.max_output_tokens());
        let input = request.estimated_input_tokens();
        let output = u64::from(request.max_output_tokens().unwrap_or(0).min(policy.reserve_output_tokens))
            * u64::from(request.computed_choices());
        let Some(place) = tickets.place() else {
            let rejection = Rejection::new(about, Step::Admit, Code::Busy);
            return Err(rejection.retry_after_of(Duration::from_secs(1)));
        };
        let buckets = Buckets::of(&principal);
        let charges = buckets.charges(input + output);
        match limiter.reserve(&charges).await {
            Ok(Decision::Allow(held)) => {
                let standings = held.standings().to_vec();
                let ticket = Tickets::open(about, held, input, place, room);
                Ok(Admitted { ticket, request, model, standings, body_bytes })
            }
            Ok(decision) => Err(refusal(about, decision)),
            Err(_) => Err(Rejection::new(about, Step::Admit, Code::LimitsUnavailable)),
        }
    }
}

fn refusal(about: About, decision: Decision) -> Rejection {
    match decision {
        Decision::Deny(denial) => denied(about, &denial),
        Decision::NeverFits(error) => {
            let (cost, most, unit) = (error.cost(), error.most(), error.policy());
            let message = format!("the request may cost {cost} {unit}, the quota of this key holds at most {most}");
            Rejection::new(about, Step::Admit, Code::CostExceedsQuota).message_of(message).limits_of(unit, Vec::new())
        }
        Decision::Allow(_) => Rejection::new(about, Step::Admit, Code::Internal),
    }
}

/// A quota does not hold the cost now.
pub(crate) fn denied(about: About, denial: &Denial) -> Rejection {
    Rejection::new(about, Step::Admit, Code::RateLimitExceeded)
        .retry_after_of(denial.retry_after().unwrap_or_default())
        .limits_of(denial.policy(), denial.standings().to_vec())
}

/// The buckets of a key family: rotating a key does not fill them.
pub(crate) struct Buckets {
    name: String,
    quotas: Vec<(&'static str, Quota)>,
}

impl Buckets {
    pub(crate) fn of(principal: &Principal) -> Self {
        let limits = principal.limits();
        let requests = limits.requests.as_ref().map(|rate| ("requests", to_quota(rate)));
        let tokens = limits.tokens.as_ref().map(|rate| ("tokens", to_quota(rate)));
        Self { name: format!("family:{}", principal.family()), quotas: requests.into_iter().chain(tokens).collect() }
    }

    /// One request that costs so many tokens.
    pub(crate) fn charges(&self, tokens: u64) -> Vec<Charge<'_>> {
        let cost = |unit| if unit == "requests" { 1 } else { tokens };
        let charge = |&(unit, quota)| Charge::new(&self.name, unit, quota, cost(unit));
        self.quotas.iter().map(charge).collect()
    }
}
