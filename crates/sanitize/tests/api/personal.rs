//! Which personal data is found, and which look-alikes are not.

use proptest::prelude::*;
use sanitize::testing::suite;
use sanitize::{Action, Personal, Sanitizer};

use crate::checked_types::{with_luhn, with_remainder};
use crate::{clean, single, streamed};

fn redacting() -> Sanitizer {
    Sanitizer::builder().detector(Personal::new(), Action::Redact).placeholder("[x]").build().unwrap()
}

/// What is found of a text, as it is written.
fn found(text: &str) -> Vec<(String, String)> {
    let verdict = redacting().check(text);
    let of = |finding: &sanitize::Finding| (finding.rule().to_owned(), text[finding.range().unwrap()].to_owned());
    verdict.findings().iter().map(of).collect()
}

const PERSONAL: &[(&str, &str)] = &[
    ("card", "4111111111111111"),
    ("card", "4111 1111 1111 1111"),
    ("card", "5555-5555-5555-4444"),
    ("card", "378282246310005"),
    ("card", "6011111111111117"),
    ("card", "3530111333300000"),
    ("card", "2223003122003222"),
    ("card", "4222222222222"),
    ("iban", "DE89370400440532013000"),
    ("iban", "GB29 NWBK 6016 1331 9268 19"),
    ("iban", "NO9386011117947"),
    ("iban", "MT84MALT011000012345MTLCAST001S"),
    ("social_security", "078-05-1121"),
    ("email", "jane.doe+news@mail.example.co.uk"),
    ("email", "x@y.io"),
    ("phone", "+14155552671"),
    ("phone", "+44 20 7946 0958"),
    ("phone", "+1 (415) 555-2671"),
    ("address", "8.8.8.8"),
    ("address", "2606:4700:4700::1111"),
];

#[test]
fn every_form_is_found_and_redacted_however_it_is_cut() {
    for (rule, data) in PERSONAL {
        let text = format!("é call {data}, or not");
        assert_eq!(found(&text), [(format!("personal.{rule}"), (*data).to_owned())], "{data}");
        assert_eq!(clean(&redacting(), &text), "é call [x], or not", "{data}");
        assert_eq!(streamed(&redacting(), single(&text)).unwrap(), "é call [x], or not", "{data}");
        for (cut, _) in text.char_indices() {
            let chunks = [&text[..cut], &text[cut..]];
            assert_eq!(streamed(&redacting(), chunks).unwrap(), "é call [x], or not", "{data} cut at {cut}");
        }
        assert_eq!(clean(&redacting(), data), "[x]");
    }
}

/// What comes before a number, the number, and its rule.
const TOLD: &[(&str, &str, &str)] = &[
    ("phone: ", "415-555-2671", "phone"),
    ("My phone number is ", "(415) 555-2671", "phone"),
    ("Tel. ", "0171 2345678", "phone"),
    ("Telefon ", "030-1234567", "phone"),
    ("手机", "13812345678", "phone"),
    ("fax ", "555.2671", "phone"),
    ("SSN ", "078051121", "social_security"),
    ("his social security number: ", "078 05 1121", "social_security"),
    ("phone 415-555-2671, SSN: ", "078051121", "social_security"),
];

#[test]
fn what_a_word_tells_is_found_once_however_it_is_cut() {
    for (before, data, rule) in TOLD {
        let text = format!("é {before}{data}, or not");
        let last = found(&text).pop().unwrap();
        assert_eq!(last, (format!("personal.{rule}"), (*data).to_owned()), "{text}");
        assert_eq!(found(&text).len(), 1 + usize::from(before.contains(',')), "{text}");
        let want = clean(&redacting(), &text);
        assert!(want.ends_with("[x], or not"), "{want}");
        assert_eq!(streamed(&redacting(), single(&text)).unwrap(), want);
        for (cut, _) in text.char_indices() {
            assert_eq!(streamed(&redacting(), [&text[..cut], &text[cut..]]).unwrap(), want, "{text} cut at {cut}");
        }
        assert_eq!(found(data), [], "{data}");
    }
    let card = "phone or card 4111 1111 1111 1111";
    assert_eq!(found(card), [("personal.card".to_owned(), card[14..].to_owned())]);
}

