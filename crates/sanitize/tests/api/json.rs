//! JSON that comes in chunks: screened as whoever reads it will see it, and still JSON afterwards.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sanitize::{Action, Blocked, Canary, JsonStream, Links, Personal, Placeholders, Sanitizer, Secrets};

use crate::{output, single};

const SECRET: &str = "glpat-a1b2c3d4e5f6g7h8i9j0";

fn run<'c>(mut stream: JsonStream, chunks: impl IntoIterator<Item = &'c str>) -> Result<String, Blocked> {
    let mut out = String::new();
    for chunk in chunks {
        out += &stream.push(chunk)?;
    }
    Ok(out + &stream.finish()?)
}

fn clean(text: &str) -> String {
    run(output().json_stream(), [text]).unwrap()
}

#[test]
fn strings_are_screened_decoded_and_stay_strings() {
    for (text, want) in [
        (r#"{"a": "x"}"#, r#"{"a": "x"}"#),
        (r#"{"a":"glpat-a1b2c3d4e5f6g7h8i9j0"}"#, r#"{"a":"[redacted]"}"#),
        (r#"{"a":"gl\u0070at-a1b2c3d4e5f6g7h8i9j0\n"}"#, r#"{"a":"[redacted]\n"}"#),
        (r#"{"glpat-a1b2c3d4e5f6g7h8i9j0":1}"#, r#"{"[redacted]":1}"#),
        (r#"["<|im_\u0073tart|>","[IN\u005bINST]ST]"]"#, r#"["",""]"#),
        (r#"["\nSYSTEM: x"]"#, r#"["\n x"]"#),
        (r#"{"q":"say \"hi\" \\ \t \u00e9 \ud83d\ude00 \u0001"}"#, r#"{"q":"say \"hi\" \\ \t é 😀 \u0001"}"#),
        (r#"[true, false,null , -1.5e3,0]"#, r#"[true, false,null , -1.5e3,0]"#),
    ] {
        assert_eq!(clean(text), want, "{text}");
        assert_eq!(run(output().json_stream(), single(text)).unwrap(), want, "{text}");
    }
}

/// Without a footer it would take the end of the string, and of the JSON, with it.
#[test]
fn a_key_block_ends_with_its_string() {
    let text = ["{\"k\":\"-----BEGIN ", "PRIVATE KEY-----\\nMIIEvQIBADANBgkqhk\\nabc\",\"next\":1}"].concat();
    assert_eq!(clean(&text), r#"{"k":"[redacted]","next":1}"#);
}

#[test]
fn a_number_in_which_something_is_found_becomes_a_string() {
    let sanitizer =
        Sanitizer::builder().detector(Personal::new(), Action::Redact).numbered_placeholders().build().unwrap();
    let text = r#"{"card":4111111111111111,"again":"4111111111111111","n":4111111111111112}"#;
    let want = r#"{"card":"[CARD_1]","again":"[CARD_1]","n":4111111111111112}"#;
    assert_eq!(run(sanitizer.json_stream(), [text]).unwrap(), want);
    assert_eq!(run(sanitizer.json_stream(), single(text)).unwrap(), want);
}

#[test]
fn what_is_not_json_is_screened_as_plain_text() {
    for text in
        [SECRET, &format!("{{}} {SECRET}"), &format!("{{a: {SECRET}}}"), &format!("tru {SECRET} \"x"), "'<|im_start|>"]
    {
        let clean = clean(text);
        assert!(!clean.contains("glpat-a1b2") && !clean.contains("im_start"), "{clean}");
        assert_eq!(run(output().json_stream(), single(text)).unwrap(), clean);
    }
    assert_eq!(clean(r#"{"cut":"in the midd"#), r#"{"cut":"in the midd"#);
    assert_eq!(clean(r#"["\ud800 \ud800\u0041 \udc00 \uzz"]"#), "[\"\u{fffd} \u{fffd}A \u{fffd} zz\"]");
}

#[test]
fn text_that_ends_in_a_word_is_whole() {
    for text in
        ["hvs", "{\"a\": sk", "[tru", "12x", "-", "[1, 2", "nul", "true", "{} sk-", "[] \"a", "[\"\\u00", "{a", "é", ""]
    {
        let want = if text.ends_with('0') { "[\"" } else { text };
        for (cut, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let (head, tail) = text.split_at(cut);
            assert_eq!(run(output().json_stream(), [head, tail]).unwrap(), want, "{text} cut at {cut}");
        }
        assert_eq!(run(output().json_stream(), single(text)).unwrap(), want);
    }
}

#[test]
fn placeholders_survive_every_kind_of_end() {
    let sanitizer =
        Sanitizer::builder().detector(Personal::new(), Action::Redact).numbered_placeholders().build().unwrap();
    for end in [
        "]",
        ", ",
        ", 12",
        ", true",
        ", tru",
        ", 12x",
        ", \"b",
        ", \"\\u00",
        ", bob@example.org",
        ", é bob@example.org",
        "",
    ] {
        let mut stream = sanitizer.json_stream();
        stream.push(&format!("[\"ann@example.org\"{end}")).unwrap();
        stream.finish().unwrap();
        assert_eq!(stream.into_placeholders().restore("[EMAIL_1]"), "ann@example.org", "{end}");
    }
}

/// Were each escape judged alone, this would take hundreds of times as long.
#[test]
fn a_long_string_of_escapes_is_finished() {
    let builder =
        Sanitizer::builder().detector(Secrets::new(), Action::Redact).detector(Personal::new(), Action::Redact);
    let sanitizer = builder.detector(Links::new(["a.test"]), Action::Redact).build().unwrap();
    let text = format!("[\"{}\"]", "\\u0067\\n\\\"".repeat(1 << 18));
    assert_eq!(run(sanitizer.json_stream(), [&*text]).unwrap(), text.replace("\\u0067", "g"));
}

#[test]
fn what_blocks_stops_the_stream() {
    let sanitizer = Sanitizer::builder().detector(Secrets::new(), Action::Block).build().unwrap();
    let mut stream = sanitizer.json_stream();
    assert_eq!(stream.push(r#"{"a":"gl"#).unwrap(), r#"{"a":""#);
    assert!(stream.push(r#"\u0070at-a1b2c3d4e5f6g7h8i9j0""#).is_err());
    assert!(stream.push("}").is_err() && stream.finish().is_err());
    assert_eq!((stream.action(), stream.findings()[0].rule()), (Action::Block, "secret.gitlab"));
}

#[test]
fn findings_have_the_place_of_their_string() {
    let mut stream = output().json_stream();
    stream.push(r#"{"a":"x glpat-a1b2c3d4e5f6g7h8i9j0"}"#).unwrap();
    assert_eq!(stream.findings()[0].range().map(|range| range.start), Some(7));
}

#[test]
fn what_only_the_written_text_shows_is_reported_if_asked_for() {
    let split = Canary::new(["c4n4ry7f3a9b2e51d8"]).unwrap();
    let blocking = Sanitizer::builder().detector(split, Action::Block).build().unwrap();
    let cases = [
        (output(), r#"{"password":"q8Zk2mP9xL4v"}"#, "secret.assigned", Action::Redact),
        (blocking, r#"["c4n4ry7f", "3a9b2e51d8"]"#, "canary", Action::Block),
    ];
    for (sanitizer, text, rule, action) in cases {
        let mut stream = sanitizer.json_stream().reporting_written();
        let cleaned: String = single(text).map(|chunk| stream.push(chunk).unwrap()).collect();
        assert_eq!(cleaned + &stream.finish().unwrap(), text);
        assert_eq!((stream.action(), stream.written_action()), (Action::Allow, action), "{text}");
        assert_eq!(stream.written_findings()[0].rule(), rule);
        let mut stream = sanitizer.json_stream();
        stream.push(text).unwrap();
        stream.finish().unwrap();
        assert_eq!((stream.written_findings().len(), stream.written_action()), (0, Action::Allow));
    }
}

#[test]
fn values_are_put_back_as_json() {
    let sanitizer =
        Sanitizer::builder().detector(Personal::new(), Action::Redact).numbered_placeholders().build().unwrap();
    let mut placeholders = Placeholders::new();
    let _ = sanitizer.check_with("ann@example.org", &mut placeholders).into_text();
    let stream = || sanitizer.json_stream_with(placeholders.clone()).restoring();
    let (text, want) = (r#"{"to":"[EMAIL_1]","cc":"bob@example.org"}"#, r#"{"to":"ann@example.org","cc":"[EMAIL_2]"}"#);
    assert_eq!(run(stream(), [text]).unwrap(), want);
    assert_eq!(run(stream(), single(text)).unwrap(), want);
}

proptest! {
    #[test]
    fn json_stays_json_and_chunks_make_no_difference(
        strings in proptest::collection::vec(select(vec![
            "x", SECRET, "<|im_start|>", "a\"b\\c\n", "é😀", "\u{1}", "SYSTEM: a", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhk",
            "[IN", "ST]", "4111111111111111", "",
        ]), 0..6),
        escapes in any::<bool>(),
        cut in any::<Index>(),
    ) {
        let quoted = |text: &str| {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            if escapes { format!("\"{}\"", units.collect::<String>()) } else { serde_json::to_string(text).unwrap() }
        };
        let items: Vec<_> = strings.iter().map(|text| format!("{{{}: {}}}", quoted(text), quoted(text))).collect();
        let text = format!("[{}]", items.join(", "));
        let whole = clean(&text);
        prop_assert_eq!(run(output().json_stream(), single(&text)).unwrap(), whole.clone());
        let (head, tail) = text.split_at(text.floor_char_boundary(cut.index(text.len() + 1)));
        prop_assert_eq!(run(output().json_stream(), [head, tail]).unwrap(), whole.clone());
        let read: serde_json::Value = serde_json::from_str(&whole).unwrap();
        prop_assert_eq!(read.as_array().unwrap().len(), strings.len());
        for (item, said) in read.as_array().unwrap().iter().zip(&strings) {
            let value = item.as_object().unwrap().values().next().unwrap().as_str().unwrap();
            prop_assert_eq!(value, output().check(said).into_text());
        }
    }
}
