//! Control tokens, planted words, credentials and links that carry data, looked for together: whatever the cut, all are
//! caught, no byte of them leaves, and another text beside changes nothing.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sanitize::{Action, Canary, ControlTokens, Links, Sanitizer, Secrets, StreamSanitizer};

use crate::stream::cut_at;
use crate::{canary, clean, has_token, links, secrets, single, streamed};

fn all(action: Action) -> Sanitizer {
    Sanitizer::builder()
        .detector(ControlTokens::new(), action)
        .detector(Secrets::new(), action)
        .detector(Canary::new([canary::word()]).unwrap(), action)
        .detector(Links::default(), action)
        .build()
        .unwrap()
}

/// Everything that must not leave.
fn needles() -> Vec<String> {
    let carriers = links::CARRIERS.iter().filter(|(.., rule)| !rule.is_empty());
    let mut all: Vec<String> = ControlTokens::built_in().map(str::to_owned).collect();
    all.extend(canary::written(&canary::word()));
    all.extend(secrets::credentials());
    all.extend(carriers.map(|(text, ..)| (*text).to_owned()));
    all
}

/// What a blocked stream gave before it was blocked; `None` if it never was.
fn sent_before_block<'c>(sanitizer: &Sanitizer, chunks: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let (mut stream, mut sent) = (sanitizer.stream(), String::new());
    for chunk in chunks {
        let Ok(part) = stream.push(chunk) else { return Some(sent) };
        sent += &part;
    }
    stream.finish().is_err().then_some(sent)
}

#[test]
fn all_are_caught_and_not_a_byte_leaves_at_any_cut() {
    let blocking = all(Action::Block);
    for needle in needles() {
        let text = format!("Sure, é:\n{needle} .");
        let verdict = blocking.check(&text);
        assert_eq!(verdict.action(), Action::Block, "{needle}");
        let start = verdict.findings().iter().filter_map(|finding| Some(finding.range()?.start)).min().unwrap();
        let is_clean = |sent: Option<String>| text[..start].starts_with(&sent.unwrap());
        assert!(is_clean(sent_before_block(&blocking, single(&text))), "{needle}");
        for (cut, _) in text.char_indices() {
            let (head, tail) = text.split_at(cut);
            assert!(is_clean(sent_before_block(&blocking, [head, tail])), "{needle} cut at {cut}");
        }
    }
}

/// Texts made of what must not leave, parts of it, and honest words.
fn texts() -> impl Strategy<Value = String> {
    let part = (select(needles()), any::<Index>(), any::<bool>()).prop_map(|(needle, cut, is_head)| {
        let ends: Vec<usize> = needle.char_indices().map(|(at, _)| at).collect();
        let (head, tail) = needle.split_at(ends[cut.index(ends.len())]);
        if is_head { head.to_owned() } else { tail.to_owned() }
    });
    let word = select(vec![" ", "\n", ". ", "a", "é", "漢字 ", "The key is ", "token=", "[", "<", "https://", "\""]);
    let piece = prop_oneof![select(needles()), part, word.prop_map(str::to_owned)];
    proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

/// What two streams give whose chunks come in turns.
fn in_turns(sanitizer: &Sanitizer, chunks: [&[String]; 2]) -> [String; 2] {
    let mut streams: [StreamSanitizer; 2] = [sanitizer.stream(), sanitizer.stream()];
    let mut sent = [String::new(), String::new()];
    for turn in 0..chunks[0].len().max(chunks[1].len()) {
        for side in [0, 1] {
            if let Some(chunk) = chunks[side].get(turn) {
                sent[side] += &streams[side].push(chunk).unwrap();
            }
        }
    }
    for side in [0, 1] {
        sent[side] += &streams[side].finish().unwrap();
    }
    sent
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_split_gives_what_the_whole_gives(text in texts()) {
        let redacting = all(Action::Redact);
        let whole = clean(&redacting, &text);
        prop_assert!(!has_token(&whole), "{:?}", whole);
        prop_assert_eq!(&streamed(&redacting, single(&text)).unwrap(), &whole);
        for (cut, _) in text.char_indices() {
            let (head, tail) = text.split_at(cut);
            prop_assert_eq!(&streamed(&redacting, [head, tail]).unwrap(), &whole, "cut at {}", cut);
        }
    }

    #[test]
    fn two_texts_in_turns_give_what_each_gives_alone(
        first in texts(),
        second in texts(),
        places in proptest::collection::vec(any::<Index>(), 0..24),
    ) {
        let redacting = all(Action::Redact);
        let alone = [clean(&redacting, &first), clean(&redacting, &second)];
        let chunks = [cut_at(&first, &places), cut_at(&second, &places)];
        prop_assert_eq!(&in_turns(&redacting, [&chunks[0], &chunks[1]]), &alone);
        let chunks = [&first, &second].map(|text| single(text).map(str::to_owned).collect::<Vec<_>>());
        prop_assert_eq!(in_turns(&redacting, [&chunks[0], &chunks[1]]), alone);
    }

    #[test]
    fn a_stream_is_blocked_before_the_first_byte_of_what_a_whole_check_finds(
        text in texts(),
        places in proptest::collection::vec(any::<Index>(), 0..12),
    ) {
        let blocking = all(Action::Block);
        let verdict = blocking.check(&text);
        let start = verdict.findings().iter().filter_map(|finding| Some(finding.range()?.start)).min();
        let chunks = cut_at(&text, &places);
        for sent in [
            sent_before_block(&blocking, single(&text)),
            sent_before_block(&blocking, chunks.iter().map(String::as_str)),
        ] {
            prop_assert_eq!(sent.is_some(), start.is_some());
            let is_clean = sent.zip(start).is_none_or(|(sent, start)| text[..start].starts_with(&sent));
            prop_assert!(is_clean);
        }
    }
}
