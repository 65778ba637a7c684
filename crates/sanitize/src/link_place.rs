//! Where in a text links stand: Markdown, HTML, style sheets and plain text, told by what is before them.

use crate::detector::LEFT_CONTEXT;
use crate::finding::Class;

/// What happens to a link at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A picture of Markdown, or a definition that one may refer to: loads by itself.
    Image,
    /// Anything else that loads by itself.
    Loads,
    /// Several pictures, one of which loads by itself.
    Set,
    /// Somebody must follow it.
    Followed,
}

/// What ends a link at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// White space, or a `)` that was not opened.
    Bracket,
    /// `>` or the end of the line.
    Angle,
    /// This byte.
    Quote(u8),
    /// White space, quotes or brackets; what ends a sentence does not belong to it.
    Plain,
}

/// A place where a link may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) usage: Use,
    pub(crate) end: End,
}

impl Place {
    const fn new(usage: Use, end: End) -> Self {
        Self { usage, end }
    }
}

impl End {
    /// How long the link at the start of `text` is; `None` if its end is not in sight.
    pub(crate) fn find(self, text: &[u8]) -> Option<usize> {
        let mut depth = 0_usize;
        text.iter().position(|byte| match self {
            Self::Bracket if *byte == b'(' => {
                depth += 1;
                false
            }
            Self::Bracket if *byte == b')' && depth > 0 => {
                depth -= 1;
                false
            }
            Self::Bracket => *byte <= b' ' || *byte == b')',
            Self::Angle => matches!(byte, b'>' | b'\n' | b'\r'),
            Self::Quote(quote) => *byte == quote,
            Self::Plain => *byte == b'\\' || !Class::Link.contains(*byte),
        })
    }
}

/// The place at `at`, if links stand in such places. Looks at no more than [`LEFT_CONTEXT`] bytes.
pub(crate) fn before(text: &[u8], at: usize) -> Option<Place> {
    let left = text.get(at.saturating_sub(LEFT_CONTEXT)..at)?;
    let trimmed = left.trim_ascii_end();
    if let Some(place) = bracketed(trimmed, None) {
        return Some(place);
    }
    let (mark, inner) = trimmed.split_last()?;
    match *mark {
        b'<' if trimmed.len() == left.len() => {
            bracketed(inner.trim_ascii_end(), Some(End::Angle)).or(Some(Place::new(Use::Followed, End::Angle)))
        }
        b'"' | b'\'' => {
            let (end, inner) = (End::Quote(*mark), inner.trim_ascii_end());
            let is_import = || inner.to_ascii_lowercase().ends_with(b"@import");
            let import = || is_import().then_some(Place::new(Use::Loads, end));
            bracketed(inner, Some(end)).or_else(|| attribute(inner, end)).or_else(import)
        }
        b'=' if !matches!(text.get(at), Some(b'"' | b'\'')) => attribute(trimmed, End::Plain),
        _ => None,
    }
}

/// The place behind `](`, `]:` or `url(`.
fn bracketed(left: &[u8], end: Option<End>) -> Option<Place> {
    let is_quoted = matches!(end, Some(End::Quote(_)));
    let (before, last) = left.split_at_checked(left.len().saturating_sub(4)).unwrap_or_default();
    let in_word = before.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
    if last.eq_ignore_ascii_case(b"url(") && !in_word && end != Some(End::Angle) {
        return Some(Place::new(Use::Loads, end.unwrap_or(End::Bracket)));
    }
    if is_quoted {
        return None;
    }
    if let Some(label) = left.strip_suffix(b"](") {
        let usage = if is_image(label) { Use::Image } else { Use::Followed };
        return Some(Place::new(usage, end.unwrap_or(End::Bracket)));
    }
    left.ends_with(b"]:").then_some(Place::new(Use::Image, end.unwrap_or(End::Bracket)))
}

/// Whether the label that ends here began with `![`.
fn is_image(label: &[u8]) -> bool {
    let mut depth = 0_usize;
    let start = label.iter().rposition(|byte| match byte {
        b']' => {
            depth += 1;
            false
        }
        b'[' if depth > 0 => {
            depth -= 1;
            false
        }
        _ => *byte == b'[',
    });
    start.is_some_and(|start| label.get(..start).is_some_and(|before| before.ends_with(b"!")))
}

/// The place in the value of an attribute. What only loads in certain tags is followed in an unknown one.
fn attribute(left: &[u8], end: End) -> Option<Place> {
    let left = left.strip_suffix(b"=")?.trim_ascii_end();
    let is_name = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b':' | b'-' | b'_');
    let length = left.iter().rev().take_while(|byte| is_name(byte)).count();
    let (before, name) = left.split_at_checked(left.len() - length)?;
    let name = name.to_ascii_lowercase();
    if !before.last().is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'/')) {
        return None;
    }
    let tag = before.iter().rposition(|byte| *byte == b'<').and_then(|open| before.get(open + 1..));
    let tag = tag.map(|tag| tag.iter().take_while(|byte| byte.is_ascii_alphanumeric()).copied().collect::<Vec<_>>());
    let tag = tag.map(|tag| tag.to_ascii_lowercase());
    let usage = match (&*name, tag.as_deref()) {
        (b"srcset" | b"imagesrcset", Some(_)) => Use::Set,
        (b"src" | b"poster" | b"background", Some(_)) => Use::Loads,
        (b"data", Some(b"object")) => Use::Loads,
        (b"href" | b"xlink:href", Some(b"link" | b"base" | b"image" | b"use")) => Use::Loads,
        (b"src" | b"srcset" | b"poster" | b"background", None) => Use::Followed,
        (b"href" | b"xlink:href" | b"action" | b"formaction" | b"ping", _) => Use::Followed,
        _ => return None,
    };
    Some(Place::new(usage, end))
}
