//! Terms: what may be handed on, what changes, and what is left of it at use.

use std::time::Duration;

use keys::{
    AdminAct, AdminScopes, Asked, AuthError, Change, InferenceScopes, IssueError, IssuedKey, KeyLimits, KeyStore,
    MAX_MAKERS, Networks, NewKey, Operation, Principal, Revoke, Scopes, Tenant, Terms,
};

use crate::support::{NOW, SECOND, Setup, home, inference, setup};

const DAY: Duration = Duration::from_secs(86_400);

fn granting(models: &[&str]) -> Scopes {
    let most = InferenceScopes::new(models.iter().copied(), [Operation::Chat]).unwrap();
    Scopes::Admin(AdminScopes::new([AdminAct::KeysRead, AdminAct::KeysWrite]).unwrap().with_grants(most))
}

fn networks(texts: &[&str]) -> Networks {
    Networks::new(texts).unwrap()
}

fn requests(rate: &str) -> KeyLimits {
    KeyLimits { requests: Some(rate.parse().unwrap()), ..KeyLimits::default() }
}

async fn made(setup: &Setup, terms: Terms) -> IssuedKey {
    setup.elsewhere.issue(&Principal::system(), NewKey::new("test", terms), NOW).await.unwrap()
}

async fn who(setup: &Setup, terms: Terms) -> Principal {
    let key = made(setup, terms).await;
    setup.verify(&key, NOW).await.unwrap()
}

#[tokio::test]
async fn each_term_is_handed_on_within_the_makers() {
    let setup = setup();
    let terms = Terms::new(granting(&["gpt-*"]))
        .limits(KeyLimits { budget: 100.try_into().ok(), ..requests("5/second burst 10") })
        .addresses(networks(&["192.0.2.0/24"]))
        .expires_at(Some(NOW + 1_000));
    let by = who(&setup, terms.clone()).await;
    let fine = Terms::new(inference(&["gpt-4o"])).limits(terms.limits.clone());
    let fine = fine.addresses(networks(&["192.0.2.128/25"])).expires_at(terms.expires_at);
    let budget = |units: u64| KeyLimits { budget: units.try_into().ok(), ..requests("5/second burst 10") };
    let wider = |what| Err(IssueError::WiderThanMaker(what));
    for (child, expected) in [
        (fine.clone(), Ok(())),
        (Terms::new(inference(&["*"])), wider("scopes")),
        (fine.clone().limits(KeyLimits::default()), wider("limits")),
        (fine.clone().limits(requests("5/second burst 10")), wider("limits")),
        (fine.clone().limits(budget(101)), wider("limits")),
        (
            fine.clone().limits(KeyLimits { budget: 1.try_into().ok(), ..requests("301/minute burst 10") }),
            wider("limits"),
        ),
        (fine.clone().limits(KeyLimits { budget: 1.try_into().ok(), ..requests("300/minute burst 10") }), Ok(())),
        (fine.clone().limits(KeyLimits { budget: 1.try_into().ok(), ..requests("1/day burst 11") }), wider("limits")),
        (fine.clone().limits(KeyLimits { budget: 1.try_into().ok(), ..requests("10/total") }), Ok(())),
        (fine.clone().addresses(Networks::default()), wider("addresses")),
        (fine.clone().addresses(networks(&["192.0.2.0/24", "198.51.100.1"])), wider("addresses")),
        (fine.clone().expires_at(Some(NOW + 1_001)), wider("expires_at")),
        (fine.clone().expires_at(None), wider("expires_at")),
    ] {
        let issued = setup.elsewhere.issue(&by, NewKey::new("child", child.clone()), NOW).await;
        assert_eq!(issued.map(drop), expected, "{child:?}");
    }
    let elsewhere = NewKey::new("child", fine).tenant("acme".parse().unwrap());
    setup.elsewhere.add_tenant(&Principal::system(), "acme".parse().unwrap(), String::new(), NOW).await.unwrap();
    assert_eq!(setup.elsewhere.issue(&by, elsewhere, NOW).await.map(drop), wider("tenant"));
}

