//! Keys over the admin API: issue, list, look at, change, rotate, revoke.

use ::keys::{IssueError, IssuedKey, KeyId, Once, Revoke, Updated};
use actix_web::{HttpRequest, HttpResponse};
use pipeline::{Code, Rejection, Step};
use serde_json::json;

use crate::admin::Asked;
use crate::admin::answers::{Issued, Key, Keys, Revoked};
use crate::admin::query::Query;
use crate::edge::body::Body;
use crate::http::render;
use crate::key_form::{ChangeForm, KeyForm, RevokeForm, RotateForm, which};
use crate::request_id::unix_millis;

impl Asked<'_> {
    pub(super) async fn list_keys(self, request: &HttpRequest) -> Result<HttpResponse, Rejection> {
        let Some(query) = Query::<KeyId>::read(request, true) else {
            return Err(self.refuse(Step::Read, Code::BadRequest));
        };
        let Query { tenant, after, limit } = query;
        let listed =
            self.admin.issuer.list(&self.principal, tenant.as_ref(), after.as_ref(), limit, unix_millis()).await;
        match listed {
            Ok(keys) => {
                let next = if keys.len() == limit { keys.last().map(|last| last.id) } else { None };
                let target = tenant.map(|tenant| tenant.to_string());
                self.read("keys.list", target, &Keys { keys, next }).await
            }
            Err(error) => Err(self.refuse_issue(&error)),
        }
    }

    pub(super) async fn find_key(self, id: KeyId) -> Result<HttpResponse, Rejection> {
        match self.admin.issuer.find(&self.principal, &id, unix_millis()).await {
            Ok(record) => self.read("keys.find", Some(id.to_string()), &Key { record: &record }).await,
            Err(error) => Err(self.refuse_issue(&error)),
        }
    }

    pub(super) async fn issue_key(self, request: &HttpRequest, body: &Body) -> Result<HttpResponse, Rejection> {
        let (asked, bytes, form) = self.form::<KeyForm>(body).await?;
        let (asked, once) = asked.once(request, &bytes)?;
        let new = match form.into_new_key(unix_millis()) {
            Ok(new) => new,
            Err(error) => return Err(asked.refuse_form(error.to_string())),
        };
        let asked = asked.begin("keys.issue", None).await?;
        match asked.admin.issuer.issue_once(&asked.principal, new, once.as_ref(), unix_millis()).await {
            // The tenant is in the body, not in the path.
            Err(error @ IssueError::NoTenant) => {
                asked.not_done("keys.issue", None, error.to_string()).await;
                Err(asked.refuse_form(error.to_string()))
            }
            issued => asked.issued("keys.issue", None, issued).await,
        }
    }

    pub(super) async fn change_key(self, id: KeyId, body: &Body) -> Result<HttpResponse, Rejection> {
        let (asked, _, form) = self.form::<ChangeForm>(body).await?;
        let change = match form.into_change(unix_millis()) {
            Ok(change) => change,
            Err(error) => return Err(asked.refuse_form(error.to_string())),
        };
        let target = Some(id.to_string());
        let asked = asked.begin("keys.change", target.clone()).await?;
        match asked.admin.issuer.update(&asked.principal, &id, change, unix_millis()).await {
            Ok(Updated { before, after }) => {
                asked.done_as("keys.change", target, Some(json!(before)), json!(after)).await;
                Ok(asked.done(&Key { record: &after }))
            }
            Err(error) => Err(asked.failed("keys.change", target, &error).await),
        }
    }

    pub(super) async fn rotate_key(
        self,
        id: KeyId,
        request: &HttpRequest,
        body: &Body,
    ) -> Result<HttpResponse, Rejection> {
        let (asked, bytes, form) = self.form::<RotateForm>(body).await?;
        let (asked, once) = asked.once(request, &bytes)?;
        let target = Some(id.to_string());
        let asked = asked.begin("keys.rotate", target.clone()).await?;
        let grace = form.grace();
        let issued = asked.admin.issuer.rotate_once(&asked.principal, &id, grace, once.as_ref(), unix_millis()).await;
        asked.issued("keys.rotate", target, issued).await
    }

    pub(super) async fn revoke_key(self, id: KeyId, body: &Body) -> Result<HttpResponse, Rejection> {
        let (asked, _, form) = self.form::<RevokeForm>(body).await?;
        let target = if form.family { Revoke::Family(id.into()) } else { Revoke::Key(id) };
        let act = if form.family { "keys.revoke_family" } else { "keys.revoke" };
        asked.revoke(act, id.to_string(), target).await
    }

    pub(super) async fn revoke(self, act: &str, name: String, target: Revoke) -> Result<HttpResponse, Rejection> {
        let asked = self.begin(act, Some(name.clone())).await?;
        match asked.admin.issuer.revoke(&asked.principal, target, unix_millis()).await {
            Ok(revoked) => {
                asked.done_as(act, Some(name), None, which(&revoked)).await;
                Ok(asked.done(&Revoked { revoked: revoked.len() }))
            }
            Err(error) => Err(asked.failed(act, Some(name), &error).await),
        }
    }

    /// The one answer that holds a secret.
    async fn issued(
        self,
        act: &str,
        target: Option<String>,
        issued: Result<IssuedKey, IssueError>,
    ) -> Result<HttpResponse, Rejection> {
        match issued {
            Ok(issued) => {
                let record = issued.record();
                let target = target.unwrap_or_else(|| record.id.to_string());
                // A key that was made before is not made again, only shown.
                let how = if issued.is_repeated() { "repeated" } else { "done" };
                let before = issued.replaced().map(|replaced| json!(replaced));
                self.done_with(how, act, Some(target), before, json!(record)).await;
                let mut builder = HttpResponse::Ok();
                render::rotation(&mut builder, Some(&self.principal));
                if issued.is_repeated() {
                    builder.insert_header(("idempotency-replayed", "true"));
                }
                Ok(render::json_in(builder, self.about.request_id(), &Issued { key: issued.secret(), record }))
            }
            Err(error) => Err(self.failed(act, target, &error).await),
        }
    }

    /// The caller's own word for the request, if it came with one.
    fn once(self, request: &HttpRequest, body: &[u8]) -> Result<(Self, Option<Once>), Rejection> {
        let mut words = request.headers().get_all("idempotency-key");
        let once = match (words.next(), words.next()) {
            (None, _) => Ok(None),
            (Some(word), None) => {
                let all = [request.uri().path().as_bytes(), b"\n", body].concat();
                Once::new(word.to_str().unwrap_or_default(), &all).map(Some).map_err(|error| error.to_string())
            }
            (Some(_), Some(_)) => Err("one idempotency key, not several".to_owned()),
        };
        match once {
            Ok(once) => Ok((self, once)),
            Err(problem) => Err(self.refuse_form(problem)),
        }
    }
}
