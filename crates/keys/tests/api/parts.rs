//! Ids, tenants, rates and hashes: what they accept and how they are written.

use keys::{FamilyId, KeyId, Per, Rate, SecretHash, Tenant};
use proptest::prelude::*;

#[test]
fn key_ids_read_both_forms() {
    let id: KeyId = "0abcdefghijklmnO".parse().unwrap();
    assert_eq!(id.to_string(), "pck1_0abcdefghijklmnO");
    assert_eq!("pck1_0abcdefghijklmnO".parse::<KeyId>().unwrap(), id);
    assert_eq!(id.as_str(), "0abcdefghijklmnO");
    assert_eq!(FamilyId::from(id).to_string(), id.as_str());
    assert_eq!(serde_json::to_string(&id).unwrap(), "\"pck1_0abcdefghijklmnO\"");
    for bad in ["", "0abcdefghijklmn", "0abcdefghijklmnOO", "0abcdefghijklmn_", "pck1_pck1_0abcdefghijklmnO"] {
        assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        assert!(serde_json::from_value::<KeyId>(bad.into()).is_err(), "{bad}");
    }
}

#[test]
fn tenants_are_plain_words() {
    assert_eq!(Tenant::default().as_str(), "default");
    assert_eq!("a.B-c_9".parse::<Tenant>().unwrap().to_string(), "a.B-c_9");
    for bad in ["", "a b", "\u{e9}", "a/b", "{a}", ".", "..", &"a".repeat(65)] {
        assert!(bad.parse::<Tenant>().is_err(), "{bad}");
    }
}

#[test]
fn rates_are_written_for_people() {
    let rate: Rate = "5/second burst 10".parse().unwrap();
    assert_eq!((rate.units.get(), rate.per, rate.burst.get()), (5, Per::Second, 10));
    assert_eq!(rate.to_string(), "5/second burst 10");
    assert_eq!("7/d".parse::<Rate>().unwrap().to_string(), "7/day");
    assert_eq!("9/total".parse::<Rate>().unwrap().to_string(), "9/total");
    for bad in [
        "",
        "5",
        "0/s",
        "5/s burst 0",
        "-5/s",
        "+5/s",
        "5.0/s",
        "5/week",
        "5/total burst 6",
        "99999999999999999999/s",
        "/s",
    ] {
        assert!(bad.parse::<Rate>().is_err(), "{bad}");
    }
}

#[test]
fn hashes_outside_bounds_are_refused() {
    let salt_and_output = "$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";
    let good = format!("$argon2id$v=19$m=19456,t=2,p=1{salt_and_output}");
    assert_eq!(good.parse::<SecretHash>().unwrap().to_string(), good);
    assert!(!format!("{:?}", good.parse::<SecretHash>().unwrap()).contains("AQEB"));
    for bad in ["m=4194304,t=2,p=1", "m=19456,t=4294967295,p=1", "m=8,t=1,p=1", "m=19456,t=2,p=4", "m=+19456,t=2,p=1"] {
        assert!(format!("$argon2id$v=19${bad}{salt_and_output}").parse::<SecretHash>().is_err(), "{bad}");
    }
    assert!(good.replace("argon2id", "argon2i").parse::<SecretHash>().is_err());
    assert!(good.replace("v=19", "v=16").parse::<SecretHash>().is_err());
    assert!(format!("{good}A").parse::<SecretHash>().is_err());
}

proptest! {
    #[test]
    fn rates_read_what_they_write(units in 1..u64::MAX, burst in 1..u64::MAX, per in 0..4_usize) {
        let per = [Per::Second, Per::Minute, Per::Hour, Per::Day][per];
        let rate = Rate { units: units.try_into().unwrap(), per, burst: burst.try_into().unwrap() };
        prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
    }
}
