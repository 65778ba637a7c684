//! The text of a key: only ours pass, and nothing else costs anything.

use keys::{AuthError, Peppers, Reason, parse};
use proptest::prelude::*;

use crate::support::{NOW, home, peppers, setup};

/// One real key of the test peppers, made once.
fn a_key() -> &'static str {
    static KEY: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { setup().key().await.secret().to_owned() })
    });
    &KEY
}

#[test]
fn a_key_has_its_documented_form() {
    let key = a_key();
    let newest = '1';
    assert_eq!(key.len(), 82);
    assert!(key.starts_with(&format!("pck1_{newest}")));
    assert_eq!(key.as_bytes()[21], b'_');
    assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    assert_eq!(parse(key, &peppers()).unwrap().id().to_string(), key[..21]);
}

#[test]
fn leak_scanners_find_it_by_the_expression_in_security_md() {
    let text = include_str!("../../../../SECURITY.md");
    let expression = text.lines().find(|line| line.starts_with("pck1_[")).unwrap();
    let expression = regex_automata::meta::Regex::new(expression).unwrap();
    let key = a_key();
    let found = expression.find(&format!("token = \"{key}\"; # {}", &key[..21])).unwrap();
    assert_eq!((found.start(), found.len()), (9, key.len()));
    assert!(expression.find(&key[..81]).is_none());
}

#[test]
fn each_fault_has_its_reason() {
    let key = a_key();
    let reason = |text: &str| parse(text, &peppers()).unwrap_err();
    assert_eq!(reason(""), Reason::Length);
    assert_eq!(reason(&key[..81]), Reason::Length);
    assert_eq!(reason(&format!("{key}\n")), Reason::Length);
    assert_eq!(reason(&"x".repeat(1 << 20)), Reason::Length);
    assert_eq!(reason(&key.replace("pck1_", "pck2_")), Reason::Charset);
    assert_eq!(reason(&key.replace("pck1_", "PCK1_")), Reason::Charset);
    assert_eq!(reason(&format!("{}\u{0}", &key[..81])), Reason::Charset);
    assert_eq!(reason(&format!("{}\u{e9}", &key[..80])), Reason::Charset);
    let swapped = format!("{}{}{}", &key[..40], if &key[40..41] == "a" { "b" } else { "a" }, &key[41..]);
    assert_eq!(reason(&swapped), Reason::Checksum);
    let others = Peppers::from_bytes([('2', [8; 32])]).unwrap();
    assert_eq!(parse(key, &others).unwrap_err(), Reason::UnknownPepper);
    let renamed = Peppers::from_bytes([('1', [9; 32])]).unwrap();
    assert_eq!(parse(key, &renamed).unwrap_err(), Reason::Tag);
}

#[test]
fn a_public_checksum_is_not_enough() {
    // Whoever knows the format but no pepper can make the CRC right.
    let key = a_key();
    let mut forged = key.as_bytes()[..76].to_vec();
    forged[30] = if forged[30] == b'a' { b'b' } else { b'a' };
    let mut crc = u64::from(crc32(&forged));
    let mut digits = [b'0'; 6];
    for place in digits.iter_mut().rev() {
        *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(crc % 62) as usize];
        crc /= 62;
    }
    forged.extend(digits);
    assert_eq!(parse(std::str::from_utf8(&forged).unwrap(), &peppers()).unwrap_err(), Reason::Tag);
}

/// CRC-32 by its definition, apart from the crate's.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

#[tokio::test]
async fn garbage_reaches_neither_store_nor_argon2() {
    let setup = setup();
    for text in ["", "pck1_", "sk-1234", "' OR '1'='1", &"\u{200b}".repeat(82), &"a".repeat(82)] {
        let refused = setup.verifier.verify(text, home(), NOW).await.unwrap_err();
        assert_eq!(refused, AuthError::Malformed, "{text:?}");
        assert!(refused.is_callers_fault());
    }
    assert_eq!((setup.store.calls(), setup.verifier.hashes()), (0, 0));
}

proptest! {
    #[test]
    fn any_one_change_is_refused(at in 0..82_usize, byte in 0..128_u8) {
        let mut text = a_key().as_bytes().to_vec();
        prop_assume!(text[at] != byte);
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        prop_assert!(parse(&text, &peppers()).is_err());
    }

    #[test]
    fn any_other_text_is_refused(text in ".{0,100}", key_like in "pck1_[01][0-9A-Za-z]{15}_[0-9A-Za-z]{60}") {
        prop_assert!(parse(&text, &peppers()).is_err());
        prop_assert!(parse(&key_like, &peppers()).is_err());
    }
}
