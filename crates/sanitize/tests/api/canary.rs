//! A planted word is found however it is written, and no part of it leaves.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use sanitize::testing::suite;
use sanitize::{Action, BuildError, Canary, Sanitizer};

use crate::{clean, single, streamed};

pub(crate) fn word() -> String {
    Canary::derive(b"a secret of thirty-two bytes, say", "acme")
}

fn with(action: Action, word: &str) -> Sanitizer {
    let builder = Sanitizer::builder().detector(Canary::new([word]).unwrap(), action);
    builder.placeholder("[x]").build().unwrap()
}

fn joined(word: &str, each: impl Fn(char) -> String) -> String {
    word.chars().map(each).collect()
}

/// Every way to write a word that is to be found.
pub(crate) fn written(word: &str) -> Vec<String> {
    let rot13 = |ch: char| match ch {
        'a'..='z' => char::from((ch as u8 - b'a' + 13) % 26 + b'a'),
        _ => ch,
    };
    let mut all = vec![
        word.to_owned(),
        word.to_ascii_uppercase(),
        word.chars().rev().collect(),
        word.chars().map(rot13).collect(),
        joined(word, |ch| format!("%{:02X}", ch as u32)),
        joined(word, |ch| format!("%25{:02x}", ch as u32)),
        joined(word, |ch| format!("\\u{:04x}", ch as u32)),
        joined(word, |ch| format!("\\u{{{:x}}}", ch as u32)),
        joined(word, |ch| format!("\\x{:02x}", ch as u32)),
        joined(word, |ch| format!("0x{:02x}, ", ch as u32)),
        joined(word, |ch| format!("&#x{:x};", ch as u32)),
        joined(word, |ch| format!("&#{};", ch as u32)),
        joined(word, |ch| format!("\\{:o}", ch as u32)),
        joined(word, |ch| format!("{:02x}", ch as u32)),
        joined(word, |ch| format!("{:02X} ", ch as u32)),
    ];
    for between in [" ", ".", "-", "\n", "\u{200b}", "\u{ad}", ", ", "**", " | "] {
        all.push(joined(word, |ch| format!("{ch}{between}")));
    }
    for before in ["", "x", "is", "it "] {
        let text = format!("{before}{word}, then more");
        all.push(STANDARD.encode(&text));
        all.push(URL_SAFE_NO_PAD.encode(text.to_ascii_uppercase()));
        let lines: Vec<String> = STANDARD
            .encode(&text)
            .as_bytes()
            .chunks(16)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        all.push(lines.join("\n"));
    }
    all
}

#[test]
fn every_form_is_found_however_it_is_cut() {
    let word = word();
    let redacting = with(Action::Redact, &word);
    for form in written(&word) {
        let text = format!("Sure, é: {form} .");
        let verdict = redacting.check(&text);
        assert_eq!(verdict.findings().len(), 1, "{form}");
        assert_eq!(verdict.findings()[0].label().as_str(), "canary");
        let whole = verdict.into_text();
        assert!(whole.contains("[x]") && whole.len() <= text.len(), "{whole}");
        assert_eq!(streamed(&redacting, single(&text)).unwrap(), whole, "{form}");
        for (cut, _) in text.char_indices() {
            assert_eq!(streamed(&redacting, [&text[..cut], &text[cut..]]).unwrap(), whole, "{form} cut at {cut}");
        }
    }
}

#[test]
fn not_a_byte_of_it_leaves_a_blocking_stream() {
    let word = word();
    let blocking = with(Action::Block, &word);
    for form in written(&word) {
        let range = blocking.check(&form).findings()[0].range().unwrap();
        let mut stream = blocking.stream();
        let mut sent = String::new();
        let mut is_blocked = false;
        for chunk in single(&form) {
            match stream.push(chunk) {
                Ok(part) => sent += &part,
                Err(_) => {
                    is_blocked = true;
                    break;
                }
            }
        }
        assert!(is_blocked || stream.finish().is_err(), "{form}");
        assert!(form[..range.start].starts_with(&sent), "{form}: {sent}");
    }
}

