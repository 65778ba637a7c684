//! One normalized view of a text, for detection only: what is handed out is never taken from it.

use std::cell::OnceCell;

use unicode_normalization::UnicodeNormalization as _;

use crate::decode::{self, View};

/// A text, its folded form and its decoded contents. The latter two are made on first use.
#[derive(Debug)]
pub struct Normalized<'t> {
    original: &'t str,
    folded: OnceCell<String>,
    views: OnceCell<Vec<View>>,
}

impl<'t> Normalized<'t> {
    /// Prepares `text`. Costs nothing until a view is asked for.
    pub fn new(text: &'t str) -> Self {
        Self { original: text, folded: OnceCell::new(), views: OnceCell::new() }
    }

    /// The text as it is.
    pub fn original(&self) -> &'t str {
        self.original
    }

    /// The text in NFKC (Unicode Standard Annex 15) and lower case, without characters that do not
    /// show and without loose accents, every run of white space as one space, and common Cyrillic
    /// and Greek look-alikes as Latin letters in words that have a Latin letter, curly quotes as
    /// straight ones.
    ///
    /// Linear in the length of the text; at most about eleven times as long.
    pub fn folded(&self) -> &str {
        self.folded.get_or_init(|| fold(self.original))
    }

    /// What the text contains in base64, hexadecimal, percent encoding or tag characters, two
    /// layers deep and at most one MiB in all.
    pub fn views(&self) -> &[View] {
        self.views.get_or_init(|| decode::views(self.original))
    }
}

pub(crate) fn fold(text: &str) -> String {
    let mut folder = Folder { out: String::with_capacity(text.len()), ..Folder::default() };
    if text.is_ascii() {
        text.chars().for_each(|ch| folder.push(ch.to_ascii_lowercase()));
    } else {
        // The stream-safe form bounds runs of marks, which would otherwise be sorted as a whole.
        let shown = text.chars().filter(|ch| !is_hidden(*ch));
        for ch in shown.stream_safe().nfkc() {
            ch.to_lowercase().for_each(|lower| folder.push(lower));
        }
    }
    folder.end_word();
    folder.out
}

#[derive(Default)]
struct Folder {
    out: String,
    /// Where the current word starts, if there is one.
    word: Option<usize>,
    has_latin: bool,
    has_alike: bool,
}

impl Folder {
    fn push(&mut self, ch: char) {
        if is_hidden(ch) || is_loose_accent(ch) {
            return;
        }
        if ch.is_alphabetic() {
            self.word.get_or_insert(self.out.len());
            self.has_latin |= ch.is_ascii();
            self.has_alike |= latin_look_alike(ch).is_some();
            self.out.push(ch);
            return;
        }
        self.end_word();
        match ch {
            '\u{2018}' | '\u{2019}' => self.out.push('\''),
            '\u{201c}' | '\u{201d}' => self.out.push('"'),
            _ if !ch.is_whitespace() => self.out.push(ch),
            _ if self.out.ends_with(' ') => {}
            _ => self.out.push(' '),
        }
    }

    fn end_word(&mut self) {
        if let Some(start) = self.word.take()
            && self.has_latin
            && self.has_alike
        {
            let word = self.out.split_off(start);
            let latin = word.chars().map(|ch| latin_look_alike(ch).unwrap_or(ch));
            self.out.extend(latin);
        }
        self.has_latin = false;
        self.has_alike = false;
    }
}

/// Characters that take no room: controls, soft hyphen, joiners, directions, tags, selectors.
fn is_hidden(ch: char) -> bool {
    match ch {
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        _ => ch.is_control() && !ch.is_whitespace(),
    }
}

/// Combining marks that composition left over, as in struck-through letters.
fn is_loose_accent(ch: char) -> bool {
    matches!(ch, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}')
}

/// A small part of the confusables of Unicode Technical Standard 39, in lower case.
fn latin_look_alike(ch: char) -> Option<char> {
    let latin = match ch {
        'а' | 'α' => 'a',
        'ь' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ε' => 'e',
        'ɡ' => 'g',
        'һ' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' => 'l',
        'м' => 'm',
        'п' | 'η' => 'n',
        'о' | 'ο' | 'σ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'г' => 'r',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' => 'u',
        'ѵ' | 'ν' => 'v',
        'ԝ' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        _ => return None,
    };
    Some(latin)
}
