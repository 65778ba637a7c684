//! How the command line reaches the keys: over the admin listener when a gateway holds the data folder, else by
//! itself, on record all the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use keys::{KeyId, Tenant};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::here::Here;
use crate::config::{Settings, admin_key};
use crate::data_dir::{DataDir, DataDirError, admin_address};
use crate::key_form::{ChangeForm, KeyForm, RevokeForm, RotateForm, TenantForm};

/// Either way answers with what the admin API would.
pub(super) enum Way {
    Gateway(Gateway),
    Here(Box<Here>),
}

/// The admin listener of a running gateway.
pub(super) struct Gateway {
    base: String,
    client: reqwest::Client,
}

type Answer = Result<Value, Failure>;

impl Way {
    pub(super) async fn open(settings: &Settings) -> Result<Self, Failure> {
        match DataDir::hold(&settings.server.data_dir) {
            Ok(data_dir) => Ok(Self::Here(Box::new(Here::open(settings, data_dir).await?))),
            Err(DataDirError::InUse { path }) => Gateway::of(settings, &path).map(Self::Gateway),
            Err(error) => Err(Failure::new(error)),
        }
    }

    pub(super) async fn issue_key(&self, form: KeyForm) -> Answer {
        match self {
            Self::Gateway(gateway) => gateway.ask(Method::POST, "keys", &json!(form)).await,
            Self::Here(here) => here.issue_key(form).await,
        }
    }

    pub(super) async fn find_key(&self, id: &KeyId) -> Answer {
        match self {
            Self::Gateway(gateway) => gateway.ask(Method::GET, &format!("keys/{id}"), &Value::Null).await,
            Self::Here(here) => here.find_key(id).await,
        }
    }

    pub(super) async fn change_key(&self, id: &KeyId, form: ChangeForm) -> Answer {
        match self {
            Self::Gateway(gateway) => gateway.ask(Method::PATCH, &format!("keys/{id}"), &json!(form)).await,
            Self::Here(here) => here.change_key(id, form).await,
        }
    }

    pub(super) async fn rotate_key(&self, id: &KeyId, form: RotateForm) -> Answer {
        match self {
            Self::Gateway(gateway) => gateway.ask(Method::POST, &format!("keys/{id}/rotate"), &json!(form)).await,
            Self::Here(here) => here.rotate_key(id, &form).await,
        }
    }

    pub(super) async fn revoke_key(&self, id: &KeyId, form: RevokeForm) -> Answer {
        match self {
            Self::Gateway(gateway) => gateway.ask(Method::POST, &format!("keys/{id}/revoke"), &json!(form)).await,
            Self::Here(here) => here.revoke_key(id, &form).await,
        }
    }

    /// One page of keys, and where the next begins.
    pub(super) async fn list_keys(&self, tenant: Option<&Tenant>, after: Option<&KeyId>) -> Answer {
        match self {
            Self::Gateway(gateway) => {
                let tenant = tenant.map(|tenant| format!("tenant={tenant}"));
                let after = after.map(|after| format!("after={after}"));
                let query: Vec<String> = tenant.into_iter().chain(after).collect();
                gateway.ask(Method::GET, &format!("keys?{}", query.join("&")), &Value::Null).await
            }
            Self::Here(here) => here.list_keys(tenant, after).await,
        }
    }

    pub(super) async fn add_tenant(&self, form: TenantForm) -> Answer {
        match self {
            Self::Gateway(gateway) => gateway.ask(Method::POST, "tenants", &json!(form)).await,
            Self::Here(here) => here.add_tenant(form).await,
        }
    }

    pub(super) async fn find_tenant(&self, id: &Tenant) -> Answer {
        match self {
            Self::Gateway(gateway) => gateway.ask(Method::GET, &format!("tenants/{id}"), &Value::Null).await,
            Self::Here(here) => here.find_tenant(id).await,
        }
    }

    pub(super) async fn revoke_tenant(&self, id: &Tenant) -> Answer {
        match self {
            Self::Gateway(gateway) => gateway.ask(Method::POST, &format!("tenants/{id}/revoke"), &Value::Null).await,
            Self::Here(here) => here.revoke_tenant(id).await,
        }
    }

    /// One page of tenants, and where the next begins.
    pub(super) async fn list_tenants(&self, after: Option<&Tenant>) -> Answer {
        match self {
            Self::Gateway(gateway) => {
                let query = after.map(|after| format!("after={after}")).unwrap_or_default();
                gateway.ask(Method::GET, &format!("tenants?{query}"), &Value::Null).await
            }
            Self::Here(here) => here.list_tenants(after).await,
        }
    }

    /// Lets the audit trail and the database go.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Gateway(_) => Ok(()),
            Self::Here(here) => here.close().await,
        }
    }
}

impl Gateway {
    fn of(settings: &Settings, data: &Path) -> Result<Self, Failure> {
        let address = admin_address(data).ok_or_else(|| {
            Failure::new("another command, or a gateway that is starting, holds the data folder; try again")
        })?;
        let base = format!("https://localhost:{}/admin", address.port());
        Ok(Self { base, client: client(settings, address)? })
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        let missing = || Failure::new("a gateway is running: put an admin key into PORTCULLIS_ADMIN_KEY");
        let key = admin_key().ok_or_else(missing)?;
        let request = self.client.request(method, format!("{}/{path}", self.base));
        let request = request.header("content-type", "application/json").bearer_auth(key.reveal().unwrap_or_default());
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let response = request.send().await.map_err(|error| {
            let is_connected = !error.is_connect() && !error.is_timeout();
            Failure::new(match is_connected {
                true => "the running gateway broke off",
                false => "the running gateway does not answer, or its certificate is not trusted; SSL_CERT_FILE names an authority",
            })
        })?;
        let is_done = response.status().is_success();
        let body = response.bytes().await.map_err(|_| Failure::new("the running gateway broke off"))?;
        let answer: Value = serde_json::from_slice(&body).map_err(|_| Failure::new("the answer is no JSON"))?;
        if is_done {
            return Ok(answer);
        }
        let word = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("unknown").to_owned();
        Err(Failure::new(format!("{}: {}", word("code"), word("detail"))))
    }
}

/// A client that trusts the gateway's own certificate, or the system's when the operator gave one.
pub(super) fn client(settings: &Settings, admin: SocketAddr) -> Result<reqwest::Client, Failure> {
    let loopback = if admin.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
    let reached = if admin.ip().is_unspecified() { SocketAddr::new(loopback, admin.port()) } else { admin };
    // The certificate names localhost, wherever the listener is.
    let builder = reqwest::Client::builder().no_proxy().resolve("localhost", reached);
    let mut builder = builder.timeout(Duration::from_secs(30));
    let server = &settings.server;
    if server.tls_cert.as_os_str().is_empty() && server.admin_tls_cert.as_os_str().is_empty() {
        let path = settings.server.data_dir.join("tls").join("ca.pem");
        let pem = std::fs::read(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).map_err(Failure::new)?]);
    }
    if !server.admin_client_cert.as_os_str().is_empty() {
        let read =
            |path: &Path| std::fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())));
        let pair = [read(&server.admin_client_key)?, b"\n".to_vec(), read(&server.admin_client_cert)?].concat();
        builder = builder.identity(reqwest::Identity::from_pem(&pair).map_err(Failure::new)?);
    }
    builder.build().map_err(Failure::new)
}
