//! Whom a limiter trusts, and what it shows.

use std::time::Duration;

use ratelimit_redis::*;
use testkit::{Certificates, RedisCluster, RedisTls as Server};

fn config(server: &Server, tls: RedisTls) -> RedisConfig {
    let mut config = RedisConfig::new(&server.url()).tls(tls);
    config.deadline = Duration::from_secs(2);
    config
}

fn trusting(certificates: &Certificates) -> RedisTls {
    RedisTls::default().ca(certificates.ca.as_str())
}

#[tokio::test]
async fn redis_keeps_the_contract_over_tls() {
    let server = Server::start(false).await;
    testing::suite(async || {
        server.server.ask("FLUSHALL").await;
        RedisLimiter::connect(&config(&server, trusting(&server.certificates))).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted() {
    let server = Server::start(false).await;
    for tls in [trusting(&Certificates::new()), RedisTls::default()] {
        let refused = RedisLimiter::connect(&config(&server, tls)).await.unwrap_err();
        assert_eq!(refused, LimiterError::Untrusted);
    }
}

#[tokio::test]
async fn a_server_may_want_to_see_a_certificate() {
    let server = Server::start(true).await;
    let without = RedisLimiter::connect(&config(&server, trusting(&server.certificates))).await.unwrap_err();
    assert_eq!(without, LimiterError::Untrusted);
    let stranger = Certificates::new().client;
    let with = |(certificate, key): (String, String)| trusting(&server.certificates).client(certificate, key);
    let strange = RedisLimiter::connect(&config(&server, with(stranger))).await.unwrap_err();
    assert_eq!(strange, LimiterError::Untrusted);
    let tls = with(server.certificates.client.clone());
    assert!(!format!("{tls:?}").contains("PRIVATE"), "{tls:?}");
    let limiter = RedisLimiter::connect(&config(&server, tls)).await.unwrap();
    assert!(limiter.check("a", Quota::per_day(std::num::NonZeroU32::MIN)).await.is_ok());
}

#[tokio::test]
async fn all_servers_of_a_cluster_are_asked_over_tls() {
    let certificates = Certificates::new();
    let tls = trusting(&certificates);
    let cluster = RedisCluster::start_tls(certificates).await;
    // One is known, and names the others.
    let url = cluster.url();
    let url = url.split(',').next().unwrap();
    let mut config = RedisConfig::new(url).tls(tls);
    config.deadline = Duration::from_secs(2);
    let limiter = RedisLimiter::connect(&config).await.unwrap();
    for bucket in 0..20 {
        let taken = limiter.check(&format!("bucket-{bucket}"), Quota::per_day(std::num::NonZeroU32::MIN)).await;
        assert!(matches!(taken.unwrap(), Decision::Allow(_)));
    }
}
