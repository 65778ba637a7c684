//! `portcullis serve`

use std::future::Future;

use serde_json::json;
use tokio::sync::oneshot;

use crate::app::Gateway;
use crate::cli::first_start::FirstKeys;
use crate::cli::{Failure, SettingsArguments, first_start, print, system_act};
use crate::telemetry;

pub(super) async fn run(arguments: &SettingsArguments) -> Result<(), Failure> {
    let settings = arguments.load().map_err(Failure::new)?;
    telemetry::start(&settings.log);
    let is_embedded = arguments.config.is_none();
    let gateway = Gateway::bind(settings, arguments.config.clone()).await.map_err(Failure::new)?;
    let keys = if is_embedded { first_start::keys(gateway.issuer()).await.map_err(Failure::new)? } else { None };
    for key in keys.iter().flat_map(FirstKeys::made) {
        let mut act = system_act("keys.issue", Some(key.record().id.to_string()));
        (act.ok, act.detail, act.after) = (true, Some("first start".to_owned()), Some(json!(key.record())));
        gateway.record(act).await;
    }
    match gateway.authority().map(std::path::Path::to_owned) {
        Some(authority) => {
            print(&format!("certificate  {} (clients trust {})", gateway.fingerprint(), authority.display()));
            if let Some(keys) = &keys {
                print(&keys.welcome(gateway.address(), &authority));
            }
        }
        None => print(&format!("certificate  {}", gateway.fingerprint())),
    }
    if !is_embedded && !first_start::has_admin(gateway.issuer()).await {
        print("no admin key yet: stop, make one with `portcullis keys bootstrap`, start again");
    }
    reload_on_signal(&gateway);
    let stop = told_to_stop();
    print(&format!("ready  https://{}  admin https://{}", gateway.address(), gateway.admin_address()));
    let (stopping, stopped) = oneshot::channel();
    let running = gateway.run_until(async {
        stop.await;
        let _ = stopping.send(());
    });
    tokio::select! {
        ended = running => ended.map_err(Failure::new),
        () = told_again(stopped) => {
            Err(Failure::new("stopped at once; requests under way are recorded as unknown at the next start"))
        }
    }
}

/// Ready once there was a signal to stop, and then another one.
async fn told_again(stopped: oneshot::Receiver<()>) {
    match stopped.await {
        Ok(()) => told_to_stop().await,
        Err(_) => std::future::pending().await,
    }
}

/// SIGHUP reloads for as long as the process lives.
#[cfg(unix)]
fn reload_on_signal(gateway: &Gateway) {
    let reloader = std::sync::Arc::downgrade(&gateway.reloader());
    tokio::spawn(async move {
        let Ok(mut signals) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else { return };
        while signals.recv().await.is_some() {
            let Some(reloader) = reloader.upgrade() else { return };
            reloader.reload_by_signal().await;
        }
    });
}

#[cfg(not(unix))]
fn reload_on_signal(_gateway: &Gateway) {}

/// Ready once SIGTERM or SIGINT has come.
#[cfg(unix)]
fn told_to_stop() -> impl Future<Output = ()> {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    async move {
        let Ok(mut terminate) = terminate else { return std::future::pending().await };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

#[cfg(not(unix))]
async fn told_to_stop() {
    let _ = tokio::signal::ctrl_c().await;
}
