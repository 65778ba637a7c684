//! What was reported of other limiters, tried on ours: a test for each report.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ratelimit_redis::*;
use testkit::RedisServer;

use crate::proxy::Proxy;

const fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

const TEN: NonZeroU32 = number(10);
/// Nothing comes back while a test runs.
const SLOW: Quota = Quota::per_day(TEN);
const START: u64 = 1_700_000_000_000_000;

/// A limiter on a server whose clock the test sets.
struct Bench {
    server: RedisServer,
    limiter: RedisLimiter,
}

impl Bench {
    async fn start() -> Self {
        let server = RedisServer::start().await;
        let limiter = on_clock(&server).await;
        let bench = Self { server, limiter };
        bench.at(0).await;
        bench
    }

    /// So many microseconds after the start.
    async fn at(&self, micros: u64) {
        let now = START + micros;
        self.server.ask(&format!("HSET clock s {} us {}", now / 1_000_000, now % 1_000_000)).await;
    }

    async fn allows(&self, quota: Quota) -> bool {
        matches!(self.limiter.check("a", quota).await.unwrap(), Decision::Allow(_))
    }
}

async fn on_clock(server: &RedisServer) -> RedisLimiter {
    let mut config = RedisConfig::new(&server.url()).clock("clock");
    config.deadline = Duration::from_secs(5);
    config.remember_denials = false;
    RedisLimiter::connect(&config).await.unwrap()
}

async fn connect(url: &str) -> RedisLimiter {
    let mut config = RedisConfig::new(url);
    config.deadline = Duration::from_secs(5);
    RedisLimiter::connect(&config).await.unwrap()
}

async fn left(limiter: &impl Limiter, unit: &'static str, quota: Quota) -> u64 {
    limiter.peek(&[Charge::new("a", unit, quota, 0)]).await.unwrap().first().unwrap().remaining
}

/// How often the server did a command.
async fn calls(server: &RedisServer, command: &str) -> u64 {
    let of = "string.match(redis.call('INFO','commandstats'),'cmdstat_";
    let told = server.ask(&format!("EVAL \"return tonumber({of}{command}:calls=(%d+)') or 0)\" 0")).await;
    told.trim_start_matches(':').parse().unwrap()
}

/// brandur/redis-cell#56: whoever waited as long as they were told was refused again.
#[tokio::test]
async fn whoever_waits_as_told_is_let_in_and_not_before() {
    let bench = Bench::start().await;
    for (quota, step) in [(Quota::per_second(number(3)), 1), (Quota::per_minute(number(7)), 100)] {
        while bench.allows(quota).await {}
        let Decision::Deny(denial) = bench.limiter.check("a", quota).await.unwrap() else { panic!("denied") };
        let wait = u64::try_from(denial.retry_after().unwrap().as_micros()).unwrap();
        bench.at(wait - step).await;
        assert!(!bench.allows(quota).await, "one step before");
        bench.at(wait).await;
        assert!(bench.allows(quota).await);
        bench.server.ask("FLUSHDB").await;
        bench.at(0).await;
    }
}

/// brandur/redis-cell#80, #50, #11: large rates became zero, or texts that nobody could read.
#[tokio::test]
async fn large_rates_are_exact() {
    let bench = Bench::start().await;
    let large = |units, window| Quota::new(NonZeroU64::new(units).unwrap(), window).unwrap();
    for (quota, micros, back) in [
        (Quota::per_second(number(2_000)), 500, 1),
        (Quota::per_second(number(8_000)), 125, 1),
        (Quota::per_second(number(6_000)).burst(number(6_000)), 1_000_000, 6_000),
        (large(1_000_000_000, Window::Day), 1_000_000, 11_574),
        (large(100_000_000, Window::Minute), 600, 1_000),
        (large(9_000_000_000, Window::Second), 1, 9_000),
    ] {
        bench.server.ask("FLUSHDB").await;
        bench.at(0).await;
        let all = [Charge::new("a", "requests", quota, quota.most())];
        assert!(matches!(bench.limiter.reserve(&all).await.unwrap(), Decision::Allow(_)));
        assert_eq!(left(&bench.limiter, "requests", quota).await, 0);
        bench.at(micros).await;
        assert_eq!(left(&bench.limiter, "requests", quota).await, back, "{quota:?}");
    }
}

