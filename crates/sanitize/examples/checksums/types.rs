//! Data with a check of its own: made up as it is issued, and as what only comes close.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sanitize::{Action, Personal, Sanitizer, Secrets};

/// One type, and the rule that finds it.
pub(crate) struct Type {
    pub(crate) rule: &'static str,
    valid: BoxedStrategy<String>,
    near: BoxedStrategy<String>,
}

/// Of each hundred, how many were found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    /// Of valid ones, told by this rule alone and removed to the last byte.
    pub(crate) valid: f64,
    /// Of near-misses, by this rule. Others may find a part of one, such as a card number in a mistyped IBAN.
    pub(crate) near: f64,
}

impl Type {
    /// Tries so many valid ones and near-misses; the same ones each time.
    pub(crate) fn measure(&self, count: u32) -> Shares {
        let sanitizer = Sanitizer::builder().detector(Personal::new(), Action::Redact);
        let sanitizer = sanitizer.detector(Secrets::new(), Action::Redact).placeholder("[x]").build().unwrap();
        let is_removed = |text: &str| {
            let verdict = sanitizer.check(text);
            let is_told = matches!(verdict.findings(), [only] if only.rule() == self.rule);
            is_told && verdict.into_text() == "é [x], so"
        };
        let is_found = |text: &str| sanitizer.check(text).findings().iter().any(|one| one.rule() == self.rule);
        Shares { valid: share(&self.valid, count, is_removed), near: share(&self.near, count, is_found) }
    }
}

fn share(values: &BoxedStrategy<String>, count: u32, test: impl Fn(&str) -> bool) -> f64 {
    let mut runner = TestRunner::deterministic();
    let texts = (0..count).map(|_| format!("é {}, so", values.new_tree(&mut runner).unwrap().current()));
    let hits = texts.filter(|text| test(text)).count();
    hits as f64 * 100.0 / f64::from(count)
}

pub(crate) fn types() -> Vec<Type> {
    let of = |rule, valid: BoxedStrategy<String>, near| Type { rule, valid, near };
    vec![
        of("personal.card", cards(), prop_oneof![one_off(cards()), other_issuers()].boxed()),
        of("personal.iban", ibans(), prop_oneof![one_off(ibans()), shortened(ibans())].boxed()),
        of("personal.social_security", social_securities(), never_given()),
        of(
            "secret.github",
            tokens("gh[pousr]_"),
            prop_oneof![one_off(tokens("gh[pousr]_")), unchecked("ghp_")].boxed(),
        ),
        of("secret.npm", tokens("npm_"), prop_oneof![one_off(tokens("npm_")), unchecked("npm_")].boxed()),
        of("secret.jwt", web_tokens(true), web_tokens(false)),
        of("secret.private_key", key_blocks(true), key_blocks(false)),
    ]
}

/// The same with one digit or letter behind the first four another one.
fn one_off(values: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let change = |(value, place, off): (String, Index, u32)| {
        let places: Vec<usize> = value.match_indices(|ch: char| ch.is_ascii_alphanumeric()).map(|(at, _)| at).collect();
        let place = places[4 + place.index(places.len() - 4)];
        let turned = |ch: char| {
            let (first, count) = match ch {
                '0'..='9' => ('0', 10),
                'a'..='z' => ('a', 26),
                _ => ('A', 26),
            };
            char::from_u32(u32::from(first) + (u32::from(ch) - u32::from(first) + 1 + off % (count - 1)) % count)
        };
        let other = |(at, ch): (usize, char)| if at == place { turned(ch).unwrap() } else { ch };
        value.char_indices().map(other).collect::<String>()
    };
    (values, any::<Index>(), 0_u32..1000).prop_map(change).boxed()
}

fn shortened(values: BoxedStrategy<String>) -> BoxedStrategy<String> {
    values.prop_map(|value| value[..value.len() - 1].trim_end().to_owned()).boxed()
}

/// The number with the check digit of Luhn.
pub(crate) fn with_luhn(body: &str) -> String {
    let is_luhn = |number: &String| {
        let digits = number.bytes().rev().enumerate().map(|(place, byte)| {
            let value = u32::from(byte - b'0') * (1 + place as u32 % 2);
            value / 10 + value % 10
        });
        digits.sum::<u32>().is_multiple_of(10)
    };
    (0..10).map(|digit| format!("{body}{digit}")).find(is_luhn).unwrap()
}

fn grouped(value: &str, every: usize, gap: &str) -> String {
    let parts: Vec<&str> = value.as_bytes().chunks(every).map(|part| std::str::from_utf8(part).unwrap()).collect();
    parts.join(gap)
}

/// Visa, Mastercard, American Express, Discover, JCB, Diners Club and UnionPay.
fn cards() -> BoxedStrategy<String> {
    let bodies = "4[0-9]{14}|5[1-5][0-9]{13}|2[3-6][0-9]{13}|3[47][0-9]{12}|(6011|64[4-9]0|65[0-9]{2})[0-9]{11}\
        |35[3-8][0-9]{12}|3(0[0-5]|[689][0-9])[0-9]{10}|62[0-9]{13}";
    let gap = select(vec!["", " ", "-"]);
    (bodies, gap).prop_map(|(body, gap)| grouped(&with_luhn(&body), 4, gap)).boxed()
}