#[test]
fn texts_in_two_streams_do_not_mix() {
    let word = word();
    let redacting = with(Action::Redact, &word);
    let (left, right) = word.split_at(9);
    let texts = [format!("{left} and more"), format!("some {right}")];
    let mut streams = [redacting.stream(), redacting.stream()];
    let mut sent = [String::new(), String::new()];
    for at in 0..40 {
        for ((stream, text), sent) in streams.iter_mut().zip(&texts).zip(&mut sent) {
            if let Some(ch) = text.chars().nth(at) {
                *sent += &stream.push(ch.encode_utf8(&mut [0; 4])).unwrap();
            }
        }
    }
    for ((mut stream, text), sent) in streams.into_iter().zip(&texts).zip(sent) {
        assert_eq!(sent + &stream.finish().unwrap(), *text);
    }
}

#[test]
fn what_resembles_it_stays() {
    let word = word();
    let redacting = with(Action::Redact, &word);
    let other = Canary::derive(b"a secret of thirty-two bytes, say", "acme2");
    let cut = &word[1..];
    for text in [&*other, cut, &word[..19], "An ordinary text with a canary in a coal mine."] {
        assert_eq!(clean(&redacting, text), text);
        assert_eq!(streamed(&redacting, single(text)).unwrap(), text);
    }
    let far = joined(&word, |ch| format!("{ch}{}", ".".repeat(10)));
    assert_eq!(clean(&redacting, &far), far);
}

#[test]
fn derived_words_are_stable_apart_and_usable() {
    let derive = |secret: &[u8], tenant| Canary::derive(secret, tenant);
    assert_eq!(derive(b"s", "a"), derive(b"s", "a"));
    assert_ne!(derive(b"s", "a"), derive(b"t", "a"));
    assert_ne!(derive(b"s", "a"), derive(b"s", "b"));
    // HMAC-SHA-256 with the key `key` over `canary`, a zero byte and `tenant`, computed elsewhere.
    assert_eq!(derive(b"key", "tenant"), "i5tebotx5q4kqnecnnf4");
    assert_ne!(derive(&[b'k'; 65], "a"), derive(&[b'k'; 66], "a"));
    for word in ["short", "has a space in it", "0123456789012345678901234567890123", "ümlaut123456"] {
        assert_eq!(Canary::new([word]).unwrap_err(), BuildError::CanaryWord, "{word}");
    }
}

#[test]
fn the_contract_of_a_detector_is_kept() {
    let word = word();
    let samples = written(&word);
    suite(|| Canary::new([&word]).unwrap(), &samples.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
}

proptest! {
    #[test]
    fn a_stream_says_what_the_whole_says(
        secret in "[a-z]{1,40}",
        form in any::<proptest::sample::Index>(),
        before in "[a-z2-7 .]{0,30}",
        part in any::<proptest::sample::Index>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let word = Canary::derive(secret.as_bytes(), "t");
        let redacting = with(Action::Redact, &word);
        let forms = written(&word);
        let form = &forms[form.index(forms.len())];
        let places = |text: &str| text.char_indices().map(|(at, _)| at).chain([text.len()]).collect::<Vec<_>>();
        let part = places(form)[part.index(places(form).len())];
        let text = format!("{before}{}{form} {}", &form[..part], &form[part..]);
        let whole = redacting.check(&text);
        prop_assert!(!whole.findings().is_empty());
        let whole = whole.into_text();
        let cut = places(&text)[cut.index(places(&text).len())];
        prop_assert_eq!(streamed(&redacting, [&text[..cut], &text[cut..]]).unwrap(), &*whole);
        prop_assert_eq!(streamed(&redacting, single(&text)).unwrap(), &*whole);
    }
}