/// brandur/redis-cell#54: after the limit was raised, what was stored meant something else.
#[tokio::test]
async fn a_limit_that_is_raised_acts_at_once_and_one_that_is_lowered_fills_nothing() {
    let bench = Bench::start().await;
    while bench.allows(SLOW).await {}
    let raised = Quota::per_day(number(1_000));
    assert_eq!(left(&bench.limiter, "requests", raised).await, 990);
    assert!(bench.allows(raised).await);
    assert!(!bench.allows(SLOW).await);
    assert_eq!(left(&bench.limiter, "requests", raised).await, 989);
}

/// upstash/ratelimit-js#156: a denial changed what was left.
#[tokio::test]
async fn a_denial_leaves_everything_as_it_was() {
    let bench = Bench::start().await;
    for _ in 0..8 {
        assert!(bench.allows(SLOW).await);
    }
    let writes = calls(&bench.server, "set").await;
    let dear = [Charge::new("a", "requests", SLOW, 5)];
    assert!(matches!(bench.limiter.reserve(&dear).await.unwrap(), Decision::Deny(_)));
    let scripts = calls(&bench.server, "evalsha").await;
    let too_dear = [Charge::new("a", "requests", SLOW, 1_000_000)];
    let Decision::NeverFits(error) = bench.limiter.reserve(&too_dear).await.unwrap() else { panic!("never fits") };
    assert_eq!((error.cost(), error.most()), (1_000_000, 10));
    assert_eq!(calls(&bench.server, "evalsha").await, scripts, "nobody has to be asked");
    assert_eq!(calls(&bench.server, "set").await, writes, "and nothing is written");
    assert_eq!(left(&bench.limiter, "requests", SLOW).await, 2);
}

/// spring-cloud-gateway#2412, go-zero#4072: a replica with an old clock turned the bucket's clock back.
#[tokio::test]
async fn a_clock_that_steps_back_gives_nothing_and_takes_nothing() {
    let bench = Bench::start().await;
    let quota = Quota::per_second(number(10));
    bench.at(10_000_000).await;
    while bench.allows(quota).await {}
    bench.at(9_000_000).await;
    assert!(!bench.allows(quota).await);
    bench.at(10_000_000).await;
    assert!(!bench.allows(quota).await, "the same second is not given twice");
    bench.at(10_100_000).await;
    assert!(bench.allows(quota).await);
    assert!(!bench.allows(quota).await);
    // An hour back and forth.
    bench.at(3_610_000_000).await;
    while bench.allows(quota).await {}
    bench.at(10_000_000).await;
    assert!(!bench.allows(quota).await);
    bench.at(3_610_500_000).await;
    assert_eq!(left(&bench.limiter, "requests", quota).await, 5);
}

/// redis-ratelimiting-js#3, posthog#59610: whoever asked while the bucket was empty kept it empty.
#[tokio::test]
async fn asking_while_it_is_empty_does_not_keep_it_empty() {
    let bench = Bench::start().await;
    let quota = Quota::per_second(NonZeroU32::MIN);
    let mut allowed = Vec::new();
    for tenth in 0..=50 {
        bench.at(tenth * 100_000).await;
        if bench.allows(quota).await {
            allowed.push(tenth);
        }
    }
    assert_eq!(allowed, [0, 10, 20, 30, 40, 50]);
}

