//! How credentials are written: a prefix, and what must follow it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::finding::{Class, Rest};

/// The longest base64url header of a JWT that is read, in bytes.
const MAX_JWT_HEADER: usize = 180;
/// The longest kind of key in the header of a key block, such as `ENCRYPTED `, in bytes.
const MAX_PEM_LABEL: usize = 40;
/// The most white space between the header and the body of a key block, in bytes.
const MAX_PEM_GAP: usize = 16;

/// One way to write a credential.
pub(crate) struct Form {
    pub(crate) rule: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) body: Body,
}

/// What follows the prefix.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// So many characters, and no more of them.
    Exactly(usize, Class),
    /// At least so many characters; the rest of them belong to it.
    AtLeast(usize, Class),
    /// So many characters, the last six of which are a checksum; or any larger number of them.
    Checked(usize),
    /// At least so many characters, and at this place this one.
    Parted(usize, u8, usize, Class),
    /// The rest of a header with `alg`, and a dot (RFC 7519).
    Jwt,
    /// The rest of a header line and the start of a body (RFC 7468).
    KeyBlock,
}

const fn form(rule: &'static str, prefix: &'static str, body: Body) -> Form {
    Form { rule, prefix, body }
}

pub(crate) const FORMS: &[Form] = &[
    form("secret.aws", "AKIA", Body::Exactly(16, Class::Upper)),
    form("secret.aws", "ASIA", Body::Exactly(16, Class::Upper)),
    form("secret.github", "ghp_", Body::Checked(36)),
    form("secret.github", "gho_", Body::Checked(36)),
    form("secret.github", "ghs_", Body::Checked(36)),
    form("secret.github", "ghu_", Body::Checked(36)),
    form("secret.github", "ghr_", Body::Checked(36)),
    form("secret.github", "github_pat_", Body::AtLeast(82, Class::Word)),
    form("secret.gitlab", "glpat-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "gldt-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glrt-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glrtr-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glcbt-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glptt-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glft-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glimt-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glagent-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glsoat-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glffct-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "gloas-", Body::AtLeast(20, Class::Dashed)),
    form("secret.gitlab", "glwt-", Body::AtLeast(20, Class::Dashed)),
    form("secret.slack", "xoxb-", Body::AtLeast(20, Class::Dashed)),
    form("secret.slack", "xoxa-", Body::AtLeast(20, Class::Dashed)),
    form("secret.slack", "xoxp-", Body::AtLeast(20, Class::Dashed)),
    form("secret.slack", "xoxr-", Body::AtLeast(20, Class::Dashed)),
    form("secret.slack", "xoxs-", Body::AtLeast(20, Class::Dashed)),
    form("secret.slack", "xoxe-", Body::AtLeast(20, Class::Dashed)),
    form("secret.slack", "xapp-", Body::AtLeast(20, Class::Dashed)),
    form("secret.slack", "https://hooks.slack.com/services/T", Body::AtLeast(30, Class::Link)),
    form("secret.stripe", "sk_live_", Body::AtLeast(24, Class::Alnum)),
    form("secret.stripe", "rk_live_", Body::AtLeast(24, Class::Alnum)),
    form("secret.openai", "sk-proj-", Body::AtLeast(40, Class::Dashed)),
    form("secret.openai", "sk-svcacct-", Body::AtLeast(40, Class::Dashed)),
    form("secret.openai", "sk-admin-", Body::AtLeast(40, Class::Dashed)),
    form("secret.openai", "sk-", Body::AtLeast(40, Class::Alnum)),
    form("secret.openrouter", "sk-or-v1-", Body::AtLeast(64, Class::Hex)),
    form("secret.anthropic", "sk-ant-", Body::AtLeast(40, Class::Dashed)),
    form("secret.google", "AIza", Body::Exactly(35, Class::Dashed)),
    form("secret.google", "GOCSPX-", Body::Exactly(28, Class::Dashed)),
    form("secret.google", "ya29.", Body::AtLeast(60, Class::Dashed)),
    form("secret.npm", "npm_", Body::Checked(36)),
    form("secret.pypi", "pypi-AgEIcHlwaS5vcmc", Body::AtLeast(50, Class::Dashed)),
    form("secret.pypi", "pypi-AgENdGVzdC5weXBpLm9yZw", Body::AtLeast(50, Class::Dashed)),
    form("secret.hugging_face", "hf_", Body::AtLeast(34, Class::Alnum)),
    form("secret.sendgrid", "SG.", Body::Parted(22, b'.', 66, Class::Dotted)),
    form("secret.digitalocean", "dop_v1_", Body::Exactly(64, Class::Hex)),
    form("secret.digitalocean", "doo_v1_", Body::Exactly(64, Class::Hex)),
    form("secret.digitalocean", "dor_v1_", Body::Exactly(64, Class::Hex)),
    form("secret.databricks", "dapi", Body::Exactly(32, Class::Hex)),
    form("secret.azure", "AccountKey=", Body::AtLeast(80, Class::Base64)),
    form("secret.azure", "SharedAccessKey=", Body::AtLeast(40, Class::Base64)),
    form("secret.groq", "gsk_", Body::AtLeast(48, Class::Alnum)),
    form("secret.xai", "xai-", Body::AtLeast(70, Class::Alnum)),
    form("secret.replicate", "r8_", Body::AtLeast(37, Class::Alnum)),
    form("secret.docker", "dckr_pat_", Body::AtLeast(27, Class::Dashed)),
    form("secret.vault", "hvs.", Body::AtLeast(90, Class::Dashed)),
    form("secret.grafana", "glsa_", Body::AtLeast(32, Class::Word)),
    form("secret.shopify", "shpat_", Body::Exactly(32, Class::Hex)),
    form("secret.age", "AGE-SECRET-KEY-1", Body::Exactly(58, Class::Upper)),
    form("secret.portcullis", "pck1_", Body::Parted(16, b'_', 77, Class::Word)),
    form("secret.jwt", "eyJ", Body::Jwt),
    form("secret.private_key", "-----BEGIN ", Body::KeyBlock),
];

