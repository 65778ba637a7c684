//! Keys and tenants by the hand of whoever holds the data folder, or the database: no key is asked for, and every
//! act is on record.

use audit::{Act, Log, Record};
use keys::{IssueError, IssuedKey, Issuer, KeyId, MAX_LIST, Principal, Revoke, Tenant};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cli::Failure;
use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::key_form::{ChangeForm, KeyForm, RevokeForm, RotateForm, TenantForm, which};
use crate::key_store::Stored;
use crate::request_id::{self, unix_millis};
use crate::trail::Trail;

pub(super) struct Here {
    pub(super) issuer: Issuer,
    stored: Stored,
    settings: Settings,
    data_dir: DataDir,
    /// Opened by the first act.
    log: OnceCell<Log>,
}

type Answer = Result<Value, Failure>;

impl Here {
    pub(super) async fn open(settings: &Settings, data_dir: DataDir) -> Result<Self, Failure> {
        let stored = Stored::open(settings, &data_dir).await.map_err(Failure::new)?;
        let mut issuer = Issuer::new(stored.store(), stored.peppers.clone());
        if let Some(revocations) = settings.redis.revocations().map_err(Failure::new)? {
            issuer = issuer.telling(revocations);
        }
        Ok(Self { issuer, stored, settings: settings.clone(), data_dir, log: OnceCell::new() })
    }

    pub(super) async fn close(self) -> Result<(), Failure> {
        let closed = match self.log.get() {
            Some(log) => log.close().await,
            None => Ok(()),
        };
        self.stored.close().await;
        closed.map_err(Failure::new)
    }

    async fn record(&self, act: Act) -> Result<(), Failure> {
        let open = async || Trail::open(&self.settings, &self.data_dir).await.map(|opened| opened.log);
        let log = self.log.get_or_try_init(open).await.map_err(Failure::new)?;
        log.append(&Record::Act(act)).await.map(drop).map_err(Failure::new)
    }

    pub(super) async fn issue_key(&self, form: KeyForm) -> Answer {
        let new = form.into_new_key(unix_millis()).map_err(Failure::new)?;
        let act = self.begin("keys.issue", None).await?;
        let issued = self.issuer.issue(&Principal::system(), new, unix_millis()).await;
        self.issued(act, issued).await
    }

    pub(super) async fn find_key(&self, id: &KeyId) -> Answer {
        let record = self.issuer.find(&Principal::system(), id, unix_millis()).await.map_err(Failure::new)?;
        Ok(json!({"record": record}))
    }

    pub(super) async fn change_key(&self, id: &KeyId, form: ChangeForm) -> Answer {
        let change = form.into_change(unix_millis()).map_err(Failure::new)?;
        let act = self.begin("keys.change", Some(id.to_string())).await?;
        let updated = self.issuer.update(&Principal::system(), id, change, unix_millis()).await;
        let updated = self.or_record(&act, updated).await?;
        self.done(act, Some(json!(updated.before)), json!(updated.after)).await;
        Ok(json!({"record": updated.after}))
    }

    pub(super) async fn rotate_key(&self, id: &KeyId, form: &RotateForm) -> Answer {
        let act = self.begin("keys.rotate", Some(id.to_string())).await?;
        let issued = self.issuer.rotate(&Principal::system(), id, form.grace(), unix_millis()).await;
        self.issued(act, issued).await
    }

    pub(super) async fn revoke_key(&self, id: &KeyId, form: &RevokeForm) -> Answer {
        let target = if form.family { Revoke::Family((*id).into()) } else { Revoke::Key(*id) };
        let act = if form.family { "keys.revoke_family" } else { "keys.revoke" };
        self.revoke(act, id.to_string(), target).await
    }

    pub(super) async fn list_keys(&self, tenant: Option<&Tenant>, after: Option<&KeyId>) -> Answer {
        let listed = self.issuer.list(&Principal::system(), tenant, after, MAX_LIST, unix_millis()).await;
        let keys = listed.map_err(Failure::new)?;
        let next = if keys.len() == MAX_LIST { keys.last().map(|last| last.id) } else { None };
        Ok(json!({"keys": keys, "next": next}))
    }

