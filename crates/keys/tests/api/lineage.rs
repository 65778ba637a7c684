//! Whatever is done with keys, in whatever order: none ever holds what the key that made it does not.
#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use keys::{
    AdminAct, AdminScopes, Change, FamilyId, InferenceScopes, IssuedKey, KeyLimits, KeyRecord, Networks, NewKey,
    Operation, Principal, Revoke, Scopes, Tenant, Terms,
};
use proptest::prelude::*;

use crate::support::{NOW, Setup, setup_with};

const MODELS: [&str; 5] = ["gpt-4", "gpt-4o", "gpt-3", "claude-3", "x"];
const ADDRESSES: [&str; 3] = ["192.0.2.1", "192.0.2.200", "198.51.100.1"];
const TIMES: [u64; 4] = [NOW, NOW + 10, NOW + 20, NOW + 30];

/// One call, of keys that are chosen by number among those there are.
#[derive(Debug, Clone)]
enum Step {
    Issue {
        by: usize,
        terms: Terms,
        tenant: usize,
    },
    /// All that the maker has, for administration or for inference.
    HandOn {
        by: usize,
        tenant: usize,
        is_admin: bool,
    },
    Update {
        by: usize,
        of: usize,
        terms: Terms,
    },
    Rotate {
        by: usize,
        of: usize,
    },
    Revoke {
        by: usize,
        of: usize,
    },
}

fn inference() -> impl Strategy<Value = InferenceScopes> {
    let model = prop::sample::select(vec!["*", "gpt-*", "gpt-4*", "gpt-4o", "claude-*", "*-3", "x"]);
    let operation = prop::sample::select(Operation::ALL.to_vec());
    let lists = (prop::collection::vec(model, 1..3), prop::collection::vec(operation, 1..4), any::<bool>());
    lists.prop_map(|(models, operations, trusts)| {
        let scopes = InferenceScopes::new(models, operations).unwrap();
        if trusts { scopes.with_trust_system() } else { scopes }
    })
}

fn scopes() -> impl Strategy<Value = Scopes> {
    let act = prop::sample::select(AdminAct::ALL.to_vec());
    let admin = (prop::collection::vec(act, 0..6), prop::option::of(inference())).prop_map(|(acts, grants)| {
        // Most of them can make keys, or nothing would come of it.
        let scopes = AdminScopes::new(acts.into_iter().chain([AdminAct::KeysWrite])).unwrap();
        Scopes::Admin(match grants {
            Some(most) => scopes.with_grants(most),
            None => scopes,
        })
    });
    prop_oneof![1 => inference().prop_map(Scopes::Inference), 2 => admin]
}

fn terms() -> impl Strategy<Value = Terms> {
    let rate =
        prop::sample::select(vec!["1/second", "60/minute", "5/second burst 10", "10/total", "1000/day burst 20"]);
    let rate = prop::option::of(rate.prop_map(|rate| rate.parse().unwrap()));
    let network = prop::sample::select(vec!["192.0.2.0/24", "192.0.2.128/25", "198.51.100.0/24", "0.0.0.0/0"]);
    let networks = prop::collection::vec(network, 0..2).prop_map(|texts| Networks::new(texts).unwrap());
    let end = prop::option::of(prop::sample::select(vec![NOW + 10, NOW + 20]));
    (scopes(), rate, prop::option::of(1..4_u64), networks, end).prop_map(|(scopes, requests, budget, from, end)| {
        let budget = budget.and_then(std::num::NonZeroU64::new);
        let limits = KeyLimits { requests, budget, ..KeyLimits::default() };
        Terms::new(scopes).limits(limits).addresses(from).expires_at(end)
    })
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..64_usize;
    prop_oneof![
        2 => (number.clone(), terms(), number.clone()).prop_map(|(by, terms, tenant)| Step::Issue { by, terms, tenant }),
        3 => (number.clone(), number.clone(), any::<bool>())
            .prop_map(|(by, tenant, is_admin)| Step::HandOn { by, tenant, is_admin }),
        3 => (number.clone(), number.clone(), terms()).prop_map(|(by, of, terms)| Step::Update { by, of, terms }),
        1 => (number.clone(), number.clone()).prop_map(|(by, of)| Step::Rotate { by, of }),
        1 => (number.clone(), number).prop_map(|(by, of)| Step::Revoke { by, of }),
    ]
}

/// The keys of a sequence; the command line acts, too.
struct Company {
    setup: Setup,
    keys: Vec<IssuedKey>,
}

impl Company {
    async fn principal(&self, number: usize) -> Option<Principal> {
        match number % (self.keys.len() + 1) {
            0 => Some(Principal::system()),
            at => {
                let key = &self.keys[at - 1];
                self.setup.verifier.verify(key.secret(), "192.0.2.200".parse().unwrap(), NOW).await.ok()
            }
        }
    }