#[test]
fn a_telephone_number_ends_where_its_groups_do() {
    let text = "+4111 1111 -4111 1111 ";
    assert_eq!(clean(&redacting(), text), "[x] -4111 1111 ");
    assert_eq!(streamed(&redacting(), single(text)).unwrap(), "[x] -4111 1111 ");
}

#[test]
fn a_word_does_not_make_any_number_personal() {
    for text in [
        "phone calls on 2024-11-05 and 05.11.2024",
        "SSN 900123456, SSN 000123456, SSN 12345678",
        "headphones 415-555-2671x, microphone 4155552671",
        "phone 12345, phone 1234567890123456789",
        "telephone exchange 3.14159265",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn look_alikes_stay() {
    for text in [
        // Another check digit, another issuer, another length, a part of something longer.
        "4111111111111112",
        "1234567890123452",
        "1748503543012",
        "411111111111",
        "41111111111111111111111",
        "a4111111111111111",
        "4111111111111111a",
        "0.4111111111111111",
        "DE89370400440532013001",
        "ZZ89370400440532013000",
        "DE8937040044053201300",
        "XDE89370400440532013000",
        // Groups that are never given.
        "900-12-3456",
        "000-12-3456",
        "666-12-3456",
        "123-00-4567",
        "123-45-0000",
        "2024-123-45-6789-1",
        "a@b",
        "@mention",
        "user@localhost",
        "a..b@example.com.",
        "x@-y.com",
        "1+1=2",
        "+0123456789",
        "+1 2",
        "C++11 and +12345",
        // Of no network but one's own, or no address.
        "10.0.0.1",
        "127.0.0.1",
        "192.168.1.20",
        "169.254.169.254",
        "192.0.2.1",
        "1.2.3",
        "1.2.3.4.5",
        "version 300.1.2.3",
        "::1",
        "fe80::1",
        "2001:db8::1",
        "12:30:45",
        "std::vec::Vec",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn the_contract_of_a_detector_is_kept() {
    let told: Vec<String> = TOLD.iter().map(|(before, data, _)| format!("{before}{data}")).collect();
    let samples: Vec<&str> = PERSONAL.iter().map(|(_, data)| *data).chain(told.iter().map(String::as_str)).collect();
    suite(Personal::new, &samples).unwrap();
}

proptest! {
    #[test]
    fn cards_are_told_by_their_check_digit(body in "4[0-9]{14}|5[1-5][0-9]{13}|3[47][0-9]{12}", off in 1_u8..10) {
        let card = with_luhn(&body);
        prop_assert_eq!(found(&card).len(), 1, "{}", &card);
        let last = card.as_bytes()[card.len() - 1] - b'0';
        let wrong = format!("{}{}", body, (last + off) % 10);
        prop_assert!(found(&wrong).iter().all(|(rule, _)| rule != "personal.card"), "{}", wrong);
    }

    #[test]
    fn ibans_are_told_by_their_remainder(account in "[0-9]{18}", off in 1_u32..97) {
        let iban = with_remainder("DE", &account);
        let check: u32 = iban[2..4].parse().unwrap();
        prop_assert_eq!(found(&iban), [("personal.iban".to_owned(), iban.clone())]);
        let wrong = format!("DE{:02}{account}", 2 + (check - 2 + off) % 97);
        prop_assert!(found(&wrong).iter().all(|(rule, _)| rule != "personal.iban"), "{}", wrong);
    }

    #[test]
    fn a_stream_says_what_the_whole_says(text in "([ a-c.@+:()-]|[0-9]{1,5}|phone |SSN |4111 1111 |1111 1111|DE89 3704 0044 0532 0130 00|x@y.io|8.8.8.8){0,12}", cut in 0_usize..80) {
        let whole = clean(&redacting(), &text);
        let cut = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
        prop_assert_eq!(streamed(&redacting(), [&text[..cut], &text[cut..]]).unwrap(), whole.clone());
        prop_assert_eq!(streamed(&redacting(), single(&text)).unwrap(), whole);
    }
}
