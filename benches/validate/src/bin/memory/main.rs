//! What memory a request takes while it is read, beyond its body: that of honest ones (V1a, V1c) and of hostile ones
//! near every bound (V6). A program of its own, since counting allocations takes time.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

mod hostile;

use bench_validate::measure::{Random, time};
use bench_validate::{at_most, bodies};
use bytes::Bytes;
use core_validate::{Head, InvalidCode, Operation, Validator};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const MIB: f64 = (1 << 20) as f64;
/// Bodies whose time tells: of smaller ones a call itself takes most.
const SLOW_FROM: usize = 16 << 10;

/// What one call of `parse` did.
struct Taken {
    refused: Option<InvalidCode>,
    allocations: u64,
    peak: f64,
}

fn parse(operation: Operation, head: &Head, body: &Bytes) -> Taken {
    let validator = Validator::default();
    let counting = dhat::Profiler::builder().testing().build();
    let parsed = validator.parse(operation, head, body);
    let stats = dhat::HeapStats::get();
    drop(counting);
    let refused = parsed.as_ref().err().map(core_validate::Invalid::code);
    Taken { refused, allocations: stats.total_blocks, peak: stats.max_bytes as f64 }
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    if only.is_empty() {
        tensor();
        chats();
    }
    hostile(&only);
}

/// V1a: the useful output of reading a million FP32 is 4 MB; here nothing is made of them.
fn tensor() {
    let mut random = Random::new(1);
    let data = bodies::list(1_000_000, || bodies::short(&mut random));
    let body = Bytes::from(bodies::tensor("[1000000]", "FP32", &data));
    let taken = parse(Operation::Infer, &bodies::infer_head(None), &body);
    assert!(taken.refused.is_none());
    println!("1 M FP32 in JSON: {} allocations, {:.0} bytes at most", taken.allocations, taken.peak);
    at_most("V1a.memory", taken.peak / 4e6, 1.2);
}

/// V1c: allocations of a chat.
fn chats() {
    let cases = [("chat", bodies::chat()), ("chat with 20 tools", bodies::chat_with_tools())];
    let mut counts = Vec::new();
    for (name, body) in cases {
        let taken = parse(Operation::Chat, &Head::default(), &Bytes::from(body));
        assert!(taken.refused.is_none());
        println!("{name}: {} allocations, {:.0} bytes at most", taken.allocations, taken.peak);
        counts.push(taken.allocations as f64);
    }
    at_most("V1c.allocations", counts.first().copied().unwrap(), 60.0);
}

/// V6: no refused body takes more than a mebibyte beside itself. What time they take is told, too.
fn hostile(only: &str) {
    let (mut worst, mut slowest) = (0.0_f64, 0.0_f64);
    for case in hostile::cases().into_iter().filter(|case| case.name.contains(only)) {
        let body = Bytes::from(case.body);
        let taken = parse(case.operation, &case.head, &body);
        let told = taken.refused.map_or("accepted", InvalidCode::as_str);
        let size = body.len() as f64 / MIB;
        let nanos = nanos(case.operation, &case.head, &body);
        println!(
            "{:<47} {size:>6.2} MiB  {told:<20} {:>6.3} MiB beside it  {nanos:>6.1} ns a byte",
            case.name,
            taken.peak / MIB
        );
        if body.len() >= SLOW_FROM {
            slowest = slowest.max(nanos);
        }
        assert!(taken.refused.is_some() != case.is_honest, "{}", case.name);
        if !case.is_honest {
            worst = worst.max(taken.peak);
        }
    }
    at_most("V6", worst / MIB, 1.0);
    println!("slowest of {SLOW_FROM} bytes or more: {slowest:.0} ns a byte");
}

/// What it takes, without counting; the least of a few times, since the machine does other things, too.
fn nanos(operation: Operation, head: &Head, body: &Bytes) -> f64 {
    let validator = Validator::default();
    let once = || time(1, || validator.parse(operation, head, body).is_ok());
    let least = (0..3).map(|_| once()).fold(f64::INFINITY, f64::min);
    least * 1e9 / body.len() as f64
}
