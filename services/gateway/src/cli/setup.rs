//! What several gateways share, made once: a certificate, peppers, the keys of the audit trail; and the
//! first API keys.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use keys::Peppers;

use crate::cli::here::Here;
use crate::cli::{Failure, first_start, print};
use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::{tls, trail};

#[derive(Debug, Args)]
pub(super) struct SetupArguments {
    /// The folder for ca.pem, cert.pem, key.pem, peppers, audit-key, digest-key and disclosure-key. What is there stays.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A name or address that clients use, besides those of this machine. May be given again.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct WelcomeArguments {
    /// Where clients connect.
    #[arg(long, default_value = "127.0.0.1:8443")]
    address: SocketAddr,
    /// The certificate that clients must trust, where they find it.
    #[arg(long, value_name = "FILE")]
    authority: PathBuf,
}

/// `portcullis setup`
pub(super) fn make(arguments: &SetupArguments) -> Result<(), Failure> {
    let folder: &Path = &arguments.out;
    let names: Vec<&str> = tls::LOOPBACK.into_iter().chain(arguments.hosts.iter().map(String::as_str)).collect();
    if !folder.join("key.pem").exists() {
        tls::make(folder, &names).map_err(Failure::new)?;
    }
    Peppers::load_or_create(&folder.join("peppers")).map_err(Failure::new)?;
    trail::make_keys(folder).map_err(Failure::new)
}

/// `portcullis welcome`
pub(super) async fn welcome(settings: &Settings, arguments: &WelcomeArguments) -> Result<(), Failure> {
    let data_dir = DataDir::hold(&settings.server.data_dir).map_err(Failure::new)?;
    let here = Here::open(settings, data_dir).await?;
    let keys = first_start::keys_again(&here.issuer).await.map_err(Failure::new)?;
    for key in keys.made() {
        here.made(key).await?;
    }
    here.close().await?;
    print(&keys.welcome(arguments.address, &arguments.authority));
    Ok(())
}
