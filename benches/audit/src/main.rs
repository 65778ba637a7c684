//! `just bench-audit`: whether a killed gateway asked or answered anything off the record (A1), what a durable record costs
//! beside the disk's own `fdatasync` (A2), whether changes of a log are found and how fast it is verified (A3), and what
//! happens when its disk or database fails (A4). Prints a line for each case and one for each goal. The gateway is the
//! binary beside this one.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

mod cost;
mod faults;
mod gateway;
mod kills;
mod mutants;
mod outages;
mod syscalls;

use std::path::Path;

use audit::{Intent, Log, Outcome, Record, SegmentFile, SigningKey};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            runtime.block_on(killed());
            runtime.block_on(cost::run());
            runtime.block_on(mutants::run());
            runtime.block_on(broken());
        }
        ["kills"] => runtime.block_on(killed()),
        ["cost"] => runtime.block_on(cost::run()),
        ["mutants"] => runtime.block_on(mutants::run()),
        ["faults"] => runtime.block_on(broken()),
        _ => println!("nothing, `kills`, `cost`, `mutants` or `faults`"),
    }
}

async fn killed() {
    let violations = syscalls::run().await + kills::run().await;
    println!("goal A1 {violations} <= 0 {}", if violations == 0 { "met" } else { "missed" });
}

async fn broken() {
    let mut figures = faults::run().await;
    figures.extend(outages::run().await);
    println!("A4 the worst of refused within 250 ms, works again within 5 s, nothing lost");
    goal("A4", &figures);
}

/// A goal of several figures, none of which is to be more than 1: the measured one by the target, or the other way
/// round where more is better.
fn goal(id: &str, figures: &[f64]) {
    let worst = figures.iter().copied().fold(0.0, f64::max);
    println!("goal {id} {worst:.3} <= 1 {}", if worst <= 1.0 { "met" } else { "missed" });
}

async fn open(dir: &Path, key: SigningKey, segment_bytes: u64) -> Log {
    let sink = SegmentFile::open(dir).unwrap().segment_bytes(segment_bytes);
    Log::open(sink, key, "bench/audit").await.unwrap()
}

/// An intent as the gateway writes it: about 520 bytes.
fn intent(id: &str) -> Record {
    let mut intent = Intent::new(id, 1_800_000_000_000);
    intent.who.key_id = Some("pck1_0123456789abcdef".to_owned());
    intent.who.tenant = Some("acme".to_owned());
    intent.who.address = Some("192.0.2.1".to_owned());
    "chat".clone_into(&mut intent.operation);
    "openai".clone_into(&mut intent.dialect);
    "large".clone_into(&mut intent.model);
    "large-2026-11".clone_into(&mut intent.backend_model);
    (intent.body_bytes, intent.estimated_tokens) = (1_234, 400);
    intent.input_digest = "0123456789abcdef".repeat(4);
    intent.into()
}

fn outcome(id: &str) -> Record {
    let mut outcome = Outcome::new(id, 1_800_000_000_123);
    outcome.who.key_id = Some("pck1_0123456789abcdef".to_owned());
    outcome.who.tenant = Some("acme".to_owned());
    outcome.status = 200;
    outcome.ended = audit::Ended::Complete;
    outcome.backend = Some("one".to_owned());
    outcome.output_digest = "fedcba9876543210".repeat(4);
    outcome.into()
}
