//! All principals at a model: learnt from, watched, and told of by replicas.

use std::num::NonZeroUsize;

use privacy::{CalibrationError, Reason, StateError, Watch};

use crate::monitor::{Query, gaussian, honest, projection};

fn watch(most: usize) -> Watch {
    Watch::new(&projection(), NonZeroUsize::new(most).unwrap())
}

/// Asks one after the other; how often a suspicion rose.
fn ask(watch: &Watch, who: &str, queries: &[Query]) -> usize {
    let observed = queries.iter().map(|(query, margin)| watch.observe(who, &[(query, *margin)], true));
    observed.filter(|observed| observed.has_risen).count()
}

fn teach(watch: &Watch, principals: u64) {
    for seed in 0..principals {
        ask(watch, &format!("honest{seed}"), &honest(seed)[..140]);
    }
}

/// Calibrated on 24 principals.
fn taught() -> Watch {
    let watch = watch(64);
    teach(&watch, 24);
    let calibration = watch.learn().unwrap();
    assert!(watch.take_up(Some(calibration), 1));
    watch
}

/// Tells `to` what `from` saw; how many principals that were.
fn tell(from: &Watch, replica: &str, to: &Watch) -> usize {
    let changes = from.changed(100);
    for change in &changes {
        to.hear(&change.who, replica, &change.bytes).unwrap();
    }
    changes.len()
}

#[test]
fn it_learns_and_then_watches() {
    let watch = watch(64);
    teach(&watch, 19);
    assert_eq!(watch.learn().unwrap_err(), CalibrationError::TooFew { found: 19, queries: 64, least: 20 });
    teach(&watch, 24);
    let (query, margin) = &honest(3)[0];
    assert!(!watch.observe("untrusted", &[(query, *margin)], false).has_risen);
    assert_eq!(watch.principals().len(), 24, "who is not to be learnt from is not kept");
    assert!(watch.principals().iter().all(|principal| principal.is_enough() && principal.suspicion.value() == 0.0));
    let calibration = watch.learn().unwrap();
    assert_eq!(watch.learnt().0, 0);
    assert!(watch.take_up(Some(calibration), 1));
    assert!(watch.principals().is_empty(), "it watches from here on");
    assert_eq!(ask(&watch, "honest", &honest(100)), 0);
    assert_eq!(ask(&watch, "noise", &gaussian(1)), 1, "it rises once");
    let all = watch.principals();
    assert_eq!((all[0].who.as_str(), all[1].who.as_str()), ("noise", "honest"));
    assert!(all[0].suspicion.is_raised() && !all[1].suspicion.is_raised());
    assert_eq!(watch.suspicion("noise"), all[0].suspicion);
    assert_eq!(watch.suspicion("nobody").value(), 0.0);
}

#[test]
fn replicas_tell_each_other() {
    let (one, other) = (taught(), watch(64));
    let (at, calibration) = one.learnt();
    let bytes = calibration.unwrap().to_bytes();
    assert!(other.take_up(Some(other.calibration(&bytes).unwrap()), at));
    let queries = gaussian(3);
    let half = |half| queries.iter().skip(half).step_by(2).take(25).cloned().collect::<Vec<_>>();
    assert_eq!((ask(&one, "noise", &half(0)), ask(&other, "noise", &half(1))), (0, 0), "neither has seen enough");
    assert_eq!((tell(&one, "one", &other), tell(&other, "other", &one)), (1, 1));
    for watch in [&one, &other] {
        assert!(watch.suspicion("noise").is_raised());
        assert_eq!(watch.principals()[0].queries, 50);
    }
    assert_eq!(tell(&one, "one", &other), 0, "what was told is told no more");
    assert_eq!(ask(&one, "noise", &queries[..1]), 1, "who asks again is told of");
    let changes = one.changed(100);
    one.not_told(&changes);
    assert_eq!(one.changed(100).len(), changes.len());
    assert_eq!(tell(&other, "other", &one), 0, "what was heard of is not one's own");
}

#[test]
fn traces_of_replicas_are_learnt_from_together() {
    let (one, other) = (watch(64), watch(64));
    for seed in 0..24 {
        let (who, queries) = (format!("honest{seed}"), honest(seed));
        ask(&one, &who, &queries[..40]);
        ask(&other, &who, &queries[40..80]);
    }
    assert!(one.learn().is_err(), "40 queries each are too few");
    assert_eq!(tell(&other, "other", &one), 24);
    assert!(one.learn().is_ok());
}

#[test]
fn the_newest_decision_holds() {
    let watch = taught();
    let (at, calibration) = watch.learnt();
    assert_eq!(at, 1);
    ask(&watch, "noise", &gaussian(1));
    let told = watch.changed(100);
    assert!(!watch.take_up(None, 1), "not newer");
    assert!(watch.suspicion("noise").is_raised());
    assert!(watch.take_up(None, 2));
    assert_eq!(watch.suspicion("noise").value(), 0.0, "forgotten");
    assert!(!watch.take_up(calibration, 1), "older");
    assert_eq!(watch.hear("noise", "other", &told[0].bytes).unwrap_err(), StateError::Foreign, "of another time");
    assert!(watch.learnt().1.is_none());
}

#[test]
fn who_asked_longest_ago_makes_room() {
    let watch = watch(2);
    for who in ["a", "b", "a", "c"] {
        ask(&watch, who, &honest(1)[..2]);
    }
    let known: Vec<String> = watch.principals().into_iter().map(|principal| principal.who).collect();
    assert_eq!(known, ["a", "c"]);
}

#[test]
fn a_suspicion_that_fell_may_rise_anew() {
    let watch = taught();
    assert_eq!(ask(&watch, "x", &gaussian(1)), 1);
    let past: Vec<Query> = (200..206).flat_map(honest).collect();
    assert_eq!(ask(&watch, "x", &past), 0);
    assert!(!watch.suspicion("x").is_raised());
    assert_eq!(ask(&watch, "x", &[gaussian(2), gaussian(3)].concat()), 1);
    let reason = watch.suspicion("x").reason();
    assert!(matches!(reason, Some(Reason::Far | Reason::Coverage | Reason::Uneven)), "{reason:?}");
}