/// litellm#39309, envoy ratelimit#185: what one limit refused was charged to the others.
#[tokio::test]
async fn what_is_refused_is_charged_to_none() {
    let bench = Bench::start().await;
    let slots = Quota::at_once(NonZeroU32::MIN, Duration::from_secs(30));
    let charges = [Charge::new("a", "slots", slots, 1), Charge::new("a", "requests", SLOW, 1)];
    let Decision::Allow(held) = bench.limiter.reserve(&charges).await.unwrap() else { panic!("fits") };
    for _ in 0..5 {
        let Decision::Deny(denial) = bench.limiter.reserve(&charges).await.unwrap() else { panic!("full") };
        assert_eq!(denial.policy(), "slots");
    }
    bench.limiter.settle(held, &Actual::as_charged()).await.unwrap();
    assert_eq!(left(&bench.limiter, "requests", SLOW).await, 9);
    assert!(matches!(bench.limiter.reserve(&charges).await.unwrap(), Decision::Allow(_)));
}

/// DocsGPT#2769, aisix: a stream longer than its slot's life lost the slot, and gave back another's.
#[tokio::test]
async fn a_slot_that_is_given_back_late_takes_nobody_elses() {
    let bench = Bench::start().await;
    let slots = Quota::at_once(number(2), Duration::from_secs(30));
    let charges = [Charge::new("a", "slots", slots, 1)];
    let Decision::Allow(late) = bench.limiter.reserve(&charges).await.unwrap() else { panic!("fits") };
    bench.at(60_000_000).await;
    let (Decision::Allow(_one), Decision::Allow(mut two)) =
        (bench.limiter.reserve(&charges).await.unwrap(), bench.limiter.reserve(&charges).await.unwrap())
    else {
        panic!("the first lease is over")
    };
    bench.limiter.settle(late, &Actual::as_charged()).await.unwrap();
    assert_eq!(left(&bench.limiter, "slots", slots).await, 0);
    // Renewing one does not renew others.
    bench.at(80_000_000).await;
    bench.limiter.charge(&mut two, &Actual::as_charged()).await.unwrap();
    bench.at(100_000_000).await;
    assert_eq!(left(&bench.limiter, "slots", slots).await, 1);
}

/// litellm#18730, membrane#3210: fifty at once all found room for five.
#[tokio::test]
async fn fifty_at_once_find_room_for_five() {
    let server = RedisServer::start().await;
    let limiter = connect(&server.url()).await;
    let tokens = Quota::per_day(number(5_000));
    let charges = [Charge::new("a", "tokens", tokens, 1_000)];
    let asked = join_all((0..50).map(|_| limiter.reserve(&charges))).await;
    let allowed = asked.iter().filter(|decision| matches!(decision, Ok(Decision::Allow(_)))).count();
    assert_eq!(allowed, 5);
}

/// litellm#27639, #30460: a reservation whose holder died, or could not say what it used, grew for ever.
#[tokio::test]
async fn a_reservation_whose_holder_died_refills_like_any_other() {
    let bench = Bench::start().await;
    let tokens = Quota::per_second(number(100));
    let charges = [Charge::new("a", "tokens", tokens, 100)];
    drop(bench.limiter.reserve(&charges).await.unwrap());
    assert_eq!(left(&bench.limiter, "tokens", tokens).await, 0);
    bench.at(1_000_000).await;
    assert_eq!(left(&bench.limiter, "tokens", tokens).await, 100);
}

/// rate-limit-redis#251: after a reply was lost the call was sent again, and charged twice.
#[tokio::test]
async fn a_reply_that_is_lost_is_one_charge() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(&server).await;
    let limiter = connect(&proxy.url()).await;
    assert!(matches!(limiter.check("a", SLOW).await.unwrap(), Decision::Allow(_)));
    let before = calls(&server, "evalsha").await;
    proxy.lose_next_reply();
    assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Unavailable);
    assert_eq!(calls(&server, "evalsha").await, before + 1, "it ran, and was not sent again");
    assert_eq!(left(&limiter, "requests", SLOW).await, 8);
}

