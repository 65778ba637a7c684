//! Links that carry data away: what a page loads by itself, and what is followed with data in it.

use crate::detector::Detector;
use crate::finding::{Class, Finding, Label, Rest, Severity};
use crate::link_place::{self, End, Place, Use};
use crate::link_target::{self, Target};
use crate::normalize::Normalized;
use crate::placeholders;
use crate::secret_rules::Probe;

/// How much of a link is read, in bytes. A longer one carries data.
const WINDOW: usize = 192;
/// The most white space between what opens a place and its link, in bytes.
const MAX_GAP: usize = 32;
/// What does not belong to a link in plain text if it ends in it.
const STOPS: &[u8] = b".,;:!?*_";

/// Finds links that take something out of a conversation: a model that was told so by a text it read writes a picture
/// whose address holds what it knows, and the page that shows the answer sends it off.
///
/// Read are Markdown pictures, links and reference definitions, links in angle brackets and in plain text, attributes
/// of HTML (`src`, `srcset`, `href`, `poster`, `background`, `action` and the like) and `url(` of style sheets. What
/// loads by itself is found wherever it leads, a reference definition too, since a picture may refer to it. What
/// somebody must follow is found if it carries data: a value of 8 bytes or more in its query or fragment, a
/// random-looking or spaced part of its path or host, 192 bytes in all, or a numbered placeholder such as `[EMAIL_1]`,
/// for which a value may be put back later. Links to the hosts given, links without a host and `data:` pictures of dots pass; `javascript:` and other `data:`
/// links are found. What looks like the words of an ordinary path passes where it must be followed.
///
/// Hosts are compared as browsers read them: without what stands before `@`, without port and final dot, in any case,
/// with `\` as `/`, entities and percent encoding decoded. A finding covers the link, so that a redacted text still
/// reads well.
#[derive(Debug, Clone, Default)]
pub struct Links {
    hosts: Vec<Host>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    This(Vec<u8>),
    /// All names that end so. Starts with a dot.
    Below(Vec<u8>),
}

enum Judgement {
    Passes,
    /// Nothing to find so far.
    Unclear,
    Found(&'static str),
}

const RULES: [&str; 4] = ["link.image", "link.load", "link.data", "link.script"];

impl Links {
    /// Lets links to these hosts pass: `example.com`, or `*.example.com` for all names below one.
    pub fn new<H: AsRef<str>>(hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts = hosts.into_iter().map(|host| {
            let host = host.as_ref().trim().trim_end_matches('.').to_ascii_lowercase();
            match host.strip_prefix('*') {
                Some(below) if below.starts_with('.') => Host::Below(below.as_bytes().to_vec()),
                _ => Host::This(host.into_bytes()),
            }
        });
        Self { hosts: hosts.collect() }
    }

    /// The ids of the rules.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        RULES.into_iter()
    }

    fn is_allowed(&self, host: &[u8]) -> bool {
        self.hosts.iter().any(|known| match known {
            Host::This(name) => name == host,
            Host::Below(ending) => host.len() > ending.len() && host.ends_with(ending),
        })
    }

    /// Judges the link at `at`, by which rule it is found if it is.
    fn probe(&self, text: &[u8], at: usize, place: Place) -> (Probe, &'static str) {
        let behind = text.get(at..).unwrap_or_default();
        let seen = behind.get(..WINDOW).unwrap_or(behind);
        let end = place.end.find(seen);
        let is_long = end.is_none() && behind.len() >= WINDOW;
        let mut link = seen.get(..end.unwrap_or(seen.len())).unwrap_or_default();
        while let (End::Plain, Some((last, front))) = (place.end, link.split_last())
            && STOPS.contains(last)
        {
            link = front;
        }
        let found = match self.judge(link, place.usage, is_long) {
            Judgement::Passes => return (Probe::No, ""),
            Judgement::Unclear => None,
            Judgement::Found(rule) => Some(rule),
        };
        let probe = match (end, found) {
            (Some(_), None) => Probe::No,
            (Some(_), Some(_)) => Probe::Match(link.len(), None),
            (None, None) if is_long => Probe::No,
            (None, Some(_)) if is_long => Probe::Match(whole_characters(seen), Some(Rest::While(Class::Link))),
            (None, _) => Probe::Open(found.map(|_| link.len())),
        };
        (probe, found.unwrap_or_default())
    }