    pub(super) async fn add_tenant(&self, form: TenantForm) -> Answer {
        let id: Tenant = form.id.parse().map_err(Failure::new)?;
        let act = self.begin("tenants.add", Some(id.to_string())).await?;
        let added = self.issuer.add_tenant(&Principal::system(), id, form.title, unix_millis()).await;
        let tenant = self.or_record(&act, added).await?;
        self.done(act, None, json!(tenant)).await;
        Ok(json!({"tenant": tenant}))
    }

    pub(super) async fn find_tenant(&self, id: &Tenant) -> Answer {
        let tenant = self.issuer.find_tenant(&Principal::system(), id, unix_millis()).await.map_err(Failure::new)?;
        Ok(json!({"tenant": tenant}))
    }

    pub(super) async fn revoke_tenant(&self, id: &Tenant) -> Answer {
        self.revoke("tenants.revoke", id.to_string(), Revoke::Tenant(id.clone())).await
    }

    pub(super) async fn list_tenants(&self, after: Option<&Tenant>) -> Answer {
        let listed = self.issuer.list_tenants(&Principal::system(), after, MAX_LIST, unix_millis()).await;
        let tenants = listed.map_err(Failure::new)?;
        let next = if tenants.len() == MAX_LIST { tenants.last().map(|last| last.id.clone()) } else { None };
        Ok(json!({"tenants": tenants, "next": next}))
    }

    /// Makes the first admin key.
    pub(super) async fn bootstrap(&self) -> Result<IssuedKey, Failure> {
        let act = self.begin("keys.bootstrap", None).await?;
        let made = self.issuer.bootstrap("first admin key", unix_millis()).await;
        let made = self.or_record(&act, made).await?;
        self.done(act, None, json!(made.record())).await;
        Ok(made)
    }

    /// Records a key that was made without having been asked for before.
    pub(super) async fn made(&self, key: &IssuedKey) -> Result<(), Failure> {
        let act = self.begin("keys.issue", Some(key.record().id.to_string())).await?;
        self.done(act, None, json!(key.record())).await;
        Ok(())
    }

    async fn revoke(&self, act: &str, name: String, target: Revoke) -> Answer {
        let act = self.begin(act, Some(name)).await?;
        let revoked = self.issuer.revoke(&Principal::system(), target, unix_millis()).await;
        let revoked = self.or_record(&act, revoked).await?;
        self.done(act, None, which(&revoked)).await;
        Ok(json!({"revoked": revoked.len()}))
    }

    async fn issued(&self, act: Act, issued: Result<IssuedKey, IssueError>) -> Answer {
        let issued = self.or_record(&act, issued).await?;
        let answer = json!({"key": issued.secret(), "record": issued.record()});
        self.done(act, issued.replaced().map(|replaced| json!(replaced)), json!(issued.record())).await;
        Ok(answer)
    }

    /// Records what is about to be done. What cannot be recorded is not done.
    async fn begin(&self, name: &str, target: Option<String>) -> Result<Act, Failure> {
        let mut act = system_act(name, target);
        act.detail = Some("asked".to_owned());
        self.record(act.clone()).await?;
        Ok(act)
    }

    /// Records why it was not done, if it was not.
    async fn or_record<T>(&self, begun: &Act, result: Result<T, IssueError>) -> Result<T, Failure> {
        if let Err(error) = &result {
            let mut act = begun.clone();
            act.detail = Some(error.to_string());
            // That it was asked for is on record already.
            let _ = self.record(act).await;
        }
        result.map_err(Failure::new)
    }

    async fn done(&self, mut act: Act, before: Option<Value>, after: Value) {
        if act.target.is_none() {
            act.target = after.get("id").and_then(Value::as_str).map(str::to_owned);
        }
        (act.ok, act.detail, act.before, act.after) = (true, Some("done".to_owned()), before, Some(after));
        let _ = self.record(act).await;
    }
}

/// What was done by whoever starts the program or works its command line.
pub(crate) fn system_act(name: &str, target: Option<String>) -> Act {
    let mut act = Act::new(request_id::new(), unix_millis());
    act.who.key_id = Some(Principal::system().key_id().to_string());
    (act.act, act.target) = (name.to_owned(), target);
    act
}
