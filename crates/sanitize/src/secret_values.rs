//! Credentials that only their surroundings tell: what is assigned to a name such as `password`, and passwords in URLs.

use memchr::memchr2_iter;

use crate::detector::LEFT_CONTEXT;
use crate::finding::{Class, Rest, Severity};
use crate::secret_rules::{Probe, is_placeholder};

/// The longest value that is read, in bytes.
const MAX_VALUE: usize = 160;
/// The longest name that is read, in bytes. With what may stand between it and the value it fits in [`LEFT_CONTEXT`].
const MAX_NAME: usize = 40;
/// The longest name of a user in a URL, in bytes.
const MAX_USER: usize = 48;
/// The most white space on each side of `=` or `:`.
const MAX_GAP: usize = 4;
const _: () = assert!(MAX_NAME + 2 * MAX_GAP + SCHEMES_LEN + 6 <= LEFT_CONTEXT && MAX_USER + 8 <= LEFT_CONTEXT);

pub(crate) const RULES: [&str; 3] = [ASSIGNED, URL_PASSWORD, AWS];
const ASSIGNED: &str = "secret.assigned";
const URL_PASSWORD: &str = "secret.url_password";
const AWS: &str = "secret.aws";

/// What names of credentials end in, without what parts their words.
const NAMES: [&[u8]; 18] = [
    b"password",
    b"passwd",
    b"pwd",
    b"passphrase",
    b"secret",
    b"secretkey",
    b"token",
    b"apikey",
    b"accesskey",
    b"authkey",
    b"encryptionkey",
    b"signingkey",
    b"masterkey",
    b"privatekey",
    b"accountkey",
    b"credential",
    b"credentials",
    b"authorization",
];
/// What may stand before a credential in a header (RFC 9110, 11.4).
const SCHEMES: [&[u8]; 3] = [b"Bearer ", b"Basic ", b"Token "];
const SCHEMES_LEN: usize = 7;

/// Words in values that people write where a credential belongs, and in values that are none.
const STAND_INS: [&[u8]; 14] = [
    b"changeme",
    b"change_me",
    b"change-me",
    b"dummy",
    b"sample",
    b"insert",
    b"replace",
    b"redacted",
    b"12345678",
    b"abcdefgh",
    b"password",
    b"secret",
    b"token",
    b"****",
];

/// A place where a value starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) at: usize,
    pub(crate) rule: &'static str,
    pub(crate) severity: Severity,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Up to this byte.
    Quoted(u8),
    /// Up to white space or what ends an expression.
    Bare,
    /// Forty characters of base64.
    Aws,
    /// Up to `@`.
    Url,
}

/// Every place where a credential may be told by what stands before it, in order.
pub(crate) fn values(text: &[u8]) -> impl Iterator<Item = Value> {
    memchr2_iter(b'=', b':', text).filter_map(|at| assigned(text, at).or_else(|| in_url(text, at)))
}

/// The value behind the `=` or `:` at `at`, if the name before it is one of a credential.
fn assigned(text: &[u8], at: usize) -> Option<Value> {
    let left = text.get(at.saturating_sub(MAX_NAME + MAX_GAP + 2)..at)?;
    let left = without_gap_behind(left.strip_suffix(b":").unwrap_or(left));
    let left = left.strip_suffix(b"\"").or_else(|| left.strip_suffix(b"'")).unwrap_or(left);
    if !left
        .last()
        .is_some_and(|byte| matches!(byte.to_ascii_lowercase(), b'd' | b'e' | b't' | b'y' | b'n' | b'l' | b's'))
    {
        return None;
    }
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let length = left.iter().rev().take(MAX_NAME).take_while(is_name).count();
    let name = left.get(left.len() - length..)?;
    let is_letter = |byte: &u8| !matches!(byte, b'_' | b'-' | b'.');
    let squeezed: Vec<u8> = name.iter().copied().filter(is_letter).map(|byte| byte.to_ascii_lowercase()).collect();
    if !NAMES.iter().any(|ending| squeezed.ends_with(ending)) || squeezed.starts_with(b"public") {
        return None;
    }
    let is_aws = squeezed.ends_with(b"secretaccesskey") || squeezed.ends_with(b"awssecretkey");
    let start = at + 1;
    let mut behind = text.get(start..)?;
    behind = behind.strip_prefix(b">").unwrap_or(behind);
    behind = without_gap_before(behind);
    let quote = behind.first().copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    behind = behind.get(usize::from(quote.is_some())..)?;
    behind = SCHEMES.iter().find_map(|scheme| behind.strip_prefix(*scheme)).unwrap_or(behind);
    let kind = match quote {
        _ if is_aws => Kind::Aws,
        Some(quote) => Kind::Quoted(quote),
        None => Kind::Bare,
    };
    let (rule, severity) = if is_aws { (AWS, Severity::High) } else { (ASSIGNED, Severity::Medium) };
    (!behind.is_empty()).then_some(Value { at: text.len() - behind.len(), rule, severity, kind })
}

fn without_gap_behind(text: &[u8]) -> &[u8] {
    let gap = text.iter().rev().take(MAX_GAP).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    text.get(..text.len() - gap).unwrap_or_default()
}

fn without_gap_before(text: &[u8]) -> &[u8] {
    let gap = text.iter().take(MAX_GAP).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    text.get(gap..).unwrap_or_default()
}

