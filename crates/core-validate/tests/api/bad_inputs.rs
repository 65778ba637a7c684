//! Bad inputs in general, row by row as in section 10 of the report on keys, audit and hardening: 58 to 71; the
//! others are in `bad_shapes`, numbers of each type in `tensor_numbers`, the grammar of JSON in `json_suite`.

use core_validate::{Head, InferenceRequest, Invalid, InvalidCode, Limits, Operation, Validator};

use super::{Bytes, chat, infer, infer_head, read, refused};
use InvalidCode::*;

/// A chat whose field `x`, which is passed on unread, holds these bytes.
fn free(value: &[u8]) -> Result<InferenceRequest, Invalid> {
    let validator = Validator::new(Limits::default().allow_fields(vec!["x".to_owned()]));
    let start = br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"x":"#;
    validator.parse(Operation::Chat, &Head::default(), &Bytes::from([&start[..], value, b"}"].concat()))
}

fn tensors(body: &[u8]) -> Result<InferenceRequest, Invalid> {
    Validator::default().parse(Operation::Infer, &infer_head(), &Bytes::from(body.to_vec()))
}

/// A request with one tensor of these fields.
fn tensor_of(fields: &str) -> Result<InferenceRequest, Invalid> {
    tensors(format!(r#"{{"inputs":[{{{fields}}}]}}"#).as_bytes())
}

/// Whether an input is refused with this code at this place.
#[track_caller]
fn at(result: Result<InferenceRequest, Invalid>, code: InvalidCode, place: &str, input: &str) {
    let error = match result {
        Ok(_) => Err(format!("accepted: {input}")),
        Err(error) => Ok(error),
    };
    let error = error.expect("refused");
    assert_eq!((error.code(), error.at().as_str()), (code, place), "{input}: {error}");
}

const DATA: &str = "/inputs/0/data";
const FIRST: &str = "/inputs/0/data/0";
const SHAPE: &str = "/inputs/0/shape";

/// 58.
#[test]
fn depth_is_counted_in_lists_and_objects() {
    for (open, inner, close, step) in [("[", "", "]", "/0"), (r#"{"a":"#, "1", "}", "/a")] {
        let deep = |levels: usize| format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
        assert!(free(deep(63).as_bytes()).is_ok());
        let place = format!("/x{}", step.repeat(63));
        for levels in [64, 127, 128, 129, 10_000, 1_000_000] {
            refused(free(deep(levels).as_bytes()), TooDeep, &place, "values are nested deeper than 64");
            refused(free(open.repeat(levels).as_bytes()), TooDeep, &place, "values are nested deeper than 64");
        }
        // The bound itself is bounded.
        let most = Validator::new(Limits::default().depth(usize::MAX));
        let body = |levels| Bytes::from(format!(r#"{{"a":{}}}"#, deep(levels)));
        let code = |levels| most.parse(Operation::Chat, &Head::default(), &body(levels)).unwrap_err().code();
        assert_eq!((code(99), code(100)), (MissingField, TooDeep));
    }
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(infer("FP32", "[1]", &nested(1)).is_ok());
    assert!(infer("FP32", "[1,1,1,1,1,1,1,1]", &nested(8)).is_ok());
    let place = format!("{DATA}{}", "/0".repeat(7));
    let message = "data is nested deeper than the shape";
    refused(infer("FP32", "[1,1,1,1,1,1,1,1]", &nested(9)), WrongShape, &place, message);
    for levels in [2, 127, 128, 129, 10_000, 1_000_000] {
        refused(infer("FP32", "[1]", &nested(levels)), WrongShape, DATA, message);
    }
}

/// 59.
#[test]
fn words_for_numbers_that_are_none_are_refused() {
    for word in ["NaN", "Infinity", "-Infinity", "nan", "inf", "-inf", "-NaN"] {
        at(free(word.as_bytes()), InvalidJson, "", word);
        at(free(format!("[1,{word}]").as_bytes()), InvalidJson, "", word);
        at(chat(&format!(r#","temperature":{word}"#)), InvalidJson, "", word);
        for dtype in ["FP16", "BF16", "FP32", "FP64", "INT32", "UINT64"] {
            at(infer(dtype, "[1]", &format!("[{word}]")), NonFinite, DATA, word);
        }
        for dtype in ["BOOL", "BYTES"] {
            at(infer(dtype, "[1]", &format!("[{word}]")), WrongType, FIRST, word);
        }
        at(infer("FP32", "[1]", &format!(r#"["{word}"]"#)), WrongType, FIRST, word);
        assert!(chat(&format!(r#","user":"{word}""#)).is_ok(), "as a text");
    }
    for word in ["+Infinity", "1.#INF", "1.#QNAN", "NAN(1)", "∞", "- Infinity"] {
        at(free(word.as_bytes()), InvalidJson, "", word);
        at(infer("FP32", "[1]", &format!("[{word}]")), InvalidJson, "", word);
    }
}

/// 60.
#[test]
fn numbers_that_overflow_are_refused() {
    for number in ["1e400", "-1e400", "1e999999999", "1e99999999999999999999", "0.1e400"] {
        at(free(number.as_bytes()), OutOfRange, "/x", number);
        at(free(format!("[0,{number}]").as_bytes()), OutOfRange, "/x/1", number);
        at(chat(&format!(r#","temperature":{number}"#)), OutOfRange, "/temperature", number);
        for dtype in ["FP16", "BF16", "FP32", "FP64"] {
            at(infer(dtype, "[1]", &format!("[{number}]")), NonFinite, DATA, number);
        }
    }
    at(infer("FP32", "[1]", "[1e39]"), NonFinite, DATA, "1e39");
    assert!(infer("FP64", "[1]", "[1e39]").is_ok());
    assert!(free(b"1e39").is_ok());
    // Nothing, however often it is multiplied; but RapidJSON refuses such a power.
    assert!(infer("FP32", "[1]", "[0e308]").is_ok());
    at(infer("FP32", "[1]", "[0e999999999]"), NonFinite, DATA, "0e999999999");
    assert!(free(b"0e99999999999999999999").is_err());
}

/// 61.
#[test]
fn numbers_near_nothing_are_accepted_as_they_are() {
    for number in ["1e-400", "-1e-400", "5e-324", "1e-45", "2.2250738585072011e-308", "-0", "-0.0", "0.0", "-0e-0"] {
        assert!(free(number.as_bytes()).is_ok(), "{number}");
        for dtype in ["FP16", "BF16", "FP32", "FP64"] {
            let request = infer(dtype, "[1]", &format!("[{number}]")).unwrap();
            let least = request.tensors().remove(0).min.unwrap();
            let value = number.parse::<f64>().unwrap();
            let value = if dtype == "FP32" { f64::from(value as f32) } else { value };
            if matches!(dtype, "FP32" | "FP64") {
                assert_eq!(least.to_bits(), value.to_bits(), "{number}");
            }
            let body = request.to_body().bytes;
            assert!(String::from_utf8_lossy(&body).contains(&format!("[{number}]")), "forwarded as written");
        }
    }
    assert!(infer("UINT8", "[1]", "[-0]").is_ok());
    at(infer("INT32", "[1]", "[-0.0]"), WrongType, FIRST, "-0.0");
}

/// 62.
#[test]
fn integers_beyond_64_bits_are_refused() {
    let long = "9".repeat(400);
    for number in ["9007199254740993", "9223372036854775808", "18446744073709551615", "-9223372036854775808"] {
        let body = free(number.as_bytes()).unwrap().to_body().bytes;
        assert!(String::from_utf8_lossy(&body).contains(number), "not rounded");
    }
    for number in ["18446744073709551616", "-9223372036854775809", "-18446744073709551615", long.as_str()] {
        at(free(number.as_bytes()), OutOfRange, "/x", number);
        at(free(format!("[1,{number}]").as_bytes()), OutOfRange, "/x/1", number);
        at(chat(&format!(r#","seed":{number}"#)), OutOfRange, "/seed", number);
        at(infer("INT64", "[1]", &format!("[{number}]")), OutOfRange, DATA, number);
        at(infer("FP32", &format!("[{number}]"), "[1]"), OutOfRange, "/inputs/0/shape/0", number);
    }
    refused(
        chat(r#","seed":9223372036854775808"#),
        OutOfRange,
        "/seed",
        "expected a value from -9223372036854775808 to 9223372036854775807",
    );
    assert!(chat(r#","seed":-9223372036854775808"#).is_ok());
    at(infer("FP64", "[1]", &format!("[{long}]")), NonFinite, DATA, "400 digits");
    assert!(infer("FP64", "[1]", &format!("[0.{long}]")).is_ok());
    assert!(free(format!("0.{long}").as_bytes()).is_ok());
}

/// 63.
#[test]
fn what_is_no_integer_is_none() {
    for value in ["1.0", "1e2", "1E0", r#""5""#, "true", "[1]", "{}"] {
        for field in ["max_tokens", "n", "seed", "top_k"] {
            let place = format!("/{field}");
            refused(chat(&format!(r#","{field}":{value}"#)), WrongType, &place, "expected an integer");
        }
    }
    for value in ["1.0", "1e2", "1E0", r#""5""#, "true", "null", "{}"] {
        for dtype in ["INT8", "UINT8", "INT64", "UINT64"] {
            refused(infer(dtype, "[1]", &format!("[{value}]")), WrongType, FIRST, "expected an integer");
        }
        at(infer("FP32", &format!("[{value}]"), "[1]"), WrongShape, "/inputs/0/shape/0", value);
    }
    for value in ["2", "1.0", "1e0", "-0", r#""true""#, "null", "01"] {
        refused(infer("BOOL", "[1]", &format!("[{value}]")), WrongType, FIRST, "expected true or false");
    }
    assert!(infer("BOOL", "[4]", "[true,false,1,0]").is_ok());
}

/// 64.
#[test]
fn numbers_of_other_grammars_are_no_json() {
    for number in [
        "01",
        "-01",
        "00",
        "+1",
        ".5",
        "-.5",
        "5.",
        "-5.",
        "0x10",
        "0b1",
        "0o7",
        "1e",
        "1e+",
        "1E-",
        "1.e1",
        "1_000",
        "--1",
        "- 1",
        "1f",
        "1n",
        "1.5.1",
        "１",
        "1 2",
        "-",
        "e5",
        "1e5.5",
        "1,000.5.5",
        "0x1p3",
        "1/2",
        "1e1e1",
    ] {
        at(free(number.as_bytes()), InvalidJson, "", number);
        at(free(format!("[{number}]").as_bytes()), InvalidJson, "", number);
        at(infer("FP64", "[9]", &format!("[{number}]")), InvalidJson, "", number);
    }
}

/// 65.
#[test]
fn a_key_that_is_there_twice_is_refused_where_it_is_repeated() {
    for (extra, place) in [
        (r#","user":"a","user":"b""#, "/user"),
        (r#","model":"other""#, "/model"),
        (r#","messages":[]"#, "/messages"),
        (r#","metadata":{"a":"1","\u0061":"2"}"#, "/metadata/a"),
        (r#","metadata":{"\u0061":"1","\u0061":"2"}"#, "/metadata/a"),
        (r#","tools":[{"type":"function","function":{"name":"f","name":"g"}}]"#, "/tools/0/function/name"),
    ] {
        refused(chat(extra), DuplicateKey, place, "key appears twice");
    }
    for (value, place) in [
        (r#"{"a":1,"a":1}"#, "/x/a"),
        (r#"{"":1,"":2}"#, "/x/?"),
        (r#"[{"a":1},{"b":1,"b":2}]"#, "/x/1/b"),
        (r#"{"a":{"b":{"c":1,"c":2}}}"#, "/x/a/b/c"),
        (r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"\u0065":10}"#, "/x/e"),
        (r#"{"é":1,"\u00e9":2}"#, "/x/?"),
        (r#"{"😀":1,"\ud83d\ude00":2}"#, "/x/?"),
        (r#"{"a/b":1,"a\/b":2}"#, "/x/?"),
    ] {
        refused(free(value.as_bytes()), DuplicateKey, place, "key appears twice");
    }
    // Not the same bytes, so not the same key, whatever they look like.
    for value in [r#"{"a":1,"A":2}"#, r#"{"é":1,"e\u0301":2}"#, r#"{"a":1,"\u0430":2}"#, r#"{"a":1,"a ":2}"#] {
        assert!(free(value.as_bytes()).is_ok(), "{value}");
    }
    let tensor = r#""name":"x","shape":[1],"datatype":"FP32","data":[1]"#;
    for (more, place) in [
        (r#","name":"y""#, "/inputs/0/name"),
        (r#","shape":[2]"#, SHAPE),
        (r#","datatype":"INT8""#, "/inputs/0/datatype"),
        (r#","data":[1]"#, DATA),
        (r#","d\u0061ta":[2]"#, DATA),
        (r#","parameters":{"a":1,"a":2}"#, "/inputs/0/parameters/a"),
    ] {
        refused(tensor_of(&format!("{tensor}{more}")), DuplicateKey, place, "key appears twice");
    }
    let inputs = format!(r#"{{"inputs":[{{{tensor}}}],"inputs":[]}}"#);
    refused(tensors(inputs.as_bytes()), DuplicateKey, "/inputs", "key appears twice");
}

/// 66.
#[test]
fn fields_that_nobody_knows_are_refused() {
    for (key, place) in [
        ("__proto__", "/__proto__"),
        ("constructor", "/constructor"),
        ("Temperature", "/Temperature"),
        ("temperature ", "/?"),
        ("", "/?"),
        ("$where", "/?"),
        ("a/b", "/?"),
        ("1", "/?"),
    ] {
        at(chat(&format!(r#","{key}":{{}}"#)), UnknownField, place, key);
        let whole = format!(r#"{{"inputs":[{{"name":"x","shape":[1],"datatype":"FP32","data":[1]}}],"{key}":{{}}}}"#);
        at(tensors(whole.as_bytes()), UnknownField, place, key);
        let message = format!(r#"{{"role":"user","content":"hi","{key}":1}}"#);
        let body = format!(r#"{{"model":"m","messages":[{message}]}}"#);
        at(read(Operation::Chat, &body), UnknownField, &format!("/messages/0{place}"), key);
        let tensor = format!(r#""name":"x","shape":[1],"datatype":"FP32","data":[1],"{key}":1"#);
        at(tensor_of(&tensor), UnknownField, &format!("/inputs/0{place}"), key);
    }
    // What is absent is not passed on.
    let body = chat(r#","__proto__":null"#).unwrap().to_body().bytes;
    assert!(!String::from_utf8_lossy(&body).contains("proto"));
    let asked = r#"{"outputs":[{"name":"y","class":1}],"inputs":[]}"#;
    at(tensors(asked.as_bytes()), UnknownField, "/outputs/0/class", asked);
    for parameter in ["shared_memory_region", "sequence_id", "priority", "__proto__"] {
        let tensor = format!(r#""name":"x","shape":[1],"datatype":"FP32","data":[1],"parameters":{{"{parameter}":1}}"#);
        at(tensor_of(&tensor), UnsupportedContent, &format!("/inputs/0/parameters/{parameter}"), parameter);
        let body = format!(r#"{{"parameters":{{"{parameter}":1}},"inputs":[]}}"#);
        at(tensors(body.as_bytes()), UnsupportedContent, &format!("/parameters/{parameter}"), parameter);
    }
}

/// 67.
#[test]
fn commas_comments_and_quotes_of_other_grammars_are_no_json() {
    for value in [
        "[1,]",
        "[,1]",
        "[1,,2]",
        r#"{"a":1,}"#,
        r#"{,"a":1}"#,
        r#"{"a":1,,"b":2}"#,
        "/* c */1",
        "1// c\n",
        "1#c",
        "'a'",
        "{a:1}",
        "{'a':1}",
        "[1;2]",
        "<!-- -->1",
        r#""a" "b""#,
        "[1 2]",
        r#"{"a" 1}"#,
        r#"{"a"=1}"#,
        "(1)",
        "`a`",
    ] {
        at(free(value.as_bytes()), InvalidJson, "", value);
    }
    let trailing = "body is not valid JSON (line 1, column 14)";
    refused(read(Operation::Chat, r#"{"model":"m",}"#), InvalidJson, "", trailing);
    let second = "body is not valid JSON (line 2, column 3)";
    refused(read(Operation::Chat, "{\"é\":1,\n  // comment\n}"), InvalidJson, "", second);
    for data in ["[1,,2]", "[,1]", "[1,2/**/]", "[1;2]", "[1 2]", "[1,2}", "[1,"] {
        at(infer("FP32", "[2]", data), InvalidJson, "", data);
    }
    // Known to be more than the shape says before it is known to be no JSON.
    refused(infer("FP32", "[2]", "[1,2,]"), WrongShape, DATA, "expected 2 values, got more");
}

/// 68.
#[test]
fn one_body_is_one_document() {
    let good = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let tensor = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#;
    for more in ["x", ",", "{}", "\0", "null", "]", "}", "\n\n{}", "//", "\u{a0}", "\u{feff}", "\u{c}"] {
        at(read(Operation::Chat, &format!("{good}{more}")), InvalidJson, "", more);
        at(tensors(format!("{tensor}{more}").as_bytes()), InvalidJson, "", more);
    }
    for space in ["", " ", "\n", "\r\n\t "] {
        assert!(read(Operation::Chat, &format!("{space}{good}{space}")).is_ok());
        assert!(tensors(format!("{space}{tensor}{space}").as_bytes()).is_ok());
    }
}

/// 69.
#[test]
fn other_encodings_are_refused() {
    for bytes in [
        &b"\"\xff\""[..],
        b"\"\x80\"",
        b"\"\xc0\xaf\"",
        b"\"\xe0\x80\xaf\"",
        b"\"\xc1\xbf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xed\xbf\xbf\"",
        b"\"\xed\xa0\xbd\xed\xb8\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xf8\x88\x80\x80\x80\"",
        b"\"\xe4\xb8\"",
        b"\"caf\xe9\"",
        b"\xfe\xff",
    ] {
        at(free(bytes), InvalidUtf8, "", &format!("{bytes:?}"));
    }
    for value in [
        "\u{feff}1",
        "\u{feff}\"a\"",
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud83d\u0061""#,
        r#""\udc00\ud800""#,
        r#"{"\ud800":1}"#,
    ] {
        at(free(value.as_bytes()), InvalidJson, "", value);
    }
    for value in [
        "\"\u{fffe}\"",
        "\"\u{ffff}\"",
        "\"\u{fdd0}\"",
        "\"\u{10ffff}\"",
        r#""\uffff""#,
        r#""\udbff\udfff""#,
        "\"\u{feff}\"",
    ] {
        assert!(free(value.as_bytes()).is_ok(), "{value}");
    }
    let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let good = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#;
    at(tensors(&utf16(good)), InvalidJson, "", "UTF-16");
    at(tensors(&utf16(&format!("\u{feff}{good}"))), InvalidUtf8, "", "UTF-16 with its mark");
    at(tensors(format!("\u{feff}{good}").as_bytes()), InvalidJson, "", "a byte order mark");
    at(infer("BYTES", "[1]", r#"["\ud800"]"#), InvalidJson, "", "half of a pair");
    at(tensors(&good.replace('x', "\u{ff}").into_bytes()), OutOfRange, "/inputs/0/name", "a name beyond ASCII");
}

/// 70.
#[test]
fn nul_is_no_json_and_escaped_it_is_a_character() {
    for value in [&b"\"\0\""[..], b"\0", b"1\0", b"\"\x1f\"", b"\"\n\"", b"\"\t\"", b"{\"\0\":1}"] {
        at(free(value), InvalidJson, "", &format!("{value:?}"));
    }
    let request = free(br#""\u0000\u001f""#).unwrap();
    assert!(request.texts().any(|text| text.text() == "\0\x1f"));
    assert!(String::from_utf8_lossy(&request.to_body().bytes).contains(r#""x":"\u0000\u001f""#));
    let request = infer("BYTES", "[1]", r#"["\u0000"]"#).unwrap();
    assert_eq!(request.texts().map(|text| text.text().into_owned()).collect::<Vec<_>>(), ["\0"]);
    at(infer("BYTES", "[1]", "[\"\0\"]"), InvalidJson, "", "raw NUL");
    let model = r#"{"model":"m\u0000","messages":[{"role":"user","content":"hi"}]}"#;
    at(read(Operation::Chat, model), OutOfRange, "/model", model);
}

/// 71.
#[test]
fn a_body_that_is_no_object_is_refused() {
    for (body, code, message) in [
        ("", EmptyInput, "body is empty"),
        (" \r\n", InvalidJson, "body is not valid JSON (line 2, column 1)"),
        ("null", WrongType, "expected an object"),
        ("true", WrongType, "expected an object"),
        ("1", WrongType, "expected an object"),
        ("\"x\"", WrongType, "expected an object"),
        ("[]", WrongType, "expected an object"),
        ("[1,2]", WrongType, "expected an object"),
        ("[{}]", WrongType, "expected an object"),
    ] {
        for operation in Operation::ALL {
            let read = Validator::default().parse(operation, &infer_head(), &Bytes::from(body));
            refused(read, code, "", message);
        }
    }
}
