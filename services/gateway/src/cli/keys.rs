//! `portcullis keys` and `portcullis tenants`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use keys::{KeyId, Tenant};
use serde_json::{Value, json};

use crate::cli::terms::{ChangeArguments, TermsArguments};
use crate::cli::way::Way;
use crate::cli::{Failure, print};
use crate::config::Settings;
use crate::data_dir::make_new;
use crate::key_form::{KeyForm, RevokeForm, RotateForm, TenantForm};
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
    List {
        /// Those of this tenant.
        #[arg(long)]
        tenant: Option<Tenant>,
    },
    /// Show all that is stored of a key but its hash, as JSON.
    Show {
        /// The key's id, such as pck1_Ab3...
        id: KeyId,
    },
    /// Change the name or the terms of a key and its family; what is not named stays.
    Change(Box<ChangeArguments>),
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

#[derive(Debug, Subcommand)]
pub(super) enum TenantsCommand {
    /// Make a tenant, to which keys can be issued.
    Add {
        /// Its name, which stays: letters, digits, dots, hyphens and underscores.
        id: Tenant,
        /// What people call it.
        #[arg(long, default_value = "")]
        title: String,
    },
    /// List tenants.
    List,
    /// Show all that is stored of a tenant, as JSON.
    Show {
        /// Its name.
        id: Tenant,
    },
    /// Revoke a tenant and all its keys, at once and for good.
    Revoke {
        /// Its name.
        id: Tenant,
    },
}

#[derive(Debug, Args)]
pub(super) struct IssueArguments {
    /// What the key is for.
    #[arg(long)]
    name: String,
    /// Whose key it is.
    #[arg(long)]
    tenant: Option<Tenant>,
    #[command(flatten)]
    terms: TermsArguments,
}

/// `portcullis keys`
pub(super) async fn run(settings: &Settings, command: KeysCommand) -> Result<(), Failure> {
    let way = Way::open(settings).await?;
    let done = keys(&way, command).await;
    let closed = way.close().await;
    done.and(closed)
}

async fn keys(way: &Way, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Bootstrap { file } => return bootstrap(way, file).await,
        KeysCommand::Issue(arguments) => {
            let IssueArguments { name, tenant, terms } = *arguments;
            let form = KeyForm {
                name,
                tenant: tenant.map(|tenant| tenant.to_string()),
                scopes: terms.scopes.scopes()?,
                limits: terms.limits.over(keys::KeyLimits::default()),
                addresses: terms.addresses()?.unwrap_or_default(),
                not_before: terms.not_before(unix_millis()),
                expires_at: None,
                expires_in_seconds: terms.expires_in,
            };
            print(secret(&way.issue_key(form).await?));
        }
        KeysCommand::Rotate { id, grace } => {
            print(secret(&way.rotate_key(&id, RotateForm { grace_seconds: Some(grace) }).await?));
        }
        KeysCommand::Change(arguments) => {
            let seen = way.find_key(&arguments.id).await?;
            let form = arguments.form(seen.get("record").unwrap_or(&Value::Null), unix_millis())?;
            let changed = way.change_key(&arguments.id, form).await?;
            print(&row(changed.get("record").unwrap_or(&Value::Null)));
        }
        KeysCommand::Revoke { id, family } => print_revoked(&way.revoke_key(&id, RevokeForm { family }).await?),
        KeysCommand::Show { id } => print_json(&way.find_key(&id).await?)?,
        KeysCommand::List { tenant } => {
            let mut after = None;
            loop {
                let page = way.list_keys(tenant.as_ref(), after.as_ref()).await?;
                rows(&page, "keys", row);
                match next(&page) {
                    Some(id) => after = Some(id),
                    None => break,
                }
            }
        }
    }
    Ok(())
}

/// `portcullis tenants`
pub(super) async fn tenants(settings: &Settings, command: TenantsCommand) -> Result<(), Failure> {
    let way = Way::open(settings).await?;
    let done = of_tenants(&way, command).await;
    let closed = way.close().await;
    done.and(closed)
}

async fn of_tenants(way: &Way, command: TenantsCommand) -> Result<(), Failure> {
    match command {
        TenantsCommand::Add { id, title } => {
            let added = way.add_tenant(TenantForm { id: id.to_string(), title }).await?;
            print(&tenant_row(added.get("tenant").unwrap_or(&Value::Null)));
        }
        TenantsCommand::Revoke { id } => print_revoked(&way.revoke_tenant(&id).await?),
        TenantsCommand::Show { id } => print_json(&way.find_tenant(&id).await?)?,
        TenantsCommand::List => {
            let mut after = None;
            loop {
                let page = way.list_tenants(after.as_ref()).await?;
                rows(&page, "tenants", tenant_row);
                match next(&page) {
                    Some(id) => after = Some(id),
                    None => break,
                }
            }
        }
    }
    Ok(())
}

async fn bootstrap(way: &Way, file: Option<PathBuf>) -> Result<(), Failure> {
    let Way::Here(here) = way else {
        return Err(Failure::new("a gateway is running; stop it, or use the admin key there is"));
    };
    let Some(path) = file else {
        print(here.bootstrap().await?.secret());
        return Ok(());
    };
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    // The place first: a key that cannot be written down is held by nobody.
    let mut file = make_new(&path, true).map_err(failed)?;
    let key = match here.bootstrap().await {
        Ok(key) => key,
        Err(error) => {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
    };
    let written = file.write_all(key.secret().as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = std::fs::remove_file(&path);
        let id = key.record().id;
        let revoked = here.revoke_key(&id, &RevokeForm { family: false }).await;
        let kept = revoked.map_or_else(|_| format!("; {id} was made and could not be revoked"), |_| String::new());
        return Err(Failure::new(format!("{}: {error}{kept}", path.display())));
    }
    Ok(())
}

fn secret(answer: &Value) -> &str {
    answer.get("key").and_then(Value::as_str).unwrap_or_default()
}

fn print_revoked(answer: &Value) {
    print(&format!("revoked {}", answer.get("revoked").unwrap_or(&Value::Null)));
}

fn print_json(answer: &Value) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(answer).map_err(Failure::new)?);
    Ok(())
}

fn rows(page: &Value, of: &str, row: fn(&Value) -> String) {
    let records = page.get(of).and_then(Value::as_array).into_iter().flatten();
    records.for_each(|record| print(&row(record)));
}

fn next<T: std::str::FromStr>(page: &Value) -> Option<T> {
    page.get("next")?.as_str()?.parse().ok()
}

fn text(record: &Value, key: &str) -> String {
    match record.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// One key on one line.
fn row(record: &Value) -> String {
    let text = |key| text(record, key);
    let is_over = |key: &str| record.get(key).and_then(Value::as_u64).is_some_and(|at| at <= unix_millis());
    let state = match record.get("revoked_at") {
        Some(at) if !at.is_null() => "revoked",
        _ if is_over("expires_at") || is_over("grace_until") => "expired",
        _ => "active",
    };
    let addresses = match record.get("addresses") {
        Some(Value::Array(all)) if !all.is_empty() => format!("from {}", json!(all)),
        _ => "from anywhere".to_owned(),
    };
    [text("id"), state.to_owned(), text("tenant"), text("name"), text("scopes"), text("limits"), addresses].join("  ")
}

/// One tenant on one line.
fn tenant_row(record: &Value) -> String {
    let state = if record.get("revoked_at").is_some_and(|at| !at.is_null()) { "revoked" } else { "active" };
    [text(record, "id"), state.to_owned(), text(record, "title")].join("  ")
}
