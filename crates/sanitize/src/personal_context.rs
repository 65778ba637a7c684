//! Numbers that only a word before them tells: telephone numbers as a country writes them, undashed social security numbers.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::detector::LEFT_CONTEXT;
use crate::personal_forms::is_social_security;

/// How few and how many digits a telephone number has without a `+`.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=12;

/// What is said before a telephone number, and from [`SOCIAL`] on before a social security number.
const WORDS: [&str; 19] = [
    "phone",
    "telefon",
    "teléfono",
    "téléphone",
    "telefone",
    "tel.",
    "tel:",
    "mobile",
    "móvil",
    "celular",
    "handynummer",
    "whatsapp",
    "fax",
    "телефон",
    "电话",
    "電話",
    "手机",
    "ssn",
    "social security",
];
const SOCIAL: usize = WORDS.len() - 2;

/// The words, looked for together. `None` where they do not compile, which tests rule out.
static SEARCHER: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(WORDS).ok());

/// The number that starts at `at` and is told by the last word before it, its length and its rule.
pub(crate) fn told(text: &[u8], at: usize) -> Option<(usize, &'static str)> {
    let here = text.get(at..)?;
    let left = text.get(at.saturating_sub(LEFT_CONTEXT)..at)?;
    if is_further_group(left) {
        return None;
    }
    let (phone, social) = (national(here), undashed(here));
    if phone.is_none() && social.is_none() {
        return None;
    }
    let words = SEARCHER.as_ref()?.find_iter(left);
    let is_word =
        |start: usize| !start.checked_sub(1).and_then(|at| left.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let last = words.filter(|word| is_word(word.start())).last()?.pattern().as_usize();
    match last < SOCIAL {
        true => phone.map(|length| (length, "personal.phone")),
        false => social.map(|length| (length, "personal.social_security")),
    }
}

/// Whether what starts here is a further group of a number.
fn is_further_group(left: &[u8]) -> bool {
    let front = left.strip_suffix(b" ").unwrap_or(left);
    let front = front.strip_suffix(b")").or_else(|| front.strip_suffix(b"-")).unwrap_or(front);
    front.len() < left.len() && front.last().is_some_and(u8::is_ascii_digit)
}

/// Groups of digits with single separators, the first of which may stand in brackets.
fn national(here: &[u8]) -> Option<usize> {
    let mut groups = [0_usize; 6];
    let (mut count, mut digits, mut at, mut best) = (0, 0, 0, None);
    let is_bracketed = here.first() == Some(&b'(');
    at += usize::from(is_bracketed);
    while let Some(group) = groups.get_mut(count) {
        let behind = here.get(at..)?;
        *group = behind.iter().take(DIGITS.end() + 1).take_while(|byte| byte.is_ascii_digit()).count();
        (at, digits, count) = (at + *group, digits + *group, count + 1);
        if *group < 2 || digits > *DIGITS.end() {
            break;
        }
        if is_bracketed && count == 1 {
            at += usize::from(here.get(at) == Some(&b')'));
        }
        let is_end = here.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        if DIGITS.contains(&digits) && is_end {
            best = Some((at, count));
        }
        match here.get(at) {
            Some(b' ' | b'-' | b'.') => at += 1,
            _ => break,
        }
    }
    let (length, count) = best?;
    let is_date = matches!(groups.get(..count)?, [4, 2, 2] | [2, 2, 4]);
    (!is_date).then_some(length)
}

/// Nine digits, in one go or with spaces.
fn undashed(here: &[u8]) -> Option<usize> {
    let mut digits = Vec::with_capacity(9);
    let mut length = 0;
    for byte in here.iter().take(11) {
        match byte {
            b'0'..=b'9' if digits.len() < 9 => digits.push(*byte),
            b' ' if matches!(digits.len(), 3 | 5) => {}
            _ => break,
        }
        length += 1;
    }
    let ends = here.get(length).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
    (ends && digits.len() == 9 && is_social_security(&digits)).then_some(length)
}
