//! Admit: the model is in scope, every quota holds the cost. Opens the ticket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use core_validate::{InferenceRequest, Operation, Usage};
use ratelimit_redis::{Decision, Denial, Standing};

use crate::about::About;
use crate::closer::Tickets;
use crate::code::{Code, Step};
use crate::plan::Cost;
use crate::policy::{Model, Policy};
use crate::read::Parsed;
use crate::rejection::Rejection;
use crate::schemas::Schemas;
use crate::ticket::{Opening, Ticket};

/// When to ask again, if nobody knows.
const AGAIN: Duration = Duration::from_secs(1);

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
        schemas: &Schemas,
        tickets: &Tickets,
    ) -> Result<Admitted, Rejection> {
        let Self { about, principal, mut request, body_bytes, room } = self;
        let Some(model) = policy.model(&principal, request.model(), request.operation()).cloned() else {
            return Err(Rejection::new(about, Step::Admit, Code::ModelNotFound));
        };
        let note =
            || schemas.note(&principal.family().to_string(), request.schemas(), policy.max_schemas, Instant::now());
        if request.schemas().next().is_some()
            && let Err(wait) = note()
        {
            return Err(Rejection::new(about, Step::Admit, Code::TooManySchemas).retry_after_of(wait));
        }
        request.clamp_output(model.max_output_tokens());
        let plan = policy.plan(&about, &principal, Some(model.name()));
        if plan.counts_spend() && model.price().is_none() && request.operation() != Operation::Infer {
            return Err(Rejection::new(about, Step::Admit, Code::NotPriced));
        }
        let estimate = Usage { input_tokens: request.estimated_input_tokens(), output_tokens: 0 };
        let output = u64::from(request.max_output_tokens().unwrap_or(0).min(policy.reserve_output_tokens))
            * u64::from(request.computed_choices());
        let reserved = Usage { output_tokens: output, ..model.history().correct(estimate) };
        let Some(place) = tickets.place() else {
            let rejection = Rejection::new(about, Step::Admit, Code::Busy);
            return Err(rejection.retry_after_of(AGAIN));
        };
        let cost = Cost { usage: reserved, price: model.price(), is_under_way: true };
        match tickets.reserve(&plan.charges(&cost)).await {
            Ok(Decision::Allow(held)) => {
                let standings = held.standings().to_vec();
                let choices = request.computed_choices();
                let opening = Opening { about, held, plan, model: model.clone(), estimate, reserved, choices };
                let ticket = tickets.open(opening, place, room);
                Ok(Admitted { ticket, request, model, standings, body_bytes })
            }
            Ok(decision) => Err(refusal(about, decision)),
            Err(_) => Err(Rejection::new(about, Step::Admit, Code::LimitsUnavailable).retry_after_of(AGAIN)),
        }
    }
}

fn refusal(about: About, decision: Decision) -> Rejection {
    match decision {
        Decision::Deny(denial) => denied(about, &denial),
        Decision::NeverFits(error) => {
            let (cost, most, unit) = (error.cost(), error.most(), error.policy());
            let message = format!("the request may cost {cost}, the quota {unit} holds at most {most}");
            Rejection::new(about, Step::Admit, Code::CostExceedsQuota).message_of(message).limits_of(unit, Vec::new())
        }
        Decision::Allow(_) => Rejection::new(about, Step::Admit, Code::Internal),
    }
}

/// A quota does not hold the cost now, or never will again.
pub(crate) fn denied(about: About, denial: &Denial) -> Rejection {
    let policy = denial.policy();
    if denial.is_outage() {
        let wait = denial.retry_after().unwrap_or(AGAIN);
        return Rejection::new(about, Step::Admit, Code::LimitsUnavailable).retry_after_of(wait);
    }
    let rejection = match denial.retry_after() {
        Some(wait) => Rejection::new(about, Step::Admit, Code::RateLimitExceeded)
            .message_of(format!("the quota {policy} is used up for now"))
            .retry_after_of(wait),
        None => Rejection::new(about, Step::Admit, Code::InsufficientQuota)
            .message_of(format!("the budget {policy} is spent")),
    };
    rejection.limits_of(policy, denial.standings().to_vec())
}
