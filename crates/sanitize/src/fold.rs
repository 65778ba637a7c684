//! Folding: the form of a text in which phrases are looked for. Most text is ASCII and takes a way
//! without a look at single characters; what may change under normalization takes the long one.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::{canonical_combining_class, decompose_compatible};
use unicode_normalization::{IsNormalized, is_nfc_quick};

use crate::look_alikes::{drawn_letter, latin_look_alike};
use crate::offsets::Offsets;
use crate::plain_letters::{known_letter, narrow};

/// How many bytes are looked at together.
const BLOCK: usize = 16;

/// What [`Normalized::folded`](crate::Normalized::folded) describes; the text itself if it is folded already.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if is_folded(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut folder = Folder { out: String::with_capacity(text.len()), ..Folder::default() };
    folder.push_all(text);
    Cow::Owned(folder.out)
}

/// Where the parts of the folded text stand in `text`. Folds once more.
pub(crate) fn offsets(text: &str) -> Offsets {
    let mut folder = Folder { offsets: Some(Offsets::default()), ..Folder::default() };
    folder.push_all(text);
    folder.offsets.unwrap_or_default()
}

/// Whether this is lower-case ASCII without anything to leave out. Mostly false after a few bytes.
fn is_folded(text: &[u8]) -> bool {
    let is_small =
        |block: &[u8]| block.iter().fold(true, |all, byte| all & byte.is_ascii() & !byte.is_ascii_uppercase());
    text.chunks(BLOCK).all(is_small) && even_len(text) == text.len()
}

/// Cuts behind the ASCII that stands before the first other character, less its last word: that
/// character may belong to the word, and an accent to what stands before it.
fn split_plain(text: &str) -> (&str, &str) {
    if text.is_ascii() {
        return (text, "");
    }
    let ascii = text.bytes().take_while(u8::is_ascii).count();
    let plain = text.as_bytes().get(..ascii).unwrap_or_default();
    text.split_at(plain.iter().rposition(|byte| is_separator(*byte)).unwrap_or(0))
}

/// Cuts behind the word of the first character that is not ASCII.
fn split_words(text: &str) -> (&str, &str) {
    let mut is_mixed = false;
    let end = text.bytes().position(|byte| {
        is_mixed |= !byte.is_ascii();
        is_mixed && is_separator(byte)
    });
    text.split_at(end.unwrap_or(text.len()))
}

/// ASCII that shows and is no letter: no word and no composition reaches over its front.
const fn is_separator(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphabetic() && !is_hidden(byte as char)
}

/// How many bytes of this ASCII text stand before the first control or second space in a row.
fn even_len(text: &[u8]) -> usize {
    let (words, tail) = text.as_chunks();
    let mut len = 0;
    let mut was_space = 0;
    for word in words {
        let odd = odd(*word, was_space);
        if odd != 0 {
            return len + odd.trailing_zeros() as usize / 8;
        }
        was_space = spaces(u64::from_le_bytes(*word)) >> 56;
        len += 8;
    }
    let mut last = [b'a'; 8];
    last.iter_mut().zip(tail).for_each(|(slot, byte)| *slot = *byte);
    let odd = odd(last, was_space);
    if odd == 0 { text.len() } else { len + odd.trailing_zeros() as usize / 8 }
}

/// The high bit of each byte that is a control or, counting the one before, a second space.
const fn odd(word: [u8; 8], was_space: u64) -> u64 {
    let word = u64::from_le_bytes(word);
    let spaces = spaces(word);
    controls(word) | (spaces & ((spaces << 8) | was_space))
}

/// The high bit of each byte in `word`, which is ASCII, that is a space.
const fn spaces(word: u64) -> u64 {
    !((word ^ each(b' ')) + each(0x7f)) & each(0x80)
}

/// The high bit of each byte in `word`, which is ASCII, that is a control.
const fn controls(word: u64) -> u64 {
    (!(word + each(0x60)) | (word + each(1))) & each(0x80)
}

/// Eight times this byte.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// How many accents behind a letter are looked at. No orthography has more, floods of them have hundreds.
const MAX_ACCENTS: usize = 3;

