//! Texts that answers must not repeat are found wherever they stand and however they are cut and set, and nothing else is.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use privacy::{Protected, ProtectedError, ProtectedSecret, ProtectedStream};
use proptest::prelude::*;
use proptest::sample::Index;

/// The window in which a passage must be found.
const WINDOW: usize = 192;

fn secret() -> ProtectedSecret {
    ProtectedSecret::from_bytes([7; 32])
}

/// Words that no other number shares, so that only what is copied is common.
pub(crate) fn words(seed: u64, count: usize) -> String {
    let mut state = seed;
    let mut next = || {
        // Sebastiano Vigna's SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let word = |number: u64| -> String {
        let length = 2 + number % 7;
        (0..length).map(|at| char::from(b'a' + ((number >> (8 + 5 * at)) % 26) as u8)).collect()
    };
    (0..count).map(|_| word(next()) + " ").collect()
}

fn protecting<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Protected {
    let mut builder = Protected::builder(1 << 20, &secret()).unwrap();
    texts.into_iter().for_each(|text| builder.add_text(text.as_ref()).unwrap());
    builder.finish()
}

/// The ranges that fit the window, joined, each looked for in parts as long as the window.
fn in_windows(protected: &Protected, text: &str, step: usize) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    for from in (0..=text.len()).step_by(step) {
        let from = text.floor_char_boundary(from);
        let to = text.ceil_char_boundary((from + WINDOW + step + 4).min(text.len()));
        protected.each_passage(&text[from..to], |range| all.push(from + range.start..from + range.end));
    }
    all.retain(|range| range.len() <= WINDOW);
    all.sort_by_key(|range| (range.start, range.end));
    all.dedup();
    all
}

fn whole(protected: &Protected, text: &str) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    protected.each_passage(text, |range| all.push(range));
    all.retain(|range| range.len() <= WINDOW);
    all
}

