//! How the budgets of privacy stand, for the callers who may spend of them.

use std::sync::Arc;

use core_validate::ModelName;
use ratelimit_redis::{LimiterError, Quota, Standing};

use crate::policy::Model;
use crate::release::Releaser;
use crate::release_rule::PrivateData;

/// How a budget of privacy stands.
pub struct PrivacyStand {
    /// The data set.
    pub data_set: String,
    /// The models that spend of it, as far as the caller may use them.
    pub models: Vec<ModelName>,
    /// Whether it is the budget of the caller's key family, or else that of all.
    pub is_of_family: bool,
    /// The budget, in billionths of zCDP.
    pub quota: Quota,
    /// What is left of it.
    pub remaining: u64,
}

impl PrivacyStand {
    /// Of each data set that these models spend of.
    pub(crate) async fn of(
        releaser: &Releaser,
        models: impl Iterator<Item = &Arc<Model>>,
        family: &str,
    ) -> Result<Vec<Self>, LimiterError> {
        let mut sets: Vec<(&PrivateData, Vec<ModelName>)> = Vec::new();
        for (model, rule) in models.filter_map(|model| Some((model, model.release()?))) {
            match sets.iter_mut().find(|(data, _)| data.name() == rule.data.name()) {
                Some((_, models)) => models.push(model.name().clone()),
                None => sets.push((&rule.data, vec![model.name().clone()])),
            }
        }
        let mut stands = Vec::new();
        for (data, models) in sets {
            for (at, standing) in releaser.standings(data, family).await?.into_iter().enumerate() {
                let Standing { quota, remaining, .. } = standing;
                let (data_set, models) = (data.name().to_owned(), models.clone());
                stands.push(Self { data_set, models, is_of_family: at > 0, quota, remaining });
            }
        }
        Ok(stands)
    }
}