/// With the right check digit, of no issuer.
fn other_issuers() -> BoxedStrategy<String> {
    "[179][0-9]{14}|5[06-9][0-9]{13}".prop_map(|body: String| with_luhn(&body)).boxed()
}

/// The account behind its country and check digits (ISO 7064, mod 97-10).
pub(crate) fn with_remainder(country: &str, account: &str) -> String {
    let value = |rest: u32, ch: char| match ch.to_digit(36) {
        Some(digit) if digit < 10 => (rest * 10 + digit) % 97,
        digit => (rest * 100 + digit.unwrap_or_default()) % 97,
    };
    let check = 98 - format!("{account}{country}00").chars().fold(0, value);
    format!("{country}{check:02}{account}")
}

fn ibans() -> BoxedStrategy<String> {
    let accounts = select(vec![
        ("DE", "[0-9]{18}"),
        ("GB", "[A-Z]{4}[0-9]{14}"),
        ("FR", "[0-9]{10}[0-9A-Z]{11}[0-9]{2}"),
        ("NL", "[A-Z]{4}[0-9]{10}"),
        ("ES", "[0-9]{20}"),
        ("IT", "[A-Z][0-9]{10}[0-9A-Z]{12}"),
        ("CH", "[0-9]{5}[0-9A-Z]{12}"),
        ("NO", "[0-9]{11}"),
        ("MT", "[A-Z]{4}[0-9]{5}[0-9A-Z]{18}"),
        ("BR", "[0-9]{23}[A-Z][0-9A-Z]"),
    ]);
    let ibans = accounts.prop_flat_map(|(country, account)| {
        account.prop_map(move |account: String| with_remainder(country, &account)).boxed()
    });
    (ibans, any::<bool>()).prop_map(|(iban, in_groups)| if in_groups { grouped(&iban, 4, " ") } else { iban }).boxed()
}

fn social_securities() -> BoxedStrategy<String> {
    let area = (1_u32..900).prop_filter("never given", |area| *area != 666);
    (area, 1_u32..100, 1_u32..10_000)
        .prop_map(|(area, group, serial)| format!("{area:03}-{group:02}-{serial:04}"))
        .boxed()
}

fn never_given() -> BoxedStrategy<String> {
    "(000|666|9[0-9]{2})-[0-9]{2}-[0-9]{4}|[1-5][0-9]{2}-(00-[0-9]{4}|[0-9]{2}-0000|[0-9]{2}-[0-9]{5})".boxed()
}

/// A token with the checksum that GitHub and npm give theirs.
pub(crate) fn with_checksum(prefix: &str, body: &str) -> String {
    let digits: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let sum = crc32fast::hash(body.as_bytes()) as usize;
    let sum: String = (0..6).rev().map(|place| digits[sum / 62_usize.pow(place) % 62]).collect();
    format!("{prefix}{body}{sum}")
}

fn tokens(prefix: &'static str) -> BoxedStrategy<String> {
    (prefix, "[0-9A-Za-z]{30}").prop_map(|(prefix, body)| with_checksum(&prefix, &body)).boxed()
}

fn unchecked(prefix: &'static str) -> BoxedStrategy<String> {
    "[0-9A-Za-z]{30,36}".prop_map(move |body| format!("{prefix}{body}")).boxed()
}

/// Headers with and without an algorithm.
fn web_tokens(is_valid: bool) -> BoxedStrategy<String> {
    let headers = if is_valid {
        select(vec![
            "{\"alg\":\"@\",\"typ\":\"JWT\"}",
            "{\"typ\":\"JWT\",\"alg\":\"@\"}",
            "{\"kid\":\"k1\", \"alg\" : \"@\"}",
        ])
    } else {
        select(vec![
            "{\"typ\":\"JWT\"}",
            "{\"algo\":\"@\"}",
            "{\"alg\":null}",
            "{\"kid\":\"alg\"}",
            "{\"alg\":\"@\"",
            "{\"@\":1}",
        ])
    };
    let algorithms = select(vec!["HS256", "RS256", "ES384", "EdDSA", "none"]);
    (headers, algorithms, "\\{\"sub\":\"[a-z0-9]{4,40}\"\\}", "[0-9A-Za-z_-]{20,60}")
        .prop_map(|(header, algorithm, payload, signature)| {
            let [header, payload] = [header.replace('@', algorithm), payload].map(|part| URL_SAFE_NO_PAD.encode(part));
            format!("{header}.{payload}.{signature}")
        })
        .boxed()
}

/// Blocks of private keys, and of what is no secret.
fn key_blocks(is_valid: bool) -> BoxedStrategy<String> {
    let (kind, kinds) = match is_valid {
        true => ("PRIVATE", ["", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED "].as_slice()),
        false => ("PUBLIC", ["", "RSA ", "EC ", "OPENSSH "].as_slice()),
    };
    let labels = select(kinds).prop_map(move |of| format!("{of}{kind} KEY"));
    let body = "M[0-9A-Za-z+/]{63}(\n[0-9A-Za-z+/]{64}){1,8}\n[0-9A-Za-z+/]{20}==";
    (labels, body).prop_map(|(label, body)| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----")).boxed()
}