fn joined(ranges: impl IntoIterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

#[test]
fn a_copy_is_found_where_it_stands_and_other_text_is_not() {
    let text = words(1, 4_000);
    let protected = protecting([&text]);
    assert!(protected.matches(&words(2, 4_000)).is_empty());
    for start in (0..20_000).step_by(37) {
        let copy = text[start..start + 150].trim();
        let answer = format!("{}{copy} {}", words(3, 50), words(4, 50));
        let (from, to) = (answer.find(copy).unwrap(), answer.find(copy).unwrap() + copy.len());
        let found = protected.matches(&answer);
        assert_eq!(found.len(), 1, "{start}");
        // Fingerprints are of letters in the copy, and each speaks for up to 15 more.
        assert!(found[0].start <= from && found[0].end >= to, "{start}: {found:?} in {from}..{to}");
        assert!(found[0].start + 24 > from && found[0].end < to + 24, "{start}: {found:?} in {from}..{to}");
    }
}

#[test]
fn every_passage_of_the_least_length_is_found_and_no_much_shorter_one() {
    let text = words(5, 400).replace(' ', "");
    for least in [Protected::DEFAULT_LEAST, 100, 150] {
        let protected = protecting([&text]).least(least);
        let mut shorter = 0;
        for start in 0..text.len() - least {
            let found = protected.matches(&format!("#{}#", &text[start..start + least]));
            assert!(found.len() == 1 && found[0] == (1..least + 1), "{start}");
            let answer = format!("{}{}{}", words(21, 9), &text[start..start + least - 31], words(22, 9));
            shorter += protected.matches(&answer).len();
        }
        // One in 200 fingerprints is known by chance.
        assert!(shorter < text.len() / 100, "{shorter} with {least}");
    }
}

#[test]
fn line_breaks_case_accents_and_punctuation_change_nothing() {
    let text = words(6, 100);
    let protected = protecting([&text]);
    let copy = &text[200..350];
    let between = |separator: &str| copy.replace(' ', separator);
    let wide = |letter: char| match letter {
        'a'..='z' => char::from_u32(u32::from(letter) - u32::from('a') + 0xff21).unwrap(),
        other => other,
    };
    for written in [
        between("\n"),
        between("\r\n  > "),
        between("_").to_uppercase(),
        between("** **"),
        between(", \u{200b}"),
        copy.replace('e', "é"),
        copy.replace('e', "e\u{301}"),
        copy.chars().map(wide).collect(),
        copy.chars().flat_map(|letter| [letter, '-']).collect(),
        copy.replace("", "\u{2026} \n"),
    ] {
        assert_eq!(protected.matches(&written).len(), 1, "{written}");
    }
}

#[test]
fn all_scripts_are_read() {
    let russian = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.";
    let chinese =
        "滚滚长江东逝水，浪花淘尽英雄。是非成败转头空，青山依旧在，几度夕阳红。白发渔樵江渚上，惯看秋月春风。";
    let korean = "나랏말싸미 듕귁에 달아 문자와로 서르 사맛디 아니할쌔 이런 전차로 어린 백셩이 니르고져 홀빼 이셔도";
    let protected = protecting([russian, chinese, korean]);
    for text in [russian, chinese, korean] {
        assert_eq!(protected.matches(&format!("é {text} é")).len(), 1, "{text}");
        assert_eq!(protected.matches(&text.to_uppercase().replace(' ', "\n")).len(), 1, "{text}");
    }
}

#[test]
fn what_is_filled_with_little_is_not_found() {
    let texts = ["0, ".repeat(300), "null, ".repeat(100), "00 ff ".repeat(200), "item row ".repeat(100)];
    let protected = protecting(&texts);
    for text in &texts {
        assert!(protected.matches(text).is_empty(), "{text}");
    }
}

#[test]
fn passages_end_where_texts_do() {
    let text = words(8, 60);
    let (head, tail) = text.split_at(text.len() / 2);
    let protected = protecting([head, tail]);
    assert!(!protected.matches(head).is_empty() && !protected.matches(tail).is_empty());
    assert!(protected.matches(&text[head.len() - 45..head.len() + 45]).is_empty());
}

/// Gives a few bytes at a time.
struct Dribble<'t>(&'t [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.1.min(buffer.len()).min(self.0.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

#[test]
fn a_reader_gives_what_the_text_gives() {
    let text = words(9, 30_000).replace('e', "é").replace('o', "語");
    for at_once in [1, 2, 3, 7, 65_536, usize::MAX] {
        let mut builder = Protected::builder(1 << 20, &secret()).unwrap();
        builder.add_reader(Dribble(text.as_bytes(), at_once)).unwrap();
        assert_eq!((builder.bytes(), builder.texts(), builder.too_short()), (text.len() as u64, 1, 0));
        let found = builder.finish().matches(&text);
        assert!(found.len() == 1 && found[0].start < 8 && found[0].end > text.len() - 8, "{at_once}: {found:?}");
    }
}

#[test]
fn what_is_not_utf8_parts_words() {
    let mut bytes = words(10, 100).into_bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    for at in (0..bytes.len()).filter(|at| text.as_bytes()[*at] == b' ') {
        bytes[at] = [0xff, 0xc3, 0xe2][at % 3];
    }
    bytes.extend([0xf0, 0x9f]);
    let mut builder = Protected::builder(1 << 16, &secret()).unwrap();
    builder.add_reader(Dribble(&bytes, 5)).unwrap();
    assert_eq!(builder.finish().matches(&text).len(), 1);
}

#[test]
fn room_is_kept_and_given_back() {
    let mut builder = Protected::builder(1_000, &secret()).unwrap();
    builder.add_text(&words(11, 50)).unwrap();
    assert_eq!(builder.add_text(&words(12, 500)), Err(ProtectedError::Room { room: 1_000 }));
    builder.add_text("too short").unwrap_err();
    assert!(matches!(Protected::builder(u64::MAX, &secret()), Err(ProtectedError::Memory)));

    let text = words(13, 100_000);
    let [tight, roomy] = [text.len() as u64, 64 << 20].map(|room| {
        let mut builder = Protected::builder(room, &secret()).unwrap();
        builder.add_text(&text).unwrap();
        builder.add_text("too short").unwrap_or_default();
        builder.finish()
    });
    assert!(tight.size() * 5 < text.len(), "{}", tight.size());
    assert!(roomy.size() < 2 * tight.size() && roomy.size() * 2 > tight.size(), "{}", roomy.size());
    assert_eq!(roomy.matches(&text).len(), 1);
    assert!(roomy.matches(&words(14, 100_000)).is_empty());
}

#[test]
fn the_same_text_twice_takes_its_room_once() {
    let text = words(15, 10_000);
    let (once, twice) = (protecting([&text]), protecting([&text, &text]));
    let share = twice.fingerprints() as f64 / once.fingerprints() as f64;
    // Each has a salt of its own, and the number of fingerprints varies with it by a percent.
    assert!((0.9..1.1).contains(&share), "{share}");
}

/// A text with copies of the protected one, some written otherwise.
fn answers() -> impl Strategy<Value = String> {
    let part = (any::<Index>(), 0_usize..400, 0_u64..4, any::<u64>());
    proptest::collection::vec(part, 0..6).prop_map(|parts| {
        let text = words(16, 1_000);
        let mut answer = String::new();
        for (start, length, form, seed) in parts {
            let start = start.index(text.len());
            let copy = &text[start..(start + length).min(text.len())];
            match form {
                0 => answer += copy,
                1 => answer += &copy.replace(' ', " é\n"),
                2 => answer += &copy.replace("", "  "),
                _ => answer += &words(seed, length / 10),
            }
            answer += " 語, ";
        }
        answer
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_gives_what_the_whole_gives(answer in answers(), cuts in proptest::collection::vec(any::<Index>(), 0..40)) {
        let protected = Arc::new(protecting([words(16, 1_000)]));
        let expected = protected.matches(&answer);
        let ends: Vec<usize> = answer.char_indices().map(|(at, _)| at).chain([answer.len()]).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| ends[cut.index(ends.len())]).chain([0, answer.len()]).collect();
        cuts.sort_unstable();
        let mut stream = ProtectedStream::new(Arc::clone(&protected));
        let (mut found, mut settled) = (Vec::new(), 0);
        for cut in cuts.windows(2) {
            let part = stream.push(&answer[cut[0]..cut[1]]);
            // What was said to be settled is never part of a passage that shows later.
            prop_assert!(part.first().is_none_or(|range| range.start >= settled));
            found.extend(part);
            prop_assert!(stream.settled() >= settled && stream.settled() <= cut[1]);
            settled = stream.settled();
        }
        prop_assert_eq!(joined(found), expected);
    }

    #[test]
    fn parts_as_long_as_the_window_give_what_the_whole_gives(answer in answers(), step in 1_usize..100) {
        let protected = protecting([words(16, 1_000)]);
        prop_assert_eq!(in_windows(&protected, &answer, step), whole(&protected, &answer));
    }

    #[test]
    fn whatever_starts_before_the_open_end_is_over(answer in answers(), from in any::<Index>(), to in any::<Index>()) {
        let protected = protecting([words(16, 1_000)]);
        let (from, to) = (from.index(answer.len() + 1), to.index(answer.len() + 1));
        let (from, to) = (answer.floor_char_boundary(from.min(to)), answer.floor_char_boundary(from.max(to)));
        let open = from + protected.open_from(&answer[from..to]);
        let is_over = |range: &Range<usize>| range.end <= to || range.start >= open || range.start < from;
        prop_assert!(whole(&protected, &answer).iter().all(is_over));
    }
}

#[test]
fn little_is_held_back() {
    let protected = protecting([words(17, 1_000)]);
    // Fewer letters than two fingerprints depend on, with spaces.
    let honest = words(18, 1_000);
    for end in (100..honest.len()).step_by(11) {
        let tail = &honest[end - 100..end];
        assert!(tail.len() - protected.open_from(tail) < 64, "{tail}");
    }
    assert_eq!(protected.open_from(""), 0);
}