/// upstash#122, PyrateLimiter#182, new-api#4782: a server that had lost the script failed whoever waited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_is_lost_under_load_is_nobodys_error() {
    let server = RedisServer::start().await;
    let limiter = Arc::new(connect(&server.url()).await);
    let quota = Quota::per_second(number(1_000_000));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let limiter = limiter.clone();
        tasks.spawn(async move {
            for _ in 0..200 {
                assert!(matches!(limiter.check("a", quota).await.unwrap(), Decision::Allow(_)));
            }
        });
    }
    for _ in 0..5 {
        server.ask("SCRIPT FLUSH").await;
        tokio::task::yield_now().await;
    }
    tasks.join_all().await;
    // Ours, and the few that count here.
    let sent = calls(&server, "eval").await;
    assert!(sent <= 20, "sent once for each loss and call under way: {sent}");
}

/// litellm#35533: without Redis each of four replicas allowed the whole limit.
#[tokio::test]
async fn without_the_server_four_replicas_allow_one_limit() {
    let mut server = RedisServer::start().await;
    let quota = Quota::per_day(number(20)).on_outage(OnOutage::LocalShare { replicas: number(4) });
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(connect(&server.url()).await);
    }
    server.kill().await;
    let mut allowed = 0;
    for replica in &replicas {
        for _ in 0..20 {
            allowed += usize::from(matches!(replica.check("a", quota).await.unwrap(), Decision::Allow(_)));
        }
    }
    assert_eq!(allowed, 20);
}

/// limitador#521: a replica that had just started took an empty bucket for a full one.
#[tokio::test]
async fn a_fresh_replica_knows_what_is_used() {
    let server = RedisServer::start().await;
    let old = connect(&server.url()).await;
    while matches!(old.check("a", SLOW).await.unwrap(), Decision::Allow(_)) {}
    let fresh = connect(&server.url()).await;
    assert_eq!(left(&fresh, "requests", SLOW).await, 0);
    assert!(matches!(fresh.check("a", SLOW).await.unwrap(), Decision::Deny(_)));
}

/// AspNetCoreRateLimit#253, SecuScan#1786: keys without an end locked callers out for ever.
#[tokio::test]
async fn no_act_leaves_a_key_without_an_end() {
    let server = RedisServer::start().await;
    let limiter = connect(&server.url()).await;
    let slots = Quota::at_once(TEN, Duration::from_secs(30));
    let charges = [
        Charge::new("a", "requests", SLOW, 1),
        Charge::new("a", "tokens", Quota::per_second(number(50)), 5),
        Charge::new("b", "spend", Quota::total(number(1_000)), 7),
        Charge::new("b", "slots", slots, 1),
    ];
    let without =
        "local n=0 for _,k in ipairs(redis.call('KEYS','*')) do if redis.call('PTTL',k)<0 then n=n+1 end end return n";
    let mut held = Vec::new();
    for act in 0..12 {
        match act % 4 {
            0 | 1 => {
                if let Decision::Allow(taken) = limiter.reserve(&charges).await.unwrap() {
                    held.push(taken);
                }
            }
            2 => limiter.penalize(&charges, Duration::from_secs(5)).await.unwrap(),
            _ => {
                let Some(mut taken) = held.pop() else { continue };
                let so_far = Actual::as_charged().unit("tokens", 900).unit("spend", 2_000);
                limiter.charge(&mut taken, &so_far).await.unwrap();
                limiter.settle(taken, &Actual::as_charged().unit("spend", 1)).await.unwrap();
            }
        }
        assert_ne!(server.ask("DBSIZE").await, ":0");
        assert_eq!(server.ask(&format!("EVAL \"{without}\" 0")).await, ":0", "after act {act}");
    }
}

