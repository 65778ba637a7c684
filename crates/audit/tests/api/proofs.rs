//! Proofs against their definition in RFC 6962, and hostile ones.

use audit::{Checkpoint, Growth, InvalidProof, Proof, SigningKey, VerifyError, prove, prove_growth};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use crate::support::{Place, outcome};
use crate::tree::naive;

/// PATH of section 2.1.1, as it is written.
fn naive_path(index: usize, leaves: &[Vec<u8>]) -> Vec<[u8; 32]> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut path, other) = if index < split {
        (naive_path(index, left), naive(right))
    } else {
        (naive_path(index - split, right), naive(left))
    };
    path.push(other);
    path
}

/// SUBPROOF of section 2.1.2, as it is written.
fn naive_growth(old: usize, leaves: &[Vec<u8>], is_known: bool) -> Vec<[u8; 32]> {
    if old == leaves.len() {
        return if is_known { Vec::new() } else { vec![naive(leaves)] };
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut path, other) = if old <= split {
        (naive_growth(old, left, is_known), naive(right))
    } else {
        (naive_growth(old - split, right, false), naive(left))
    };
    path.push(other);
    path
}

/// The hashes that stand in a proof.
fn hashes(text: &str) -> Vec<[u8; 32]> {
    let (head, _) = text.split_once("\n\n").unwrap();
    let lines = head.lines().filter(|line| line.len() == 44 && line.ends_with('='));
    lines.map(|line| STANDARD.decode(line).unwrap().try_into().unwrap()).collect()
}

#[tokio::test]
async fn proofs_are_as_defined_in_logs_of_every_size() {
    let place = Place::new();
    let (key, log) = (place.verifying_key(), place.open().await);
    let (mut leaves, mut checkpoints) = (Vec::new(), vec![log.checkpoint().await.unwrap()]);
    for size in 1..=34_usize {
        let record = outcome(&size.to_string());
        log.append(&record).await.unwrap();
        leaves.push(serde_json::to_vec(&record).unwrap());
        checkpoints.push(log.checkpoint().await.unwrap());
        let indexes: Vec<u64> = (0..size as u64).collect();
        let proofs = prove(&place.dir(), &key, &indexes).unwrap();
        assert_eq!(proofs.len(), size);
        for (index, (record, proof)) in proofs.iter().enumerate() {
            assert_eq!((record.as_bytes(), proof.index()), (leaves[index].as_slice(), index as u64));
            let text = proof.to_string();
            assert_eq!(hashes(&text), naive_path(index, &leaves), "{index} of {size}");
            let read: Proof = text.parse().unwrap();
            assert_eq!(read.check(record.as_bytes(), &key).unwrap(), &checkpoints[size]);
        }
        for (old, older) in checkpoints.iter().enumerate() {
            let growth = prove_growth(&place.dir(), &key, older).unwrap();
            let text = growth.to_string();
            let expected = if old == 0 { Vec::new() } else { naive_growth(old, &leaves, true) };
            assert_eq!(hashes(&text), expected, "{old} to {size}");
            assert_eq!(text.parse::<Growth>().unwrap().check(older, &key).unwrap(), &checkpoints[size]);
        }
    }
}

#[tokio::test]
async fn what_was_changed_proves_nothing() {
    let place = Place::filled(11, 300).await;
    let (key, other) = (place.verifying_key(), SigningKey::generate().unwrap().verifying_key());
    let (record, proof) = prove(&place.dir(), &key, &[13]).unwrap().remove(0);
    let checkpoint = proof.check(record.as_bytes(), &key).unwrap();
    assert_eq!(proof.check(record.as_bytes(), &other), Err(InvalidProof));
    assert_eq!(proof.check(record.replace("6", "7").as_bytes(), &key), Err(InvalidProof));
    assert_eq!(proof.check(b"", &key), Err(InvalidProof));
    let text = proof.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let hostile = |changed: Vec<String>| {
        let changed = changed.join("\n") + "\n";
        let read = changed.parse::<Proof>();
        assert!(read.is_err() || read.unwrap().check(record.as_bytes(), &key).is_err(), "{changed}");
    };
    let own = || lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    for index in (0..40).filter(|index| *index != 13).chain([u64::MAX]) {
        let mut changed = own();
        changed[1] = format!("index {index}");
        hostile(changed);
    }
    for at in 0..lines.len() {
        let mut without = own();
        without.remove(at);
        hostile(without);
        // A signature may stand there twice.
        if !lines[at].starts_with('\u{2014}') {
            let mut twice = own();
            twice.insert(at, lines[at].to_owned());
            hostile(twice);
        }
        if at + 1 < lines.len() {
            let mut swapped = own();
            swapped.swap(at, at + 1);
            hostile(swapped);
        }
    }
    for bad in ["index 013", "index +13", "index -1", "index 99999999999999999999", "index", "extra !", "extra"] {
        let mut changed = own();
        changed[1] = bad.to_owned();
        hostile(changed);
    }
    let many: String = std::iter::repeat_n(format!("{}\n", lines[2]), 100).collect();
    assert!(format!("{}\n{}\n{many}\n{checkpoint}", lines[0], lines[1]).parse::<Proof>().is_err());
    let huge = checkpoint.to_string().replacen("\n22\n", &format!("\n{}\n", u64::MAX), 1);
    let read: Proof = text.replace(&checkpoint.to_string(), &huge).parse().unwrap();
    assert_eq!(read.check(record.as_bytes(), &key), Err(InvalidProof));
    // Nobody signed extra data, and it changes nothing.
    let extra = text.replacen("\nindex", "\nextra YQ==\nindex", 1);
    assert!(extra.parse::<Proof>().unwrap().check(record.as_bytes(), &key).is_ok());
}

