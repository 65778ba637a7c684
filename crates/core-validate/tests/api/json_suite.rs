//! The grammar of JSON, case by case, after the suite of Nicolas Seriot ("Parsing JSON is a minefield"): each case is
//! the value of a field that is passed on unread.

use core_validate::{Head, InferenceRequest, Invalid, InvalidCode, Limits, Operation, Validator};
use serde_json::Value;

use super::Bytes;
use InvalidCode::*;

fn body_of(case: &[u8]) -> Bytes {
    let start = br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"x":"#;
    Bytes::from([&start[..], case, b"}"].concat())
}

fn free(case: &[u8]) -> Result<InferenceRequest, Invalid> {
    let validator = Validator::new(Limits::default().allow_fields(vec!["x".to_owned()]));
    validator.parse(Operation::Chat, &Head::default(), &body_of(case))
}

/// What must be refused: `n_`.
const NO: &[&str] = &[
    // Lists.
    "[1 true]",
    "[a]",
    r#"["": 1]"#,
    r#"[""],"#,
    "[,1]",
    "[1,,2]",
    r#"["x",,]"#,
    r#"["x"]]"#,
    r#"["",]"#,
    r#"["x""#,
    "[x",
    "[3[4]]",
    "[,]",
    "[-]",
    r#"[   , ""]"#,
    "[\"a\",\n4\n,1,",
    "[1,]",
    "[1,,]",
    "[\"\u{b}a\"\\f]",
    "[*]",
    r#"[""#,
    "[1,",
    "[1,\n1\n,1",
    "[{}",
    "[fals]",
    "[nul]",
    "[tru]",
    // Numbers.
    "[++1234]",
    "[+1]",
    "[+Inf]",
    "[-01]",
    "[-1.0.]",
    "[-2.]",
    "[-NaN]",
    "[.-1]",
    "[.2e-3]",
    "[0.1.2]",
    "[0.3e+]",
    "[0.3e]",
    "[0.e1]",
    "[0E+]",
    "[0E]",
    "[0e+]",
    "[0e]",
    "[1.0e+]",
    "[1.0e-]",
    "[1.0e]",
    "[1 000.0]",
    "[1eE2]",
    "[2.e+3]",
    "[2.e-3]",
    "[2.e3]",
    "[9.e+]",
    "[Inf]",
    "[NaN]",
    "[\u{ff11}]",
    "[1+2]",
    "[0x1]",
    "[0x42]",
    "[Infinity]",
    "[0e+-1]",
    "[-123.123foo]",
    "[-Infinity]",
    "[-foo]",
    "[- 1]",
    "[-012]",
    "[-.123]",
    "[-1x]",
    "[1ea]",
    "[1.]",
    "[.123]",
    "[1.2a-3]",
    "[1.8011670033376514H-308]",
    "[012]",
    "1.",
    "-",
    "+1",
    "01",
    "0x0",
    "1e",
    "123\0",
    // Objects.
    r#"["x", truth]"#,
    r#"{[: "x"}"#,
    r#"{"x", null}"#,
    r#"{"x"::"b"}"#,
    "{\u{1f1e8}\u{1f1ed}}",
    r#"{"a":"a" 123}"#,
    r#"{key: 'value'}"#,
    r#"{"a" b}"#,
    r#"{:"b"}"#,
    r#"{"a" "b"}"#,
    r#"{"a":"#,
    r#"{"a"#,
    "{1:1}",
    "{9999E9999:1}",
    "{null:null,null:null}",
    r#"{"id":0,,,,,}"#,
    "{'a':0}",
    r#"{"id":0,}"#,
    r#"{"a":"b"}/**/"#,
    r#"{"a":"b"}/**//"#,
    r#"{"a":"b"}//"#,
    r#"{"a":"b"}/"#,
    r#"{"a":"b",,"c":"d"}"#,
    r#"{a: "b"}"#,
    r#"{"a":"a"#,
    r#"{ "foo" : "bar", "a" }"#,
    "{\"a\":\"b\"}#",
    r#"{"a":true} "x""#,
    "{true:1}",
    "{}}",
    r#"{"":"#,
    // Texts.
    " ",
    r#"["\uD800\"]"#,
    r#"["\uD800\u"]"#,
    r#"["\uD800\u1"]"#,
    r#"["\uD800\u1x"]"#,
    "[\u{e9}]",
    r#"["\x00"]"#,
    r#"["\\\"]"#,
    "[\"\\\t\"]",
    "[\"\\\u{1f300}\"]",
    r#"["\"]"#,
    r#"["\u00A"]"#,
    r#"["\uD834\uDd"]"#,
    r#"["\uD800\uD800\x"]"#,
    r#"["\u"]"#,
    r#"["\a"]"#,
    r#"["\uqqqq"]"#,
    r#"[\u0020"asd"]"#,
    r"[\n]",
    r#"""#,
    "['single quote']",
    "abc",
    r#"["\"#,
    "[\"a\0a\"]",
    "[\"new\nline\"]",
    "[\"\t\"]",
    r#""\UA66D""#,
    r#"""x"#,
    r#"["\u000G"]"#,
    r#""\u{61}""#,
    r#""\'""#,
    // Structure.
    "[\u{2060}]",
    "\u{feff}",
    "<.>",
    "[<null>]",
    "[1]x",
    "aa",
    "1]",
    r#"{"x": true,"#,
    "[][]",
    "]",
    "[",
    "",
    "[\0]",
    "2@",
    "{",
    "[False]",
    "[TRUE]",
    "[True]",
    "[NULL]",
    "{]",
    r#"{"a""#,
    "{'a'",
    "[\u{c}]",
    "*",
    r#"{"a":"b"}{}"#,
    "{,",
    "[,",
    "[{\"\":[{\"\":",
    r#"{"a":[}"#,
    r#"[1}"#,
    r#"{"a":1]"#,
    r#"\u000A"""#,
    r#"{"asd":"asd""#,
    "\u{e5}",
    "[\u{2028}]",
    "[1,\n1\u{2029}]",
    "\u{a0}1",
    "nul",
    "tru",
    "fals",
    "truex",
    "nullnull",
    "true false",
    "1 1",
    "--1",
    "[1]]",
    "{}{}",
    r#"{"\u{feff}":}"#,
    "undefined",
    "None",
    "\u{3000}1",
];

