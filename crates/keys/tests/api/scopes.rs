//! What a key may do, and what it may hand on.

use keys::{AdminAct, AdminScopes, InferenceScopes, Operation, Scopes, ScopesError};
use proptest::prelude::*;

use crate::support::{admin, inference};

/// Globs by their definition: a `*` takes nothing, or a character and goes on.
fn matches(glob: &[char], text: &[char]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), None) => matches(rest, text),
        (Some(('*', rest)), Some((_, left))) => matches(rest, text) || matches(glob, left),
        (Some((wanted, rest)), Some((found, left))) => wanted == found && matches(rest, left),
        _ => false,
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

#[test]
fn kinds_do_not_mix() {
    let (ask, run) = (inference(&["*"]), Scopes::Admin(AdminScopes::all()));
    assert!(AdminAct::ALL.iter().all(|act| run.permits_admin(*act) && !ask.permits_admin(*act)));
    assert!(Operation::ALL.iter().all(|operation| !run.permits(*operation, "m")));
    assert!(ask.permits(Operation::Chat, "m") && !ask.permits(Operation::Embed, "m"));
    assert!(!ask.is_subset_of(&run) && !run.is_subset_of(&ask));
}

#[test]
fn globs_are_exact() {
    let scopes = inference(&["gpt-*-mini", "*.v2", "exact"]);
    for name in ["gpt--mini", "gpt-4-mini", "gpt-4-mini-mini", "a.v2", ".v2", "exact"] {
        assert!(scopes.permits(Operation::Chat, name), "{name}");
    }
    for name in ["gpt-mini", "GPT-4-mini", "gpt-4-minis", "a.v22", "exact ", "exac", "", "../exact"] {
        assert!(!scopes.permits(Operation::Chat, name), "{name}");
    }
    let hard = inference(&["*a*a*a*a*a*a*a*a*b"]);
    assert!(!hard.permits(Operation::Chat, &"a".repeat(10_000)), "no pattern takes exponential time");
}

#[test]
fn scopes_have_limits() {
    let new = |models: Vec<String>| InferenceScopes::new(models, [Operation::Chat]).map(drop);
    assert_eq!(new(vec![]), Err(ScopesError::NoModel));
    assert_eq!(new(vec!["m".to_owned(); 32]), Ok(()));
    assert_eq!(new(vec!["m".to_owned(); 33]), Err(ScopesError::TooManyModels));
    assert_eq!(new(vec!["m".repeat(128)]), Ok(()));
    for bad in [String::new(), "m".repeat(129), "a b".to_owned(), "a\u{0}".to_owned()] {
        assert_eq!(new(vec![bad]), Err(ScopesError::Pattern));
    }
    assert_eq!(InferenceScopes::new(["m"], []), Err(ScopesError::NoOperation));
    assert_eq!(AdminScopes::new([]), Err(ScopesError::NoAct));
}

#[test]
fn trust_is_not_gained() {
    let plain = InferenceScopes::new(["*"], [Operation::Chat]).unwrap();
    let (trusted, plain) = (Scopes::Inference(plain.clone().with_trust_system()), Scopes::Inference(plain));
    assert!(plain.is_subset_of(&trusted) && !trusted.is_subset_of(&plain));
    assert!(trusted.trusts_system() && !plain.trusts_system());
}

#[test]
fn who_may_issue_what() {
    let writer = admin(&[AdminAct::KeysWrite, AdminAct::KeysRead]);
    assert!(writer.may_issue(&inference(&["*"])));
    assert!(writer.may_issue(&admin(&[AdminAct::KeysRead])));
    assert!(!writer.may_issue(&admin(&[AdminAct::AuditRead])));
    assert!(!admin(&[AdminAct::KeysRead]).may_issue(&inference(&["m"])));
    assert!(!inference(&["*"]).may_issue(&inference(&["m"])));
}

#[test]
fn json_is_strict() {
    let scopes: Scopes = serde_json::from_str(r#"{"inference":{"models":["m"],"operations":["chat"]}}"#).unwrap();
    assert_eq!(scopes, inference(&["m"]));
    let text = serde_json::to_string(&scopes).unwrap();
    assert_eq!(serde_json::from_str::<Scopes>(&text).unwrap(), scopes);
    for bad in [
        r#"{"inference":{"models":[],"operations":["chat"]}}"#,
        r#"{"inference":{"models":["m"],"operations":["chat"],"admin":true}}"#,
        r#"{"inference":{"models":["m"],"operations":["delete"]}}"#,
        r#"{"admin":[]}"#,
        r#"{"admin":["keys:all"]}"#,
        r#"{"admin":["keys:read"],"inference":{"models":["m"],"operations":["chat"]}}"#,
    ] {
        assert!(serde_json::from_str::<Scopes>(bad).is_err(), "{bad}");
    }
    assert_eq!(serde_json::from_str::<Scopes>(r#"{"admin":["keys:read"]}"#).unwrap(), admin(&[AdminAct::KeysRead]));
}

proptest! {
    #[test]
    fn matching_is_as_defined(glob in "[ab*]{1,8}", text in "[ab]{0,10}") {
        let expected = matches(&chars(&glob), &chars(&text));
        prop_assert_eq!(inference(&[&glob]).permits(Operation::Chat, &text), expected);
    }

    #[test]
    fn a_subset_permits_no_more(
        child in prop::collection::vec("[ab*]{1,5}", 1..4),
        parent in prop::collection::vec("[ab*]{1,5}", 1..4),
        names in prop::collection::vec("[abc]{0,8}", 50),
    ) {
        let scopes = |globs: &[String]| inference(&globs.iter().map(String::as_str).collect::<Vec<_>>());
        let (child, parent) = (scopes(&child), scopes(&parent));
        prop_assert!(child.is_subset_of(&child));
        if child.is_subset_of(&parent) {
            for name in &names {
                prop_assert!(!child.permits(Operation::Chat, name) || parent.permits(Operation::Chat, name));
            }
        }
    }

    #[test]
    fn a_name_is_a_subset_of_what_permits_it(name in "[ab]{1,6}", parent in "[ab*]{1,6}") {
        let parent = inference(&[&parent]);
        let expected = parent.permits(Operation::Chat, &name);
        prop_assert_eq!(inference(&[&name]).is_subset_of(&parent), expected);
    }
}
