//! Where a link leads, read as a browser reads it (URL Standard of the WHATWG, 4.4), and whether it carries data.

/// The shortest value of a parameter that counts as data, in bytes.
const MIN_VALUE: usize = 8;
/// The shortest part of a path or host that counts as data if it looks random, in bytes.
const MIN_RANDOM: usize = 24;
/// How many spaces in one part of a path make it a sentence.
const MIN_SPACES: usize = 4;

/// Where a link leads, as far as it can be seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To no other host, whatever follows.
    Inside,
    /// Too short to tell.
    Unclear,
    /// Code or a document inside the link itself.
    Script,
    /// To a host.
    Host(Away),
}

/// A link to a host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Away {
    /// In lower case, without what stands before `@`, port and final dots.
    pub(crate) host: Vec<u8>,
    /// The host where Markdown takes away backslashes before punctuation, if that is another.
    pub(crate) unescaped: Option<Vec<u8>>,
    /// Whether the end of the host is in sight.
    pub(crate) is_whole: bool,
    pub(crate) carries_data: bool,
}

/// Reads a link. Tabs, line breaks and leading spaces do not count, `\` is `/`, and HTML entities are decoded.
pub(crate) fn read(link: &[u8]) -> Target {
    let mut bytes = Unescaped { rest: link }.skip_while(|byte| *byte <= b' ').peekable();
    let mut scheme = Vec::new();
    loop {
        match bytes.next() {
            Some(b':') => break,
            Some(b'/' | b'\\') if scheme.is_empty() => {
                return match bytes.next() {
                    Some(b'/' | b'\\') => host(bytes),
                    Some(_) => Target::Inside,
                    None => Target::Unclear,
                };
            }
            // In Markdown a backslash before punctuation is not seen.
            Some(b'\\') if bytes.peek().is_none_or(|next| *next == b':') => {}
            Some(b'.') if scheme == b"www" => return host(bytes),
            Some(byte) if byte.is_ascii_alphabetic() && scheme.len() < LONGEST => {
                scheme.push(byte.to_ascii_lowercase());
            }
            None if scheme.is_empty() || known().any(|name| name.starts_with(&scheme)) => return Target::Unclear,
            _ => return Target::Inside,
        }
    }
    match &*scheme {
        b"http" | b"https" | b"ftp" | b"ws" | b"wss" => host(bytes),
        b"javascript" | b"vbscript" => Target::Script,
        b"data" => document(bytes),
        _ => Target::Inside,
    }
}

const SCHEMES: [&[u8]; 9] = [b"http", b"https", b"ftp", b"ws", b"wss", b"javascript", b"vbscript", b"data", b"www"];
const LONGEST: usize = 10;

fn known() -> impl Iterator<Item = &'static [u8]> {
    SCHEMES.into_iter()
}

/// A `data:` link. Pictures made of dots are harmless.
fn document(bytes: impl Iterator<Item = u8>) -> Target {
    let kind: Vec<u8> = bytes.take(16).map(|byte| byte.to_ascii_lowercase()).collect();
    let harmless: [&[u8]; 4] = [b"image/png", b"image/jpeg", b"image/gif", b"image/webp"];
    if harmless.iter().any(|name| kind.starts_with(name)) {
        Target::Inside
    } else if harmless.iter().any(|name| name.starts_with(&kind)) {
        Target::Unclear
    } else {
        Target::Script
    }
}

fn host(bytes: impl Iterator<Item = u8>) -> Target {
    let bytes: Vec<u8> = bytes.skip_while(|byte| matches!(byte, b'/' | b'\\')).collect();
    let Some((host, is_whole, carries_data)) = named(&bytes) else { return Target::Unclear };
    let plain = unescaped(&bytes);
    let other = (plain != bytes).then(|| named(&plain)).flatten();
    let (unescaped, is_other_whole) = other.map(|(host, is_whole, _)| (host, is_whole)).unzip();
    Target::Host(Away { host, unescaped, is_whole: is_whole && is_other_whole.unwrap_or(true), carries_data })
}

/// A link as Markdown reads it: backslashes before punctuation are not seen.
fn unescaped(link: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(link.len());
    let mut bytes = link.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' || !bytes.peek().is_some_and(u8::is_ascii_punctuation) {
            plain.push(byte);
        }
    }
    plain
}

/// The host that a link names behind its scheme, whether its end is in sight, and whether the link carries data.
fn named(bytes: &[u8]) -> Option<(Vec<u8>, bool, bool)> {
    let end = bytes.iter().position(|byte| matches!(byte, b'/' | b'\\' | b'?' | b'#'));
    let (authority, behind) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or_default();
    if authority.is_empty() && end.is_none() {
        return None;
    }
    let host = authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
    let port = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let host = match host.split_at_checked(host.len() - port) {
        Some(([name @ .., b':'], _)) if !name.contains(&b':') || name.ends_with(b"]") => name,
        _ => host,
    };
    let mut host = percent_decoded(host).to_ascii_lowercase();
    while host.last() == Some(&b'.') {
        host.pop();
    }
    let carries_data = host.split(|byte| *byte == b'.').any(is_random) || carries(behind);
    // Behind a last backslash the host may go on.
    let is_whole = end.is_some() && behind != b"\\";
    Some((host, is_whole, carries_data))
}