/// The same of bytes that are no UTF-8.
const NO_UTF8: &[&[u8]] = &[
    b"[a\xe5]",
    b"[\xff]",
    b"[123\xe5]",
    b"[1e1\xe5]",
    b"[0\xe5]",
    b"[-123\xe5]",
    b"[\"\\u\xe5\"]",
    b"[\"\\\xe5\"]",
    b"\xe5",
    b"{\"\xb9\":\"0\",}",
    b"[1e\xe5]",
    b"\xef\xbb{}",
    b"[\"a\xff\"\xff",
    b"{\"a\":\"b\"}\xff",
];

/// What must be accepted: `y_`.
const YES: &[&str] = &[
    "[[]   ]",
    r#"[""]"#,
    "[]",
    r#"["a"]"#,
    "[false]",
    r#"[null, 1, "1", {}]"#,
    "[null]",
    "[1\n]",
    " [1]",
    "[1,null,null,null,2]",
    "[2] ",
    "[0e+1]",
    "[0e1]",
    "[ 4]",
    "[123e65]",
    "[-0.000000000000000000000000000000000000000000000000000000000000001]",
    "[20e1]",
    "[-0]",
    "[-123]",
    "[-1]",
    "[1E22]",
    "[1E-2]",
    "[1E+2]",
    "[123e45]",
    "[123.456e78]",
    "[1e-2]",
    "[1e+2]",
    "[123]",
    "[123.456789]",
    r#"{"asd":"sdf", "dfg":"fgh"}"#,
    r#"{"asd":"sdf"}"#,
    "{}",
    r#"{"":0}"#,
    r#"{"foo\u0000bar": 42}"#,
    r#"{ "min": -1.0e+28, "max": 1.0e+28 }"#,
    r#"{"x":[{"id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}], "id": "a"}"#,
    r#"{"a":[]}"#,
    r#"{"title":"\u041f\u043e\u043b\u0442\u043e\u0440\u0430 \u0417\u0435\u043c\u043b\u0435\u043a\u043e\u043f\u0430" }"#,
    "{\n\"a\": \"b\"\n}",
    r#"["\u0060\u012a\u12AB"]"#,
    r#"["\uD801\udc37"]"#,
    r#"["\ud83d\ude39\ud83d\udc8d"]"#,
    r#"["\"\\\/\b\f\n\r\t"]"#,
    r#"["\\u0000"]"#,
    r#"["\""]"#,
    r#"["a/*b*/c/*d//e"]"#,
    r#"["\\a"]"#,
    r#"["\\n"]"#,
    r#"["\u0012"]"#,
    r#"["\uFFFF"]"#,
    r#"["asd"]"#,
    r#"[ "asd"]"#,
    r#"["\uDBFF\uDFFF"]"#,
    r#"["new\u00A0line"]"#,
    "[\"\u{10ffff}\"]",
    "[\"\u{ffff}\"]",
    r#"["\u0000"]"#,
    r#"["\u002c"]"#,
    "[\"\u{3c0}\"]",
    "[\"\u{1bfff}\"]",
    r#"["asd "]"#,
    r#"" ""#,
    r#"["\uD834\uDd1e"]"#,
    r#"["\u0821"]"#,
    r#"["\u0123"]"#,
    "[\"\u{2028}\"]",
    "[\"\u{2029}\"]",
    r#"["\u0061\u30af\u30EA\u30b9"]"#,
    "[\"new\u{a0}line\"]",
    "[\"\u{7f}\"]",
    r#"["\uA66D"]"#,
    r#"["\u005C"]"#,
    "[\"\u{2342}\u{3234}\u{2342}\"]",
    r#"["\uDBFF\uDFFE"]"#,
    r#"["\uD83F\uDFFE"]"#,
    r#"["\u200B"]"#,
    r#"["\u2064"]"#,
    r#"["\uFDD0"]"#,
    r#"["\uFFFE"]"#,
    r#"["\u0022"]"#,
    "[\"\u{20ac}\u{1d11e}\"]",
    "[\"a\u{7f}a\"]",
    "false",
    "42",
    "-0.1",
    "null",
    r#""asd""#,
    "true",
    r#""""#,
    "[\"a\"]\n",
    "[true]",
    " [] ",
    "\t\r\n1\t\r\n",
    r#"{"a":{"a":{"a":1}}}"#,
    "[[[[[[[[[[1]]]]]]]]]]",
    "9007199254740993",
    "-9223372036854775808",
    "18446744073709551615",
    "1.7976931348623157e308",
    "[0.1]",
];

