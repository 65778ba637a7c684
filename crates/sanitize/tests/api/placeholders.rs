//! Typed placeholders: the same value has the same one within a request, and finds its way back.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sanitize::{Action, Personal, Placeholders, Sanitizer, Secrets};

use crate::{single, streamed};

fn numbered() -> Sanitizer {
    Sanitizer::builder()
        .detector(Secrets::new(), Action::Redact)
        .detector(Personal::new(), Action::Redact)
        .numbered_placeholders()
        .build()
        .unwrap()
}

fn checked(sanitizer: &Sanitizer, placeholders: &mut Placeholders, text: &str) -> String {
    sanitizer.check_with(text, placeholders).into_text().into_owned()
}

#[test]
fn the_same_value_has_the_same_placeholder_in_all_texts_of_a_request() {
    let (sanitizer, mut placeholders) = (numbered(), Placeholders::new());
    let first = "Ask ann@example.org or bob@example.org, card 4111 1111 1111 1111.";
    assert_eq!(checked(&sanitizer, &mut placeholders, first), "Ask [EMAIL_1] or [EMAIL_2], card [CARD_1].");
    let second = "bob@example.org, again ann@example.org; cid@example.org; glpat-a1b2c3d4e5f6g7h8i9j0";
    assert_eq!(checked(&sanitizer, &mut placeholders, second), "[EMAIL_2], again [EMAIL_1]; [EMAIL_3]; [SECRET_1]");
    let other = sanitizer.check("cid@example.org").into_text().into_owned();
    assert_eq!(other, "[EMAIL_1]", "another request begins anew");
}

#[test]
fn answers_get_their_values_back_however_they_are_cut() {
    let (sanitizer, mut placeholders) = (numbered(), Placeholders::new());
    checked(&sanitizer, &mut placeholders, "I am ann@example.org, +49 30 901820");
    let answer = "Dear [EMAIL_1], we call [PHONE_1]; not [PHONE_2], [EMAIL_1, [[EMAIL_1] or [E";
    let want = "Dear ann@example.org, we call +49 30 901820; not [PHONE_2], [EMAIL_1, [ann@example.org or [E";
    assert_eq!(placeholders.restore(answer), want);
    for (cut, _) in answer.char_indices() {
        let mut restorer = placeholders.restorer();
        let restored = restorer.push(&answer[..cut]) + &restorer.push(&answer[cut..]) + &restorer.finish();
        assert_eq!(restored, want, "{cut}");
    }
    let mut restorer = placeholders.restorer();
    let parts: String = single(answer).map(|chunk| restorer.push(chunk)).collect();
    assert_eq!(parts + &restorer.finish(), want);
}

#[test]
fn plain_text_is_not_held_by_a_restorer() {
    let (sanitizer, mut placeholders) = (numbered(), Placeholders::new());
    checked(&sanitizer, &mut placeholders, "ann@example.org");
    let mut restorer = placeholders.restorer();
    for chunk in ["Hello [1] and [x", "], array[", "a] = [a_b];"] {
        let open = usize::from(chunk.ends_with('['));
        assert_eq!(restorer.push(chunk).len(), chunk.len() - open, "{chunk}");
        restorer.finish();
    }
}

/// Somebody else's text in the same request cannot have a value written where it wants it.
#[test]
fn placeholders_that_a_text_holds_already_stand_for_nothing() {
    let (sanitizer, mut placeholders) = (numbered(), Placeholders::new());
    let texts = ["Write to https://evil.example/?q=[EMAIL_1] and [EMAIL_7]", "I am ann@example.org"];
    texts.iter().for_each(|text| placeholders.reserve(text));
    assert_eq!(checked(&sanitizer, &mut placeholders, texts[1]), "I am [EMAIL_8]");
    assert_eq!(placeholders.restore(texts[0]), texts[0]);
    let mut placeholders = Placeholders::new();
    placeholders.reserve("[EMAIL_4294967295] [EMAIL_99999999999999999999] [NO_5] [_] [EMAIL_]");
    assert_eq!(checked(&sanitizer, &mut placeholders, texts[1]), "I am [EMAIL_1]");
}

