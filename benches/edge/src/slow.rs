//! T3: an honest caller beside 2,000 slow heads, 2,000 slow bodies and 500 readers that do not read, all of them from
//! addresses of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::gateway::{Gateway, connector};
use crate::goal;

const HEADS: usize = 2_000;
const BODIES: usize = 2_000;
const READERS: usize = 500;
/// Within so much time all of them begin.
const ARRIVAL: Duration = Duration::from_secs(10);
/// How long the honest caller is measured alone.
const ALONE: Duration = Duration::from_secs(8);
/// How long they hold on to their connections.
const FOREVER: Duration = Duration::from_secs(40);
/// The honest caller's connection, and what the gateway keeps open to the model server and closes in its own time.
const OTHERS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Head,
    Body,
    Reader,
}

/// What is seen of the gateway while the slow callers are there.
struct Seen {
    /// Kibibytes of memory at most, and sockets and files.
    resident: u64,
    descriptors: usize,
    /// How long after the last one began it still held connections of theirs.
    held: Duration,
}

pub(crate) async fn run() {
    let (model, _) = endless().await;
    let settings = format!(
        "[backends.echo]\nkind = \"echo\"\n[models.echo]\nbackends = [\"echo\"]\noperations = [\"chat\"]\n\
         [backends.endless]\nkind = \"openai\"\nurl = \"http://{model}/v1\"\n[models.endless]\nbackends = [\"endless\"]\n\
         operations = [\"chat\"]\n[screening.output]\nmax_bytes = 1000000000\n"
    );
    let gateway = Arc::new(Gateway::start(&settings).await);
    let connector = connector(&[&gateway.tls().join("ca.pem")]);
    let alone = honest(&gateway, &connector, async { tokio::time::sleep(ALONE).await }).await;
    let (before, idle) = (gateway.resident(), gateway.descriptors() + OTHERS);
    let (over, is_over) = oneshot::channel::<()>();
    let slow = async {
        slow(&gateway, &connector).await;
        drop(over);
    };
    let ((), (beside, seen)) = tokio::join!(slow, async {
        let (seen, over) = (watch(&gateway, idle, is_over), oneshot::channel::<()>());
        let seen = async {
            let seen = seen.await;
            drop(over.0);
            seen
        };
        tokio::join!(honest(&gateway, &connector, async { drop(over.1.await) }), seen)
    });
    report(alone, beside, &seen, [before, gateway.resident()]);
}

/// Looks at the gateway until `is_over`.
async fn watch(gateway: &Gateway, idle: usize, mut is_over: oneshot::Receiver<()>) -> Seen {
    let mut seen = Seen { resident: 0, descriptors: 0, held: Duration::ZERO };
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(250)));
    while is_over.try_recv() == Err(TryRecvError::Empty) {
        ticks.tick().await;
        let (held, resident) = tokio::task::block_in_place(|| (gateway.descriptors(), gateway.resident()));
        seen.resident = seen.resident.max(resident);
        seen.descriptors = seen.descriptors.max(held);
        if held > idle {
            seen.held = began.elapsed().saturating_sub(ARRIVAL);
        }
    }
    seen
}

/// A model server that talks for ever, as fast as it is listened to, and to how many it does.
pub(crate) async fn endless() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, open) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = open.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                count.fetch_add(1, Ordering::Relaxed);
                let _end = CallOnDrop(|| _ = count.fetch_sub(1, Ordering::Relaxed));
                // The request is small and comes in one piece.
                stream.read_buf(&mut Vec::with_capacity(16 << 10)).await?;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                let chunk = json!({
                    "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
                    "choices": [{"index": 0, "delta": {"content": "word after word ".repeat(50)}, "finish_reason": null}],
                });
                let event = format!("data: {chunk}\n\n");
                loop {
                    stream.write_all(event.as_bytes()).await?;
                }
                #[expect(unreachable_code, reason = "names the error's type")]
                std::io::Result::Ok(())
            });
        }
    });
    (address, open)
}