#[tokio::test]
async fn a_key_works_from_its_networks_only_also_when_it_is_known() {
    let setup = setup();
    let key = made(&setup, Terms::new(inference(&["*"])).addresses(networks(&["192.0.2.0/24", "2001:db8::/32"]))).await;
    let from = async |address: &str| setup.verifier.verify(key.secret(), address.parse().unwrap(), NOW).await.map(drop);
    for _ in 0..2 {
        assert_eq!(from("198.51.100.7").await, Err(AuthError::WrongAddress));
        assert_eq!(from("192.0.2.7").await, Ok(()));
        assert_eq!(from("::ffff:192.0.2.7").await, Ok(()), "the same address");
        assert_eq!(from("2001:db8:ffff::1").await, Ok(()));
        assert_eq!(from("2001:db9::1").await, Err(AuthError::WrongAddress));
    }
    assert_eq!(setup.verifier.hashes(), 1);
}

#[test]
fn networks_have_one_reading() {
    let read = |text: &str| Networks::new([text]).map(|networks| networks.to_string());
    assert_eq!(read("192.0.2.1").unwrap(), "192.0.2.1/32");
    assert_eq!(read("0.0.0.0/0").unwrap(), "0.0.0.0/0");
    let v4_only = networks(&["0.0.0.0/0"]);
    assert!(v4_only.contain("203.0.113.9".parse().unwrap()) && !v4_only.contain("2001:db8::1".parse().unwrap()));
    for bad in [
        "",
        "192.0.2.0/33",
        "192.0.2.1/24",
        "2001:db8::/129",
        "2001:db8::1/32",
        "::ffff:192.0.2.0/120",
        "::ffff:192.0.2.1",
        "fe80::1%eth0",
        "010.0.0.0/8",
        "192.0.2",
        "192.0.2.0/024 ",
        " 192.0.2.0/24",
        "localhost",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    assert!(Networks::new(vec!["192.0.2.1"; Networks::MAX + 1]).is_err());
}

#[tokio::test]
async fn a_change_holds_for_the_family_and_at_once() {
    let setup = setup();
    let (issuer, system) = (setup.verifier.issuer(), Principal::system());
    let old = made(&setup, Terms::new(inference(&["*"]))).await;
    let new = issuer.rotate(&system, &old.record().id, DAY, NOW).await.unwrap();
    for key in [&old, &new] {
        assert!(setup.verify(key, NOW).await.unwrap().scopes().permits(Operation::Chat, "any"));
    }
    let mut change = Change::default();
    change.name = Some("renamed".to_owned());
    change.scopes = Some(inference(&["gpt-*"]));
    change.version = Some(1);
    let updated = issuer.update(&system, &new.record().id, change.clone(), NOW).await.unwrap();
    assert_eq!((updated.before.version, updated.after.version), (1, 2));
    for key in [&old, &new] {
        let caller = setup.verify(key, NOW).await.unwrap();
        assert_eq!((caller.name(), caller.scopes()), ("renamed", &inference(&["gpt-*"])));
    }
    let again = issuer.update(&system, &new.record().id, change, NOW).await;
    assert_eq!(again.unwrap_err(), IssueError::Changed, "somebody else was first");
    let until = async |end| {
        let mut change = Change::default();
        change.expires_at = Some(end);
        issuer.update(&system, &old.record().id, change, NOW).await.map(|updated| updated.after.terms.expires_at)
    };
    assert_eq!(until(Some(NOW)).await, Err(IssueError::ExpiryInPast));
    assert_eq!(until(Some(NOW + 1)).await, Ok(Some(NOW + 1)));
    assert_eq!(until(None).await, Ok(None), "an end can be taken away");
    let mut change = Change::default();
    change.scopes = Some(Scopes::Admin(AdminScopes::all()));
    let turned = issuer.update(&system, &new.record().id, change, NOW).await;
    assert_eq!(turned.unwrap_err(), IssueError::OtherKind);
    issuer.revoke(&system, Revoke::Key(new.record().id), NOW).await.unwrap();
    let revoked = issuer.update(&system, &new.record().id, Change::default(), NOW).await;
    assert_eq!(revoked.unwrap_err(), IssueError::NotActive);
}

#[tokio::test]
async fn nobody_changes_a_key_beyond_its_makers() {
    let setup = setup();
    let (issuer, system) = (setup.verifier.issuer(), Principal::system());
    let by = who(&setup, Terms::new(granting(&["gpt-*"]))).await;
    let child = issuer.issue(&by, NewKey::new("child", Terms::new(inference(&["gpt-4o"]))), NOW).await.unwrap();
    let mut wider = Change::default();
    wider.scopes = Some(inference(&["claude-*"]));
    for caller in [&by, &system] {
        let refused = issuer.update(caller, &child.record().id, wider.clone(), NOW).await;
        assert_eq!(refused.unwrap_err(), IssueError::WiderThanMaker("scopes"), "{caller:?}");
    }
    // A weaker admin cannot take a stronger one's keys in hand.
    let strong = made(&setup, Terms::new(inference(&["claude-*"]))).await;
    let refused = issuer.update(&by, &strong.record().id, Change::default(), NOW).await;
    assert_eq!(refused.unwrap_err(), IssueError::WiderThanMaker("scopes"));
}

#[tokio::test]
async fn what_a_maker_loses_its_keys_lose_at_use() {
    let setup = setup();
    let (issuer, system) = (setup.verifier.issuer(), Principal::system());
    let maker = made(&setup, Terms::new(granting(&["gpt-*", "claude-*"])).limits(requests("10/second"))).await;
    let by = setup.verify(&maker, NOW).await.unwrap();
    let wide = Terms::new(inference(&["gpt-*", "claude-*"])).limits(requests("10/second"));
    let child = issuer.issue(&by, NewKey::new("child", wide), NOW).await.unwrap();
    let narrow = Terms::new(inference(&["claude-3"])).limits(requests("1/second"));
    let other = issuer.issue(&by, NewKey::new("other", narrow), NOW).await.unwrap();
    for key in [&child, &other] {
        setup.verify(key, NOW).await.unwrap();
    }
    let mut less = Change::default();
    less.scopes = Some(granting(&["gpt-4*"]));
    less.limits = Some(requests("2/second"));
    less.addresses = Some(networks(&["192.0.2.0/24"]));
    less.expires_at = Some(Some(NOW + 60 * SECOND));
    issuer.update(&system, &maker.record().id, less, NOW).await.unwrap();
    let caller = setup.verify(&child, NOW).await.unwrap();
    assert!(caller.scopes().permits(Operation::Chat, "gpt-4o"));
    assert!(
        !caller.scopes().permits(Operation::Chat, "gpt-3") && !caller.scopes().permits(Operation::Chat, "claude-3")
    );
    assert_eq!(caller.limits(), &requests("2/second"));
    assert_eq!(caller.expires_at(), Some(NOW + 60 * SECOND));
    let outside = setup.verifier.verify(child.secret(), "198.51.100.1".parse().unwrap(), NOW).await;
    assert_eq!(outside.unwrap_err(), AuthError::WrongAddress);
    assert_eq!(setup.verify(&other, NOW).await.unwrap_err(), AuthError::NothingLeft);
    let by = setup.verify(&maker, NOW).await.unwrap();
    let refused = issuer.issue(&by, NewKey::new("late", Terms::new(inference(&["claude-3"]))), NOW).await;
    assert_eq!(refused.map(drop), Err(IssueError::WiderThanMaker("scopes")));
}

#[tokio::test]
async fn a_key_whose_maker_is_gone_is_refused_and_one_whose_maker_is_revoked_goes_on() {
    let setup = setup();
    let maker = made(&setup, Terms::new(granting(&["*"]))).await;
    let by = setup.verify(&maker, NOW).await.unwrap();
    let child = setup.elsewhere.issue(&by, NewKey::new("child", Terms::new(inference(&["*"]))), NOW).await.unwrap();
    setup.verifier.issuer().revoke(&Principal::system(), Revoke::Key(maker.record().id), NOW).await.unwrap();
    assert!(setup.verify(&child, NOW).await.is_ok());
    // Somebody has deleted the maker's row.
    let store = keys::MemoryKeyStore::new();
    store.insert(child.record(), Asked::default()).await.unwrap();
    let verifier = keys::Verifier::builder(std::sync::Arc::new(store), crate::support::peppers()).build().unwrap();
    assert_eq!(verifier.verify(child.secret(), home(), NOW).await.unwrap_err(), AuthError::NothingLeft);
}

#[tokio::test]
async fn makers_of_makers_have_an_end() {
    let setup = setup();
    let mut by = who(&setup, Terms::new(granting(&["*"]))).await;
    for made in 1..=MAX_MAKERS + 1 {
        let next = setup.elsewhere.issue(&by, NewKey::new("next", Terms::new(granting(&["*"]))), NOW).await;
        if made > MAX_MAKERS {
            assert_eq!(next.map(drop), Err(IssueError::TooManyMakers));
        } else {
            by = setup.verify(&next.unwrap(), NOW).await.unwrap();
        }
    }
}

#[tokio::test]
async fn another_tenants_keys_are_not_there() {
    let setup = setup();
    let (issuer, system, acme) = (setup.verifier.issuer(), Principal::system(), "acme".parse::<Tenant>().unwrap());
    issuer.add_tenant(&system, acme.clone(), "Acme".to_owned(), NOW).await.unwrap();
    let theirs = made(&setup, Terms::new(inference(&["*"]))).await;
    let admin = NewKey::new("admin", Terms::new(granting(&["*"]))).tenant(acme.clone());
    let admin = issuer.issue(&system, admin, NOW).await.unwrap();
    let by = setup.verify(&admin, NOW).await.unwrap();
    let id = theirs.record().id;
    assert_eq!(issuer.find(&by, &id, NOW).await.map(drop), Err(IssueError::NotFound));
    assert_eq!(issuer.update(&by, &id, Change::default(), NOW).await.map(drop), Err(IssueError::NotFound));
    assert_eq!(issuer.rotate(&by, &id, DAY, NOW).await.map(drop), Err(IssueError::NotFound));
    assert_eq!(issuer.revoke(&by, Revoke::Key(id), NOW).await, Err(IssueError::NotFound));
    assert_eq!(issuer.revoke(&by, Revoke::Family(id.into()), NOW).await, Err(IssueError::NotFound));
    assert_eq!(issuer.revoke(&by, Revoke::Tenant(acme.clone()), NOW).await, Err(IssueError::Forbidden));
    let other = Tenant::default();
    assert_eq!(issuer.list(&by, Some(&other), None, 10, NOW).await.map(drop), Err(IssueError::NoTenant));
    assert_eq!(issuer.list(&by, None, None, 10, NOW).await.unwrap().len(), 1, "its own keys");
    assert_eq!(issuer.list_tenants(&by, None, 10, NOW).await.unwrap().len(), 1, "its own tenant");
    assert_eq!(issuer.find_tenant(&by, &other, NOW).await.map(drop), Err(IssueError::NoTenant));
    assert_eq!(
        issuer.add_tenant(&by, "new".parse().unwrap(), String::new(), NOW).await.map(drop),
        Err(IssueError::Forbidden)
    );
    let outside = issuer.issue(&by, NewKey::new("test", Terms::new(inference(&["*"]))), NOW).await;
    assert_eq!(outside.map(drop), Err(IssueError::WiderThanMaker("tenant")));
}

#[tokio::test]
async fn a_revoked_tenant_has_no_keys_that_work_and_gets_none() {
    let setup = setup();
    let (issuer, system, acme) = (setup.verifier.issuer(), Principal::system(), "acme".parse::<Tenant>().unwrap());
    let new = || NewKey::new("test", Terms::new(inference(&["*"]))).tenant(acme.clone());
    assert_eq!(issuer.issue(&system, new(), NOW).await.map(drop), Err(IssueError::NoTenant), "it is not there yet");
    issuer.add_tenant(&system, acme.clone(), String::new(), NOW).await.unwrap();
    assert_eq!(
        issuer.add_tenant(&system, acme.clone(), String::new(), NOW).await.map(drop),
        Err(IssueError::TenantExists)
    );
    let key = issuer.issue(&system, new(), NOW).await.unwrap();
    setup.verify(&key, NOW).await.unwrap();
    assert_eq!(issuer.revoke(&system, Revoke::Tenant(acme.clone()), NOW).await.map(|keys| keys.len()), Ok(1));
    assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::Revoked);
    assert_eq!(issuer.issue(&system, new(), NOW).await.map(drop), Err(IssueError::NoTenant));
    let nobody = Revoke::Tenant("nobody".parse().unwrap());
    assert_eq!(issuer.revoke(&system, nobody, NOW).await, Err(IssueError::NoTenant));
}

