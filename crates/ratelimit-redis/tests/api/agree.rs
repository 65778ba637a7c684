//! The script and the arithmetic in Rust say the same, on a clock that tests move.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use ratelimit_redis::*;
use testkit::RedisServer;

/// Runs of random acts. `AGREE_RUNS` makes them more, for a long night.
fn runs() -> u32 {
    std::env::var("AGREE_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(300)
}

#[derive(Debug, Clone)]
enum Act {
    Reserve { buckets: Vec<usize>, set: usize, units: usize, costs: Vec<u64>, floor: u64 },
    Charge { which: usize, so_far: u64 },
    Settle { which: usize, actual: u64 },
    Cancel { which: usize },
    Penalize { bucket: usize, set: usize, millis: u64 },
    Peek { bucket: usize, set: usize },
    Move { micros: i64 },
}

impl Act {
    /// What a key that has ended cannot know of: other quotas, and a clock that steps back to before its end.
    fn settle_on(&mut self, quotas: usize) {
        match self {
            Self::Reserve { set, .. } | Self::Penalize { set, .. } | Self::Peek { set, .. } => *set = quotas,
            Self::Move { micros } => *micros = micros.abs(),
            _ => {}
        }
        if let Self::Reserve { units, .. } = self {
            *units = (*units).max(3);
        }
    }
}

const UNITS: [&str; 4] = ["requests", "tokens", "spend", "slots"];

/// Sets of quotas that a bucket may have, one after the other, as when settings change.
fn quotas(set: usize) -> [Quota; 4] {
    let small = |n: u32| NonZeroU32::new(n).unwrap();
    let large = |n: u64, window| Quota::new(NonZeroU64::new(n).unwrap(), window).unwrap();
    let slots = Quota::at_once(small(3), Duration::from_millis(700));
    match set {
        0 => [
            Quota::per_second(small(5)).burst(small(10)),
            Quota::per_minute(small(1_000)),
            Quota::total(small(500)),
            slots,
        ],
        1 => [
            Quota::per_second(small(7)).burst(small(3)),
            Quota::per_hour(small(90_000)),
            Quota::total(small(900)),
            slots,
        ],
        2 => [Quota::per_minute(small(60)), large(10_000_000_000, Window::Day), Quota::per_day(small(500)), slots],
        _ => [large(9_000_000_000, Window::Second), Quota::per_minute(small(1)), Quota::total(small(1)), slots],
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let set = || prop_oneof![6 => 0..1_usize, 2 => 1..3_usize, 1 => 3..4_usize];
    let cost = || prop_oneof![3 => 0_u64..4, 3 => 0_u64..400, 1 => any::<u64>()];
    // One bucket without slots goes another way than the rest.
    let buckets = prop_oneof![prop::collection::vec(0..3_usize, 1..2), prop::collection::vec(0..3_usize, 1..4),];
    let units = prop_oneof![4 => Just(3_usize), 4 => Just(4), 1 => 1..3_usize];
    let act = prop_oneof![
        8 => (buckets, set(), units, prop::collection::vec(cost(), 4), prop_oneof![4 => Just(0), 1 => 0_u64..5])
            .prop_map(|(buckets, set, units, costs, floor)| Act::Reserve { buckets, set, units, costs, floor }),
        2 => (any::<usize>(), cost()).prop_map(|(which, so_far)| Act::Charge { which, so_far }),
        3 => (any::<usize>(), cost()).prop_map(|(which, actual)| Act::Settle { which, actual }),
        1 => any::<usize>().prop_map(|which| Act::Cancel { which }),
        1 => (0..3_usize, set(), 0_u64..100_000).prop_map(|(bucket, set, millis)| Act::Penalize { bucket, set, millis }),
        2 => (0..3_usize, set()).prop_map(|(bucket, set)| Act::Peek { bucket, set }),
        6 => prop_oneof![
            6 => 0_i64..400_000,
            2 => 0_i64..90_000_000_000,
            1 => -4_000_000_000_i64..0,
        ].prop_map(|micros| Act::Move { micros }),
    ];
    prop::collection::vec(act, 1..60)
}

/// One world: a limiter, and what it has given out.
struct World<L> {
    limiter: L,
    held: Vec<Reservation>,
}

impl<L: Limiter> World<L> {
    /// Does one act and says all that a caller can see of it.
    async fn act(&mut self, round: u32, act: &Act) -> String {
        let name = |bucket: usize| format!("{round}-{bucket}");
        match act {
            Act::Reserve { buckets, set, units, costs, floor } => {
                let names: Vec<String> = buckets.iter().map(|bucket| name(*bucket)).collect();
                let charges: Vec<Charge<'_>> = names
                    .iter()
                    .flat_map(|name| {
                        let all = UNITS.iter().zip(quotas(*set)).zip(costs).take(*units);
                        all.map(|((unit, quota), cost)| {
                            let cost = if *unit == "slots" { cost % 2 } else { *cost };
                            Charge::new(name, unit, quota, cost).floor(*floor)
                        })
                    })
                    .collect();
                match self.limiter.reserve(&charges).await.unwrap() {
                    Decision::Allow(held) => {
                        let said = format!("allowed {:?}", held.standings());
                        self.held.push(held);
                        said
                    }
                    other => format!("{other:?}"),
                }
            }
            Act::Charge { which, so_far } => {
                let Some(at) = which.checked_rem(self.held.len()) else { return String::new() };
                let so_far = Actual::as_charged().unit("tokens", *so_far);
                self.limiter.charge(self.held.get_mut(at).unwrap(), &so_far).await.unwrap();
                String::new()
            }
            Act::Settle { which, actual } => {
                let Some(at) = which.checked_rem(self.held.len()) else { return String::new() };
                let actual = Actual::as_charged().unit("tokens", *actual).unit("spend", actual / 3);
                self.limiter.settle(self.held.swap_remove(at), &actual).await.unwrap();
                String::new()
            }
            Act::Cancel { which } => {
                let Some(at) = which.checked_rem(self.held.len()) else { return String::new() };
                self.limiter.cancel(self.held.swap_remove(at)).await.unwrap();
                String::new()
            }
            Act::Penalize { bucket, set, millis } => {
                let name = name(*bucket);
                let charges = UNITS.iter().zip(quotas(*set)).map(|(unit, quota)| Charge::new(&name, unit, quota, 0));
                let charges: Vec<_> = charges.collect();
                self.limiter.penalize(&charges, Duration::from_millis(*millis)).await.unwrap();
                String::new()
            }
            Act::Peek { bucket, set } => {
                let name = name(*bucket);
                let charges = UNITS.iter().zip(quotas(*set)).map(|(unit, quota)| Charge::new(&name, unit, quota, 0));
                format!("{:?}", self.limiter.peek(&charges.collect::<Vec<_>>()).await.unwrap())
            }
            Act::Move { .. } => String::new(),
        }
    }
}

async fn shared(server: &RedisServer) -> RedisLimiter {
    let mut config = RedisConfig::new(&server.url()).clock("clock");
    config.deadline = Duration::from_secs(5);
    // What is denied from memory is not asked.
    config.remember_denials = false;
    RedisLimiter::connect(&config).await.unwrap()
}

/// Drops keys whose end has come by the clock of the test, and notes when the others end: the server's own clock
/// does not move with it.
const EXPIRE: &str = r"
    local clock = redis.call('HMGET', 'clock', 's', 'us')
    local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
    for _, key in ipairs(redis.call('KEYS', 'rl1:*')) do
        local ends, value = redis.call('HGET', 'ends', key), redis.call('DUMP', key)
        if redis.call('HGET', 'values', key) ~= value then
            ends = now + redis.call('PTTL', key)
            redis.call('HSET', 'ends', key, string.format('%.0f', ends))
            redis.call('HSET', 'values', key, value)
        end
        if tonumber(ends) <= now then
            redis.call('DEL', key)
            redis.call('HDEL', 'ends', key)
            redis.call('HDEL', 'values', key)
            redis.call('INCR', 'expired')
        end
    end";

async fn agree(runs: u32, expires: bool) {
    let server = RedisServer::start().await;
    let mut connection = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let redis = shared(&server).await;
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let strategy = acts();
    let (mut redis, mut count) = (World { limiter: redis, held: Vec::new() }, 0);
    for round in 0..runs {
        let clock = testing::Clock::new(1_700_000_000_123_456);
        let mut memory = World { limiter: MemoryLimiter::with_clock(clock.clone()), held: Vec::new() };
        redis.held.clear();
        let mut acts = strategy.new_tree(&mut runner).unwrap().current();
        if expires {
            acts.iter_mut().for_each(|act| act.settle_on(round as usize % 4));
        }
        for (at, act) in acts.iter().enumerate() {
            if let Act::Move { micros } = act {
                clock.advance(*micros);
            }
            let now = clock.now();
            let mut set = redis::cmd("HSET");
            set.arg("clock").arg("s").arg(now / 1_000_000).arg("us").arg(now % 1_000_000);
            set.exec_async(&mut connection).await.unwrap();
            if expires {
                redis::cmd("EVAL").arg(EXPIRE).arg(0).exec_async(&mut connection).await.unwrap();
            }
            let (said, meant) = (redis.act(round, act).await, memory.act(round, act).await);
            assert_eq!(said, meant, "run {round}, act {at}: {act:?} after {:?}", &acts[..at]);
            count += 1;
        }
    }
    println!("{count} acts");
    let count = |condition: &str| {
        let keys = "for _,k in ipairs(redis.call('KEYS','rl1:*')) do";
        format!("EVAL \"local n=0 {keys} if {condition} then n=n+1 end end return n\" 0")
    };
    assert_ne!(server.ask(&count("true")).await, ":0");
    assert_eq!(server.ask(&count("redis.call('PTTL',k)<0")).await, ":0", "no key without an end");
    assert_eq!(server.ask("EXISTS expired").await, if expires { ":1" } else { ":0" });
}

#[tokio::test]
async fn the_script_and_the_arithmetic_agree() {
    agree(runs(), false).await;
}

#[tokio::test]
async fn keys_that_end_when_they_say_change_no_answer() {
    agree(runs() / 10, true).await;
}

const ALONE: [Charge<'static>; 2] = {
    let quota = Quota::per_day(NonZeroU32::new(1_000).unwrap());
    [Charge::new("alone", "requests", quota, 1), Charge::new("alone", "tokens", quota, 3)]
};

#[tokio::test]
async fn together_or_alone_is_the_same() {
    let server = RedisServer::start().await;
    server.ask("HSET clock s 1700000000 us 0").await;
    let redis = Arc::new(shared(&server).await);
    let quota = Quota::per_day(NonZeroU32::new(1_000).unwrap());
    // Hundreds of them wait for the same two calls.
    let costs: Vec<u64> = (0..900).map(|n| [1, 1, 1, 2, 3][n % 5]).collect();
    let taking = costs.iter().map(|cost| {
        let redis = redis.clone();
        async move {
            let charges = [Charge::new("a", "requests", quota, *cost), Charge::new("b", "tokens", quota, 0)];
            matches!(redis.reserve(&charges).await.unwrap(), Decision::Allow(_)).then_some(*cost)
        }
    });
    let taken: u64 = futures_util::future::join_all(taking).await.into_iter().flatten().sum();
    assert_eq!(taken, 1_000);
    // Equal ones about one bucket go another way, as one act.
    let taking = (0..900).map(|_| redis.reserve(&ALONE));
    let taken = futures_util::future::join_all(taking).await;
    assert_eq!(taken.iter().filter(|taken| matches!(taken, Ok(Decision::Allow(_)))).count(), 333);
    let left = redis.peek(&ALONE).await.unwrap();
    assert_eq!(left.iter().map(|standing| standing.remaining).collect::<Vec<_>>(), [667, 1]);
}

/// Many buckets with two sets of quotas wait for the same calls, some under quotas that others left there.
#[tokio::test]
async fn buckets_that_wait_together_are_what_they_are_alone() {
    let server = RedisServer::start().await;
    let clock = testing::Clock::new(1_700_000_000_123_456);
    let (redis, memory) = (shared(&server).await, MemoryLimiter::with_clock(clock.clone()));
    let mut same = 0;
    for round in 0..60_u64 {
        clock.advance(if round % 10 == 7 { -150_000 } else { 90_000 });
        let now = clock.now();
        server.ask(&format!("HSET clock s {} us {}", now / 1_000_000, now % 1_000_000)).await;
        let asked = (0..200_u64).map(|bucket| {
            let (redis, memory) = (&redis, &memory);
            async move {
                let set = usize::from(bucket % 3 == 0 || (round == 40 && bucket % 50 == 1));
                let name = format!("bucket-{bucket}");
                let costs = [1 + bucket % 2, (bucket * round) % 40, round % 3];
                let all = UNITS.iter().zip(quotas(set)).zip(costs);
                let charges: Vec<_> = all.map(|((unit, quota), cost)| Charge::new(&name, unit, quota, cost)).collect();
                let (said, meant) = (redis.reserve(&charges).await.unwrap(), memory.reserve(&charges).await.unwrap());
                let see = |decision: &Decision| match decision {
                    Decision::Allow(held) => format!("allowed {:?}", held.standings()),
                    other => format!("{other:?}"),
                };
                assert_eq!(see(&said), see(&meant), "round {round}, bucket {bucket}");
                u32::from(matches!(said, Decision::Allow(_)))
            }
        });
        same += futures_util::future::join_all(asked).await.into_iter().sum::<u32>();
    }
    assert!((2_000..10_000).contains(&same), "{same} allowed of 12000");
}
