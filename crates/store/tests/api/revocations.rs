//! Gateways that tell each other of changed keys, over real Redis servers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keys::testing::revocations_suite;
use keys::{Changed, Heard, Revocations, Unheard};
use redis_place::RedisTls;
use store::RedisRevocations;
use testkit::{RedisCluster, RedisSentinels, RedisServer};
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// Deadlines are a second and two; a busy machine may make more of it, but nothing waits for ever.
const GUARD: Duration = Duration::from_secs(8);

const KEY: &str = "pck:changes";
/// What the documentation says a user needs.
const RULE: &str = "ACL SETUSER keys on >secret resetkeys ~pck:* resetchannels -@all +xadd +xread +xinfo|stream";

fn at(url: &str) -> RedisRevocations {
    RedisRevocations::new(url, &RedisTls::default(), None, "pck:").unwrap()
}

fn tenant(name: &str) -> Changed {
    Changed::Tenant(name.parse().unwrap())
}

/// What a gateway hears.
struct Hears(UnboundedReceiver<Heard>);

impl Hears {
    /// Listens in a task of its own, which ends with the test's runtime.
    fn on(revocations: &Arc<RedisRevocations>) -> Self {
        let (heard, hears) = mpsc::unbounded_channel();
        let revocations = revocations.clone();
        tokio::spawn(async move {
            let hear = move |what| drop(heard.send(what));
            revocations.listen(&hear).await;
        });
        Self(hears)
    }

    async fn next(&mut self) -> Heard {
        tokio::time::timeout(Duration::from_secs(20), self.0.recv()).await.unwrap().unwrap()
    }

    /// What is heard before this, and this.
    async fn until(&mut self, wanted: &Heard) -> Vec<Heard> {
        let mut heard = Vec::new();
        while heard.last() != Some(wanted) {
            heard.push(self.next().await);
        }
        heard
    }
}

/// A gateway that listens.
async fn listening(url: &str) -> (Arc<RedisRevocations>, Hears) {
    let revocations = Arc::new(at(url));
    let mut hears = Hears::on(&revocations);
    assert_eq!(hears.next().await, Heard::Here);
    (revocations, hears)
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    for protocol in ["", "?protocol=resp3"] {
        let server = RedisServer::start().await;
        let url = format!("{}{protocol}", server.url());
        revocations_suite(async || {
            server.ask("FLUSHALL").await;
            (at(&url), at(&url))
        })
        .await;
    }
}

#[tokio::test]
async fn redis_keeps_the_contract_over_tls_for_a_user_with_few_rights() {
    let server = testkit::RedisTls::start(true).await;
    assert_eq!(server.server.ask(RULE).await, "+OK");
    let (certificate, key) = server.certificates.client.clone();
    let tls = RedisTls::default().ca(server.certificates.ca.as_str()).client(certificate, key);
    let url = server.url().replace("://", "://keys:secret@");
    let at = || RedisRevocations::new(&url, &tls, None, "pck:").unwrap();
    revocations_suite(async || {
        server.server.ask("FLUSHALL").await;
        (at(), at())
    })
    .await;
}

#[tokio::test]
async fn who_may_not_read_is_never_told_that_it_hears() {
    let server = RedisServer::start().await;
    server.ask(&RULE.replace(" +xread", "")).await;
    let mut hears = Hears::on(&Arc::new(at(&format!("{}?user=keys&pass=secret", server.url()))));
    // It has tried.
    while !server.ask_lines("ACL LOG").await.iter().any(|line| line == "xread") {
        tokio::task::yield_now().await;
    }
    assert!(hears.0.try_recv().is_err());
    server.ask("ACL SETUSER keys +xread").await;
    assert_eq!(hears.next().await, Heard::Here);
}

#[tokio::test]
async fn a_server_that_is_killed_is_away_until_it_is_back() {
    let mut server = RedisServer::start().await;
    let (revocations, mut hears) = listening(&server.url()).await;
    server.kill().await;
    assert_eq!(hears.next().await, Heard::Away);
    let asked = Instant::now();
    assert_eq!(revocations.announce(&Changed::All).await, Err(Unheard));
    assert!(asked.elapsed() < GUARD, "{:?}", asked.elapsed());
    server.restart().await;
    assert_eq!(hears.next().await, Heard::Here);
    revocations.announce(&tenant("a")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("a")));
}

#[tokio::test]
async fn a_server_that_is_silent_is_away_within_two_seconds() {
    let server = RedisServer::start().await;
    let (revocations, mut hears) = listening(&server.url()).await;
    revocations.announce(&tenant("a")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("a")));
    server.freeze(true).await;
    let frozen = Instant::now();
    let announced = revocations.announce(&tenant("b")).await;
    assert!(frozen.elapsed() < GUARD, "{:?}", frozen.elapsed());
    assert_eq!(announced, Err(Unheard));
    assert_eq!(hears.next().await, Heard::Away);
    assert!(frozen.elapsed() < GUARD, "{:?}", frozen.elapsed());
    server.freeze(false).await;
    hears.until(&Heard::Here).await;
    revocations.announce(&tenant("c")).await.unwrap();
    hears.until(&Heard::Changed(tenant("c"))).await;
}

#[tokio::test]
async fn what_is_added_while_the_connection_is_lost_is_covered() {
    let server = RedisServer::start().await;
    let (revocations, mut hears) = listening(&server.url()).await;
    revocations.announce(&tenant("a")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("a")));
    server.ask(&format!("CLIENT KILL TYPE normal\r\nXADD {KEY} * c all")).await;
    assert_eq!(hears.next().await, Heard::Away);
    assert_eq!(hears.next().await, Heard::Here);
    // The connection for announcements was killed, too.
    revocations.announce(&tenant("b")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("b")));
}

