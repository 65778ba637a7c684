//! X4: one budget of distinct queries, shared by fifty keys of a tenant over three replicas on one Redis; and where it
//! ends in two hundred runs beyond what is counted exactly.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bench_privacy::Goal;
use privacy::distinct::{Bucket, EXACT, QueryBudget, QueryLedger, Verdict, Window, testing};
use redis_place::RedisTls;
use store::RedisQueryLedger;
use testkit::RedisServer;

const REPLICAS: u64 = 3;
const KEYS: u64 = 50;
const RUNS: u64 = 200;
/// Queries of a call while there is room for all of them.
const TOGETHER: u64 = 100;
/// 2100-01-15, so that the server's clock ends no window.
const NOW: u64 = 4_103_654_400_000;

fn budget(hard: u64) -> QueryBudget {
    QueryBudget::new(NonZeroU64::new(hard).unwrap(), Window::Month)
}

fn replica(server: &RedisServer) -> Arc<RedisQueryLedger> {
    let ledger = RedisQueryLedger::new(&server.url(), &RedisTls::default(), None, "pcq:").unwrap();
    Arc::new(ledger.deadline(Duration::from_secs(10)))
}

/// How many queries were answered of one and a half times the budget, each asked by another key in turn, on
/// any replica.
async fn shared(server: &RedisServer, hard: u64) -> u64 {
    let replicas: Vec<_> = (0..REPLICAS).map(|_| replica(server)).collect();
    let each = hard * 3 / 2 / KEYS;
    let mut tasks = Vec::new();
    for key in 0..KEYS {
        let ledger = replicas.get((key % REPLICAS) as usize).unwrap().clone();
        tasks.push(tokio::spawn(async move {
            let (tenant, family) = (format!("{{t}}m:{hard}"), format!("{{t}}m:{hard}:family:{key}"));
            let buckets = [Bucket::new(&tenant, budget(hard)), Bucket::new(&family, budget(hard))];
            let mut answered = 0;
            for query in testing::queries("shared", key * each..(key + 1) * each) {
                let counted = ledger.count(&buckets, &[query], NOW).await.unwrap();
                answered += u64::from(counted.verdict() != Verdict::Refused);
            }
            answered
        }));
    }
    let mut answered = 0;
    for task in tasks {
        answered += task.await.unwrap();
    }
    answered
}

/// After how many distinct queries the first is refused.
async fn end(ledger: &RedisQueryLedger, run: u64, hard: u64) -> u64 {
    let (tenant, queries) = (format!("run:{run}"), format!("run:{run}"));
    let buckets = [Bucket::new(&tenant, budget(hard))];
    let (mut asked, mut together) = (0, TOGETHER);
    loop {
        let part = testing::queries(&queries, asked..asked + together);
        match (ledger.count(&buckets, &part, NOW).await.unwrap().verdict(), together) {
            (Verdict::Refused, 1) => return asked,
            (Verdict::Refused, _) => together = 1,
            _ => asked += together,
        }
    }
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut goal = Goal::new("X4");
        let server = RedisServer::start().await;
        let exact = shared(&server, EXACT).await;
        goal.at_most("not exact, of 10000", exact.abs_diff(EXACT) as f64 + 1.0, 1.0);
        let hard = 30_000;
        let answered = shared(&server, hard).await;
        goal.at_most("off, of 30000, fifty keys on three replicas", answered.abs_diff(hard) as f64 / hard as f64, 0.02);
        let calls = server.ask_lines("INFO commandstats").await;
        println!("{}", calls.iter().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap());
        let (ledger, mut within, mut worst) = (replica(&server), 0, 0.0_f64);
        for run in 0..RUNS {
            let hard: u64 = EXACT * [1, 2, 3, 5, 10].get((run % 5) as usize).unwrap();
            let off = end(&ledger, run, hard).await as f64 / hard as f64 - 1.0;
            assert!(hard > EXACT || off == 0.0, "exact up to {EXACT}");
            within += u64::from(off.abs() <= 0.02);
            worst = worst.max(off.abs());
            server.ask("FLUSHALL").await;
        }
        println!("farthest end of {RUNS} runs up to 100000: {worst:.4} off");
        goal.at_least("runs that end within 2 %", within as f64 / RUNS as f64, 0.98);
        goal.end();
    });
}