/// Whether what follows the host has room for something that was read elsewhere.
fn carries(behind: &[u8]) -> bool {
    let (front, fragment) = parted(behind, b'#');
    let (path, query) = parted(front, b'?');
    let is_value = |value: &[u8]| percent_decoded(value).len() >= MIN_VALUE;
    let in_query = query.split(|byte| matches!(byte, b'&' | b';' | b'?')).any(|pair| match parted(pair, b'=') {
        (name, b"") => is_value(name),
        (_, value) => is_value(value),
    });
    let in_fragment = fragment.split(|byte| *byte == b'&').any(|pair| is_value(parted(pair, b'=').1));
    let parts = path.split(|byte| matches!(byte, b'/' | b'\\'));
    in_query || in_fragment || is_random(fragment) || parts.into_iter().any(|part| is_random(part) || is_said(part))
}

fn parted(text: &[u8], by: u8) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |byte| *byte == by);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Whether a word in it is long and has digits or changes case too often for a name.
fn is_random(part: &[u8]) -> bool {
    let is_end = |byte: &u8| matches!(byte, b'-' | b'_' | b'.' | b'~' | b',' | b'+' | b'=' | b'&' | b':');
    part.split(is_end).filter(|word| word.len() >= MIN_RANDOM).any(|word| {
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        let turns =
            word.windows(2).filter(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()));
        let is_encoded = word.iter().filter(|byte| **byte == b'%').count() >= 2;
        !is_encoded && (digits >= 2 || turns.count() * 6 >= word.len())
    })
}

/// Whether a sentence is written in it.
fn is_said(part: &[u8]) -> bool {
    let escaped = part.windows(3).filter(|three| three == b"%20").count();
    escaped + part.iter().filter(|byte| matches!(byte, b'+' | b' ')).count() >= MIN_SPACES
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let value = behind.first_chunk::<2>().and_then(|digits| std::str::from_utf8(digits).ok());
        let value = value.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(value.unwrap_or(*first));
        rest = if value.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    out
}

/// The bytes of a link without tabs and line breaks and with HTML entities decoded.
struct Unescaped<'t> {
    rest: &'t [u8],
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let (first, behind) = self.rest.split_first()?;
            let (byte, behind) = match *first {
                // What it spells is not yet in sight.
                b'&' if is_entity_start(behind) => return None,
                b'&' => entity(behind).unwrap_or((b'&', behind)),
                byte => (byte, behind),
            };
            self.rest = behind;
            if !matches!(byte, b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
        }
    }
}

/// The most digits of an entity that are read.
const MOST_DIGITS: usize = 8;

/// The entities that spell what matters in a link.
const NAMES: [(&[u8], u8); 12] = [
    (b"amp;", b'&'),
    (b"sol;", b'/'),
    (b"bsol;", b'\\'),
    (b"colon;", b':'),
    (b"period;", b'.'),
    (b"quest;", b'?'),
    (b"num;", b'#'),
    (b"equals;", b'='),
    (b"commat;", b'@'),
    (b"percnt;", b'%'),
    (b"Tab;", b'\t'),
    (b"NewLine;", b'\n'),
];

/// Whether all of this may be the start of an entity whose `&` was read.
fn is_entity_start(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"#x").or_else(|| text.strip_prefix(b"#X")).or_else(|| text.strip_prefix(b"#"));
    match digits {
        Some(digits) => digits.len() < MOST_DIGITS && digits.iter().all(u8::is_ascii_hexdigit),
        None => NAMES.into_iter().any(|(name, _)| name.len() > text.len() && name.starts_with(text)),
    }
}

/// The entity whose `&` was read, and what stands behind it.
fn entity(text: &[u8]) -> Option<(u8, &[u8])> {
    let Some(number) = text.strip_prefix(b"#") else {
        return NAMES.into_iter().find_map(|(name, byte)| Some((byte, text.strip_prefix(name)?)));
    };
    let hex = number.strip_prefix(b"x").or_else(|| number.strip_prefix(b"X"));
    let (digits, radix) = hex.map_or((number, 10), |hex| (hex, 16));
    let count = digits.iter().take(MOST_DIGITS).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    let (digits, behind) = digits.split_at_checked(count)?;
    let value = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    let behind = behind.strip_prefix(b";").unwrap_or(behind);
    // Beyond ASCII it is a part of a name that no list has.
    Some((u8::try_from(value).ok().filter(u8::is_ascii).unwrap_or(0xff), behind))
}
