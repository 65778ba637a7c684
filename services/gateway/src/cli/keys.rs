//! `portcullis keys`: over the admin listener when a gateway runs, else on the data folder itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use keys::{
    AdminAct, AdminScopes, InferenceScopes, Issuer, KeyId, KeyLimits, Networks, Operation, Principal, Rate, Revoke,
    Scopes,
};
use serde_json::{Value, json};

use crate::cli::{Failure, print};
use crate::config::{Settings, admin_key};
use crate::data_dir::{DataDir, DataDirError, admin_address, write_new};
use crate::key_form::{KeyForm, RevokeForm, RotateForm};
use crate::key_store::Stored;
use crate::request_id::unix_millis;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make the first admin key, once; not while a gateway holds the data folder.
    Bootstrap {
        /// Write the key into a new file, readable by its owner only, instead of showing it.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Make a key. It is shown once.
    Issue(Box<IssueArguments>),
    /// List keys, without secrets.
    List,
    /// Make a new key in the place of one that goes on working for a while.
    Rotate {
        /// The key's id, such as pck1_Ab3...
        id: KeyId,
        /// How long the old key goes on working, in seconds; at most seven days.
        #[arg(long, default_value_t = 86_400)]
        grace: u64,
    },
    /// Make a key useless at once.
    Revoke {
        /// The key's id, such as pck1_Ab3...
        id: KeyId,
        /// Also every key it was rotated from and into.
        #[arg(long)]
        family: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct IssueArguments {
    /// What the key is for.
    #[arg(long)]
    name: String,
    /// Whose key it is.
    #[arg(long)]
    tenant: Option<String>,
    /// A model it may use; `*` stands for anything. May be given again.
    #[arg(long = "model", value_name = "PATTERN")]
    models: Vec<String>,
    /// What it may do: chat, complete, embed, infer. May be given again; default: all.
    #[arg(long = "operation")]
    operations: Vec<Operation>,
    /// Leave the system texts of its requests unscreened.
    #[arg(long)]
    trust_system: bool,
    /// Instead of models: what it may administer, such as keys:write. May be given again.
    #[arg(long = "admin", value_name = "ACT", conflicts_with_all = ["models", "operations", "trust_system"])]
    acts: Vec<AdminAct>,
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
    /// When it ends, in seconds from now.
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
}

impl IssueArguments {
    fn form(self) -> Result<KeyForm, Failure> {
        let scopes = if self.acts.is_empty() {
            let models = if self.models.is_empty() { vec!["*".to_owned()] } else { self.models };
            let operations = if self.operations.is_empty() { Operation::ALL.to_vec() } else { self.operations };
            let scopes = InferenceScopes::new(models, operations).map_err(Failure::new)?;
            Scopes::Inference(if self.trust_system { scopes.with_trust_system() } else { scopes })
        } else {
            Scopes::Admin(AdminScopes::new(self.acts).map_err(Failure::new)?)
        };
        let limits = KeyLimits {
            requests: self.requests,
            tokens: self.tokens,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            spend: self.spend,
            budget: self.budget,
            concurrent: self.concurrent,
        };
        Ok(KeyForm {
            name: self.name,
            tenant: self.tenant,
            scopes,
            limits,
            addresses: Networks::default(),
            not_before: None,
            expires_at: None,
            expires_in_seconds: self.expires_in,
        })
    }
}

pub(super) async fn run(settings: &Settings, command: KeysCommand) -> Result<(), Failure> {
    match DataDir::hold(&settings.server.data_dir) {
        Ok(data_dir) => here(settings, &data_dir, command).await,
        Err(DataDirError::InUse { path }) => remote(settings, &path, command).await,
        Err(error) => Err(Failure::new(error)),
    }
}

/// On the data folder, which no other process holds. The acts are not in the audit trail: nobody
/// but the folder's owner can do this.
async fn here(settings: &Settings, data_dir: &DataDir, command: KeysCommand) -> Result<(), Failure> {
    let stored = Stored::open(settings, data_dir).await.map_err(Failure::new)?;
    let issuer = Issuer::new(stored.store(), stored.peppers);
    let (by, now) = (Principal::system(), unix_millis());
    match command {
        KeysCommand::Bootstrap { file } => {
            let key = issuer.bootstrap("first admin key", now).await.map_err(Failure::new)?;
            match file {
                Some(path) => write_new(&path, key.secret().as_bytes(), true)
                    .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?,
                None => print(key.secret()),
            }
        }
        KeysCommand::Issue(arguments) => {
            let new = arguments.form()?.into_new_key(now).map_err(Failure::new)?;
            print(issuer.issue(&by, new, now).await.map_err(Failure::new)?.secret());
        }
        KeysCommand::Rotate { id, grace } => {
            let grace = Duration::from_secs(grace);
            print(issuer.rotate(&by, &id, grace, now).await.map_err(Failure::new)?.secret());
        }
        KeysCommand::Revoke { id, family } => {
            let target = if family { Revoke::Family(id.into()) } else { Revoke::Key(id) };
            let count = issuer.revoke(&by, target, now).await.map_err(Failure::new)?;
            print(&format!("revoked {count}"));
        }
        KeysCommand::List => {
            let mut after = None;
            loop {
                let page = issuer.list(&by, None, after.as_ref(), 1_000, now).await.map_err(Failure::new)?;
                page.iter().for_each(|record| print(&row(&json!(record))));
                match page.last() {
                    Some(last) => after = Some(last.id),
                    None => break,
                }
            }
        }
    }
    Ok(())
}

/// Over the admin listener of the process that holds the folder.
async fn remote(settings: &Settings, data: &Path, command: KeysCommand) -> Result<(), Failure> {
    let address = admin_address(data).ok_or_else(|| Failure::new("the running gateway has no admin address yet"))?;
    let base = format!("https://localhost:{}/admin/keys", address.port());
    let client = client(settings, address)?;
    match command {
        KeysCommand::Bootstrap { .. } => {
            return Err(Failure::new("a gateway is running; stop it, or use the admin key there is"));
        }
        KeysCommand::Issue(arguments) => {
            let answer = ask(client.post(base).body(json!(arguments.form()?).to_string())).await?;
            print(answer.get("key").and_then(Value::as_str).unwrap_or_default());
        }
        KeysCommand::Rotate { id, grace } => {
            let form = RotateForm { grace_seconds: Some(grace) };
            let answer = ask(client.post(format!("{base}/{id}/rotate")).body(json!(form).to_string())).await?;
            print(answer.get("key").and_then(Value::as_str).unwrap_or_default());
        }
        KeysCommand::Revoke { id, family } => {
            let form = RevokeForm { family };
            let answer = ask(client.post(format!("{base}/{id}/revoke")).body(json!(form).to_string())).await?;
            print(&format!("revoked {}", answer.get("revoked").unwrap_or(&Value::Null)));
        }
        KeysCommand::List => {
            let mut url = base.clone();
            loop {
                let answer = ask(client.get(url)).await?;
                let page = answer.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
                page.iter().for_each(|record| print(&row(record)));
                match page.last().and_then(|last| last.get("id")?.as_str()) {
                    Some(id) => url = format!("{base}?after={id}"),
                    None => break,
                }
            }
        }
    }
    Ok(())
}

/// A client that trusts the gateway's own certificate, or the system's when the operator gave one.
pub(super) fn client(settings: &Settings, admin: SocketAddr) -> Result<reqwest::Client, Failure> {
    let loopback = if admin.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
    let reached = if admin.ip().is_unspecified() { SocketAddr::new(loopback, admin.port()) } else { admin };
    // The certificate names localhost, wherever the listener is.
    let builder = reqwest::Client::builder().no_proxy().resolve("localhost", reached);
    let mut builder = builder.timeout(Duration::from_secs(30));
    if settings.server.tls_cert.as_os_str().is_empty() {
        let path = settings.server.data_dir.join("tls").join("ca.pem");
        let pem = std::fs::read(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).map_err(Failure::new)?]);
    }
    builder.build().map_err(Failure::new)
}