#[derive(Default)]
struct Folder {
    out: String,
    /// Where what is written stood, if that is asked for.
    offsets: Option<Offsets>,
    /// How far the text is read, in bytes.
    read: usize,
    /// The current word, if there is one.
    word: Option<Word>,
    /// The characters of a cluster, kept for its memory.
    cluster: Vec<char>,
}

/// A word that is being written.
struct Word {
    /// Where it starts in what is written.
    start: usize,
    /// Where it starts in the text.
    source: usize,
    has_latin: bool,
    has_other: bool,
}

impl Folder {
    fn push_all(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (plain, behind) = split_plain(rest);
            self.push_plain(plain);
            let (words, behind) = split_words(behind);
            self.push_words(words);
            rest = behind;
        }
        self.end_word();
    }

    /// Notes that the next so many bytes are read, and made into what is written from here on.
    fn read(&mut self, len: usize) -> usize {
        let from = self.read;
        self.read += len;
        if let Some(offsets) = &mut self.offsets {
            offsets.even(self.out.len(), from..self.read);
        }
        from
    }

    /// The same where the parts of what is read cannot be told apart in what is written.
    fn read_whole(&mut self, len: usize) -> usize {
        let from = self.read;
        self.read += len;
        if let Some(offsets) = &mut self.offsets {
            offsets.whole(self.out.len(), from..self.read);
        }
        from
    }

    /// Appends ASCII that starts and ends between words.
    fn push_plain(&mut self, text: &str) {
        self.end_word();
        let from = self.out.len();
        let mut rest = text;
        while !rest.is_empty() {
            let gap = rest.bytes().take_while(|byte| *byte <= b' ' || *byte == 0x7f).count();
            let (gap, behind) = rest.split_at(gap);
            self.read_whole(gap.len());
            if gap.contains(char::is_whitespace) && !self.out.ends_with(' ') {
                self.out.push(' ');
            }
            let (even, behind) = behind.split_at(even_len(behind.as_bytes()));
            self.read(even.len());
            self.out.push_str(even);
            rest = behind;
        }
        if let Some(added) = self.out.get_mut(from..) {
            added.make_ascii_lowercase();
        }
    }

    /// Appends words with characters that are not ASCII.
    fn push_words(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (stable, behind) = split_stable(rest);
            for ch in stable.chars() {
                let from = self.read(ch.len_utf8());
                self.push_lower(narrow(ch), from);
            }
            let (other, behind) = split_unstable(behind);
            self.push_unstable(other);
            rest = behind;
        }
    }

    /// Appends any text, cluster by cluster.
    fn push_unstable(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (cluster, behind) = split_cluster(rest);
            self.push_cluster(cluster);
            rest = behind;
        }
    }

    /// Appends characters that normalization may join, and none other.
    fn push_cluster(&mut self, text: &str) {
        let from = self.read_whole(text.len());
        let mut accents = 0;
        let mut cluster = std::mem::take(&mut self.cluster);
        cluster.clear();
        cluster.extend(text.chars().filter(|ch| {
            let is_accent = is_loose_accent(*ch);
            accents += usize::from(is_accent);
            !is_hidden(*ch) && (!is_accent || accents <= MAX_ACCENTS)
        }));
        match cluster.as_slice() {
            [ch] if ch.is_ascii() => self.push_lower(*ch, from),
            // Marks on such a sign are dropped with what it stands for.
            [ch, ..] if is_word_sign(*ch) => self.push_lower(*ch, from),
            // The stream-safe form bounds runs of marks, which would otherwise be sorted as a whole.
            _ => cluster.iter().copied().stream_safe().nfkc().for_each(|ch| self.push_lower(ch, from)),
        }
        self.cluster = cluster;
    }

    /// Appends a character made of what stands at `from`.
    fn push_lower(&mut self, ch: char, from: usize) {
        if ch.is_ascii() {
            self.push(ch.to_ascii_lowercase(), from);
        } else if let Some(lower) = known_letter(ch) {
            self.push_letter(lower, from);
        } else if let Some(letter) = drawn_letter(ch) {
            self.push_letter(letter, from);
        } else if !is_loose_accent(ch) {
            ch.to_lowercase().for_each(|lower| self.push(lower, from));
        }
    }

    fn push_letter(&mut self, ch: char, from: usize) {
        let start = self.out.len();
        let word = self.word.get_or_insert(Word { start, source: from, has_latin: false, has_other: false });
        word.has_latin |= ch.is_ascii();
        word.has_other |= !ch.is_ascii();
        self.out.push(ch);
    }

    fn push(&mut self, ch: char, from: usize) {
        if is_hidden(ch) || is_loose_accent(ch) {
            return;
        }
        if ch.is_alphabetic() {
            self.push_letter(ch, from);
            return;
        }
        self.end_word_before(from);
        match ch {
            '\u{2018}' | '\u{2019}' => self.out.push('\''),
            '\u{201c}' | '\u{201d}' => self.out.push('"'),
            _ if !ch.is_whitespace() => self.out.push(ch),
            _ if self.out.ends_with(' ') => {}
            _ => self.out.push(' '),
        }
    }

    fn end_word(&mut self) {
        self.end_word_before(self.read);
    }

    /// Ends the word, which was made of what stands before `end`.
    fn end_word_before(&mut self, end: usize) {
        let Some(Word { start, source, has_latin: true, has_other: true }) = self.word.take() else { return };
        let word = self.out.split_off(start);
        let len = word.len();
        let latin = word.chars().map(|ch| latin_look_alike(ch).unwrap_or(ch));
        self.out.extend(latin);
        if self.out.len() != start + len
            && let Some(offsets) = &mut self.offsets
        {
            offsets.rewind(start);
            offsets.whole(start, source..end);
            offsets.whole(self.out.len(), end..self.read);
        }
    }
}

