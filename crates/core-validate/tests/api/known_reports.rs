//! Known failures of other servers and gateways, continued: reports 42 to 51 as far as this crate decides them.

use core_validate::{Head, InferenceRequest, Invalid, InvalidCode, Limits, Operation, Validator};

use super::{Bytes, chat, infer, infer_binary, infer_head, read, refused};
use InvalidCode::*;

const SIZE: &str = "a size is a whole number of 0 or more";

fn read_tensors(body: &str) -> Result<InferenceRequest, Invalid> {
    Validator::default().parse(Operation::Infer, &infer_head(), &Bytes::from(body.to_owned()))
}

/// One input whose data follows in the binary part.
fn input(name: &str, dtype: &str, shape: &str, size: u64) -> String {
    let parameters = format!(r#"{{"binary_data_size":{size}}}"#);
    format!(r#"{{"name":"{name}","shape":{shape},"datatype":"{dtype}","parameters":{parameters}}}"#)
}

fn binary(inputs: &[String], tail: &[u8]) -> Result<InferenceRequest, Invalid> {
    infer_binary(&format!(r#"{{"inputs":[{}]}}"#, inputs.join(",")), tail)
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Code, place and words of an answer that is refused.
fn answer_to(asked: &InferenceRequest, body: &str) -> Option<(InvalidCode, String, String)> {
    let answer = Validator::default().parse_answer(asked, &Head::default(), &Bytes::from(body.to_owned()));
    answer.err().map(|error| (error.code(), error.at().to_string(), error.message().to_owned()))
}

/// Report 42, triton-inference-server/server#3119: another number of values than the shape says.
#[test]
fn values_that_do_not_fill_a_shape_are_refused() {
    for (data, at, message) in [
        ("[1,2,3,4,5]", "/inputs/0/data", "expected 6 values, got 5"),
        ("[1,2,3,4,5,6,7]", "/inputs/0/data", "expected 6 values, got more"),
        ("[[1,2,3],[4,5]]", "/inputs/0/data/1", "expected 3 values, got 2"),
        ("[[1,2,3],[4,5,6,7]]", "/inputs/0/data/1", "expected 3 values, got more"),
        ("[[1,2,3]]", "/inputs/0/data", "expected 2 values, got 1"),
        ("[[1,2,3],[4,5,6],[7,8,9]]", "/inputs/0/data", "expected 2 values, got more"),
        ("[]", "/inputs/0/data", "expected 6 values, got 0"),
    ] {
        refused(infer("FP32", "[2,3]", data), WrongShape, at, message);
    }
    for (values, length) in [(5, 20), (7, 28)] {
        let result = binary(&[input("x", "FP32", "[2,3]", length)], &floats(&vec![1.0; values]));
        let message = format!("shape and data type need 24 bytes, got {length}");
        refused(result, WrongShape, "/inputs/0/data", &message);
    }
    assert!(infer("FP32", "[2,3]", "[1,2,3,4,5,6]").is_ok());
    assert!(infer("FP32", "[2,3]", "[[1,2,3],[4,5,6]]").is_ok());
}

/// Report 43, triton-inference-server/server#3563: sizes that are none.
#[test]
fn sizes_that_are_none_are_refused() {
    for (shape, code, at, message) in [
        ("[-1]", WrongShape, "/inputs/0/shape/0", SIZE),
        ("[0]", EmptyInput, "/inputs/0/shape", "input is empty"),
        ("[2147483648]", InputTooLong, "/inputs/0/shape", "input length 2147483648 exceeds maximum 4194304"),
        (
            "[9223372036854775808]",
            InputTooLong,
            "/inputs/0/shape",
            "input length 9223372036854775808 exceeds maximum 4194304",
        ),
        ("[1.0]", WrongShape, "/inputs/0/shape/0", SIZE),
        ("[1,1e3]", WrongShape, "/inputs/0/shape/1", SIZE),
        (r#"["2"]"#, WrongShape, "/inputs/0/shape/0", SIZE),
        (r#""2""#, WrongType, "/inputs/0/shape", "expected a list"),
        ("2", WrongType, "/inputs/0/shape", "expected a list"),
        ("[[1]]", WrongShape, "/inputs/0/shape/0", SIZE),
        ("[true]", WrongShape, "/inputs/0/shape/0", SIZE),
        ("[1,1,1,1,1,1,1,1,1]", WrongRank, "/inputs/0/shape", "expected at most 8 dimensions, got 9"),
    ] {
        refused(infer("FP32", shape, "[1]"), code, at, message);
    }
    assert!(infer("FP32", "[1,1,1,1,1,1,1,1]", "[1]").is_ok());
}

/// Report 45, triton-inference-server/server#7171: data of one tensor that lies in another's.
#[test]
fn binary_data_belongs_to_one_tensor_alone() {
    let tail = floats(&[1.0, 2.0, 3.0, 4.0]);
    let two = |a: u64, b: u64, tail: &[u8]| binary(&[input("a", "FP32", "[2]", a), input("b", "FP32", "[2]", b)], tail);
    let needs = |got| format!("shape and data type need 8 bytes, got {got}");
    refused(two(4, 12, &tail), WrongShape, "/inputs/0/data", &needs(4));
    refused(two(12, 4, &tail), WrongShape, "/inputs/0/data", &needs(12));
    refused(two(8, 4, &tail), WrongShape, "/inputs/1/data", &needs(4));
    refused(two(8, 0, &tail), WrongShape, "/inputs/1/data", &needs(0));
    let longer = [tail.as_slice(), &[0]].concat();
    refused(two(8, 8, &longer), WrongShape, "", "binary data is longer than announced");
    let short = floats(&[1.0, 2.0, 3.0]);
    refused(two(8, 8, &short), WrongShape, "/inputs/1/parameters", "binary data is shorter than announced");
    let bounds: Vec<_> = two(8, 8, &tail).unwrap().tensors().iter().map(|t| (t.min, t.max)).collect();
    assert_eq!(bounds, [(Some(1.0), Some(2.0)), (Some(3.0), Some(4.0))]);
    let both =
        r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1],"parameters":{"binary_data_size":4}}]}"#;
    let message = "a tensor has data or binary_data_size, not both";
    refused(infer_binary(both, &floats(&[1.0])), ConflictingFields, "/inputs/0/data", message);
    let message = "binary data needs the tensor header length";
    let alone = read_tensors(&format!(r#"{{"inputs":[{}]}}"#, input("x", "FP32", "[1]", 4)));
    refused(alone, WrongShape, "/inputs/0/parameters", message);
    for size in ["-1", "4.0", r#""4""#, "null", "[4]"] {
        let json = format!(
            r#"{{"inputs":[{{"name":"x","shape":[1],"datatype":"FP32","parameters":{{"binary_data_size":{size}}}}}]}}"#
        );
        let at = "/inputs/0/parameters/binary_data_size";
        refused(infer_binary(&json, &floats(&[1.0])), WrongType, at, "expected a size in bytes");
    }
}

/// Report 46, triton-inference-server/server#5649: lengths of the JSON part that fit no body.
#[test]
fn a_tensor_header_length_that_fits_no_body_is_refused() {
    let json = format!(r#"{{"inputs":[{}]}}"#, input("x", "FP32", "[1]", 4));
    let body = Bytes::from([json.as_bytes(), &floats(&[1.0])].concat());
    let of = |length: u64| {
        let head = Head { tensor_header_length: Some(length), ..infer_head() };
        Validator::default().parse(Operation::Infer, &head, &body)
    };
    let whole = body.len() as u64;
    for length in [0, whole + 1, (1 << 31) + 1, 1 << 32, i64::MAX as u64, u64::MAX] {
        refused(of(length), BadHeader, "", "tensor header length does not fit the body");
    }
    assert!(of(json.len() as u64).is_ok());
    for length in [1, json.len() as u64 - 1, json.len() as u64 + 1, whole] {
        // A float's last byte is no UTF-8.
        let code = if length == whole { InvalidUtf8 } else { InvalidJson };
        assert_eq!(of(length).unwrap_err().code(), code, "{length}");
    }
}

/// Report 47, triton-inference-server/server PR 8172, and report 48, CVE-2025-0649: nesting that ends the stack.
#[test]
fn nesting_in_any_field_is_refused() {
    for levels in [50_000, 100_000] {
        let deep = "[".repeat(levels);
        let closed = format!("{deep}{}", "]".repeat(levels));
        for deep in [deep, closed] {
            let message = "values are nested deeper than 64";
            let at = format!("/zz{}", "/0".repeat(62));
            refused(chat(&format!(r#","zz":{deep}"#)), TooDeep, &at, message);
            let tool = format!(r#","tools":[{{"type":"function","function":{{"name":"f","parameters":{deep}}}}}]"#);
            assert_eq!(chat(&tool).unwrap_err().code(), TooDeep);
            let deeper = "data is nested deeper than the shape";
            refused(infer("FP32", "[1]", &deep), WrongShape, "/inputs/0/data", deeper);
            let before = read_tensors(&format!(r#"{{"inputs":[{{"data":{deep},"shape":[1],"datatype":"FP32"}}]}}"#));
            refused(before, WrongRank, "/inputs/0/data", "expected at most 8 dimensions, got more");
            let skipped = read_tensors(&format!(r#"{{"zz":{deep},"inputs":[]}}"#));
            assert_eq!(skipped.unwrap_err().code(), TooDeep);
        }
    }
}

/// Report 47: numbers that are none, in both forms.
#[test]
fn numbers_that_are_none_are_refused_at_their_index() {
    let second = "non-finite value at index 1";
    for word in ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"] {
        for dtype in ["FP16", "BF16", "FP32", "FP64"] {
            refused(infer(dtype, "[2]", &format!("[0,{word}]")), NonFinite, "/inputs/0/data", second);
        }
        assert_eq!(
            chat(&format!(r#","zz":[0,{word}]"#)).unwrap_err().code(),
            match word {
                "1e400" | "-1e400" => OutOfRange,
                _ => InvalidJson,
            }
        );
    }
    for bits in [0x7c00_u16, 0xfc00, 0x7e00, 0xffff] {
        let tail = [0_u16.to_le_bytes(), bits.to_le_bytes()].concat();
        refused(binary(&[input("x", "FP16", "[2]", 4)], &tail), NonFinite, "/inputs/0/data", second);
    }
    let largest = [0_u16.to_le_bytes(), 0x7bff_u16.to_le_bytes()].concat();
    assert!(binary(&[input("x", "FP16", "[2]", 4)], &largest).is_ok());
}

/// Report 50, pytorch/serve#1304, openvinotoolkit/model_server PR 4337: NaN in an answer.
#[test]
fn an_answer_with_numbers_that_are_none_is_refused() {
    let tensors = infer("FP32", "[1]", "[1]").unwrap();
    let outputs = |data: &str| format!(r#"{{"outputs":[{{"name":"y","shape":[2],"datatype":"FP32","data":{data}}}]}}"#);
    let told = |code, at: &str, message: &str| Some((code, at.to_owned(), message.to_owned()));
    for word in ["NaN", "Infinity", "-Infinity", "1e39"] {
        let expected = told(NonFinite, "/outputs/0/data", "non-finite value at index 1");
        assert_eq!(answer_to(&tensors, &outputs(&format!("[1,{word}]"))), expected);
    }
    // An item that was left out moves those behind it.
    let short = told(WrongShape, "/outputs/0/data", "expected 2 values, got 1");
    assert_eq!(answer_to(&tensors, &outputs("[1]")), short);
    let nothing = told(WrongType, "/outputs/0/data/1", "expected a number");
    assert_eq!(answer_to(&tensors, &outputs("[1,null]")), nothing);
    assert_eq!(answer_to(&tensors, &outputs("[1,2]")), None);

    let embed = read(Operation::Embed, r#"{"model":"m","input":"a"}"#).unwrap();
    let vector = |data: &str| format!(r#"{{"object":"list","data":[{{"index":0,"embedding":{data}}}]}}"#);
    for data in ["[1,NaN]", "[1,1e400]", "[1,null]", "[1,\"NaN\"]"] {
        assert!(answer_to(&embed, &vector(data)).is_some(), "{data}");
    }
    assert_eq!(answer_to(&embed, &vector("[1,2]")), None);
    let asked = chat("").unwrap();
    let spoken = |logprob: &str| {
        let logprobs = format!(r#"{{"content":[{{"token":"a","logprob":{logprob}}}]}}"#);
        format!(r#"{{"choices":[{{"message":{{"content":"a"}},"logprobs":{logprobs}}}]}}"#)
    };
    assert!(answer_to(&asked, &spoken("NaN")).is_some_and(|(code, ..)| code == InvalidJson));
    assert_eq!(answer_to(&asked, &spoken("-0.5")), None);
}

/// Report 51, kserve/kserve#3377: a body of the wrong form gave a traceback.
#[test]
fn a_body_of_another_form_is_refused_in_our_own_words() {
    refused(read_tensors("{}"), MissingField, "/inputs", "field is required");
    refused(read_tensors(r#"{"inputs":null}"#), WrongType, "/inputs", "expected a list");
    refused(read_tensors(r#"{"inputs":[]}"#), EmptyInput, "/inputs", "input is empty");
    let v1 = read_tensors(r#"{"instances":[[1,2,3]]}"#);
    refused(v1, UnknownField, "/instances", "field instances is not accepted here");
    let named = read_tensors(r#"{"instances<b>":[[1,2,3]]}"#);
    refused(named, UnknownField, "/?", "a field is not accepted here");
    refused(read_tensors(r#"{"inputs":[{}]}"#), MissingField, "/inputs/0/name", "field is required");
    let bare = read_tensors(r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32"}]}"#);
    refused(bare, MissingField, "/inputs/0/data", "field is required");
    let chat = read(Operation::Chat, r#"{"inputs":"hello"}"#);
    refused(chat, MissingField, "/model", "field is required");
    let limits = Limits::default().allow_parameters(vec!["priority".to_owned()]);
    let body = r#"{"parameters":{"priority":"Traceback (most recent call last)"},"inputs":[]}"#;
    let sentence = Validator::new(limits).parse(Operation::Infer, &infer_head(), &Bytes::from(body));
    refused(sentence, UnsupportedContent, "/parameters/priority", "this parameter is not accepted");
}
