//! B1: callers who leave in the middle of a streamed answer, a hundred thousand of them. Each has a connection of its own.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::gateway::{Gateway, connector};
use crate::goal;
use crate::slow::endless;

const STREAMS: usize = 100_000;
const AT_ONCE: usize = 32;
/// So many may be under way for the key: those that are not given back are missed soon.
const SLOTS: usize = 2 * AT_ONCE;
/// How long a model server may be kept talking to nobody.
const HANG_UP: Duration = Duration::from_secs(1);
/// Connections that the gateway keeps for the next request.
const OTHERS: usize = 8;

pub(crate) async fn run() {
    let (model, open) = endless().await;
    let settings = format!(
        "[backends.endless]\nkind = \"openai\"\nurl = \"http://{model}/v1\"\n[models.endless]\nbackends = [\"endless\"]\n\
         operations = [\"chat\"]\n[quotas.slots]\nof = \"key\"\ncounts = \"concurrent\"\nlimit = \"{SLOTS}\"\n"
    );
    let gateway = Arc::new(Gateway::start(&settings).await);
    let connector = connector(&[&gateway.tls().join("ca.pem")]);
    let idle = gateway.descriptors();
    // The first ones fill pools and caches.
    let mut refused = leave(&gateway, &connector, STREAMS / 5).await;
    tokio::time::sleep(HANG_UP).await;
    let before = gateway.resident();
    let began = Instant::now();
    refused += leave(&gateway, &connector, STREAMS - STREAMS / 5).await;
    let took = began.elapsed().as_secs_f64();
    tokio::time::sleep(HANG_UP).await;
    let (talking, held, after) = (open.load(Ordering::Relaxed), gateway.descriptors(), gateway.resident());
    println!(
        "{STREAMS} streams were left, the last {} in {took:.0} s, {refused} of them refused",
        STREAMS - STREAMS / 5
    );
    println!(
        "a second later: the model server talks to {talking}, the gateway holds {held} descriptors ({idle} at first)"
    );
    println!("memory: {before} KiB after the first fifth, {after} KiB at the end");
    goal("B1-refused", refused as f64, 0.0);
    goal("B1-talking", talking as f64, 0.0);
    goal("B1-held", held as f64, (idle + OTHERS) as f64);
    goal("B1-memory", after as f64 / before as f64, 1.1);
}

/// Asks for so many streams and leaves each with its first event; how many were none.
async fn leave(gateway: &Arc<Gateway>, connector: &TlsConnector, count: usize) -> usize {
    let (left, mut callers) = (Arc::new(AtomicUsize::new(count)), JoinSet::new());
    for _ in 0..AT_ONCE {
        let (gateway, connector, left) = (gateway.clone(), connector.clone(), left.clone());
        callers.spawn(async move {
            let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            let mut refused = 0;
            while take().is_ok() {
                refused += usize::from(!is_streamed(&gateway, &connector).await);
            }
            refused
        });
    }
    callers.join_all().await.into_iter().sum()
}

/// Whether a stream began, which is left at once.
async fn is_streamed(gateway: &Gateway, connector: &TlsConnector) -> bool {
    let body = json!({"model": "endless", "stream": true, "messages": [{"role": "user", "content": "Go on and on."}]});
    let Ok(mut stream) = gateway.secure(connector, Ipv4Addr::LOCALHOST, None).await else { return false };
    let mut bytes = Vec::new();
    if stream.write_all(gateway.request(&body.to_string()).as_bytes()).await.is_err() {
        return false;
    }
    loop {
        match stream.read_buf(&mut bytes).await {
            Ok(count) if count > 0 => {}
            _ => return false,
        }
        if bytes.len() >= 12 && !bytes.starts_with(b"HTTP/1.1 200") {
            return false;
        }
        if bytes.windows(6).any(|window| window == b"data: ") {
            return true;
        }
    }
}