async fn ask(request: reqwest::RequestBuilder) -> Result<Value, Failure> {
    let key =
        admin_key().ok_or_else(|| Failure::new("a gateway is running: put an admin key into PORTCULLIS_ADMIN_KEY"))?;
    let request = request.header("content-type", "application/json").bearer_auth(key.reveal().unwrap_or_default());
    let response = request.send().await.map_err(|_| Failure::new("the running gateway does not answer"))?;
    let is_done = response.status().is_success();
    let body = response.bytes().await.map_err(|_| Failure::new("the running gateway broke off"))?;
    let answer: Value = serde_json::from_slice(&body).map_err(|_| Failure::new("the answer is no JSON"))?;
    if is_done {
        return Ok(answer);
    }
    let word = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    Err(Failure::new(format!("{}: {}", word("code"), word("detail"))))
}

/// One key on one line.
fn row(record: &Value) -> String {
    let text = |key: &str| match record.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    let is_over = |key: &str| record.get(key).and_then(Value::as_u64).is_some_and(|at| at <= unix_millis());
    let state = match record.get("revoked_at") {
        Some(at) if !at.is_null() => "revoked",
        _ if is_over("expires_at") || is_over("grace_until") => "expired",
        _ => "active",
    };
    [text("id"), state.to_owned(), text("tenant"), text("name"), text("scopes"), text("limits")].join("  ")
}