/// What stands behind a prefix.
#[derive(Clone, Copy)]
pub(crate) enum Probe {
    /// No credential.
    No,
    /// A credential of so many bytes, prefix included, and what else belongs to it.
    Match(usize, Option<Rest>),
    /// The next bytes decide. If there are none: a credential of so many bytes, or none.
    Open(Option<usize>),
}

impl Form {
    /// Whether a credential of this form starts here.
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        let is_sure = || matches!(self.probe(text), Probe::Match(..) | Probe::Open(Some(_)));
        text.starts_with(self.prefix.as_bytes()) && is_sure()
    }

    /// Looks at `text`, which starts with the prefix.
    pub(crate) fn probe(&self, text: &[u8]) -> Probe {
        let from = self.prefix.len();
        let body = text.get(from..).unwrap_or_default();
        match self.body {
            Body::Exactly(len, class) => {
                let run = run(body, class, len + 1);
                let here = body.get(..len).is_some_and(|body| !is_placeholder(body));
                match (run, body.len() > run) {
                    (run, true) if run == len && here => Probe::Match(from + len, None),
                    (run, false) if run == len && here => Probe::Open(Some(from + len)),
                    (run, false) if run < len => Probe::Open(None),
                    _ => Probe::No,
                }
            }
            Body::AtLeast(len, class) => at_least(from, body, len, class),
            Body::Checked(len) => checked(from, body, len),
            Body::Parted(place, byte, len, class) => match body.get(place) {
                Some(found) if *found != byte => Probe::No,
                _ => at_least(from, body, len, class),
            },
            Body::Jwt => jwt(text),
            Body::KeyBlock => key_block(from, text),
        }
    }
}

fn at_least(from: usize, body: &[u8], len: usize, class: Class) -> Probe {
    match run(body, class, len) {
        found if found < len && found == body.len() => Probe::Open(None),
        found if found < len => Probe::No,
        _ => match body.get(..len) {
            Some(start) if !is_placeholder(start) && is_mixed(start) => {
                Probe::Match(from + len, Some(Rest::While(class)))
            }
            _ => Probe::No,
        },
    }
}

/// Tokens of GitHub and npm: 30 characters and their CRC-32 in base 62 (GitHub, "Behind GitHub's new authentication
/// token formats", 2021). Longer ones are taken as they are.
fn checked(from: usize, body: &[u8], len: usize) -> Probe {
    let run = run(body, Class::Alnum, len + 1);
    let is_proved = || body.get(..len).is_some_and(|body| has_checksum(body) && !is_placeholder(body));
    match (run, body.len() > run) {
        (run, _) if run > len => at_least(from, body, len + 1, Class::Alnum),
        (run, true) if run == len && is_proved() => Probe::Match(from + len, None),
        (run, false) if run == len && is_proved() => Probe::Open(Some(from + len)),
        (_, false) => Probe::Open(None),
        (_, true) => Probe::No,
    }
}

fn has_checksum(token: &[u8]) -> bool {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let (body, sum) = token.split_at_checked(token.len().saturating_sub(6)).unwrap_or_default();
    let mut left = crc32fast::hash(body);
    let is_next = |byte: &u8| {
        let digit = DIGITS.get(left as usize % DIGITS.len());
        left /= DIGITS.len() as u32;
        digit == Some(byte)
    };
    sum.iter().rev().all(is_next)
}

