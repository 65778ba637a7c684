//! Text that goes round in circles is cut off, and text that repeats itself for a reason is not.

use proptest::prelude::*;
use proptest::sample::Index;
use sanitize::testing::suite;
use sanitize::{Action, Repetition, Sanitizer};

use crate::{clean, single, streamed};

fn with(action: Action) -> Sanitizer {
    Sanitizer::builder().detector(Repetition::new(), action).placeholder("[x]").build().unwrap()
}

/// What a model in circles writes.
fn circles() -> Vec<String> {
    let mut all: Vec<String> = [
        "poem ",
        "Poem poem, POEM. ",
        "company\n",
        "a ",
        "I am sorry. ",
        "ha",
        "the cat sat on the mat and ",
        "诗",
        "Стих ",
        "42 is the answer; ",
        "- repeat after me\n",
        "**no** ",
    ]
    .iter()
    .map(|part| part.repeat(320 / part.len()))
    .collect();
    all.push((0..64).map(|at| if at % 3 == 0 { "Poem, " } else { "poem " }).collect());
    all
}

#[test]
fn circles_are_found_within_256_bytes_and_cut_off() {
    for text in circles() {
        let verdict = with(Action::Redact).check(&text);
        assert_eq!(verdict.findings().len(), 1, "{text}");
        assert_eq!(verdict.findings()[0].rule(), "repetition.run");
        let range = verdict.findings()[0].range().unwrap();
        assert!(range.start <= 64 && text.len() - range.end < 4, "{range:?} {text}");
        let whole = verdict.into_text();
        assert!(whole.contains("[x]") && whole.len() < 80, "{whole}");
        assert_eq!(streamed(&with(Action::Redact), single(&text)).unwrap(), whole, "{text}");
        let mut stream = with(Action::Block).stream();
        let read = single(&text).take_while(|chunk| stream.push(chunk).is_ok()).map(str::len).sum::<usize>();
        assert!(read <= 260, "{read} {text}");
    }
}

#[test]
fn what_comes_before_and_behind_stays() {
    let text = format!("Certainly: {} And the rest, é.", "poem ".repeat(64));
    let whole = clean(&with(Action::Redact), &text);
    assert!(whole.starts_with("Certainly: poem ") && whole.ends_with("[x]  And the rest, é."), "{whole}");
    for (cut, _) in text.char_indices() {
        assert_eq!(streamed(&with(Action::Redact), [&text[..cut], &text[cut..]]).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn what_repeats_itself_for_a_reason_stays() {
    let rows: String = (0..40).map(|row| format!("| item {row} | null | 0.0 | yes |\n")).collect();
    for text in [
        "ha ha ha ha ha ha ha ha ha ha, very funny".to_owned(),
        "|---".repeat(200),
        "=".repeat(500),
        "0, ".repeat(300),
        "\u{a0}".repeat(300),
        format!("[{}]", "null, ".repeat(200)),
        format!("[{}]", "true,".repeat(200)),
        "NaN ".repeat(200),
        "0x00, ".repeat(200),
        "\\x90".repeat(200),
        "00 ff 00 ff ".repeat(100),
        "A".repeat(600),
        "AAAA\n".repeat(100),
        "é".repeat(4000),
        "ЖЖж".repeat(200),
        "&nbsp;".repeat(100),
        "<td></td>".repeat(40),
        "<br>\n".repeat(100),
        rows,
        "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a dream.\n"
            .repeat(3),
    ] {
        assert_eq!(clean(&with(Action::Redact), &text), text);
        assert_eq!(streamed(&with(Action::Redact), single(&text)).unwrap(), text);
    }
}

#[test]
fn the_contract_of_a_detector_is_kept() {
    suite(Repetition::new, &circles().iter().step_by(4).map(String::as_str).collect::<Vec<_>>()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_stream_says_what_the_whole_says(
        parts in proptest::collection::vec(("[a-cé ,.\n]{1,60}|诗 ", 0_usize..250), 0..4),
        cut in any::<Index>(),
    ) {
        let repeated = |(part, length): &(String, usize)| part.repeat(length / part.len() + 1);
        let text: String = parts.iter().map(repeated).collect();
        let whole = clean(&with(Action::Redact), &text);
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let cut = ends[cut.index(ends.len())];
        prop_assert_eq!(streamed(&with(Action::Redact), [&text[..cut], &text[cut..]]).unwrap(), whole.clone());
        prop_assert_eq!(streamed(&with(Action::Redact), single(&text)).unwrap(), whole);
    }
}