#[tokio::test]
async fn makers_with_nothing_in_common_leave_nothing() {
    let setup = setup();
    let (issuer, system) = (setup.verifier.issuer(), Principal::system());
    let first = made(&setup, Terms::new(granting(&["*"]))).await;
    let by = setup.verify(&first, NOW).await.unwrap();
    let second = issuer.issue(&by, NewKey::new("second", Terms::new(granting(&["*"]))), NOW).await.unwrap();
    let by = setup.verify(&second, NOW).await.unwrap();
    let key = issuer.issue(&by, NewKey::new("key", Terms::new(inference(&["*"]))), NOW).await.unwrap();
    for (maker, models) in [(&second, "claude-*"), (&first, "gpt-*")] {
        let mut less = Change::default();
        less.scopes = Some(granting(&[models]));
        issuer.update(&system, &maker.record().id, less, NOW).await.unwrap();
    }
    assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::NothingLeft);
    let by = setup.verify(&second, NOW).await.unwrap();
    for model in ["gpt-4", "claude-3"] {
        let refused = issuer.issue(&by, NewKey::new("late", Terms::new(inference(&[model]))), NOW).await;
        assert_eq!(refused.map(drop), Err(IssueError::WiderThanMaker("scopes")), "{model}");
    }
}

#[tokio::test]
async fn a_revoked_admin_does_nothing_more_even_with_what_was_under_way() {
    let setup = setup();
    let (issuer, system) = (setup.verifier.issuer(), Principal::system());
    let (admin, other) = (made(&setup, Terms::new(granting(&["*"]))).await, setup.key().await);
    // The principal is of before.
    let by = setup.verify(&admin, NOW).await.unwrap();
    let child = issuer.issue(&by, NewKey::new("child", Terms::new(inference(&["*"]))), NOW).await.unwrap();
    issuer.revoke(&system, Revoke::Key(admin.record().id), NOW).await.unwrap();
    let id = child.record().id;
    let late = issuer.issue(&by, NewKey::new("late", Terms::new(inference(&["*"]))), NOW).await;
    assert_eq!(late.map(drop), Err(IssueError::Forbidden));
    assert_eq!(issuer.rotate(&by, &id, DAY, NOW).await.map(drop), Err(IssueError::Forbidden));
    let mut renamed = Change::default();
    renamed.name = Some("renamed".to_owned());
    assert_eq!(issuer.update(&by, &id, renamed, NOW).await.map(drop), Err(IssueError::Forbidden));
    assert_eq!(issuer.revoke(&by, Revoke::Key(other.record().id), NOW).await, Err(IssueError::Forbidden));
    assert!(setup.verify(&other, NOW).await.is_ok() && setup.verify(&child, NOW).await.is_ok());
}

