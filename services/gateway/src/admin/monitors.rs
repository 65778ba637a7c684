//! Monitors over the admin API: who is suspected, learn what honest questions are, forget it.

use std::sync::Arc;

use ::keys::Tenant;
use actix_web::HttpResponse;
use core_validate::ModelName;
use pipeline::{Code, Rejection, Step};
use privacy::{Calibration, Watch, Watched};
use serde_json::json;

use crate::admin::Asked;
use crate::admin::answers::{Monitored, Monitors, Suspect};
use crate::request_id::unix_millis;

/// Most key families of a model that are listed.
const LISTED: usize = 50;

impl Asked<'_> {
    pub(super) async fn list_monitors(self) -> Result<HttpResponse, Rejection> {
        let policy = self.admin.pipeline.policy();
        let watched = policy.models.iter().filter_map(|(name, model)| Some((name, &model.monitoring()?.watch)));
        let monitors = watched.map(|(name, watch)| self.monitored(name, watch)).collect();
        self.read("monitors.list", None, &Monitors { monitors }).await
    }

    pub(super) async fn learn_monitor(self, model: ModelName) -> Result<HttpResponse, Rejection> {
        let Some(watch) = self.watch(&model) else { return Err(self.refuse(Step::Accept, Code::NotFound)) };
        let asked = self.begin("monitors.learn", Some(model.to_string())).await?;
        if watch.learnt().1.is_some() {
            return Err(asked.not_learnt(&model, "it is calibrated: forget that first".to_owned()).await);
        }
        let learning = watch.clone();
        match tokio::task::spawn_blocking(move || learning.learn()).await {
            Ok(Ok(calibration)) => asked.take_up("monitors.learn", &model, &watch, Some(calibration)).await,
            Ok(Err(error)) => Err(asked.not_learnt(&model, error.to_string()).await),
            Err(_) => Err(asked.refuse(Step::Accept, Code::Internal)),
        }
    }

    pub(super) async fn forget_monitor(self, model: ModelName) -> Result<HttpResponse, Rejection> {
        let Some(watch) = self.watch(&model) else { return Err(self.refuse(Step::Accept, Code::NotFound)) };
        let asked = self.begin("monitors.forget", Some(model.to_string())).await?;
        asked.take_up("monitors.forget", &model, &watch, None).await
    }

    /// What is kept is kept before it holds, so that a start finds what others were told.
    async fn take_up(
        self,
        act: &str,
        model: &ModelName,
        watch: &Arc<Watch>,
        calibration: Option<Calibration>,
    ) -> Result<HttpResponse, Rejection> {
        // Whatever the clocks say, it is newer than what is known.
        let at = unix_millis().max(watch.learnt().0 + 1);
        let target = Some(model.to_string());
        if let Err(error) = self.admin.monitors.keep(watch, at, calibration.as_ref()).await {
            tracing::error!(%model, %error, "what was learnt cannot be kept");
            self.not_done(act, target, "it cannot be kept".to_owned()).await;
            return Err(self.refuse(Step::Accept, Code::Internal));
        }
        let families = watch.principals().iter().filter(|family| family.is_enough()).count();
        watch.take_up(calibration, at);
        self.done_as(act, target, None, json!({"at": at, "families": families})).await;
        Ok(self.done(&self.monitored(model, watch)))
    }

    async fn not_learnt(self, model: &ModelName, why: String) -> Rejection {
        self.not_done("monitors.learn", Some(model.to_string()), why.clone()).await;
        let rejection = Rejection::new(self.about.clone(), Step::Admit, Code::Conflict);
        self.admin.pipeline.noted(rejection.message_of(why))
    }

    fn watch(&self, model: &ModelName) -> Option<Arc<Watch>> {
        let policy = self.admin.pipeline.policy();
        Some(policy.models.get(model)?.monitoring()?.watch.clone())
    }

    fn monitored(&self, model: &ModelName, watch: &Watch) -> Monitored {
        let (at, calibration) = watch.learnt();
        let all = watch.principals();
        let learnable = all.iter().filter(|family| family.is_enough()).count();
        let mut suspects: Vec<Suspect> = all.into_iter().filter_map(|family| self.suspect(family)).collect();
        let families = suspects.len();
        suspects.truncate(LISTED);
        Monitored {
            model: model.to_string(),
            is_calibrated: calibration.is_some(),
            since: (at > 0).then_some(at),
            learnable: calibration.is_none().then_some(learnable),
            families,
            suspects,
        }
    }

    /// A family within reach.
    fn suspect(&self, Watched { who, suspicion, queries }: Watched) -> Option<Suspect> {
        let (tenant, family) = who.split_once(':')?;
        tenant.parse::<Tenant>().ok().filter(|tenant| self.principal.reaches(tenant))?;
        Some(Suspect {
            tenant: tenant.to_owned(),
            family: family.to_owned(),
            suspicion: suspicion.value(),
            reason: suspicion.reason().map(|reason| reason.as_str()),
            is_raised: suspicion.is_raised(),
            queries,
        })
    }
}
