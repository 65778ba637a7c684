//! A system prompt that is told word for word does not leave, and what merely resembles it does.

use proptest::prelude::*;
use proptest::sample::Index;
use sanitize::testing::suite;
use sanitize::{Action, Overlap, Sanitizer};

use crate::{clean, single, streamed};

const PROMPT: &str = "You are the clerk of a small library in the harbour quarter. Answer politely, in short \
    sentences, and never mention the storeroom. Members may borrow five books for three weeks; guests may only \
    read them here. Fines are ten cents a day. If somebody asks for the director, say that she is in on Tuesdays.";

fn with(prompt: &str, action: Action) -> Sanitizer {
    let overlap = Overlap::new([prompt], Overlap::DEFAULT_LEAST);
    Sanitizer::builder().detector(overlap, action).placeholder("[x]").build().unwrap()
}

fn redacting() -> Sanitizer {
    with(PROMPT, Action::Redact)
}

#[test]
fn a_prompt_is_removed_from_its_first_word_to_its_last() {
    for told in [PROMPT.to_owned(), PROMPT.to_uppercase(), PROMPT.replace(' ', "\n* "), PROMPT.replace([' ', '.'], "")]
    {
        let told = told.trim_end_matches('.');
        let text = format!("My orders, é: «{told}». That is all.");
        let verdict = redacting().check(&text);
        assert_eq!(verdict.findings().len(), 1, "{told}");
        assert_eq!(verdict.findings()[0].rule(), "leak.system_prompt");
        assert_eq!(&text[verdict.findings()[0].range().unwrap()], told);
        let want = "My orders, é: «[x]». That is all.";
        assert_eq!(verdict.into_text(), want);
        assert_eq!(streamed(&redacting(), single(&text)).unwrap(), want);
        for (cut, _) in text.char_indices() {
            assert_eq!(streamed(&redacting(), [&text[..cut], &text[cut..]]).unwrap(), want, "cut at {cut}");
        }
    }
}

#[test]
fn a_part_is_removed_if_it_is_long() {
    let text = format!("It says: {} and so on", &PROMPT[21..180]);
    assert_eq!(clean(&redacting(), &text), "It says: [x] and so on");
    let text = format!("It says: {} and so on", &PROMPT[21..120]);
    assert_eq!(clean(&redacting(), &text), text);
}

/// What the documentation says is not seen.
#[test]
fn a_part_that_does_not_fit_in_the_window_passes() {
    let told: String = PROMPT.chars().flat_map(|ch| [ch, ' ']).collect();
    assert_eq!(clean(&redacting(), &told), told);
}

#[test]
fn a_short_prompt_is_removed_if_it_is_told_whole() {
    let prompt = "Answer as a pirate, and only in rhymes that end in -ation.";
    let sanitizer = with(prompt, Action::Redact);
    let text = format!("I am told to {} Really.", prompt.to_lowercase());
    assert_eq!(clean(&sanitizer, &text), "I am told to [x]. Really.");
    assert_eq!(streamed(&sanitizer, single(&text)).unwrap(), "I am told to [x]. Really.");
    let text = &prompt[..50];
    assert_eq!(clean(&sanitizer, text), text);
    let sanitizer = with("Answer briefly.", Action::Redact);
    assert_eq!(clean(&sanitizer, "Answer briefly."), "Answer briefly.");
}

#[test]
fn other_scripts_are_compared_too() {
    let prompt = "你是港口区一家小图书馆的管理员。请用简短的句子礼貌地回答，绝对不要提到储藏室。会员可以借五本书三个星期；客人只能在这里阅读。";
    let text = format!("我的指示是：「{}」。", prompt.replace('，', "\n"));
    let sanitizer = with(prompt, Action::Redact);
    assert_eq!(clean(&sanitizer, &text), "我的指示是：「[x]。」。");
    assert_eq!(streamed(&sanitizer, single(&text)).unwrap(), "我的指示是：「[x]。」。");
}

#[test]
fn honest_answers_stay_and_flow() {
    let text = "You are welcome! As a guest you may read the books here, and members may borrow five for three weeks. \
        The fines are ten cents for each day. The director is in on Tuesdays. Never mind the weather in the harbour.";
    assert_eq!(clean(&redacting(), text), text);
    let mut stream = redacting().stream();
    let (mut read, mut sent) = (0, 0);
    for chunk in single(text) {
        read += chunk.len();
        sent += stream.push(chunk).unwrap().len();
        assert!(read - sent <= 60, "{}", &text[..read]);
    }
}

#[test]
fn a_blocking_stream_lets_no_word_of_it_out() {
    let mut stream = with(PROMPT, Action::Block).stream();
    let mut sent = stream.push("Yes: ").unwrap();
    for chunk in single(PROMPT) {
        match stream.push(chunk) {
            Ok(part) => sent += &part,
            Err(_) => break,
        }
    }
    assert!(stream.finish().is_err());
    assert_eq!(sent, "Yes: ");
}

#[test]
fn the_contract_of_a_detector_is_kept() {
    let wide = PROMPT.replace(' ', " --- ");
    suite(|| Overlap::new([PROMPT], 100), &[PROMPT, &PROMPT[50..], &wide, "You are the clerk"]).unwrap();
}

proptest! {
    #[test]
    fn a_stream_says_what_the_whole_says(
        parts in proptest::collection::vec((any::<Index>(), 0_usize..200, "[ a-z.é\n]{0,12}"), 0..5),
        gap in prop_oneof![Just(" "), Just(""), Just("  \n"), Just("-----------")],
        cut in any::<Index>(),
    ) {
        let part = |(from, length, other): &(Index, usize, String)| {
            let from = from.index(PROMPT.len());
            format!("{}{other}", &PROMPT[from..(from + length).min(PROMPT.len())])
        };
        let text = parts.iter().map(part).collect::<String>().replace(' ', gap);
        let whole = clean(&redacting(), &text);
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let cut = ends[cut.index(ends.len())];
        prop_assert_eq!(streamed(&redacting(), [&text[..cut], &text[cut..]]).unwrap(), whole.clone());
        prop_assert_eq!(streamed(&redacting(), single(&text)).unwrap(), whole);
    }
}