#[tokio::test]
async fn the_default_tenant_stays() {
    let setup = setup();
    let revoked = setup.elsewhere.revoke(&Principal::system(), Revoke::Tenant(Tenant::default()), NOW).await;
    assert_eq!(revoked, Err(IssueError::DefaultTenant));
    assert!(setup.elsewhere.bootstrap("first", NOW).await.is_ok());
}

#[tokio::test]
async fn a_maker_may_revoke_what_it_made_whatever_it_has_lost() {
    let setup = setup();
    let (issuer, system) = (setup.verifier.issuer(), Principal::system());
    let acts = |acts: &[AdminAct]| Scopes::Admin(AdminScopes::new(acts.iter().copied()).unwrap());
    let maker = made(&setup, Terms::new(acts(&[AdminAct::KeysWrite, AdminAct::AuditRead]))).await;
    let stronger = made(&setup, Terms::new(acts(&[AdminAct::ConfigReload]))).await;
    let by = setup.verify(&maker, NOW).await.unwrap();
    let child = issuer.issue(&by, NewKey::new("child", Terms::new(acts(&[AdminAct::AuditRead]))), NOW).await.unwrap();
    let mut less = Change::default();
    less.scopes = Some(acts(&[AdminAct::KeysWrite]));
    issuer.update(&system, &maker.record().id, less, NOW).await.unwrap();
    let by = setup.verify(&maker, NOW).await.unwrap();
    let refused = issuer.revoke(&by, Revoke::Key(stronger.record().id), NOW).await;
    assert_eq!(refused, Err(IssueError::WiderThanMaker("scopes")));
    assert_eq!(issuer.revoke(&by, Revoke::Key(child.record().id), NOW).await.map(|keys| keys.len()), Ok(1));
}
