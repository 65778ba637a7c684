//! How the budgets of distinct queries stand, for the callers who may ask them.

use std::sync::Arc;

use core_validate::ModelName;
use keys::Principal;
use privacy::distinct::{LedgerError, QueryLedger, Standing};

use crate::policy::Model;

/// How a budget of distinct queries stands.
pub struct QueryStand {
    /// The models that it is about: those of the caller's that are one model of a server.
    pub models: Vec<ModelName>,
    /// Whether it is the budget of the caller's key family, or else that of the tenant.
    pub is_of_family: bool,
    /// How it stands.
    pub standing: Standing,
}

impl QueryStand {
    /// Of each of these models that has such budgets.
    pub(crate) async fn of(
        ledger: &dyn QueryLedger,
        models: impl Iterator<Item = &Arc<Model>>,
        principal: &Principal,
    ) -> Result<Vec<Self>, LedgerError> {
        let mut counted: Vec<(&Arc<Model>, Vec<ModelName>)> = Vec::new();
        for model in models {
            match counted.iter_mut().find(|(other, _)| other.counted_as() == model.counted_as()) {
                Some((_, names)) => names.push(model.name().clone()),
                None => counted.push((model, vec![model.name().clone()])),
            }
        }
        let mut stands = Vec::new();
        for (model, models) in counted {
            let standings = model.disclosure().standings(ledger, principal, model.counted_as()).await?;
            for (at, standing) in standings.into_iter().enumerate() {
                stands.push(Self { models: models.clone(), is_of_family: at > 0, standing });
            }
        }
        Ok(stands)
    }
}
