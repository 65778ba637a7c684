//! Numbers with a check digit, and mail addresses: how each is written, and what makes it one.

use std::ops::Range;

use crate::personal::MAX_LOCAL;

/// A payment card: 13 to 19 digits in one go or in groups, of a known issuer, with the check digit of Luhn
/// (ISO/IEC 7812-1). Its length in bytes.
pub(crate) fn card(here: &[u8]) -> Option<usize> {
    let mut digits = [0_u8; 19];
    let (mut count, mut best) = (0, None);
    let mut at = 0;
    let separator = here.iter().find(|byte| !byte.is_ascii_digit()).copied().filter(|byte| matches!(byte, b' ' | b'-'));
    while let Some(byte) = here.get(at) {
        if byte.is_ascii_digit() {
            let Some(place) = digits.get_mut(count) else { return best };
            *place = byte - b'0';
            count += 1;
            at += 1;
            let is_end = here.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
            let read = digits.get(..count).unwrap_or_default();
            if is_end && is_issued(read) && luhn(read) {
                best = Some(at);
            }
        } else if Some(*byte) == separator && here.get(at + 1).is_some_and(u8::is_ascii_digit) {
            at += 1;
        } else {
            break;
        }
    }
    best
}

/// Issuers' ranges and the lengths of their numbers.
fn is_issued(digits: &[u8]) -> bool {
    let start = |count: usize| digits.iter().take(count).fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    let (two, three, four) = (start(2), start(3), start(4));
    match digits.len() {
        13 => two / 10 == 4,
        14 => matches!(three, 300..=305) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        16 => {
            two / 10 == 4
                || matches!(two, 51..=55 | 62 | 65)
                || matches!(four, 2221..=2720 | 3528..=3589 | 6011)
                || matches!(three, 644..=649)
        }
        17..=19 => matches!(two, 62 | 65) || four == 6011 || (digits.len() == 19 && two / 10 == 4),
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(*digit) << (place % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Lengths of IBANs by country (ISO 13616 registry), of those that use them most.
const COUNTRIES: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// An IBAN in one go or in groups of four, whose remainder by 97 is 1. Its length in bytes.
pub(crate) fn iban(here: &[u8]) -> Option<usize> {
    let country = here.first_chunk::<2>()?;
    let (_, length) = COUNTRIES.iter().find(|(name, _)| *name == country)?;
    let mut read = Vec::with_capacity(*length);
    let mut at = 0;
    while read.len() < *length {
        match here.get(at)? {
            byte if byte.is_ascii_uppercase() || byte.is_ascii_digit() => read.push(*byte),
            b' ' if read.len() % 4 == 0 && !read.is_empty() && here.get(at - 1) != Some(&b' ') => {}
            _ => return None,
        }
        at += 1;
    }
    let ends = here.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let remainder = read.iter().cycle().skip(4).take(*length).fold(0_u32, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    (ends && remainder == 1).then_some(at)
}

/// `ddd-dd-dddd`, none of whose groups is one that is never given.
pub(crate) fn social_security(here: &[u8]) -> Option<usize> {
    const LENGTH: usize = 11;
    let read = here.get(..LENGTH)?;
    let fits = read.iter().enumerate().all(|(at, byte)| match at {
        3 | 6 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let digits: Vec<u8> = read.iter().copied().filter(u8::is_ascii_digit).collect();
    let ends = here.get(LENGTH).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
    (fits && ends && is_social_security(&digits)).then_some(LENGTH)
}

/// Whether nine digits are a number that may be given (Social Security Administration, POMS RM 10201.035).
pub(crate) fn is_social_security(digits: &[u8]) -> bool {
    let number = |range: Range<usize>| {
        let digits = digits.get(range)?;
        Some(digits.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0'))))
    };
    let (area, group, serial) = (number(0..3), number(3..5), number(5..9));
    !matches!(area, None | Some(0 | 666 | 900..))
        && !matches!(group, None | Some(0))
        && !matches!(serial, None | Some(0))
}

/// The mail address around the `@` at `at`.
pub(crate) fn email_around(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    /// The longest name of a host that is read.
    const MAX_HOST: usize = 120;
    let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
    let before = bytes.get(..at)?;
    let length = before.iter().rev().take(MAX_LOCAL + 1).take_while(|byte| is_local(byte)).count();
    let local = before.get(at - length..)?;
    let skipped = local.iter().take_while(|byte| b".-+%".contains(byte)).count();
    let local = local.get(skipped..).filter(|local| (1..=MAX_LOCAL).contains(&local.len()) && length <= MAX_LOCAL)?;
    let host = bytes.get(at + 1..)?;
    let length =
        host.iter().take(MAX_HOST + 1).take_while(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte)).count();
    let host = host.get(..length).filter(|host| host.len() <= MAX_HOST)?;
    let host = host.strip_suffix(b".").unwrap_or(host);
    let mut labels: Vec<&[u8]> = host.split(|byte| *byte == b'.').collect();
    let ending = labels.pop()?;
    let is_label = |label: &[u8]| !label.is_empty() && !label.starts_with(b"-") && !label.ends_with(b"-");
    let is_host = !labels.is_empty() && labels.into_iter().all(is_label);
    let is_ending = (2..=24).contains(&ending.len()) && ending.iter().all(u8::is_ascii_alphabetic);
    let is_sound = !local.ends_with(b".") && !local.windows(2).any(|pair| pair == b"..");
    (is_host && is_ending && is_sound).then(|| at - local.len()..at + 1 + host.len())
}
