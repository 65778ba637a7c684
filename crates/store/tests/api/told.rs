//! What was released, over real Redis servers.

use std::time::Duration;

use privacy::dp::{Told, ToldError, ToldStore as _, told_testing};
use redis_place::RedisTls;
use store::RedisToldStore;
use testkit::{RedisCluster, RedisServer};

fn at(url: &str) -> RedisToldStore {
    RedisToldStore::new(url, &RedisTls::default(), None, "pc:").unwrap().deadline(Duration::from_secs(5))
}

#[tokio::test]
async fn redis_keeps_the_contract_for_a_user_with_few_rights() {
    let server = RedisServer::start().await;
    let rule = "ACL SETUSER told on >secret resetkeys ~pc:told:* resetchannels -@all +get +set";
    assert_eq!(server.ask(rule).await, "+OK");
    let url = format!("{}?user=told&pass=secret", server.url());
    told_testing::suite(async || {
        server.ask("FLUSHALL").await;
        at(&url)
    })
    .await;
}

#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start().await;
    let store = at(&cluster.url());
    told_testing::suite(async || at(&cluster.url())).await;
    for number in 10..40 {
        let question = told_testing::question(number);
        store.keep(&question, Told::Place(number as u32)).await.unwrap();
        assert_eq!(at(&cluster.url()).find(&question).await, Ok(Some(Told::Place(number as u32))));
    }
}

#[tokio::test]
async fn gateways_share_it_and_without_redis_nobody_knows() {
    let mut server = RedisServer::start().await;
    let (one, other) = (at(&server.url()), at(&server.url()));
    let question = told_testing::question(1);
    one.keep(&question, Told::Place(3)).await.unwrap();
    assert_eq!(other.keep(&question, Told::Place(4)).await, Ok(Told::Place(3)));
    let keys = server.ask_lines("KEYS pc:told:*").await;
    let key = keys.iter().find(|line| line.starts_with("pc:told:")).unwrap();
    let lasts: i64 = server.ask(&format!("TTL {key}")).await.trim_start_matches(':').trim().parse().unwrap();
    assert!((29 * 86_400..=30 * 86_400).contains(&lasts), "{lasts}");
    assert_eq!(server.ask(&format!("SET {key} x")).await, "+OK");
    assert_eq!(other.find(&question).await, Err(ToldError::Corrupt));
    server.kill().await;
    assert_eq!(one.find(&question).await, Err(ToldError::Unavailable));
    assert_eq!(one.keep(&question, Told::Place(5)).await, Err(ToldError::Unavailable));
}