#[tokio::test]
async fn a_log_that_did_not_only_grow_has_no_proof() {
    let (place, fork) = (Place::new(), Place::new());
    fork.share_key(&place);
    let key = place.verifying_key();
    let (log, other) = (place.open().await, fork.open().await);
    for at in 0..5 {
        log.append(&outcome(&at.to_string())).await.unwrap();
        other.append(&outcome(&(at / 4 * 9).to_string())).await.unwrap();
    }
    let (older, forked) = (log.checkpoint().await.unwrap(), other.checkpoint().await.unwrap());
    log.append(&outcome("5")).await.unwrap();
    let newest = log.checkpoint().await.unwrap();
    let growth = prove_growth(&place.dir(), &key, &older).unwrap();
    assert_eq!(growth.check(&older, &key), Ok(&newest));
    assert_eq!(growth.check(&forked, &key), Err(InvalidProof));
    assert_eq!(growth.check(&newest, &key), Err(InvalidProof));
    assert_eq!(growth.check(&older, &SigningKey::generate().unwrap().verifying_key()), Err(InvalidProof));
    assert!(matches!(prove_growth(&place.dir(), &key, &forked), Err(VerifyError::Tampered { at: 4 })));
    // Of the longer log, the shorter is no growth.
    assert!(matches!(
        prove_growth(&fork.dir(), &key, &newest),
        Err(VerifyError::Incomplete { have: 5, want: Some(6) })
    ));
    let text = growth.to_string();
    for (line, _) in text.lines().enumerate() {
        let changed: String =
            text.lines().enumerate().filter(|(at, _)| *at != line).map(|(_, l)| format!("{l}\n")).collect();
        let read = changed.parse::<Growth>();
        assert!(read.is_err() || read.unwrap().check(&older, &key).is_err(), "without line {line}");
    }
}

#[tokio::test]
async fn only_what_is_signed_is_proved() {
    let place = Place::filled(2, 1 << 20).await;
    let key = place.verifying_key();
    assert!(matches!(prove(&place.dir(), &key, &[4]), Err(VerifyError::NotSigned { index: 4 })));
    assert!(prove(&place.dir(), &key, &[]).unwrap().is_empty());
    let (found, _) = audit::find_indexed(&place.dir(), "1").unwrap().pop().unwrap();
    assert_eq!(found, 3);
    let twice = prove(&place.dir(), &key, &[3, 0, 3]).unwrap();
    assert_eq!(twice.iter().map(|(_, proof)| proof.index()).collect::<Vec<_>>(), [3, 0, 3]);
}

proptest! {
    #[test]
    fn no_text_is_more_than_refused(text in "(c2sp.org/tlog-proof@v1\n)?((index|old|extra) [0-9]{0,22}\n)?([A-Za-z0-9+/]{43}=\n){0,4}\n?.{0,40}\n") {
        let key = SigningKey::generate().unwrap().verifying_key();
        if let Ok(proof) = text.parse::<Proof>() {
            prop_assert!(proof.check(text.as_bytes(), &key).is_err());
        }
        prop_assert!(text.parse::<Growth>().is_err());
        prop_assert!(Checkpoint::open(&text, &key).is_err());
        prop_assert!(text.parse::<audit::Mark>().is_err());
    }
}