/// prorate#40, redis#1118: waits below one, and numbers of sixteen digits, were cut on their way.
#[tokio::test]
async fn small_waits_and_long_numbers_arrive_whole() {
    let bench = Bench::start().await;
    let fast = Quota::per_second(number(3));
    while bench.allows(fast).await {}
    let Decision::Deny(denial) = bench.limiter.check("a", fast).await.unwrap() else { panic!("denied") };
    assert_eq!(denial.retry_after(), Some(Duration::from_micros(333_334)));
    let most = (1 << 53) - 1;
    let total = Quota::new(NonZeroU64::new(most).unwrap(), Window::Total).unwrap();
    let odd = 9_007_199_254_740_987;
    let charges = [Charge::new("b", "spend", total, odd)];
    assert!(matches!(bench.limiter.reserve(&charges).await.unwrap(), Decision::Allow(_)));
    let peeked = bench.limiter.peek(&[Charge::new("b", "spend", total, 0)]).await.unwrap();
    assert_eq!(peeked.first().unwrap().remaining, most - odd);
}

/// django-smart-ratelimit#75: an allowance that never refills became another algorithm.
#[tokio::test]
async fn a_budget_never_refills() {
    let bench = Bench::start().await;
    let total = Quota::total(number(3));
    for _ in 0..3 {
        assert!(bench.allows(total).await);
    }
    bench.at(9 * 365 * 86_400_000_000).await;
    let Decision::Deny(denial) = bench.limiter.check("a", total).await.unwrap() else { panic!("spent") };
    assert_eq!(denial.retry_after(), None);
}

/// governor#117, #186: of several limits the longest wait is wanted, and none of them charged.
#[tokio::test]
async fn of_several_limits_the_longest_wait_is_told() {
    let bench = Bench::start().await;
    let charges = [
        Charge::new("a", "second", Quota::per_second(number(2)), 1),
        Charge::new("a", "minute", Quota::per_minute(number(2)), 1),
        Charge::new("b", "hour", Quota::per_hour(number(9)), 1),
    ];
    for _ in 0..2 {
        assert!(matches!(bench.limiter.reserve(&charges).await.unwrap(), Decision::Allow(_)));
    }
    let Decision::Deny(denial) = bench.limiter.reserve(&charges).await.unwrap() else { panic!("denied") };
    assert_eq!((denial.policy(), denial.retry_after()), ("minute", Some(Duration::from_secs(30))));
    let left: Vec<u64> = denial.standings().iter().map(|standing| standing.remaining).collect();
    assert_eq!(left, [0, 0, 7]);
}

/// WorkSphere#1174: calls of the same moment were one call.
#[tokio::test]
async fn twenty_calls_of_the_same_microsecond_are_twenty() {
    let bench = Bench::start().await;
    let slots = Quota::at_once(number(100), Duration::from_secs(30));
    let quota = Quota::per_day(number(100));
    let charges = [Charge::new("a", "requests", quota, 1), Charge::new("a", "slots", slots, 1)];
    let asked = join_all((0..20).map(|_| bench.limiter.reserve(&charges))).await;
    assert!(asked.iter().all(|decision| matches!(decision, Ok(Decision::Allow(_)))));
    assert_eq!(left(&bench.limiter, "requests", quota).await, 80);
    assert_eq!(left(&bench.limiter, "slots", slots).await, 80);
}

/// A server without memory refuses to write, although it still answers.
#[tokio::test]
async fn a_server_without_memory_is_an_outage() {
    let server = RedisServer::start().await;
    let limiter = connect(&server.url()).await;
    assert!(matches!(limiter.check("a", SLOW).await.unwrap(), Decision::Allow(_)));
    server.ask("CONFIG SET maxmemory 1").await;
    assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Unavailable);
    let denied = limiter.check("b", SLOW.on_outage(OnOutage::Deny)).await.unwrap();
    assert!(matches!(denied, Decision::Deny(denial) if denial.is_outage()));
    server.ask("CONFIG SET maxmemory 0").await;
    assert!(matches!(limiter.check("a", SLOW).await.unwrap(), Decision::Allow(_)));
    assert_eq!(left(&limiter, "requests", SLOW).await, 8);
}
