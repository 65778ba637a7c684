//! A2: requests, 64 in flight, each with an intent and an outcome, against the same bytes written and synced by
//! one thread that does nothing else.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use audit::SigningKey;

use crate::{goal, intent, open, outcome};

const IN_FLIGHT: usize = 64;
/// In turns, so that both have the same disk.
const ROUNDS: usize = 5;
const LASTS: Duration = Duration::from_secs(2);

/// What was measured in all rounds.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, share: f64) -> f64 {
        let place = ((self.0.len() as f64 * share) as usize).min(self.0.len() - 1);
        self.0.select_nth_unstable(place).1.as_secs_f64() * 1e3
    }
}

pub(crate) async fn run() {
    let dir = tempfile::tempdir().unwrap();
    let (mut intents, mut wholes, mut syncs) = (Times::default(), Times::default(), Times::default());
    let (mut rates, mut disk_rates) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let syncing = disk(&dir.path().join(format!("raw-{round}")));
        disk_rates.push((syncing.len() * IN_FLIGHT) as f64 / LASTS.as_secs_f64());
        syncs.0.extend(syncing);
        let (of_intents, of_wholes) = requests(&dir.path().join(format!("log-{round}"))).await;
        rates.push((of_intents.len() + of_wholes.len()) as f64 / LASTS.as_secs_f64());
        intents.0.extend(of_intents);
        wholes.0.extend(of_wholes);
    }
    let middle = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates.get(ROUNDS / 2).copied().unwrap()
    };
    let (rate, disk_rate) = (middle(&mut rates), middle(&mut disk_rates));
    println!(
        "the disk alone         p50 {:>6.3} ms  p99 {:>6.3} ms  {disk_rate:>7.0} records/s, {IN_FLIGHT} for each fdatasync",
        syncs.at(0.5),
        syncs.at(0.99)
    );
    println!("intent                 p50 {:>6.3} ms  p99 {:>6.3} ms", intents.at(0.5), intents.at(0.99));
    println!("intent and outcome     p50 {:>6.3} ms  p99 {:>6.3} ms", wholes.at(0.5), wholes.at(0.99));
    let (p99, whole_p99) = (intents.at(0.99), wholes.at(0.99));
    println!(
        "A2 p99 of an intent {p99:.2} ms (1.5), of both {whole_p99:.2} ms (3); {rate:.0} durable records/s (50000), \
         {:.2} of what the disk does alone; p99 {:.2} times the disk's",
        rate / disk_rate,
        p99 / syncs.at(0.99)
    );
    goal("A2", &[p99 / 1.5, whole_p99 / 3.0, 50_000.0 / rate]);
}

/// How long intents took, and intents with their outcomes.
async fn requests(dir: &Path) -> (Vec<Duration>, Vec<Duration>) {
    let log = open(dir, SigningKey::generate().unwrap(), 64 << 20).await;
    let end = Instant::now() + LASTS;
    let asking: Vec<_> = (0..IN_FLIGHT)
        .map(|asker| {
            let log = log.clone();
            tokio::spawn(async move {
                let (mut intents, mut wholes) = (Vec::new(), Vec::new());
                while Instant::now() < end {
                    let id = format!("0198c1de-0000-7000-8000-{asker:06}{:06}", intents.len());
                    let asked = Instant::now();
                    log.append(&intent(&id)).await.unwrap();
                    intents.push(asked.elapsed());
                    let asked = Instant::now();
                    log.append(&outcome(&id)).await.unwrap();
                    wholes.push(asked.elapsed() + *intents.last().unwrap());
                }
                (intents, wholes)
            })
        })
        .collect();
    let (mut intents, mut wholes) = (Vec::new(), Vec::new());
    for asked in asking {
        let (of_intents, of_wholes) = asked.await.unwrap();
        intents.extend(of_intents);
        wholes.extend(of_wholes);
    }
    log.close().await.unwrap();
    (intents, wholes)
}

/// How long the disk takes for as many bytes as a full batch has.
fn disk(path: &Path) -> Vec<Duration> {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    let bytes = vec![b'x'; IN_FLIGHT * 520];
    let mut syncs = Vec::new();
    let end = Instant::now() + LASTS;
    while Instant::now() < end {
        let asked = Instant::now();
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        syncs.push(asked.elapsed());
    }
    syncs
}
