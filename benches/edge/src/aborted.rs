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
/// In so many parts.
const PARTS: usize = 10;
const AT_ONCE: usize = 32;
/// So many may be under way for the key: those that are not given back are missed soon.
const SLOTS: usize = 2 * AT_ONCE;
/// How long a model server may be kept talking to nobody.
const HANG_UP: Duration = Duration::from_secs(1);
/// What the gateway opens and closes in its own time.
const OTHERS: usize = 8;

pub(crate) async fn run() {
    let (model, open) = endless().await;
    let settings = format!(
        "[backends.endless]\nkind = \"openai\"\nurl = \"http://{model}/v1\"\n[models.endless]\nbackends = [\"endless\"]\n\
         operations = [\"chat\"]\n[quotas.slots]\nof = \"key\"\ncounts = \"concurrent\"\nlimit = \"{SLOTS}\"\n"
    );
    let gateway = Arc::new(Gateway::start(&settings).await);
    let connector = connector(&[&gateway.tls().join("ca.pem")]);
    let (mut refused, mut seen) = (0, Vec::new());
    let began = Instant::now();
    println!("streams that were left, and a second later: KiB of memory, descriptors, streams that are still sent");
    for part in 1..=PARTS {
        refused += leave(&gateway, &connector, STREAMS / PARTS).await;
        tokio::time::sleep(HANG_UP).await;
        let now = (gateway.resident(), gateway.descriptors(), open.load(Ordering::Relaxed));
        println!("{:>7} {:>8} {:>5} {:>5}", part * STREAMS / PARTS, now.0, now.1, now.2);
        seen.push(now);
    }
    println!("{STREAMS} streams in {:.0} s, {refused} of them refused", began.elapsed().as_secs_f64());
    // The first part fills pools and caches.
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return };
    goal("B1-refused", refused as f64, 0.0);
    goal("B1-talking", last.2 as f64, 0.0);
    goal("B1-held", last.1.saturating_sub(first.1) as f64, OTHERS as f64);
    goal("B1-memory", last.0 as f64 / first.0 as f64, 1.1);
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
