//! Whole answers: connections that each send the next request when the last answer was read.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Failure;
use crate::ask::{Connection, Target, refused};
use crate::bodies::Chat;
use crate::cpu;
use crate::model_server::ANSWER;

/// Before each measurement: connections open, buffers grow, keys are known.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);
/// How long what is under way at the end may take.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// What failed, and how often.
pub(crate) type Failures = BTreeMap<String, u64>;

/// One phase.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// How long each request took, sorted.
    pub(crate) took: Vec<Duration>,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Microseconds of the target's processors for each request.
    pub(crate) cpu: f64,
    /// Most resident memory seen, in MiB.
    pub(crate) resident: f64,
    /// Requests without the right answer, those of the warm-up too.
    pub(crate) failures: Failures,
}

/// When a phase is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// From here.
    pub(crate) from: Instant,
    /// Up to here.
    pub(crate) to: Instant,
}

impl Span {
    /// So long, after the warm-up.
    pub(crate) fn next(seconds: Duration) -> Self {
        let from = Instant::now() + WARM_UP;
        Self { from, to: from + seconds }
    }
}

/// Asks for a whole phase over so many connections.
pub(crate) async fn measure(
    target: &Target,
    connections: usize,
    body: &Chat,
    seconds: Duration,
) -> Result<Measured, Failure> {
    let span = Span::next(seconds);
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(work(target.clone(), body.clone(), span));
    }
    let (cpu, resident) = watch(&target.processes, span).await;
    let mut measured = Measured { resident, ..Measured::default() };
    let joined = tokio::time::timeout_at(span.to + GRACE, workers.join_all()).await;
    for (took, failures) in joined.map_err(|_| format!("{} does not answer", target.name))? {
        measured.took.extend(took);
        add(&mut measured.failures, failures);
    }
    measured.took.sort_unstable();
    let count = measured.took.len().max(1) as f64;
    measured.rate = count / seconds.as_secs_f64();
    measured.cpu = cpu.as_secs_f64() * 1e6 / count;
    Ok(measured)
}

/// Processor time over the span, and most memory in it.
pub(crate) async fn watch(processes: &[u32], span: Span) -> (Duration, f64) {
    tokio::time::sleep_until(span.from).await;
    let before = cpu::used(processes);
    let mut resident: f64 = 0.0;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while Instant::now() < span.to {
        let now: f64 = processes.iter().filter_map(|id| cpu::resident(*id)).map(|(now, _)| now).sum();
        resident = resident.max(now);
        tokio::select! {
            _ = ticks.tick() => {}
            () = tokio::time::sleep_until(span.to) => {}
        }
    }
    (cpu::used(processes).saturating_sub(before), resident)
}

/// Adds failures to others.
pub(crate) fn add(all: &mut Failures, more: Failures) {
    for (what, count) in more {
        *all.entry(what).or_default() += count;
    }
}

async fn work(target: Target, chat: Chat, span: Span) -> (Vec<Duration>, Failures) {
    let (mut took, mut failures) = (Vec::with_capacity(1 << 14), Failures::new());
    let mut connection = None;
    while Instant::now() < span.to {
        let started = Instant::now();
        match once(&mut connection, &target, &chat.next()).await {
            Ok(()) if started >= span.from && Instant::now() <= span.to => took.push(started.elapsed()),
            Ok(()) => {}
            Err(failure) => {
                *failures.entry(failure.to_string()).or_default() += 1;
                connection = None;
                // A target that refuses connections must not be asked in a tight loop.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    (took, failures)
}

async fn once(connection: &mut Option<Connection>, target: &Target, body: &Bytes) -> Result<(), Failure> {
    let open = match connection {
        Some(open) => open,
        None => connection.insert(Connection::open(target).await?),
    };
    let response = open.chat(body).await?;
    let refusal = (response.status() != StatusCode::OK).then(|| refused(&response));
    let answer = response.into_body().collect().await?.to_bytes();
    match refusal {
        Some(refusal) => Err(refusal),
        None if answer.windows(ANSWER.len()).any(|part| part == ANSWER.as_bytes()) => Ok(()),
        None => Err("another answer".into()),
    }
}
