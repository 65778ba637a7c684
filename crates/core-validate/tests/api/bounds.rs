//! What bounds memory: how long strings are seen to be, and how many elements there may be in all. The benchmark of
//! validation measures what a refused body takes.

use core_validate::{Extensions, Head, InferenceRequest, Invalid, InvalidCode, Limits, Operation, Pointer, Validator};

use crate::{infer_binary, infer_head, read, refused};

fn tensors(list: &str) -> Result<InferenceRequest, Invalid> {
    let body = format!(r#"{{"inputs":[{list}]}}"#);
    let validator = Validator::new(Limits::default().values(50));
    validator.parse(Operation::Infer, &infer_head(), &body.into())
}

#[test]
fn elements_of_all_tensors_of_texts_count_together() {
    let texts = |count: usize| format!("[{}]", vec!["\"a\""; count].join(","));
    let early = |name: &str, count| {
        format!(r#"{{"name":"{name}","shape":[{count}],"datatype":"BYTES","data":{}}}"#, texts(count))
    };
    let late = |name: &str, count| {
        format!(r#"{{"data":{},"name":"{name}","shape":[{count}],"datatype":"BYTES"}}"#, texts(count))
    };
    assert!(tensors(&[early("a", 25), late("b", 25)].join(",")).is_ok());
    for list in [[early("a", 25), early("b", 26)], [early("a", 25), late("b", 26)], [late("a", 25), late("b", 26)]] {
        let message = "input length 51 exceeds maximum 50";
        refused(tensors(&list.join(",")), InvalidCode::InputTooLong, "/inputs/1/shape", message);
    }
    let framed = |name: &str| {
        format!(r#"{{"name":"{name}","shape":[20000],"datatype":"BYTES","parameters":{{"binary_data_size":80000}}}}"#)
    };
    let header = |list: &str| format!(r#"{{"inputs":[{list}]}}"#);
    assert!(infer_binary(&header(&framed("a")), &[0; 80_000]).is_ok());
    let two = infer_binary(&header(&[framed("a"), framed("b")].join(",")), &[0; 160_000]);
    refused(two, InvalidCode::InputTooLong, "/inputs/1/shape", "input length 40000 exceeds maximum 25000");
}

/// What was lowered was sent on with a bound below that contradicted it.
#[test]
fn who_may_write_less_must_write_less() {
    let validator = Validator::new(Limits::default().extensions([Extensions::Vllm]));
    for (asked, sent) in [(900, 100), (100, 100), (5, 5)] {
        let body = format!(r#"{{"model":"m","prompt":"a","min_tokens":{asked}}}"#);
        let mut request = validator.parse(Operation::Complete, &Head::default(), &body.into()).unwrap();
        request.clamp_output(100);
        let body = request.to_body().bytes;
        assert_eq!(body, format!(r#"{{"model":"m","prompt":"a","min_tokens":{sent},"max_tokens":100}}"#));
        assert!(validator.parse(Operation::Complete, &Head::default(), &body).is_ok());
    }
}

/// A name that did not fit was left out, and shorter ones behind it were not: the place was another one.
#[test]
fn pointers_that_are_cut_lead_to_what_holds_the_place() {
    let long = "a".repeat(40);
    let pointer = Pointer::root().key(&long).key(&long).key("bc").key(&long).key("de").key(&long).index(7);
    assert_eq!(pointer.as_str(), format!("/{long}/{long}/bc/{long}"));
    let fits = Pointer::root().key(&long).key(&long).key(&long).index(7);
    assert_eq!(fits.as_str(), format!("/{long}/{long}/{long}/7"));
}

#[test]
fn lengths_are_those_of_what_is_said() {
    let user = |letter: &str, count: usize| {
        let user = letter.repeat(count);
        read(Operation::Embed, &format!(r#"{{"model":"m","input":"a","user":"{user}"}}"#))
    };
    for (letter, most) in [("a", 256), (r"\u0061", 256), (r"\u00e4", 128), (r"\n", 256), (r"\ud83d\ude00", 64)] {
        assert!(user(letter, most).is_ok(), "{letter}");
        let error = user(letter, most + 1).unwrap_err();
        assert_eq!((error.code(), error.at().as_str()), (InvalidCode::StringTooLong, "/user"), "{letter}");
    }
    let escaped = read(Operation::Embed, r#"{"mod\u0065l":"\u006d","inp\u0075t":"a"}"#).unwrap();
    assert_eq!(escaped.model().as_str(), "m");
    assert!(read(Operation::Embed, &format!(r#"{{"model":"{}","input":"a"}}"#, r"\u006d".repeat(10_000))).is_err());
}

#[test]
fn media_may_be_written_with_escapes() {
    let image = |url: &str| {
        let part = format!(r#"{{"type":"image_\u0075rl","image_url":{{"url":"{url}"}}}}"#);
        read(Operation::Chat, &format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#))
    };
    // As PHP and Gson write them.
    assert!(image(r"data:image\/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAAAg").is_ok());
    assert!(image(r"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAAAgAA\u003d\u003d").is_ok());
    for (url, code) in [
        (r"data:image\/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAAAgAA\u003d", InvalidCode::UnsupportedContent),
        (r"data:image\/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAAg", InvalidCode::OutOfRange),
        (r"data:image\/png;base64,iVBORw0KGgo\u00e4", InvalidCode::UnsupportedContent),
        (r"https:\/\/example.com/a.png", InvalidCode::UnsupportedContent),
    ] {
        assert_eq!(image(url).unwrap_err().code(), code, "{url}");
    }
}
