//! Users of the server who may do little.

use std::num::NonZeroU32;
use std::time::Duration;

use ratelimit_redis::*;
use testkit::RedisServer;

const SLOW: Quota = Quota::per_day(NonZeroU32::new(10).unwrap());

/// The rule that the README gives.
pub(crate) fn rule() -> String {
    let readme = include_str!("../../README.md");
    let rule = readme.lines().map(str::trim).find(|line| line.starts_with("ACL SETUSER")).unwrap();
    rule.to_owned()
}

fn config(server: &RedisServer, user: &str, password: &str) -> RedisConfig {
    let path = server.url();
    let mut config = RedisConfig::new(&format!("{path}?user={user}&pass={password}"));
    config.deadline = Duration::from_secs(2);
    config
}

async fn with_user(rule: &str) -> RedisServer {
    let server = RedisServer::start().await;
    let said = server.ask(rule).await;
    assert!(said == "+OK", "{said}");
    server
}

#[tokio::test]
async fn the_rule_of_the_readme_is_enough() {
    let server = with_user(&rule()).await;
    testing::suite(async || {
        server.ask("FLUSHALL").await;
        server.ask("SCRIPT FLUSH").await;
        RedisLimiter::connect(&config(&server, "limits", "secret")).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn the_rule_of_the_readme_has_nothing_to_spare() {
    let rule = rule();
    // What is there for sentinels and clusters only.
    let elsewhere = ["+role", "+asking", "+cluster|slots"];
    for word in rule.split(' ').filter(|word| word.starts_with(['+', '~']) && !elsewhere.contains(word)) {
        let rest: Vec<&str> = rule.split(' ').filter(|other| *other != word).collect();
        let server = with_user(&rest.join(" ")).await;
        let refused = RedisLimiter::connect(&config(&server, "limits", "secret")).await.map(drop);
        assert_eq!(refused, Err(LimiterError::Refused), "without {word}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_repeated() {
    let server = with_user(&rule()).await;
    for (user, password) in [("limits", "hunter2"), ("nobody", "hunter2")] {
        let config = config(&server, user, password);
        let refused = RedisLimiter::connect(&config).await.unwrap_err();
        assert_eq!(refused, LimiterError::Refused);
        assert!(!format!("{refused} {refused:?} {config:?}").contains("hunter2"));
    }
    server.ask("CONFIG SET requirepass other").await;
    let nobody = RedisLimiter::connect(&RedisConfig::new(&server.url())).await;
    assert_eq!(nobody.unwrap_err(), LimiterError::Refused);
}

#[tokio::test]
async fn rights_that_are_taken_away_are_an_outage() {
    let server = with_user(&rule()).await;
    let limiter = RedisLimiter::connect(&config(&server, "limits", "secret")).await.unwrap();
    assert!(limiter.check("a", SLOW).await.is_ok());
    server.ask("ACL SETUSER limits -set").await;
    assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Unavailable);
    assert!(matches!(limiter.check("a", SLOW.on_outage(OnOutage::Deny)).await, Ok(Decision::Deny(_))));
    server.ask("ACL SETUSER limits +set").await;
    assert!(limiter.check("a", SLOW).await.is_ok());
}
