//! Streamed answers: when the first piece of content arrives, and when the last one has.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Failure;
use crate::ask::{Connection, Target, refused};
use crate::model_server::{PIECE, PIECES};
use crate::wholes::{Failures, GRACE, Span, add, watch};

/// Over how long the streams of a phase begin: about as long as one takes, so that not all of them
/// ask in the same moment.
const SPREAD: Duration = Duration::from_millis(275);

/// One phase.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Until the first piece of content, sorted.
    pub(crate) first: Vec<Duration>,
    /// Until the end, sorted.
    pub(crate) total: Vec<Duration>,
    /// Microseconds of the target's processors for each stream.
    pub(crate) cpu: f64,
    /// Most resident memory seen, in MiB.
    pub(crate) resident: f64,
    /// Streams that were not whole.
    pub(crate) failures: Failures,
}

/// Keeps so many streams open for a whole phase.
pub(crate) async fn measure(
    target: &Target,
    streams: u32,
    body: &Bytes,
    seconds: Duration,
) -> Result<Measured, Failure> {
    let span = Span::next(seconds);
    let mut workers = JoinSet::new();
    for at in 0..streams {
        workers.spawn(work(target.clone(), body.clone(), span, SPREAD * at / streams));
    }
    let (cpu, resident) = watch(&target.processes, span).await;
    let mut measured = Measured { resident, ..Measured::default() };
    let joined = tokio::time::timeout_at(span.to + GRACE, workers.join_all()).await;
    for (times, failures) in joined.map_err(|_| format!("{} does not answer", target.name))? {
        measured.first.extend(times.iter().map(|(first, _)| first));
        measured.total.extend(times.iter().map(|(_, total)| total));
        add(&mut measured.failures, failures);
    }
    measured.first.sort_unstable();
    measured.total.sort_unstable();
    measured.cpu = cpu.as_secs_f64() * 1e6 / measured.total.len().max(1) as f64;
    Ok(measured)
}

type Times = (Duration, Duration);

async fn work(target: Target, body: Bytes, span: Span, delay: Duration) -> (Vec<Times>, Failures) {
    let (mut times, mut failures) = (Vec::new(), Failures::new());
    let mut connection = None;
    tokio::time::sleep(delay).await;
    while Instant::now() < span.to {
        let started = Instant::now();
        match once(&mut connection, &target, &body).await {
            Ok(both) if started >= span.from && Instant::now() <= span.to => times.push(both),
            Ok(_) => {}
            Err(failure) => {
                *failures.entry(failure.to_string()).or_default() += 1;
                connection = None;
                // A target that refuses connections must not be asked in a tight loop.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    (times, failures)
}

async fn once(connection: &mut Option<Connection>, target: &Target, body: &Bytes) -> Result<Times, Failure> {
    let open = match connection {
        Some(open) => open,
        None => connection.insert(Connection::open(target).await?),
    };
    let started = Instant::now();
    let response = open.chat(body).await?;
    if response.status() != StatusCode::OK {
        return Err(refused(&response));
    }
    let mut body = response.into_body();
    let (mut text, mut first) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        text.extend_from_slice(&data);
        if first.is_none() && has_content(&text) {
            first = Some(started.elapsed());
        }
    }
    let total = started.elapsed();
    match first {
        Some(first) if is_whole(&text) => Ok((first, total)),
        _ => Err("a stream that is not whole".into()),
    }
}

/// Whether a finished event holds some of the content.
fn has_content(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).split_inclusive("\n\n").filter(|event| event.ends_with("\n\n")).any(|event| {
        let data = event.trim_end().strip_prefix("data: ");
        data.is_some_and(|data| content(data).is_some_and(|content| !content.is_empty()))
    })
}

/// Whether all the content came, and the mark at the end.
fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let came: String = data.filter_map(content).collect();
    came == PIECE.repeat(PIECES as usize) && text.ends_with("data: [DONE]\n\n")
}

fn content(data: &str) -> Option<String> {
    let event: Value = serde_json::from_str(data).ok()?;
    event.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned)
}
