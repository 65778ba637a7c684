//! So many tasks decide for a while: decisions a second, the middle and the slow ones, the server's own
//! processor time per decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Microseconds of Redis's main thread per decision.
    pub(crate) cpu: f64,
}

/// Runs `decide` from `tasks` tasks; each call gets the number of its key among `keys`.
pub(crate) async fn measure<F, Fut>(
    server: &MultiplexedConnection,
    tasks: usize,
    keys: u64,
    lasts: Duration,
    decide: F,
) -> Figures
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let done = Arc::new(AtomicU64::new(0));
    let (cpu, started) = (cpu(server).await, Instant::now());
    let end = started + lasts;
    let working: Vec<_> = (0..tasks as u64)
        .map(|task| {
            let (decide, done) = (decide.clone(), done.clone());
            tokio::spawn(async move {
                let (mut times, mut random) =
                    (Vec::with_capacity(65_536), task.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
                while Instant::now() < end {
                    // Xorshift: any key as likely as another.
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let asked = Instant::now();
                    decide(random % keys).await;
                    times.push(u32::try_from(asked.elapsed().as_nanos()).unwrap_or(u32::MAX));
                    done.fetch_add(1, Ordering::Relaxed);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in working {
        times.extend(task.await.unwrap_or_default());
    }
    let (elapsed, count) = (started.elapsed().as_secs_f64(), done.load(Ordering::Relaxed) as f64);
    times.sort_unstable();
    let at = |share: f64| {
        let place = (times.len() as f64 * share) as usize;
        times.get(place.min(times.len().saturating_sub(1))).map_or(0.0, |nanos| f64::from(*nanos) / 1_000.0)
    };
    let used = self::cpu(server).await - cpu;
    Figures { per_second: count / elapsed, p50: at(0.5), p99: at(0.99), cpu: used / count * 1e6 }
}

/// Seconds of processor time of the server's main thread.
async fn cpu(server: &MultiplexedConnection) -> f64 {
    let mut server = server.clone();
    let text: String = redis::cmd("INFO").arg("cpu").query_async(&mut server).await.unwrap_or_default();
    let seconds = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    seconds("used_cpu_sys_main_thread:") + seconds("used_cpu_user_main_thread:")
}