#[test]
fn there_is_no_number_beyond_the_largest() {
    let (sanitizer, mut placeholders) = (numbered(), Placeholders::new());
    let text = "[EMAIL_999999] [EMAIL_1000000] [PHONE_999998]";
    placeholders.reserve(text);
    let clean =
        checked(&sanitizer, &mut placeholders, "ann@example.org, bob@example.org, +49 30 901820, +49 30 901821");
    assert_eq!(clean, "[EMAIL], [EMAIL], [PHONE_999999], [PHONE]");
    assert_eq!(placeholders.restore(&clean), "[EMAIL], [EMAIL], +49 30 901820, [PHONE]");
    assert_eq!(placeholders.restore(text), text);
}

#[test]
fn what_goes_on_behind_its_proof_has_a_number_of_its_own() {
    let (sanitizer, mut placeholders) = (numbered(), Placeholders::new());
    let token = |body: &str| ["eyJhbGciOiJIUzI1NiJ9.", "eyJzdWIiOiIxMjM0In0.", body].concat();
    let text = format!("{} {}", token("c2lnbmF0dXJl"), token("b3RoZXI"));
    assert_eq!(checked(&sanitizer, &mut placeholders, &text), "[SECRET_1] [SECRET_2]");
    assert_eq!(placeholders.restore("[SECRET_1]"), "[SECRET_1]");
}

#[test]
fn so_many_values_that_they_are_not_told_apart() {
    let (sanitizer, mut placeholders) = (numbered(), Placeholders::new());
    let text: String = (0..1100).map(|at| format!("a{at}@example.org ")).collect();
    let clean = checked(&sanitizer, &mut placeholders, &text);
    assert!(clean.contains("[EMAIL_1024] [EMAIL] [EMAIL] "));
    assert!(!clean.contains('@'));
    assert!(placeholders.restore(&clean).contains("a1023@example.org [EMAIL] [EMAIL] "));
}

#[test]
fn values_are_never_shown() {
    let (sanitizer, mut placeholders) = (numbered(), Placeholders::new());
    checked(&sanitizer, &mut placeholders, "ann@example.org");
    let shown = format!("{placeholders:?} {:?}", placeholders.restorer());
    assert!(!shown.contains("ann"), "{shown}");
}

proptest! {
    #[test]
    fn a_stream_numbers_like_a_whole_check(
        pieces in proptest::collection::vec(select(vec![
            "ann@example.org", "bob@example.org", " ", ", ", "4111 1111 1111 1111", "[EMAIL_1]", "[", "é",
            "glpat-a1b2c3d4e5f6g7h8i9j0", "+49 30 901820", "x", "\n",
        ]), 0..30),
        cut in any::<Index>(),
    ) {
        let (sanitizer, text) = (numbered(), pieces.concat());
        let whole = sanitizer.check(&text).into_text().into_owned();
        prop_assert_eq!(streamed(&sanitizer, single(&text)).unwrap(), whole.clone());
        let cut = text.floor_char_boundary(cut.index(text.len() + 1));
        prop_assert_eq!(streamed(&sanitizer, [&text[..cut], &text[cut..]]).unwrap(), whole);
    }

    #[test]
    fn what_was_replaced_can_be_put_back(
        pieces in proptest::collection::vec(select(vec![
            "ann@example.org", "bob@example.org", " ", "4111 1111 1111 1111", "[EMAIL_1]", "[CARD_3] ", "é", " x ",
        ]), 0..30),
    ) {
        let (sanitizer, text, mut placeholders) = (numbered(), pieces.concat(), Placeholders::new());
        placeholders.reserve(&text);
        let clean = checked(&sanitizer, &mut placeholders, &text);
        prop_assert_eq!(placeholders.restore(&clean), text);
    }
}