fn jwt(text: &[u8]) -> Probe {
    let header = run(text, Class::Dashed, MAX_JWT_HEADER + 1);
    if header > MAX_JWT_HEADER {
        return Probe::No;
    }
    match starts(text.get(header..).unwrap_or_default(), b".eyJ") {
        Some(true) => {}
        Some(false) => return Probe::No,
        None => return Probe::Open(None),
    }
    let decoded = URL_SAFE_NO_PAD.decode(text.get(..header).unwrap_or_default());
    let has_alg = decoded.is_ok_and(|json| is_jwt_header(&json));
    if has_alg { Probe::Match(header + 4, Some(Rest::While(Class::Dotted))) } else { Probe::No }
}

/// Whether this is a JSON object with a text as `alg` (RFC 7515, 4.1.1).
fn is_jwt_header(json: &[u8]) -> bool {
    let Some(inner) = json.strip_prefix(b"{").and_then(|json| json.trim_ascii_end().strip_suffix(b"}")) else {
        return false;
    };
    let name = b"\"alg\"";
    let at = inner.windows(name.len()).position(|word| word == name);
    let behind = at.and_then(|at| inner.get(at + name.len()..)).map(<[u8]>::trim_ascii_start);
    let value = behind.and_then(|behind| behind.strip_prefix(b":")).map(<[u8]>::trim_ascii_start);
    std::str::from_utf8(inner).is_ok() && value.is_some_and(|value| value.starts_with(b"\""))
}

fn key_block(from: usize, text: &[u8]) -> Probe {
    let label = text.get(from..).unwrap_or_default();
    let is_label = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b' ';
    let len = label.iter().take(MAX_PEM_LABEL).take_while(is_label).count();
    match starts(label.get(len..).unwrap_or_default(), b"-----") {
        Some(true) => {}
        Some(false) => return Probe::No,
        None => return Probe::Open(None),
    }
    let label = label.get(..len).unwrap_or_default();
    let footer = if label.ends_with(b"PRIVATE KEY") {
        &"PRIVATE KEY-----"
    } else if label.ends_with(b"PRIVATE KEY BLOCK") {
        &"PRIVATE KEY BLOCK-----"
    } else {
        return Probe::No;
    };
    let body_at = from + len + 5;
    let behind = text.get(body_at..).unwrap_or_default();
    let gap = gap_len(behind);
    let body = behind.get(gap..).unwrap_or_default();
    let base64 = body.iter().take(16).take_while(|byte| is_base64(**byte)).count();
    let begun = ["Proc-Type:", "Version:", "Comment:"].map(|word| starts(body, word.as_bytes()));
    if base64 == 16 || begun.contains(&Some(true)) {
        Probe::Match(body_at + gap, Some(Rest::Through(footer)))
    } else if base64 == body.len() || begun.contains(&None) {
        Probe::Open(None)
    } else {
        Probe::No
    }
}

/// White space, also as it is escaped in JSON, at the start of a body.
fn gap_len(text: &[u8]) -> usize {
    let mut len = 0;
    while len < MAX_PEM_GAP {
        match (text.get(len), text.get(len + 1)) {
            (Some(b' ' | b'\t' | b'\r' | b'\n'), _) => len += 1,
            (Some(b'\\'), Some(b'r' | b'n')) => len += 2,
            (Some(b'\\'), None) => return text.len(),
            _ => break,
        }
    }
    len
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Whether `text` starts with `word`; `None` if it ends too soon to tell.
fn starts(text: &[u8], word: &[u8]) -> Option<bool> {
    if text.len() < word.len() && word.starts_with(text) { None } else { Some(text.starts_with(word)) }
}

fn run(text: &[u8], class: Class, most: usize) -> usize {
    text.iter().take(most).take_while(|byte| class.contains(**byte)).count()
}

/// Whether this looks like a stand-in for a credential in documentation.
pub(crate) fn is_placeholder(body: &[u8]) -> bool {
    let lower = body.to_ascii_lowercase();
    let says = |word: &[u8]| lower.windows(word.len()).any(|part| part == word);
    let distinct = (0..=u8::MAX).filter(|byte| body.contains(byte)).count();
    distinct < 6 || says(b"example") || says(b"placeholder") || says(b"xxxx") || lower.starts_with(b"your")
}

/// Whether this has a digit or both cases, as random text has and words have not.
fn is_mixed(body: &[u8]) -> bool {
    let has = |test: fn(&u8) -> bool| body.iter().any(test);
    has(u8::is_ascii_digit) || (has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase))
}
