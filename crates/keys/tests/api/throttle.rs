//! Failures per address.

use std::net::IpAddr;
use std::time::Duration;

use keys::AuthError;

use crate::support::{NOW, SECOND, Setup, home, setup_with};

fn strict() -> Setup {
    setup_with(|builder| builder.failures_per_minute(3))
}

async fn fail(setup: &Setup, from: IpAddr, now: u64) -> AuthError {
    setup.verifier.verify("sk-1234", from, now).await.unwrap_err()
}

async fn use_up(setup: &Setup, from: IpAddr) {
    for _ in 0..3 {
        assert_eq!(fail(setup, from, NOW).await, AuthError::Malformed);
    }
}

#[tokio::test]
async fn failures_are_refused_until_there_is_room() {
    let setup = strict();
    use_up(&setup, home()).await;
    let wait = Duration::from_secs(20);
    assert_eq!(fail(&setup, home(), NOW).await, AuthError::Throttled { retry_after: wait });
    assert!(matches!(fail(&setup, home(), NOW + 20 * SECOND - 1).await, AuthError::Throttled { .. }));
    assert_eq!(fail(&setup, home(), NOW + 20 * SECOND).await, AuthError::Malformed);
    assert!(matches!(fail(&setup, home(), NOW + 20 * SECOND).await, AuthError::Throttled { .. }));
}

#[tokio::test]
async fn known_keys_work_and_cold_ones_cost_nothing() {
    let setup = strict();
    let (known, cold, revoked) = (setup.key().await, setup.key().await, setup.key().await);
    setup.verify(&known, NOW).await.unwrap();
    setup.revoke_elsewhere(&revoked).await;
    for _ in 0..3 {
        assert_eq!(setup.verify(&revoked, NOW).await.unwrap_err(), AuthError::Revoked);
    }
    let (calls, hashes) = (setup.store.calls(), setup.verifier.hashes());
    assert!(setup.verify(&known, NOW).await.is_ok());
    assert!(matches!(setup.verify(&cold, NOW).await, Err(AuthError::Throttled { .. })));
    assert_eq!((setup.store.calls(), setup.verifier.hashes()), (calls, hashes));
    assert!(setup.verifier.verify(cold.secret(), "192.0.2.2".parse().unwrap(), NOW).await.is_ok());
}

#[tokio::test]
async fn successes_are_free() {
    let setup = strict();
    let key = setup.key().await;
    for second in 0..50 {
        setup.verify(&key, NOW + second).await.unwrap();
    }
    use_up(&setup, home()).await;
}

#[tokio::test]
async fn our_faults_are_not_charged() {
    let setup = strict();
    let key = setup.key().await;
    setup.store.take_away(true);
    for _ in 0..10 {
        assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::StoreUnavailable);
    }
}

#[tokio::test]
async fn a_site_is_one_address() {
    let setup = strict();
    let site = |host: &str| format!("2001:db8:1:2:{host}").parse().unwrap();
    use_up(&setup, site("0:0:0:1")).await;
    assert!(matches!(fail(&setup, site("ffff:1:2:3"), NOW).await, AuthError::Throttled { .. }));
    assert_eq!(fail(&setup, "2001:db8:1:3::1".parse().unwrap(), NOW).await, AuthError::Malformed);
    use_up(&setup, home()).await;
    assert!(matches!(fail(&setup, "::ffff:192.0.2.1".parse().unwrap(), NOW).await, AuthError::Throttled { .. }));
}

#[tokio::test]
async fn a_clock_that_steps_back_locks_nobody_out() {
    let setup = strict();
    use_up(&setup, home()).await;
    let earlier = NOW - 3_600 * SECOND;
    assert_eq!(fail(&setup, home(), earlier).await, AuthError::Throttled { retry_after: Duration::from_secs(20) });
}

#[tokio::test]
async fn many_addresses_are_bounded_and_do_not_free_the_worst() {
    let setup = strict();
    for address in 0..70_000_u32 {
        fail(&setup, IpAddr::V4(address.into()), NOW).await;
    }
    use_up(&setup, home()).await;
    assert!(matches!(fail(&setup, home(), NOW).await, AuthError::Throttled { .. }));
}

#[tokio::test]
async fn nonsense_of_a_neighbour_does_not_count_against_real_keys() {
    let setup = strict();
    let cold = setup.key().await;
    use_up(&setup, home()).await;
    // Anybody can make up a key of another pepper, checksum and all.
    let body = format!("pck1_z{}_{}", "a".repeat(15), "b".repeat(54));
    for crc in ["000000", "AAAAAA", "zzzzzz"] {
        let made_up = format!("{body}{crc}");
        assert!(setup.verifier.verify(&made_up, home(), NOW).await.is_err());
    }
    assert!(matches!(fail(&setup, home(), NOW).await, AuthError::Throttled { .. }));
    assert!(setup.verify(&cold, NOW).await.is_ok());
}