/// Cuts behind the characters that normalization may join with the first one, or with each other.
fn split_cluster(text: &str) -> (&str, &str) {
    let mut has_shown = false;
    let end = text.char_indices().find(|(_, ch)| {
        if is_hidden(*ch) {
            return false;
        }
        std::mem::replace(&mut has_shown, true) && starts_cluster(*ch)
    });
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}

/// Whether normalization joins this character to nothing that stands before it.
fn starts_cluster(ch: char) -> bool {
    if ch.is_ascii() || is_stable(ch) || is_word_sign(ch) {
        return true;
    }
    if is_loose_accent(ch) {
        return false;
    }
    let mut first = None;
    decompose_compatible(ch, |part| {
        first.get_or_insert(part);
    });
    first.is_none_or(|first| {
        canonical_combining_class(first) == 0 && is_nfc_quick([first].into_iter()) == IsNormalized::Yes
    })
}

/// One character that stands for words, which would make a text up to eleven times as long. No phrase is written
/// with them, so they stay what they are.
const fn is_word_sign(ch: char) -> bool {
    matches!(ch, '\u{fdfa}' | '\u{fdfb}' | '\u{3300}'..='\u{3357}')
}

/// Cuts before the first character that normalization may change, less the one it may change with it.
fn split_stable(text: &str) -> (&str, &str) {
    let mut last = 0;
    for (at, ch) in text.char_indices() {
        if is_stable(ch) {
            last = at;
        } else if !is_hidden(ch) {
            return text.split_at(last);
        }
    }
    (text, "")
}

/// Cuts behind the characters that normalization may change.
fn split_unstable(text: &str) -> (&str, &str) {
    let mut is_changing = false;
    let end = text.char_indices().find(|(_, ch)| {
        let is_stable = is_stable(*ch);
        is_changing |= !is_stable && !is_hidden(*ch);
        is_changing && is_stable
    });
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}

/// Whether NFKC does no more to this character than [`narrow`] and joins it to nothing that stands
/// before it. A short list of what is common; no harm is done by what it leaves out.
const fn is_stable(ch: char) -> bool {
    matches!(ch,
        ' '..='~'
        | '\t'..='\r'
        | '\u{c0}'..='\u{131}' | '\u{134}'..='\u{13e}' | '\u{141}'..='\u{148}' | '\u{14a}'..='\u{17e}'
        | '\u{391}'..='\u{3ce}'
        | '\u{400}'..='\u{482}' | '\u{48a}'..='\u{52f}'
        | '\u{5d0}'..='\u{5ea}'
        | '\u{620}'..='\u{64a}'
        | '\u{2012}'..='\u{2015}' | '\u{2018}'..='\u{2022}'
        | '\u{3001}'..='\u{3020}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{a0}' | '\u{3000}' | '\u{ff01}'..='\u{ff5e}'
    )
}

