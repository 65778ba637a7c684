//! What is kept, shown or handed over as text: keys, and what is proved of the audit trail.

use std::path::Path;
use std::str::FromStr;

use audit::{Checkpoint, Growth, Mark, Proof, Record, SigningKey, VerifyingKey};
use keys::{Changed, FamilyId, KeyId, Networks, Peppers, Rate, Scopes, SecretHash, Tenant};

/// What is read is written as it was, or as what is read the same.
fn round<T: FromStr + ToString>(text: &str) -> Option<T> {
    let read: T = text.parse().ok()?;
    let written = read.to_string();
    let again = written.parse::<T>().ok().expect("what was written can be read");
    assert_eq!(again.to_string(), written);
    Some(read)
}

/// A presented key, and what is stored of one.
pub fn key(text: &str) {
    let peppers = Peppers::from_bytes([('a', [7; 32])]).expect("a pepper");
    if let Ok(key) = keys::parse(text, &peppers) {
        panic!("nobody makes a key without the pepper: {}", key.id());
    }
    round::<KeyId>(text);
    round::<FamilyId>(text);
    round::<Tenant>(text);
    round::<Rate>(text);
    round::<SecretHash>(text);
    round::<Changed>(text);
    if let Ok(networks) = Networks::new([text]) {
        assert!(!networks.to_string().is_empty());
    }
    if let Ok(scopes) = serde_json::from_str::<Scopes>(text) {
        let written = serde_json::to_string(&scopes).expect("it can be written");
        assert_eq!(serde_json::from_str::<Scopes>(&written).ok(), Some(scopes));
    }
}

/// Checkpoints, proofs, marks and records; and a whole log of one segment.
pub fn audit(text: &str, folder: &Path) {
    thread_local!(static KEY: VerifyingKey = SigningKey::generate().expect("a key").verifying_key());
    KEY.with(|key| {
        assert!(Checkpoint::open(text, key).is_err(), "nobody signs without the key");
        let _ = Checkpoint::danger_unverified(text);
        if let Some(proof) = round::<Proof>(text) {
            assert!(proof.check(b"record", key).is_err());
        }
        round::<Growth>(text);
        round::<Mark>(text);
        if let Ok(record) = serde_json::from_str::<Record>(text) {
            let written = serde_json::to_string(&record).expect("it can be written");
            let again: Record = serde_json::from_str(&written).expect("what was written can be read");
            assert_eq!(serde_json::to_string(&again).expect("it can be written"), written);
        }
        std::fs::write(folder.join("00000000000000000000.jsonl"), text).expect("there is room");
        let verified = audit::verify(folder, key);
        assert!(verified.is_err() || text.is_empty(), "nothing holds that nobody signed");
        let _ = audit::find(folder, "one");
        let _ = audit::open_intents(folder);
        let _ = audit::export(folder, 0, &mut |_| Ok(()));
    });
}