#[tokio::test]
async fn what_somebody_else_writes_makes_rows_be_read_and_no_more() {
    let server = RedisServer::start().await;
    let (revocations, mut hears) = listening(&server.url()).await;
    for entry in ["c nonsense", "c key", "d all", "c all d all", "c \"\\xff\"", "\"\\xff\" \"\""] {
        server.ask(&format!("XADD {KEY} * {entry}")).await;
        assert_eq!(hears.next().await, Heard::Changed(Changed::All), "{entry}");
    }
    revocations.announce(&tenant("a")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("a")));
    // And what is no stream at all.
    server.ask(&format!("DEL {KEY}\r\nSET {KEY} a")).await;
    assert_eq!(hears.next().await, Heard::Away);
    assert_eq!(revocations.announce(&tenant("b")).await, Err(Unheard));
    server.ask("FLUSHALL").await;
    assert_eq!(hears.next().await, Heard::Here);
}

#[tokio::test]
async fn a_stream_that_is_another_one_is_noticed() {
    let server = RedisServer::start().await;
    let (revocations, mut hears) = listening(&server.url()).await;
    let gone = ["FLUSHALL".to_owned(), format!("DEL {KEY}\r\nXADD {KEY} 1-1 c all")];
    for gone in gone {
        for name in ["a", "b"] {
            revocations.announce(&tenant(name)).await.unwrap();
            assert_eq!(hears.next().await, Heard::Changed(tenant(name)));
        }
        server.ask(&gone).await;
        assert_eq!(hears.next().await, Heard::Here, "{gone}");
    }
    // One that is newer, or as new; whether its entry is heard depends on the millisecond.
    for name in ["a", "b"] {
        revocations.announce(&tenant(name)).await.unwrap();
        assert_eq!(hears.next().await, Heard::Changed(tenant(name)));
    }
    server.ask(&format!("DEL {KEY}\r\nXADD {KEY} * c all")).await;
    hears.until(&Heard::Here).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_at_first_is_found_later() {
    let mut server = RedisServer::start().await;
    server.kill().await;
    let revocations = Arc::new(at(&server.url()));
    let mut hears = Hears::on(&revocations);
    assert_eq!(revocations.announce(&Changed::All).await, Err(Unheard));
    server.restart().await;
    assert_eq!(hears.next().await, Heard::Here, "it was never told that it hears");
}

#[tokio::test]
async fn after_a_failover_the_new_master_tells() {
    let servers = RedisSentinels::start(None).await;
    let (revocations, mut hears) = listening(&servers.url()).await;
    revocations.announce(&tenant("a")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("a")));
    servers.failover().await;
    assert_eq!(hears.next().await, Heard::Away);
    assert_eq!(hears.next().await, Heard::Here);
    revocations.announce(&tenant("b")).await.unwrap();
    hears.until(&Heard::Changed(tenant("b"))).await;
    let kept = servers.replica().ask_lines(&format!("XRANGE {KEY} - +")).await;
    assert!(kept.iter().any(|line| line == "tenant b"), "{kept:?}");
}

#[tokio::test]
async fn after_the_masters_machine_died_the_new_master_tells() {
    let mut servers = RedisSentinels::start(None).await;
    let (revocations, mut hears) = listening(&servers.url()).await;
    servers.kill_master().await;
    assert_eq!(hears.next().await, Heard::Away);
    assert_eq!(hears.next().await, Heard::Here);
    revocations.announce(&tenant("b")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("b")));
}

#[tokio::test]
async fn in_a_cluster_the_stream_is_followed() {
    let mut cluster = RedisCluster::start().await;
    let url = cluster.url();
    revocations_suite(async || {
        for at in 0..3 {
            cluster.server(at).ask("FLUSHALL").await;
        }
        (at(&url), at(&url))
    })
    .await;
    let (revocations, mut hears) = listening(&url).await;
    let slot = redis_place::key_slot(KEY);
    let owner = cluster.owner(slot).await;
    cluster.reshard(slot, (owner + 1) % 3).await;
    hears.until(&Heard::Away).await;
    assert_eq!(hears.next().await, Heard::Here);
    revocations.announce(&tenant("a")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("a")));
    // Who announces only finds it, too.
    at(&url).announce(&tenant("b")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("b")));
    let owner = cluster.owner(slot).await;
    cluster.add_replica(owner).await;
    cluster.kill(owner).await;
    assert_eq!(hears.next().await, Heard::Away);
    assert_eq!(hears.next().await, Heard::Here);
    revocations.announce(&tenant("c")).await.unwrap();
    assert_eq!(hears.next().await, Heard::Changed(tenant("c")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_announced_is_heard_at_once() {
    let server = RedisServer::start().await;
    let (_, mut hears) = listening(&server.url()).await;
    let teller = at(&server.url());
    let mut took = Vec::new();
    for _ in 0..1_000 {
        let announced = Instant::now();
        teller.announce(&Changed::All).await.unwrap();
        assert_eq!(hears.next().await, Heard::Changed(Changed::All));
        took.push(announced.elapsed());
    }
    took.sort();
    let (half, most) = (took.get(499).unwrap(), took.get(989).unwrap());
    println!("heard after {half:?}, 99 of 100 within {most:?}");
    // Far from the half second for which a call is held.
    assert!(*half < Duration::from_millis(400), "{half:?}");
}