/// Characters that take no room: controls, soft hyphen, joiners, directions, tags, selectors.
const fn is_hidden(ch: char) -> bool {
    match ch {
        '\t'..='\r' => false,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' => true,
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
        _ => false,
    }
}

/// Combining marks that composition left over, as in struck-through letters.
fn is_loose_accent(ch: char) -> bool {
    matches!(ch, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::is_nfkc_quick;

    use super::*;

    /// Folds without a short way.
    fn slow(text: &str) -> String {
        let mut folder = Folder::default();
        folder.push_unstable(text);
        folder.end_word();
        folder.out
    }

    /// Characters of every kind that folds in its own way.
    fn odd_chars() -> impl Strategy<Value = String> {
        let some = |chars: &'static str| prop::sample::select(chars.chars().collect::<Vec<_>>());
        let one = prop_oneof![
            6 => prop::char::range(' ', '~'),
            2 => some(" \n\r\t\u{b}\u{85}\u{a0}\u{2003}\u{3000}"),
            1 => prop::char::range('\0', '\u{9f}'),
            2 => prop::char::range('\u{a0}', '\u{24f}'),
            2 => prop::char::range('\u{300}', '\u{36f}'),
            2 => prop::char::range('\u{370}', '\u{52f}'),
            1 => some("가각\u{1100}\u{1161}\u{11a8}\u{115f}かは\u{3099}\u{309a}ｶ\u{ff9e}\u{ffa0}"),
            1 => prop::char::range('\u{2000}', '\u{206f}'),
            2 => prop::char::range('\u{ff00}', '\u{ffef}'),
            1 => prop::char::range('\u{fe00}', '\u{fe0f}'),
            2 => prop::char::range('\u{e0000}', '\u{e007f}'),
            2 => some("аеоıİſο\u{212a}\u{ad}\u{34f}\u{338}\u{feff}"),
            1 => any::<char>(),
        ];
        prop::collection::vec(one, 0..12).prop_map(String::from_iter)
    }

    fn any_text() -> impl Strategy<Value = String> {
        let ascii = prop_oneof!["[a-z ]{0,40}", "[ -~\n]{0,60}"];
        prop::collection::vec(prop_oneof![ascii, odd_chars()], 0..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_short_ways_give_what_the_long_one_gives(text in any_text()) {
            prop_assert_eq!(fold(&text), slow(&text));
        }
    }

    #[test]
    fn stable_characters_are_stable() {
        for ch in (char::MIN..=char::MAX).filter(|ch| is_stable(*ch)) {
            assert!([ch].into_iter().nfkc().eq([narrow(ch)]), "{ch:?}");
            assert_eq!(is_nfkc_quick([narrow(ch)].into_iter()), IsNormalized::Yes, "{ch:?}");
            assert_eq!(canonical_combining_class(ch), 0, "{ch:?}");
            assert!(!is_hidden(ch), "{ch:?}");
        }
    }

    #[test]
    fn known_letters_are_known_rightly() {
        let known = (char::MIN..=char::MAX).filter_map(|ch| Some((ch, known_letter(ch)?)));
        for (ch, lower) in known {
            assert!(ch.to_lowercase().eq([lower]) && lower.is_alphabetic(), "{ch:?}");
            assert!(!is_hidden(lower) && !is_loose_accent(lower), "{ch:?}");
        }
    }

    #[test]
    fn controls_are_hidden_unless_they_are_white_space() {
        for ch in (char::MIN..=char::MAX).filter(|ch| ch.is_control()) {
            assert_eq!(is_hidden(ch), !ch.is_whitespace(), "{ch:?}");
        }
    }

    #[test]
    fn folded_text_is_borrowed() {
        assert!(matches!(fold("nothing to do here, is there?"), Cow::Borrowed(_)));
        assert!(matches!(fold(""), Cow::Borrowed(_)));
        for text in ["Upper", "two  spaces", "line\nbreak", "a long enough line, and then an \u{e9}"] {
            assert!(matches!(fold(text), Cow::Owned(_)), "{text:?}");
        }
    }
}