/// Calls when it is dropped.
struct CallOnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for CallOnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Asks again and again until `end`; the 50th and the 99th percentile.
async fn honest(gateway: &Gateway, connector: &TlsConnector, end: impl Future<Output = ()>) -> [f64; 2] {
    let body = json!({"model": "echo", "messages": [{"role": "user", "content": "Is anybody there?"}]}).to_string();
    let request = gateway.request(&body);
    let mut stream = gateway.secure(connector, Ipv4Addr::new(127, 0, 0, 1), None).await.unwrap();
    let mut times = Vec::new();
    let asking = async {
        loop {
            let began = Instant::now();
            stream.write_all(request.as_bytes()).await.unwrap();
            let answer = answer(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "an honest caller is refused: {answer}");
            times.push(began.elapsed().as_secs_f64() * 1_000.0);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        () = asking => {}
        () = end => {}
    }
    times.sort_by(f64::total_cmp);
    [50, 99].map(|percent| times[times.len() * percent / 100])
}

/// A whole answer: its head says how long it is.
async fn answer(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "an honest caller's connection is closed");
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        if length.is_some_and(|length| rest.len() >= length.parse().unwrap()) {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}

async fn slow(gateway: &Arc<Gateway>, connector: &TlsConnector) {
    let kinds = [(Kind::Head, HEADS), (Kind::Body, BODIES), (Kind::Reader, READERS)];
    let all: Vec<Kind> = kinds.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count)).collect();
    let mut callers = JoinSet::new();
    for at in 0..all.len() {
        // In mixed order: 7 has no divisor in common with how many they are.
        let kind = all[at * 7 % all.len()];
        let (gateway, connector) = (gateway.clone(), connector.clone());
        let from = Ipv4Addr::new(127, 2 + (at / 62_500) as u8, (at / 250 % 250) as u8, (at % 250) as u8 + 1);
        let begin = ARRIVAL * u32::try_from(at).unwrap() / u32::try_from(all.len()).unwrap();
        callers.spawn(async move {
            tokio::time::sleep(begin).await;
            let _ = tokio::time::timeout(FOREVER, call(&gateway, &connector, kind, from)).await;
        });
    }
    callers.join_all().await;
}

/// Calls, and ends when the gateway closes.
async fn call(gateway: &Gateway, connector: &TlsConnector, kind: Kind, from: Ipv4Addr) {
    // Little is taken by the kernel for who does not read.
    let window = (kind == Kind::Reader).then_some(4 << 10);
    let Ok(mut stream) = gateway.secure(connector, from, window).await else { return };
    let stream_of = |model: &str| {
        json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "Go on and on."}]}).to_string()
    };
    let (begin, drop) = match kind {
        Kind::Head => ("POST /v1/chat/completions HTTP/1.1\r\nX-A: ".to_owned(), "a"),
        Kind::Body => (gateway.request(&" ".repeat(5_000)).trim_end().to_owned() + "\r\n\r\n", " "),
        Kind::Reader => (gateway.request(&stream_of("endless")), "x"),
    };
    if stream.write_all(begin.as_bytes()).await.is_err() {
        return;
    }
    let mut byte = [0; 1];
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // A byte a second.
        let is_sent = stream.write_all(drop.as_bytes()).await.is_ok() && stream.flush().await.is_ok();
        let is_answered = kind != Kind::Reader
            && tokio::time::timeout(Duration::from_millis(10), stream.read(&mut byte)).await.is_ok();
        if !is_sent || is_answered {
            return;
        }
    }
}

fn report(alone: [f64; 2], beside: [f64; 2], seen: &Seen, [before, after]: [u64; 2]) {
    let Seen { resident, descriptors, held } = seen;
    println!("| | p50 ms | p99 ms |\n|---|---|---|");
    for (name, [p50, p99]) in [("alone", alone), ("beside slow callers", beside)] {
        println!("| {name} | {p50:.2} | {p99:.2} |");
    }
    println!("\n{HEADS} slow heads, {BODIES} slow bodies, {READERS} who do not read, within {} s", ARRIVAL.as_secs());
    println!(
        "the gateway held {descriptors} sockets and files at most, and none of theirs {:.1} s after the last came",
        held.as_secs_f64()
    );
    println!("memory: {before} KiB before, {resident} KiB at most, {after} KiB after");
    // What a reader may take nothing for, a second to say goodbye, and one until it is seen.
    goal("T3-closed", held.as_secs_f64(), 12.0);
    goal("T3", beside[1] / alone[1], 2.0);
}
