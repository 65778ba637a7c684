//! What monitors saw, over real Redis servers.

use std::time::Duration;

use redis_place::{PlaceError, RedisTls};
use store::{Heard, Learnt, RedisMonitors, Untold};
use testkit::{RedisCluster, RedisServer};

const RULE: &str = "ACL SETUSER monitors on >secret resetkeys ~pcm:* resetchannels -@all +evalsha +eval +time +hset \
    +hget +hdel +zadd +zrem +zcard +zrange +zrevrange +zrangebyscore +pexpire";

fn at(url: &str) -> RedisMonitors {
    let monitors = RedisMonitors::new(url, &RedisTls::default(), None, "pcm:").unwrap();
    monitors.deadline(Duration::from_secs(5))
}

async fn tell(monitors: &RedisMonitors, seen: &[(&str, &str)], since: u64) -> Result<Heard, Untold> {
    let seen = seen.iter().map(|(who, bytes)| (*who, bytes.as_bytes()));
    monitors.exchange("m", seen, &Learnt::default(), since).await
}

fn sights(heard: &Heard) -> Vec<(&str, &[u8])> {
    heard.sights.iter().map(|sight| (sight.who.as_str(), sight.bytes.as_slice())).collect()
}

#[tokio::test]
async fn gateways_hear_what_others_saw_since_with_few_rights() {
    for protocol in ["", "&protocol=resp3"] {
        let server = RedisServer::start().await;
        assert_eq!(server.ask(RULE).await, "+OK");
        let url = format!("{}?user=monitors&pass=secret{protocol}", server.url());
        let (one, other) = (at(&url), at(&url));
        let first = tell(&one, &[("a:1", "x"), ("a:2", "\u{0}y")], 0).await.unwrap();
        assert_eq!(sights(&first), [], "its own are no news");
        let heard = tell(&other, &[], 0).await.unwrap();
        assert_eq!(sights(&heard), [("a:1", &b"x"[..]), ("a:2", b"\0y")]);
        assert_eq!(sights(&tell(&other, &[("a:1", "z")], heard.until).await.unwrap()), []);
        tell(&one, &[("a:1", "xx")], first.until).await.unwrap();
        let again = tell(&other, &[], heard.until).await.unwrap();
        assert_eq!(sights(&again), [("a:1", &b"xx"[..])], "in place of what it told before");
        assert_eq!(sights(&tell(&one, &[], first.until).await.unwrap()), [("a:1", &b"z"[..])]);
        let restarted = tell(&at(&url), &[], 0).await.unwrap();
        assert_eq!(restarted.sights.len(), 3, "of two gateways");
        let elsewhere = one.exchange("n", std::iter::empty(), &Learnt::default(), 0).await.unwrap();
        assert_eq!(sights(&elsewhere), [], "of another model");
    }
}

#[tokio::test]
async fn what_was_learnt_last_holds() {
    let server = RedisServer::start().await;
    let monitors = at(&server.url());
    let learn = async |at, bytes: &[u8]| {
        let learnt = Learnt { at, bytes: bytes.to_vec() };
        let heard = monitors.exchange("m", std::iter::empty(), &learnt, 0).await.unwrap();
        (heard.learnt.at, heard.learnt.bytes)
    };
    let now = 1_795_694_400_123;
    assert_eq!(learn(0, b"").await, (0, vec![]));
    assert_eq!(learn(now, b"a").await, (now, b"a".to_vec()));
    assert_eq!(learn(now - 1, b"b").await, (now, b"a".to_vec()), "older");
    assert_eq!(learn(now + 1, b"").await, (now + 1, vec![]), "forgotten");
    server.ask("FLUSHALL").await;
    assert_eq!(learn(now, b"a").await, (now, b"a".to_vec()), "who knows it tells it again");
}

#[tokio::test]
async fn much_is_heard_in_parts_and_the_oldest_is_forgotten() {
    let server = RedisServer::start().await;
    let (one, other) = (at(&server.url()), at(&server.url()));
    for part in 0..11 {
        let names: Vec<String> = (0..100).map(|number| format!("t:{}", part * 100 + number)).collect();
        let seen: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        tell(&one, &seen, 0).await.unwrap();
    }
    let (mut since, mut names) = (0, Vec::new());
    loop {
        let heard = tell(&other, &[], since).await.unwrap();
        names.extend(heard.sights.into_iter().map(|sight| sight.who));
        since = heard.until;
        if !heard.has_more {
            break;
        }
    }
    assert_eq!((names.len(), names.first().unwrap().as_str()), (1_024, "t:76"));
    assert_eq!(names.last().unwrap(), "t:1099");
    assert_eq!(server.ask("HLEN pcm:mt:{m}").await, ":1024");
    let left = server.ask("PTTL pcm:mt:{m}").await;
    let left: u64 = left.trim_start_matches(':').parse().unwrap();
    assert!((1..=86_400_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_cluster_keeps_all_of_a_model_together() {
    let cluster = RedisCluster::start().await;
    let (one, other) = (at(&cluster.url()), at(&cluster.url()));
    for model in ["a", "b", "c", "d", "e", "f"] {
        let seen = std::iter::once(("t:1", &b"x"[..]));
        one.exchange(model, seen, &Learnt::default(), 0).await.unwrap();
        let heard = other.exchange(model, std::iter::empty(), &Learnt::default(), 0).await.unwrap();
        assert_eq!(heard.sights.len(), 1, "{model}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_and_one_that_is_back_hears_again() {
    let mut server = RedisServer::start().await;
    let monitors = at(&server.url());
    let heard = tell(&monitors, &[("a", "x")], 0).await.unwrap();
    server.kill().await;
    assert_eq!(tell(&monitors, &[("a", "y")], heard.until).await, Err(Untold::Unavailable));
    server.restart().await;
    tell(&monitors, &[("a", "y")], heard.until).await.unwrap();
    assert_eq!(sights(&tell(&at(&server.url()), &[], 0).await.unwrap()), [("a", &b"y"[..])]);
    server.ask("FLUSHALL\r\nLPUSH pcm:mt:{m} x").await;
    assert_eq!(tell(&monitors, &[("a", "y")], 0).await, Err(Untold::Corrupt));
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let new = |url, prefix| RedisMonitors::new(url, &RedisTls::default(), None, prefix).unwrap_err();
    assert!(matches!(new("http://localhost", "pcm:"), PlaceError::Settings(_)));
    assert!(matches!(new("redis://localhost", "pcm{:"), PlaceError::Settings(_)));
}