    /// Whether it was permitted is not asked here, only what comes of it.
    async fn take(&mut self, step: Step) {
        let issuer = self.setup.verifier.issuer();
        let (by, of) = match &step {
            Step::Issue { by, .. } | Step::HandOn { by, .. } => (*by, 0),
            Step::Update { by, of, .. } | Step::Rotate { by, of } | Step::Revoke { by, of } => (*by, *of),
        };
        let Some(by) = self.principal(by).await else { return };
        let id = match self.keys.get(of % self.keys.len().max(1)) {
            Some(key) => key.record().id,
            None => *by.key_id(),
        };
        match step {
            Step::HandOn { tenant, is_admin, .. } => {
                let Ok(row) = issuer.find(&Principal::system(), by.key_id(), NOW).await else { return };
                let mut terms = row.terms;
                if let (Scopes::Admin(scopes), false) = (&terms.scopes, is_admin) {
                    let all = || InferenceScopes::new(["*"], Operation::ALL.iter().copied()).unwrap();
                    terms.scopes = Scopes::Inference(scopes.grants().cloned().unwrap_or_else(all));
                }
                let tenant = [by.tenant().clone(), "acme".parse().unwrap()][tenant % 2].clone();
                let issued = issuer.issue(&by, NewKey::new("key", terms).tenant(tenant), NOW).await;
                self.keys.extend(issued.ok());
            }
            Step::Issue { terms, tenant, .. } => {
                let tenant = [by.tenant().clone(), Tenant::default(), "acme".parse().unwrap()][tenant % 3].clone();
                let issued = issuer.issue(&by, NewKey::new("key", terms).tenant(tenant), NOW).await;
                self.keys.extend(issued.ok());
            }
            Step::Update { terms, .. } => {
                let mut change = Change::default();
                (change.scopes, change.limits) = (Some(terms.scopes), Some(terms.limits));
                (change.addresses, change.expires_at) = (Some(terms.addresses), Some(terms.expires_at));
                let _ = issuer.update(&by, &id, change, NOW).await;
            }
            Step::Rotate { .. } => {
                let rotated = issuer.rotate(&by, &id, std::time::Duration::from_secs(60), NOW).await;
                self.keys.extend(rotated.ok());
            }
            Step::Revoke { .. } => drop(issuer.revoke(&by, Revoke::Key(id), NOW).await),
        }
    }

    /// Holds what each key can do against the rows of those who made it, with rules of its own.
    async fn judge(&self) {
        let all = self.setup.elsewhere.list(&Principal::system(), None, None, 100, NOW).await.unwrap();
        let rows: BTreeMap<FamilyId, &KeyRecord> = all.iter().map(|row| (row.family, row)).collect();
        for key in &self.keys {
            let mut maker = rows[&key.record().family].made_by;
            while let Some(family) = maker {
                let row = rows[&family];
                self.hold(key, row).await;
                maker = row.made_by;
            }
        }
    }

    async fn hold(&self, key: &IssuedKey, maker: &KeyRecord) {
        for (address, now) in ADDRESSES.into_iter().flat_map(|address| TIMES.map(|now| (address, now))) {
            let from: IpAddr = address.parse().unwrap();
            let Ok(caller) = self.setup.verifier.verify(key.secret(), from, now).await else { continue };
            let Terms { scopes, limits, addresses, expires_at, .. } = &maker.terms;
            assert!(expires_at.is_none_or(|end| now < end), "outlives its maker");
            assert!(addresses.contain(from), "works where its maker does not");
            let Scopes::Admin(maker_scopes) = scopes else { panic!("an inference key has made a key") };
            let own = caller.scopes();
            assert!(!own.trusts_system() || maker_scopes.grants().is_none_or(InferenceScopes::trusts_system));
            for (operation, model) in Operation::ALL.iter().flat_map(|op| MODELS.map(|model| (*op, model))) {
                let granted =
                    maker_scopes.grants().is_none_or(|most| Scopes::Inference(most.clone()).permits(operation, model));
                assert!(!own.permits(operation, model) || granted, "{operation:?} {model}");
            }
            for act in AdminAct::ALL {
                assert!(!own.permits_admin(*act) || scopes.permits_admin(*act), "{act:?}");
            }
            let is_everywhere = scopes.permits_admin(AdminAct::TenantsAll);
            assert!(is_everywhere || *caller.tenant() == maker.tenant, "is of another tenant");
            assert!(limits.budget.is_none_or(|most| caller.limits().budget.is_some_and(|own| own <= most)));
            if let Some(most) = limits.requests {
                let own = caller.limits().requests.expect("a limit is handed on");
                // What a bucket has let through after so many seconds, at most.
                for seconds in [0, 1, 60, 3_600, 86_400, 864_000_u64] {
                    assert!(allowed(own, seconds) <= allowed(most, seconds), "{own} against {most}");
                }
            }
        }
    }
}

fn allowed(rate: keys::Rate, seconds: u64) -> u128 {
    let window = match rate.per {
        keys::Per::Second => 1,
        keys::Per::Minute => 60,
        keys::Per::Hour => 3_600,
        keys::Per::Day => 86_400,
        keys::Per::Total => return u128::from(rate.burst.get()) * 86_400,
    };
    // In units of a 86,400th, so that nothing is rounded.
    u128::from(rate.burst.get()) * 86_400 + u128::from(rate.units.get()) * u128::from(seconds) * (86_400 / window)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("LINEAGE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
    ))]

    #[test]
    fn no_key_ever_holds_more_than_its_maker(steps in prop::collection::vec(step(), 4..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let setup = setup_with(|builder| builder.failures_per_minute(1_000_000).lanes(2));
            let acme = "acme".parse().unwrap();
            setup.elsewhere.add_tenant(&Principal::system(), acme, String::new(), NOW).await.unwrap();
            let mut company = Company { setup, keys: Vec::new() };
            let first = Terms::new(Scopes::Admin(AdminScopes::all()));
            company.take(Step::Issue { by: 0, terms: first, tenant: 1 }).await;
            for step in steps {
                company.take(step).await;
                company.judge().await;
            }
        });
    }
}
