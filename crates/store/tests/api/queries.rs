//! Distinct queries over real Redis servers.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use privacy::PrivacySecret;
use privacy::distinct::{Bucket, Counted, LedgerError, QueryBudget, QueryKey, QueryLedger, Verdict, Window, testing};
use redis_place::{PlaceError, RedisTls};
use store::RedisQueryLedger;
use testkit::{RedisCluster, RedisServer};

/// A busy machine may make more of a deadline, but nothing waits for ever.
const GUARD: Duration = Duration::from_secs(8);
const RULE: &str = "ACL SETUSER queries on >secret resetkeys ~pcq:* resetchannels -@all +evalsha +eval +hmget +hset \
    +hincrby +scard +sismember +sadd +spop +pfadd +pfcount +getrange +setrange +pexpireat";
/// 2100-01-15, so that the server's clock ends no window.
const NOW: u64 = 4_103_654_400_000;

fn at(url: &str) -> RedisQueryLedger {
    let ledger = RedisQueryLedger::new(url, &RedisTls::default(), None, "pcq:").unwrap();
    ledger.deadline(Duration::from_secs(5))
}

fn budget(hard: u64) -> QueryBudget {
    QueryBudget::new(NonZeroU64::new(hard).unwrap(), Window::Month)
}

async fn ask(ledger: &RedisQueryLedger, name: &str, hard: u64, number: u64) -> Result<Counted, LedgerError> {
    ledger.count(&[Bucket::new(name, budget(hard))], &testing::queries("redis", number..number + 1), NOW).await
}

#[tokio::test]
async fn redis_keeps_the_contract_for_a_user_with_few_rights() {
    for protocol in ["", "&protocol=resp3"] {
        let server = RedisServer::start().await;
        assert_eq!(server.ask(RULE).await, "+OK");
        let url = format!("{}?user=queries&pass=secret{protocol}", server.url());
        testing::suite(async || {
            server.ask("FLUSHALL").await;
            at(&url)
        })
        .await;
    }
}

#[tokio::test]
async fn a_cluster_keeps_the_contract_and_refuses_several_slots() {
    let cluster = RedisCluster::start().await;
    let ledger = Arc::new(at(&cluster.url()));
    let buckets = [Bucket::new("{t}a", budget(1)), Bucket::new("{t}b", budget(1))];
    let one = testing::queries("cluster", 0..1);
    let counted = ledger.count(&buckets, &one, NOW).await.unwrap();
    assert_eq!(counted.verdict(), Verdict::Within);
    for tag in 0..30 {
        assert!(ask(&ledger, &format!("{{{tag}}}a"), 1, 0).await.is_ok(), "every slot is found");
        assert!(ask(&ledger, &format!("tagless{tag}"), 1, 0).await.is_ok(), "all keys of a bucket are in one slot");
    }
    let apart = [Bucket::new("{t}a", budget(1)), Bucket::new("{u}a", budget(1))];
    assert_eq!(ledger.count(&apart, &one, NOW).await, Err(LedgerError::Call));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_gateways_and_fifty_keys_share_the_budget_of_a_tenant_exactly() {
    let server = RedisServer::start().await;
    let mut tasks = Vec::new();
    for gateway in 0..3_u64 {
        let ledger = Arc::new(at(&server.url()));
        for key in 0..50 {
            let ledger = ledger.clone();
            tasks.push(tokio::spawn(async move {
                let (family, mut answered) = (format!("{{acme}}m:family:{key}"), 0);
                let buckets = [Bucket::new("{acme}m", budget(1_000)), Bucket::new(&family, budget(60))];
                for number in 0..20 {
                    let number = (gateway * 50 + key) * 20 + number;
                    let asked = testing::queries("shared", number..number + 1);
                    let counted = ledger.count(&buckets, &asked, NOW).await.unwrap();
                    answered += u64::from(counted.verdict() != Verdict::Refused);
                }
                answered
            }));
        }
    }
    let mut answered = 0;
    for task in tasks {
        answered += task.await.unwrap();
    }
    assert_eq!(answered, 1_000, "of 3000 that were asked");
}

#[tokio::test]
async fn all_that_is_stored_ends_after_its_window() {
    let server = RedisServer::start().await;
    let ledger = at(&server.url());
    let row: Vec<f64> = (0..64).map(f64::from).collect();
    let buckets = [Bucket::new("{t}a", budget(5)), Bucket::new("b", budget(5))];
    let key = QueryKey::new(&PrivacySecret::from_bytes([1; 32]), "m");
    // Nothing, then no sketch, then one: keys appear one after the other.
    for queries in [vec![], vec![key.bytes(b"", b"a")], vec![key.numbers(b"", &row)]] {
        ledger.count(&buckets, &queries, NOW).await.unwrap();
    }
    let keys = server.ask_lines("KEYS *").await;
    assert_eq!(keys.len(), 10, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("pcq:") && key.contains("2100-01"), "{key}");
        // The first of February, and a day.
        assert_eq!(server.ask(&format!("PEXPIRETIME {key}")).await, ":4105209600000", "{key}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_and_one_that_is_back_counts() {
    let mut server = RedisServer::start().await;
    let ledger = at(&server.url()).deadline(Duration::from_millis(500));
    assert!(ask(&ledger, "{t}a", 9, 0).await.is_ok());
    server.ask("SCRIPT FLUSH").await;
    let counted = ask(&ledger, "{t}a", 9, 1).await.unwrap();
    assert_eq!(counted.standings().first().unwrap().distinct, 2, "the script is sent again, once");
    server.ask("CLIENT KILL TYPE normal").await;
    assert!(ask(&ledger, "{t}a", 9, 2).await.is_ok(), "on another connection");
    server.freeze(true).await;
    let asked = Instant::now();
    assert_eq!(ask(&ledger, "{t}a", 9, 3).await, Err(LedgerError::Unavailable));
    assert!(asked.elapsed() < GUARD, "{:?}", asked.elapsed());
    server.freeze(false).await;
    server.kill().await;
    assert_eq!(ask(&ledger, "{t}a", 9, 3).await, Err(LedgerError::Unavailable));
    server.restart().await;
    assert!(ask(&ledger.deadline(Duration::from_secs(5)), "{t}a", 9, 3).await.is_ok());
}

#[tokio::test]
async fn a_server_that_was_demoted_counts_nothing() {
    let server = RedisServer::start().await;
    let ledger = at(&server.url());
    assert!(ask(&ledger, "{t}a", 9, 0).await.is_ok());
    server.ask("REPLICAOF 127.0.0.1 1").await;
    assert_eq!(ask(&ledger, "{t}a", 9, 1).await, Err(LedgerError::Unavailable));
    server.ask("REPLICAOF NO ONE").await;
    assert!(ask(&ledger, "{t}a", 9, 1).await.is_ok());
}

#[tokio::test]
async fn what_somebody_else_wrote_is_no_count() {
    let server = RedisServer::start().await;
    let ledger = at(&server.url());
    for kind in ["f", "d", "h1"] {
        server.ask(&format!("FLUSHALL\r\nLPUSH pcq:{kind}:2100-01:{{t}}a x")).await;
        assert_eq!(ask(&ledger, "{t}a", 9, 0).await, Err(LedgerError::Corrupt), "{kind}");
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let new = |url, prefix| RedisQueryLedger::new(url, &RedisTls::default(), None, prefix).unwrap_err();
    assert!(matches!(new("http://localhost", "pcq:"), PlaceError::Settings(_)));
    assert!(matches!(new("redis://localhost", "pcq{:"), PlaceError::Settings(_)));
}
