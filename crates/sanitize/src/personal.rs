//! Personal data that has a form of its own, told from look-alikes by checksum, issuer or structure.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::detector::Detector;
use crate::finding::{Finding, Label, Severity};
use crate::normalize::Normalized;
use crate::personal_context::told;
use crate::personal_forms::{card, email_around, iban, social_security};

/// Longer than any form needs from its first byte to be certain, in bytes.
const WINDOW: usize = 192;
/// The longest part of a mail address before the `@` (RFC 5321, 4.5.3.1.1).
pub(crate) const MAX_LOCAL: usize = 64;

/// Finds payment cards (Luhn, issuer and length), IBANs (country, length, ISO 7064 mod 97-10), dashed social security
/// numbers of the United States, mail addresses, telephone numbers with `+` (E.164) and public IP addresses; and behind
/// a word such as `phone` or `SSN`, telephone numbers without `+` and undashed social security numbers.
///
/// It looks at the text as it is: what is encoded, spelled out or split otherwise than people write it is not found,
/// nor are names, streets and other numbers that need their surroundings to be told. A number is not looked for inside a
/// longer one.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Personal;

const RULES: [&str; 6] = [
    "personal.card",
    "personal.iban",
    "personal.social_security",
    "personal.email",
    "personal.phone",
    "personal.address",
];

impl Personal {
    /// All forms.
    pub fn new() -> Self {
        Self
    }

    /// The ids of the rules.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        RULES.into_iter()
    }
}

impl Detector for Personal {
    fn label(&self) -> Label {
        Label::Personal
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        let bytes = text.original().as_bytes();
        let mut before = None;
        for (at, byte) in bytes.iter().enumerate() {
            let hit = match byte {
                b'@' => email_around(bytes, at).map(|range| (range, "personal.email")),
                b'+' | b'(' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'f' => {
                    at_start(bytes, at, before).map(|(length, rule)| (at..at + length, rule))
                }
                _ => None,
            };
            before = Some(*byte);
            if let Some((range, rule)) = hit {
                found.push(Finding::new(Label::Personal, rule, Severity::Medium).at(range));
            }
        }
    }

    fn window(&self) -> Option<usize> {
        Some(WINDOW)
    }

    /// Whatever is written in one go may go on to be a number or an address, as may digits in groups.
    fn open_from(&self, tail: &str) -> usize {
        let bytes = tail.as_bytes();
        let least = bytes.len().saturating_sub(WINDOW);
        let mut from = bytes.len();
        while from > least {
            let at = from - 1;
            let byte = bytes.get(at).copied().unwrap_or_default();
            let behind = bytes.get(from).copied();
            let is_digit = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric() || byte == b'(');
            let in_go = byte.is_ascii_alphanumeric() || b"._%+-@:()".contains(&byte);
            if !(in_go || byte == b' ' && is_digit(behind) && at > 0 && bytes.get(at - 1).is_some_and(is_grouped)) {
                break;
            }
            from = at;
        }
        tail.floor_char_boundary(from)
    }
}

/// What ends a group of digits or letters in a number that people write in groups.
fn is_grouped(byte: &u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_uppercase() || *byte == b')'
}

/// A form that starts here, its length and its rule.
fn at_start(text: &[u8], at: usize, before: Option<u8>) -> Option<(usize, &'static str)> {
    let here = text.get(at..)?;
    let first = here.first().copied()?;
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if in_word {
        return None;
    }
    match first {
        b'+' => phone(here).map(|length| (length, "personal.phone")),
        b'A'..=b'Z' => iban(here).map(|length| (length, "personal.iban")).or_else(|| v6(here, before)),
        // Behind these a number is a part of another one.
        b'0'..=b'9' if matches!(before, Some(b'.' | b'-' | b':')) => None,
        b'0'..=b'9' => card(here)
            .map(|length| (length, "personal.card"))
            .or_else(|| social_security(here).map(|length| (length, "personal.social_security")))
            .or_else(|| v4(here).map(|length| (length, "personal.address")))
            .or_else(|| v6(here, before))
            .or_else(|| told(text, at)),
        b'(' => told(text, at),
        b'a'..=b'f' => v6(here, before),
        _ => None,
    }
}

/// `+`, 8 to 15 digits, and between them single spaces, hyphens, dots or brackets.
fn phone(here: &[u8]) -> Option<usize> {
    const MOST: usize = 15;
    let (mut digits, mut length, mut between) = (0, 1, 0);
    for (at, byte) in here.iter().enumerate().skip(1) {
        match byte {
            b'0' if digits == 0 => return None,
            b'0'..=b'9' => {
                (digits, length, between) = (digits + 1, at + 1, 0);
                if digits > MOST {
                    return None;
                }
            }
            // As in `open_from`: only between groups.
            b' ' if !here.get(at - 1).is_some_and(is_grouped) => break,
            b' ' if !here.get(at + 1).is_some_and(|next| next.is_ascii_digit() || *next == b'(') => break,
            b' ' | b'-' | b'.' | b'(' | b')' if digits > 0 && between < 2 => between += 1,
            _ => break,
        }
    }
    let ends = here.get(length).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    (digits >= 8 && ends).then_some(length)
}

fn v4(here: &[u8]) -> Option<usize> {
    let length = here.iter().take(16).take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let run = here.get(..length)?;
    let run = run.strip_suffix(b".").unwrap_or(run);
    let ends = here.get(run.len() + 1).is_none_or(|byte| !byte.is_ascii_digit()) || here.get(run.len()) != Some(&b'.');
    let ends = ends && here.get(run.len()).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
    let address: Ipv4Addr = std::str::from_utf8(run).ok()?.parse().ok()?;
    let is_inside = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast();
    (ends && !is_inside).then_some(run.len())
}

/// Of the global range, `2000::/3`, but for the one that is for documents.
fn v6(here: &[u8], before: Option<u8>) -> Option<(usize, &'static str)> {
    const MOST: usize = 39;
    if before == Some(b':') {
        return None;
    }
    let length = here.iter().take(MOST + 1).take_while(|byte| byte.is_ascii_hexdigit() || **byte == b':').count();
    let run =
        here.get(..length).filter(|run| run.len() <= MOST && run.iter().filter(|byte| **byte == b':').count() >= 2)?;
    let address: Ipv6Addr = std::str::from_utf8(run).ok()?.parse().ok()?;
    let [first, second, ..] = address.segments();
    let is_global = first >> 13 == 1 && (first, second) != (0x2001, 0xdb8);
    let ends = here.get(length).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    (is_global && ends).then_some((length, "personal.address"))
}