type Refusal = (InvalidCode, &'static str);

/// What is left open, and our decisions: `i_`.
const OPEN: &[(&[u8], Option<Refusal>)] = &[
    // What becomes nothing is accepted, what becomes infinite is not.
    (b"[123.456e-789]", None),
    (b"[123e-10000000]", None),
    (b"[0.4e00669999999999999999999999999999999999999999999999999999999999999999999999]", Some((OutOfRange, "/x/0"))),
    (b"[-1e+9999]", Some((OutOfRange, "/x/0"))),
    (b"[1.5e+9999]", Some((OutOfRange, "/x/0"))),
    (b"[-123123e100000]", Some((OutOfRange, "/x/0"))),
    (b"[123123e100000]", Some((OutOfRange, "/x/0"))),
    // Integers that other readers round.
    (b"[-123123123123123123123123123123]", Some((OutOfRange, "/x/0"))),
    (b"[100000000000000000000]", Some((OutOfRange, "/x/0"))),
    (b"[-237462374673276894279832749832423479823246327846]", Some((OutOfRange, "/x/0"))),
    // A key once.
    (br#"{"a":"b","a":"c"}"#, Some((DuplicateKey, "/x/a"))),
    (br#"{"a":"b","a":"b"}"#, Some((DuplicateKey, "/x/a"))),
    // Halves of pairs.
    (br#"{"\uDFAA":0}"#, Some((InvalidJson, ""))),
    (br#"["\uDADA"]"#, Some((InvalidJson, ""))),
    (br#"["\uD888\u1234"]"#, Some((InvalidJson, ""))),
    (br#"["\uD800\n"]"#, Some((InvalidJson, ""))),
    (br#"["\uDd1ea"]"#, Some((InvalidJson, ""))),
    (br#"["\uD800\uD800\n"]"#, Some((InvalidJson, ""))),
    (br#"["\ud800"]"#, Some((InvalidJson, ""))),
    (br#"["\ud800abc"]"#, Some((InvalidJson, ""))),
    (br#"["\uDd1e\uD834"]"#, Some((InvalidJson, ""))),
    (br#"["\uDFAA"]"#, Some((InvalidJson, ""))),
    // Bytes that are no UTF-8.
    (b"[\"\xe6\x97\xa5\xd1\x88\xfa\"]", Some((InvalidUtf8, ""))),
    (b"[\"\xff\"]", Some((InvalidUtf8, ""))),
    (b"[\"\xe9\"]", Some((InvalidUtf8, ""))),
    (b"[\"\x81\"]", Some((InvalidUtf8, ""))),
    (b"[\"\xf4\xbf\xbf\xbf\"]", Some((InvalidUtf8, ""))),
    (b"[\"\xc0\xaf\"]", Some((InvalidUtf8, ""))),
    (b"[\"\xfc\x83\xbf\xbf\xbf\xbf\"]", Some((InvalidUtf8, ""))),
    (b"[\"\xfc\x80\x80\x80\x80\x80\"]", Some((InvalidUtf8, ""))),
    (b"[\"\xe0\xff\"]", Some((InvalidUtf8, ""))),
    (b"[\"\xed\xa0\x80\"]", Some((InvalidUtf8, ""))),
    (b"\xff\xfe[\0\"\0\xe9\0\"\0]\0", Some((InvalidUtf8, ""))),
    (b"\0[\0\"\0\xe9\0\"\0]", Some((InvalidUtf8, ""))),
    (b"[\0\"\0a\0\"\0]\0", Some((InvalidJson, ""))),
    // A byte order mark.
    (b"\xef\xbb\xbf{}", Some((InvalidJson, ""))),
];

#[test]
fn what_is_no_json_is_refused() {
    for case in NO {
        let error = free(case.as_bytes()).map(|_| case).expect_err("refused");
        assert_eq!((error.code(), error.at().as_str()), (InvalidJson, ""), "{case}");
        assert!(serde_json::from_slice::<Value>(&body_of(case.as_bytes())).is_err(), "the case itself: {case}");
    }
    for case in NO_UTF8 {
        let error = free(case).map(|_| case).expect_err("refused");
        assert_eq!((error.code(), error.at().as_str()), (InvalidUtf8, ""), "{case:?}");
    }
    for deep in ["[", "{\"\":[", "[{\"a\":"] {
        assert_eq!(free(deep.repeat(100_000).as_bytes()).unwrap_err().code(), TooDeep, "{deep}");
    }
}

#[test]
fn what_is_json_is_accepted_and_goes_on_as_it_was() {
    for case in YES {
        let request = free(case.as_bytes()).unwrap_or_else(|error| panic!("{case}: {error}"));
        let written: Value = serde_json::from_slice(&request.to_body().bytes).unwrap();
        let expected: Value = serde_json::from_str(case).unwrap();
        // A field that is `null` is absent.
        assert_eq!(written.get("x").unwrap_or(&Value::Null), &expected, "{case}");
    }
}

#[test]
fn what_the_grammar_leaves_open_is_decided() {
    for (case, expected) in OPEN {
        let shown = String::from_utf8_lossy(case);
        match (free(case), expected) {
            (Ok(_), None) => {}
            (Err(error), Some((code, place))) => {
                assert_eq!((error.code(), error.at().as_str()), (*code, *place), "{shown}");
            }
            (result, _) => panic!("{shown}: {result:?}"),
        }
    }
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    assert_eq!(free(deep.as_bytes()).unwrap_err().code(), TooDeep);
}
