//! Keys over the admin API: issue, list, rotate, revoke.

use std::time::Duration;

use ::keys::{IssueError, IssuedKey, KeyId, Revoke, StoreError};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use pipeline::{Code, Rejection, Step};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::admin::Asked;
use crate::admin::routes::KeysVerb;
use crate::edge::body::Body;
use crate::http::render;
use crate::key_form::{KeyForm, RevokeForm, RotateForm};
use crate::request_id::unix_millis;

const MAX_BODY: usize = 64 << 10;
const DEADLINE: Duration = Duration::from_secs(10);
const PAGE: usize = 1_000;

impl Asked<'_> {
    pub(super) async fn keys(
        self,
        verb: KeysVerb,
        body: &Body,
        request: &HttpRequest,
    ) -> Result<HttpResponse, Rejection> {
        match verb {
            KeysVerb::List => self.list(request).await,
            KeysVerb::Issue => self.issue(body).await,
            KeysVerb::Rotate(id) => self.rotate(id, body).await,
            KeysVerb::Revoke(id) => self.revoke(id, body).await,
        }
    }

    /// A thousand keys after the one named in the query, in the order of their ids.
    async fn list(self, request: &HttpRequest) -> Result<HttpResponse, Rejection> {
        let after = match request.uri().query() {
            None => None,
            Some(query) => match query.strip_prefix("after=").and_then(|id| id.parse::<KeyId>().ok()) {
                Some(id) => Some(id),
                None => return Err(self.refuse(Step::Read, Code::BadRequest)),
            },
        };
        let listed = self.admin.issuer.list(&self.principal, after.as_ref(), PAGE, unix_millis()).await;
        match listed {
            Ok(records) => Ok(self.done(&json!({"keys": records}))),
            Err(error) => Err(self.refuse_issue(&error)),
        }
    }

    async fn issue(self, body: &Body) -> Result<HttpResponse, Rejection> {
        let (asked, form) = self.form::<KeyForm>(body).await?;
        let new = match form.into_new_key(unix_millis()) {
            Ok(new) => new,
            Err(error) => return Err(asked.refuse_form(error.to_string())),
        };
        let asked = asked.begin("keys.issue", None).await?;
        let issued = asked.admin.issuer.issue(&asked.principal, new, unix_millis()).await;
        asked.issued("keys.issue", None, issued).await
    }

    async fn rotate(self, id: KeyId, body: &Body) -> Result<HttpResponse, Rejection> {
        let (asked, form) = self.form::<RotateForm>(body).await?;
        let asked = asked.begin("keys.rotate", Some(id.to_string())).await?;
        let issued = asked.admin.issuer.rotate(&asked.principal, &id, form.grace(), unix_millis()).await;
        asked.issued("keys.rotate", Some(id.to_string()), issued).await
    }

    async fn revoke(self, id: KeyId, body: &Body) -> Result<HttpResponse, Rejection> {
        let (asked, form) = self.form::<RevokeForm>(body).await?;
        let asked = asked.begin("keys.revoke", Some(id.to_string())).await?;
        let target = if form.family { Revoke::Family(id.into()) } else { Revoke::Key(id) };
        match asked.admin.issuer.revoke(&asked.principal, target, unix_millis()).await {
            Ok(count) => {
                let after = json!({"revoked": count, "family": form.family});
                asked.done_as("keys.revoke", Some(id.to_string()), &after).await;
                Ok(asked.done(&after))
            }
            Err(error) => Err(asked.failed("keys.revoke", Some(id.to_string()), &error).await),
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
                let after = json!(issued.record());
                let target = target.unwrap_or_else(|| issued.record().id.to_string());
                self.done_as(act, Some(target), &after).await;
                let body = json!({"key": issued.secret(), "record": after});
                Ok(render::json(self.about.request_id(), &body))
            }
            Err(error) => Err(self.failed(act, target, &error).await),
        }
    }

    async fn failed(self, act: &str, target: Option<String>, error: &IssueError) -> Rejection {
        self.not_done(act, target, error.to_string()).await;
        self.refuse_issue(error)
    }

    fn refuse_issue(self, error: &IssueError) -> Rejection {
        let code = match error {
            IssueError::Forbidden | IssueError::WiderThanMaker => Code::NotAllowed,
            IssueError::NotFound => Code::NotFound,
            IssueError::Busy => Code::Busy,
            IssueError::Store(StoreError::Unavailable) => Code::KeysUnavailable,
            IssueError::Store(_) | IssueError::NoRandomness => Code::Internal,
            _ => Code::InvalidForm,
        };
        let rejection = Rejection::new(self.about, Step::Admit, code);
        let is_told = code == Code::InvalidForm;
        let rejection = if is_told { rejection.message_of(error.to_string()) } else { rejection };
        self.admin.pipeline.noted(rejection)
    }

    /// Reads a small JSON body; an empty one stands for `{}`.
    async fn form<T: DeserializeOwned>(self, body: &Body) -> Result<(Self, T), Rejection> {
        let read = tokio::time::timeout(DEADLINE, body.read(MAX_BODY)).await;
        let body = match read.unwrap_or(Err(Code::BodyTimeout)) {
            Ok(body) => body,
            Err(code) => return Err(self.refuse(Step::Read, code)),
        };
        let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
        match serde_json::from_slice(&body) {
            Ok(form) => Ok((self, form)),
            Err(error) => {
                let message =
                    format!("the body is not what is asked for (line {}, column {})", error.line(), error.column());
                Err(self.refuse_form(message))
            }
        }
    }
}