    fn judge(&self, link: &[u8], usage: Use, is_long: bool) -> Judgement {
        if usage == Use::Set {
            let mut pieces = link.split(|byte| *byte <= b' ' || *byte == b',');
            let is_found = |piece: &[u8]| matches!(self.judge(piece, Use::Loads, false), Judgement::Found(_));
            return if pieces.any(is_found) { Judgement::Found("link.load") } else { Judgement::Unclear };
        }
        match link_target::read(link) {
            Target::Inside => Judgement::Passes,
            Target::Script => Judgement::Found("link.script"),
            Target::Unclear if is_long => Judgement::Found("link.data"),
            Target::Unclear => Judgement::Unclear,
            Target::Host(away)
                if self.is_allowed(&away.host) && away.unescaped.iter().all(|host| self.is_allowed(host)) =>
            {
                if away.is_whole { Judgement::Passes } else { Judgement::Unclear }
            }
            Target::Host(away) => match usage {
                Use::Image => Judgement::Found("link.image"),
                Use::Loads | Use::Set => Judgement::Found("link.load"),
                Use::Followed if is_long || away.carries_data || placeholders::is_in(link) => {
                    Judgement::Found("link.data")
                }
                Use::Followed => Judgement::Unclear,
            },
        }
    }
}

impl Detector for Links {
    fn label(&self) -> Label {
        Label::Exfiltration
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        let bytes = text.original().as_bytes();
        for (at, place) in candidates(bytes) {
            let (len, rest, rule) = match self.probe(bytes, at, place) {
                (Probe::Match(len, rest), rule) => (len, rest, rule),
                (Probe::Open(Some(len)), rule) => (len, None, rule),
                (Probe::Open(None) | Probe::No, _) => continue,
            };
            let finding = Finding::new(Label::Exfiltration, rule, Severity::High);
            found.push(finding.at(at..at + len).with_rest(rest));
        }
    }

    fn window(&self) -> Option<usize> {
        Some(WINDOW)
    }

    fn open_from(&self, tail: &str) -> usize {
        let bytes = tail.as_bytes();
        let least = bytes.len().saturating_sub(WINDOW - 1);
        candidates(bytes)
            .filter(|(at, _)| *at >= least)
            .find(|(at, place)| matches!(self.probe(bytes, *at, *place), (Probe::Open(_), _)))
            .map_or(bytes.len(), |(at, _)| at)
    }
}

/// Every place where a link to another host may start, in order.
fn candidates(text: &[u8]) -> impl Iterator<Item = (usize, Place)> {
    let mut last = None;
    text.iter().enumerate().filter_map(move |(at, byte)| {
        let start = match byte {
            b'(' | b':' | b'=' | b'<' | b'"' | b'\'' => behind_gap(text, at + 1)?,
            b'h' | b'H' | b'w' | b'W' if is_plain(text, at) => at,
            _ => return None,
        };
        if last == Some(start) {
            return None;
        }
        let place = link_place::before(text, start).or_else(|| {
            let plain = Place { usage: Use::Followed, end: End::Plain };
            is_plain(text, start).then_some(plain)
        })?;
        last = Some(start);
        Some((start, place))
    })
}

/// Where a link may start behind what opens a place and white space.
fn behind_gap(text: &[u8], at: usize) -> Option<usize> {
    let (left, behind) = text.split_at_checked(at)?;
    let gap = behind.iter().take(MAX_GAP).take_while(|byte| **byte <= b' ').count();
    let first = behind.get(gap)?.to_ascii_lowercase();
    let is_first = matches!(first, b'h' | b'f' | b'w' | b'j' | b'v' | b'd' | b'/' | b'\\' | b'&');
    (is_first || opens_set(left)).then_some(at + gap)
}

/// Whether a `srcset` opens here, in which the first link may be harmless.
fn opens_set(left: &[u8]) -> bool {
    let is_between = |byte: &u8| *byte <= b' ' || matches!(byte, b'=' | b'"' | b'\'');
    let between = left.iter().rev().take(MAX_GAP).take_while(|byte| is_between(byte)).count();
    let name = left.get(..left.len() - between).and_then(<[u8]>::last_chunk::<6>);
    name.is_some_and(|name| name.eq_ignore_ascii_case(b"srcset"))
}

/// Whether `http://`, `https://` or `www.` starts here, or may if more comes.
fn is_plain(text: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| text.get(at));
    let here = text.get(at..).unwrap_or_default();
    let starts = |word: &[u8]| {
        let length = word.len().min(here.len());
        here.get(..length).zip(word.get(..length)).is_some_and(|(here, word)| here.eq_ignore_ascii_case(word))
    };
    !before.is_some_and(u8::is_ascii_alphanumeric) && (starts(b"http://") || starts(b"https://") || starts(b"www."))
}

/// How many bytes the whole characters at the start of `text` have.
fn whole_characters(text: &[u8]) -> usize {
    let started = text.iter().rev().take(4).position(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
    let last = text.len().saturating_sub(started + 1);
    if std::str::from_utf8(text.get(last..).unwrap_or_default()).is_ok() { text.len() } else { last }
}