/// The password behind the `:` at `at`, if `scheme://user` stands before it (RFC 3986, 3.2.1).
fn in_url(text: &[u8], at: usize) -> Option<Value> {
    let left = text.get(at.saturating_sub(MAX_USER + 4)..at).filter(|_| text.get(at) == Some(&b':'))?;
    let is_user = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-');
    let length = left.iter().rev().take(MAX_USER).take_while(is_user).count();
    let before = left.get(..left.len() - length)?.strip_suffix(b"://")?;
    let has_scheme = before.last().is_some_and(u8::is_ascii_alphanumeric);
    has_scheme.then_some(Value { at: at + 1, rule: URL_PASSWORD, severity: Severity::High, kind: Kind::Url })
}

impl Value {
    /// Whether a credential starts at this place of `text`.
    pub(crate) fn probe(&self, text: &[u8]) -> Probe {
        let behind = text.get(self.at..).unwrap_or_default();
        let seen = behind.get(..MAX_VALUE).unwrap_or(behind);
        let is_end = |byte: &u8| match self.kind {
            Kind::Quoted(quote) => *byte == quote || *byte <= b' ',
            Kind::Bare => !Class::Link.contains(*byte) || matches!(byte, b',' | b';' | b'&'),
            Kind::Aws => !Class::Base64.contains(*byte),
            Kind::Url => *byte == b'@' || *byte == b'/' || !Class::Link.contains(*byte),
        };
        let end = seen.iter().position(is_end);
        let value = seen.get(..end.unwrap_or(seen.len())).unwrap_or_default();
        if self.is_excluded(value) {
            return Probe::No;
        }
        let is_ended = |end: usize| match (self.kind, seen.get(end)) {
            (Kind::Quoted(quote), byte) => byte == Some(&quote),
            (Kind::Url, byte) => byte == Some(&b'@'),
            _ => true,
        };
        let is_long = behind.len() >= MAX_VALUE;
        match end {
            Some(end) if is_ended(end) && self.is_credential(value) => Probe::Match(value.len(), None),
            Some(_) => Probe::No,
            None if is_long && matches!(self.kind, Kind::Quoted(_) | Kind::Bare) && is_random(value) => {
                let whole = value.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
                Probe::Match(whole, Some(Rest::While(Class::Link)))
            }
            None if is_long => Probe::No,
            None if self.kind == Kind::Url => Probe::Open(None),
            None => Probe::Open(self.is_credential(value).then_some(value.len())),
        }
    }

    /// Whether nothing that follows can make this a credential.
    fn is_excluded(&self, value: &[u8]) -> bool {
        let is_code = |byte: &u8| matches!(byte, b'(' | b'[' | b'{' | b'<' | b'$');
        match self.kind {
            Kind::Quoted(_) => value.starts_with(b"$") || value.starts_with(b"<") || value.starts_with(b"{{"),
            Kind::Bare => value.iter().any(is_code),
            Kind::Aws => value.len() > 40,
            Kind::Url => value.iter().any(|byte| matches!(byte, b'$' | b'{' | b'<' | b'[')),
        }
    }

    fn is_credential(&self, value: &[u8]) -> bool {
        match self.kind {
            Kind::Aws => value.len() == 40 && !is_placeholder(value) && is_random(value),
            Kind::Url => {
                value.len() >= 6 && !is_stand_in(value) && !value.iter().all(u8::is_ascii_digit) && has_two_kinds(value)
            }
            Kind::Quoted(_) | Kind::Bare => is_random(value),
        }
    }
}

/// Letters and digits, or letters and signs: few words of a language have both.
fn has_two_kinds(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_alphabetic) && value.iter().any(|byte| !byte.is_ascii_alphabetic())
}

fn is_stand_in(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    let says = |word: &[u8]| lower.windows(word.len()).any(|part| part == word);
    is_placeholder(value) || lower.starts_with(b"test") || STAND_INS.iter().any(|word| says(word))
}

/// Whether a value looks drawn at random: long enough, of letters and digits, of many different ones, and no
/// stand-in, UUID or digest that is named as one.
fn is_random(value: &[u8]) -> bool {
    let is_digest =
        [b"sha256".as_slice(), b"sha384", b"sha512", b"sha1", b"md5"].iter().any(|name| value.starts_with(name));
    let is_hex = value.iter().all(u8::is_ascii_hexdigit);
    let least = match value.len() {
        0..10 => return false,
        10..20 => 3.0,
        _ if is_hex => 3.0,
        _ => 3.4,
    };
    has_two_kinds(value)
        && value.iter().any(u8::is_ascii_digit)
        && value.is_ascii()
        && !is_digest
        && !is_uuid(value)
        && !is_spelled(value)
        && !is_stand_in(value)
        && entropy(value) >= least
}

/// 8-4-4-4-12 hexadecimal digits (RFC 9562, 4).
fn is_uuid(value: &[u8]) -> bool {
    let lengths = value.split(|byte| *byte == b'-').map(<[u8]>::len);
    lengths.eq([8, 4, 4, 4, 12]) && value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Words, names, dates and versions: short parts, or one case and few digits.
fn is_spelled(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| matches!(byte, b'-' | b'_' | b'.' | b'/' | b':'));
    let is_plain = |part: &[u8]| {
        let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_word = part.iter().rev().skip_while(|byte| byte.is_ascii_digit()).all(u8::is_ascii_alphabetic);
        let turns =
            part.windows(2).filter(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()));
        digits == part.len() || is_word && digits <= 4 && turns.count() * 5 <= part.len()
    };
    parts.all(is_plain)
}

/// Shannon's entropy of the bytes, in bits a byte.
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 128];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = value.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / all);
    -shares.map(|share| share * share.log2()).sum::<f64>()
}
