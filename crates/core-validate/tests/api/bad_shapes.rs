//! Bad inputs in general, continued: rows 72 to 78 and 80 to 82 of section 10 of the report on keys, audit and
//! hardening. Files of tensors (79) are tested beside their readers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core_validate::{Dtype, Head, InferenceRequest, Invalid, InvalidCode, Limits, Operation, TensorSpec, Validator};

use super::{Bytes, chat, infer, infer_binary, infer_head, read, refused};
use InvalidCode::*;

const DATA: &str = "/inputs/0/data";
const SHAPE: &str = "/inputs/0/shape";
const URL: &str = "/messages/0/content/0/image_url/url";

/// A chat whose field `x` is passed on unread.
fn free(value: &str) -> Result<InferenceRequest, Invalid> {
    let validator = Validator::new(Limits::default().allow_fields(vec!["x".to_owned()]));
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],"x":{value}}}"#);
    validator.parse(Operation::Chat, &Head::default(), &Bytes::from(body))
}

/// A request with one tensor of these fields.
fn tensor_of(fields: &str) -> Result<InferenceRequest, Invalid> {
    let body = format!(r#"{{"inputs":[{{{fields}}}]}}"#);
    Validator::default().parse(Operation::Infer, &infer_head(), &Bytes::from(body))
}

fn binary(dtype: &str, shape: &str, tail: &[u8]) -> Result<InferenceRequest, Invalid> {
    let parameters = format!(r#"{{"binary_data_size":{}}}"#, tail.len());
    let tensor = format!(r#"{{"name":"x","shape":{shape},"datatype":"{dtype}","parameters":{parameters}}}"#);
    infer_binary(&format!(r#"{{"inputs":[{tensor}]}}"#), tail)
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn image(url: &str) -> Result<InferenceRequest, Invalid> {
    let content = format!(r#"[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]"#);
    read(Operation::Chat, &format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#))
}

/// 72.
#[test]
fn keys_are_bounded_in_length_and_number() {
    let key = |key: &str| free(&format!(r#"{{"{key}":1}}"#));
    assert!(key(&"k".repeat(256)).is_ok());
    assert!(key(&r"\u006b".repeat(256)).is_ok(), "as long once it is unescaped");
    assert!(key(&"é".repeat(128)).is_ok());
    refused(key(&"k".repeat(257)), StringTooLong, "/x", "text of 257 bytes exceeds maximum 256");
    refused(key(&r"\u006b".repeat(257)), StringTooLong, "/x", "text of 257 bytes exceeds maximum 256");
    refused(key(&"é".repeat(129)), StringTooLong, "/x", "text of 258 bytes exceeds maximum 256");
    let long = "k".repeat(1 << 20);
    let message = "text of 1048576 bytes exceeds maximum 256";
    refused(key(&long), StringTooLong, "/x", message);
    refused(chat(&format!(r#","{long}":1"#)), StringTooLong, "", message);
    refused(tensor_of(&format!(r#""{long}":1"#)), StringTooLong, "/inputs/0", message);
    let many = r#""k":1,"#.repeat(1_000_000);
    let message = "body holds more than 25000 values";
    refused(free(&format!("{{{many}\"k\":1}}")), TooManyValues, "/x", message);
    refused(chat(&format!(r#",{many}"k":1"#)), TooManyValues, "", message);
    refused(tensor_of(&format!(r#"{many}"k":1"#)), TooManyValues, "/inputs/0", message);
}

/// 73.
#[test]
fn long_lists_of_numbers_are_one_value_or_refused() {
    let many = "1,".repeat(1_000_000);
    assert!(free(&format!("[{many}1]")).is_ok(), "one value");
    refused(free(&format!("[{many}null]")), TooManyValues, "/x", "body holds more than 25000 values");
    refused(infer("FP32", "[1]", &format!("[{many}1]")), WrongShape, DATA, "expected 1 values, got more");
    assert!(infer("UINT8", "[1000001]", &format!("[{many}1]")).is_ok());
    let message = "input length 4194305 exceeds maximum 4194304";
    refused(infer("UINT8", "[4194305]", &format!("[{many}1]")), InputTooLong, SHAPE, message);
    let tokens = |count: usize| {
        let body = format!(r#"{{"model":"m","input":[{}1]}}"#, "1,".repeat(count - 1));
        let validator = Validator::new(Limits::default().danger_token_prompts(true));
        validator.parse(Operation::Embed, &Head::default(), &Bytes::from(body))
    };
    assert!(tokens(300_000).is_ok());
    refused(tokens(300_001), OutOfRange, "/input", "list of 300001 exceeds maximum 300000");
    let prompts = |count: usize| {
        read(Operation::Embed, &format!(r#"{{"model":"m","input":[{}"a"]}}"#, r#""a","#.repeat(count - 1)))
    };
    assert!(prompts(2_048).is_ok());
    refused(prompts(2_049), InputTooLong, "/input", "input length 2049 exceeds maximum 2048");
}

/// 74.
#[test]
fn ragged_and_mixed_lists_are_refused_at_their_place() {
    let more = "data is nested deeper than the shape";
    let less = "data is nested less deep than the shape";
    for (dtype, shape, data, code, below, message) in [
        ("FP32", "[2,2]", "[[1,2],[3]]", WrongShape, "/1", "expected 2 values, got 1"),
        ("FP32", "[2,2]", "[[1],[2,3]]", WrongShape, "/0", "expected 2 values, got 1"),
        ("FP32", "[2,2]", "[[1,2],[3,4,5]]", WrongShape, "/1", "expected 2 values, got more"),
        ("FP32", "[2,2]", "[[],[]]", WrongShape, "/0", "expected 2 values, got 0"),
        ("FP32", "[2,2]", "[[1,2],[]]", WrongShape, "/1", "expected 2 values, got 0"),
        ("FP32", "[2,2]", "[[1,2],3]", WrongShape, "/1", less),
        ("FP32", "[2,2]", "[[1,2],[3,[4]]]", WrongShape, "/1", more),
        ("FP32", "[2,1,2]", "[[[1,2]],[3,4]]", WrongShape, "/1/0", less),
        ("FP32", "[1,2]", "[[[1,2]]]", WrongShape, "/0", more),
        ("FP32", "[2]", "[1,[2]]", WrongShape, "", more),
        ("FP32", "[2]", "[[1,2]]", WrongShape, "", more),
        ("FP32", "[2]", "[]", WrongShape, "", "expected 2 values, got 0"),
        ("FP32", "[2]", r#"[1,"2"]"#, WrongType, "/1", "expected a number"),
        ("FP32", "[2]", "[1,null]", WrongType, "/1", "expected a number"),
        ("FP32", "[2]", "[1,true]", WrongType, "/1", "expected a number"),
        ("FP32", "[1,2]", r#"[[1,{"a":1}]]"#, WrongType, "/0/1", "expected a number"),
        ("INT8", "[2,2]", "[[1,2],[3,4.0]]", WrongType, "/1/1", "expected an integer"),
        ("BYTES", "[2]", r#"["a",1]"#, WrongType, "/1", "expected a string"),
        ("BYTES", "[2]", r#"["a",["b"]]"#, WrongShape, "", more),
        ("BOOL", "[2,1]", "[[true],[2]]", WrongType, "/1/0", "expected true or false"),
        ("FP32", "[1]", "{}", WrongType, "", "expected a list"),
        ("FP32", "[1]", "1", WrongType, "", "expected a list"),
        ("FP32", "[1]", r#""AAAA""#, WrongType, "", "expected a list"),
        ("FP32", "[1]", "true", WrongType, "", "expected a list"),
    ] {
        refused(infer(dtype, shape, data), code, &format!("{DATA}{below}"), message);
        // The same when data comes first and waits for its shape.
        let first = tensor_of(&format!(r#""data":{data},"shape":{shape},"datatype":"{dtype}","name":"x""#));
        if data.contains('{') {
            assert!(first.is_err(), "{data}");
        } else {
            refused(first, code, &format!("{DATA}{below}"), message);
        }
    }
    refused(infer("FP32", "[1]", "null"), MissingField, DATA, "field is required");
    assert!(infer("FP32", "[2,1,2]", "[[[1,2]],[[3,4]]]").is_ok());
    assert!(infer("FP32", "[2,1,2]", "[1,2,3,4]").is_ok());
}

/// 74 and 75: a tensor without dimensions has one value, and no list in its list.
#[test]
fn a_tensor_without_dimensions_hides_nothing() {
    assert!(infer("FP32", "[]", "[5]").is_ok());
    refused(infer("FP32", "[]", "[1,2]"), WrongShape, DATA, "expected 1 values, got more");
    refused(infer("FP32", "[]", "[NaN]"), NonFinite, DATA, "non-finite value at index 0");
    let more = "data is nested deeper than the shape";
    for data in ["[[5]]", "[[NaN]]", "[[1e999]]", "[[1,2],[3]]", "[[nonsense}]]", "[[]]"] {
        // Once such a list was taken as read without a look, and went on as it was where data came first.
        refused(infer("FP32", "[]", data), WrongShape, DATA, more);
        let first = tensor_of(&format!(r#""data":{data},"name":"x","shape":[],"datatype":"FP32""#));
        refused(first, WrongShape, DATA, more);
    }
    let asked = infer("FP32", "[1]", "[1]").unwrap();
    let answer = r#"{"outputs":[{"data":[[NaN]],"name":"y","shape":[],"datatype":"FP32"}]}"#;
    assert!(Validator::default().parse_answer(&asked, &Head::default(), &Bytes::from(answer)).is_err());
}

/// 75.
#[test]
fn shapes_that_are_too_large_are_refused() {
    let huge = "input length 18446744073709551615 exceeds maximum 4194304";
    let size = "a size is a whole number of 0 or more";
    for (shape, code, place, message) in [
        ("[9223372036854775808,2]", InputTooLong, SHAPE, huge),
        ("[9223372036854775808,2,0]", InputTooLong, SHAPE, huge),
        ("[0,9223372036854775808]", EmptyInput, SHAPE, "input is empty"),
        ("[4194305]", InputTooLong, SHAPE, "input length 4194305 exceeds maximum 4194304"),
        ("[2048,2049]", InputTooLong, SHAPE, "input length 4196352 exceeds maximum 4194304"),
        ("[2,-2]", WrongShape, "/inputs/0/shape/1", size),
        ("[-2,-2]", WrongShape, "/inputs/0/shape/0", size),
        ("[1,1,1,1,1,1,1,1,1]", WrongRank, SHAPE, "expected at most 8 dimensions, got 9"),
    ] {
        refused(infer("FP32", shape, "[1]"), code, place, message);
        refused(binary("FP32", shape, &floats(&[1.0])), code, place, message);
        let first = tensor_of(&format!(r#""data":[1],"shape":{shape},"name":"x","datatype":"FP32""#));
        refused(first, code, place, message);
    }
    refused(
        infer("FP32", &format!("[{}1]", "1,".repeat(100_000)), "[1]"),
        WrongRank,
        SHAPE,
        "expected at most 8 dimensions, got 100001",
    );
}

/// 76.
#[test]
fn data_of_another_length_than_its_shape_is_refused() {
    for (dtype, width) in
        [("BOOL", 1), ("UINT8", 1), ("INT16", 2), ("FP16", 2), ("BF16", 2), ("FP32", 4), ("INT64", 8), ("FP64", 8)]
    {
        assert!(binary(dtype, "[3]", &vec![0; 3 * width]).is_ok(), "{dtype}");
        for length in [0, 3 * width - 1, 3 * width + 1, 4 * width] {
            let message = format!("shape and data type need {} bytes, got {length}", 3 * width);
            refused(binary(dtype, "[3]", &vec![0; length]), WrongShape, DATA, &message);
        }
    }
    for dtype in ["UINT8", "INT64", "FP32", "FP64"] {
        refused(infer(dtype, "[3]", "[1,2]"), WrongShape, DATA, "expected 3 values, got 2");
        refused(infer(dtype, "[3]", "[1,2,3,4]"), WrongShape, DATA, "expected 3 values, got more");
        assert!(infer(dtype, "[3]", "[1,2,3]").is_ok());
    }
}

/// 77.
#[test]
fn base64_of_other_kinds_is_refused() {
    // An image's header of 24 bytes: no padding.
    let start = "iVBORw0KGgoAAAANSUhEUgAAAEAAAAAg";
    for end in ["", "++//", "+w==", "+w", "aGk=", "aGk"] {
        assert!(image(&format!("data:image/png;base64,{start}{end}")).is_ok(), "{end}");
    }
    for end in [
        "++__",
        // Who skips these letters sees another image.
        "--__",
        "-w==",
        "+_aa",
        "+w=",
        "+w===",
        "=",
        "==",
        "====",
        "A",
        " ",
        r"\n",
        r"\r\n",
        "aG k",
        "aGk=aGk=",
        "%3D",
        "é",
        "aGk\\u0000",
        "*",
    ] {
        let url = format!("data:image/png;base64,{start}{end}");
        refused(image(&url), UnsupportedContent, URL, "not base64 of RFC 4648");
    }
    refused(image("data:image/png;base64,"), UnsupportedContent, URL, "not base64 of RFC 4648");
    refused(image(&format!("data:image/png;base64, {start}")), UnsupportedContent, URL, "not base64 of RFC 4648");
    for url in [
        format!("data:image/png;charset=utf-8;base64,{start}"),
        format!("data:image/svg+xml;base64,{start}"),
        format!("data:image/PNG;base64,{start}"),
        format!("data:;base64,{start}"),
        format!("data:image/png,{start}"),
        start.to_owned(),
    ] {
        let message = "images are accepted as base64 data: addresses only";
        refused(image(&url), UnsupportedContent, URL, message);
    }
    let large = format!("data:image/png;base64,{start}{}", "A".repeat(4_096));
    let content = format!(r#"[{{"type":"image_url","image_url":{{"url":"{large}"}}}}]"#);
    let body = Bytes::from(format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#));
    let of =
        |bytes| Validator::new(Limits::default().media_bytes(bytes)).parse(Operation::Chat, &Head::default(), &body);
    assert!(of(3_096).is_ok());
    refused(of(3_095), StringTooLong, URL, "media of 3096 bytes exceeds maximum 3095");
}

/// 78.
#[test]
fn data_types_are_the_protocols_own() {
    for dtype in [
        "FP8",
        "fp32",
        "Fp32",
        "FP32 ",
        " FP32",
        "FLOAT",
        "float32",
        "STRING",
        "INT128",
        "UINT4",
        "TYPE_FP32",
        "",
        "FP32\\u0000",
    ] {
        refused(infer(dtype, "[1]", "[1]"), WrongDtype, "/inputs/0/datatype", "not a data type of the protocol");
        let parsed = dtype.parse::<Dtype>();
        assert!(parsed.is_err(), "{dtype}");
    }
    for dtype in Dtype::ALL {
        assert_eq!(dtype.as_str().parse::<Dtype>(), Ok(dtype));
    }
    for bits in [0x7c00_u16, 0x7c01, 0x7dff, 0x7e00, 0x7fff, 0xfc00, 0xfc01, 0xffff] {
        refused(binary("FP16", "[1]", &bits.to_le_bytes()), NonFinite, DATA, "non-finite value at index 0");
    }
    refused(binary("BOOL", "[3]", &[0, 1, 2]), OutOfRange, DATA, "value at index 2 is outside BOOL");
}

/// 80.
#[test]
fn bodies_of_other_media_types_are_refused() {
    let parse = |operation: Operation, content_type: Option<&str>| {
        let head = Head { content_type: content_type.map(str::to_owned), ..infer_head() };
        let chat = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        let tensor = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#;
        let body = if operation == Operation::Infer { tensor } else { chat };
        Validator::default().parse(operation, &head, &Bytes::from(body))
    };
    for operation in [Operation::Chat, Operation::Infer] {
        for media in [
            "",
            "text/json",
            "text/plain",
            "application/jsonx",
            "application/x-json",
            "application/problem+json",
            "application/json, text/plain",
            "multipart/form-data; boundary=a",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-7",
            "application/json; charset=utf-16",
            "application/json; charset=iso-8859-1",
            "application/json; charset=utf-8; charset=utf-7",
            "application/json;charset=\"utf-16\"",
            "application/json; CHARSET = utf-32",
            "application/json; charset=",
        ] {
            let message = "expected content type application/json";
            refused(parse(operation, Some(media)), UnsupportedMediaType, "", message);
        }
        for media in [
            "application/json",
            "Application/JSON",
            "application/json;charset=UTF-8",
            "application/json; charset=\"utf-8\"",
        ] {
            assert!(parse(operation, Some(media)).is_ok(), "{media}");
        }
        assert!(parse(operation, None).is_ok());
    }
    assert!(parse(Operation::Infer, Some("application/octet-stream")).is_ok());
    let chat = parse(Operation::Chat, Some("application/octet-stream"));
    assert_eq!(chat.unwrap_err().code(), UnsupportedMediaType);
}

/// 81.
#[test]
fn tensors_without_meaning_are_refused_where_a_model_says_what_it_means() {
    let none = [f32::NAN; 3];
    refused(binary("FP32", "[3]", &floats(&none)), NonFinite, DATA, "non-finite value at index 0");
    refused(infer("FP32", "[3]", "[NaN,NaN,NaN]"), NonFinite, DATA, "non-finite value at index 0");
    let rows = TensorSpec::new(Dtype::Fp32, [-1, 2]).normalised(1e-3);
    assert!(rows.check_shaped(&[2, 2], &[0.6_f32, 0.8, 1.0, 0.0]).is_ok());
    let row = |values: [f32; 4]| rows.check_shaped(&[2, 2], &values).unwrap_err();
    for (values, index) in [([f32::MAX; 4], 0), ([0.0; 4], 0), ([0.6, 0.8, 0.6, 0.9], 1), ([1.0, 0.0, 1e-30, 1e-30], 1)]
    {
        let (error, message) = (row(values), format!("row {index} is not normalised: its length is not 1"));
        assert_eq!((error.code(), error.message()), (OutOfRange, message.as_str()));
    }
    let wide = TensorSpec::new(Dtype::Fp64, [-1, 2]).normalised(1e-3);
    assert_eq!(wide.check(&[1e308_f64, 1e308]).unwrap_err().code(), OutOfRange, "its square is infinite");
    assert_eq!(wide.check(&[f64::NAN, 1.0]).unwrap_err().code(), NonFinite);
    // Where nobody says so, a constant is as good as anything.
    assert!(binary("FP32", "[3]", &floats(&[f32::MAX; 3])).is_ok());
}

/// 82.
#[test]
fn bytes_that_are_two_things_are_read_as_one() {
    // The data of the first request is a second request.
    let second = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#;
    let length = second.len();
    let request = binary("UINT8", &format!("[{length}]"), second.as_bytes()).unwrap();
    assert_eq!(request.tensors().remove(0).max, Some(f64::from(b'}')));
    let body = request.to_body();
    assert_eq!(&body.bytes[body.tensor_header_length.unwrap()..], second.as_bytes());
    let whole = Validator::default().parse(Operation::Infer, &infer_head(), &body.bytes);
    assert_eq!(whole.unwrap_err().code(), InvalidJson, "without the length of its first part");
    // An image is measured by what it is, not by what it is called.
    let mut gif = b"GIF89a".to_vec();
    gif.extend([1, 0, 1, 0, 0x80, 0]);
    let url = format!("data:image/png;base64,{}", STANDARD.encode(&gif));
    refused(image(&url), OutOfRange, URL, "an image of 1 x 1 is smaller than 28 x 28");
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    let packed = Validator::default().parse(Operation::Chat, &Head::default(), &Bytes::from(gzip.to_vec()));
    assert_eq!(packed.unwrap_err().code(), InvalidUtf8);
    assert_eq!(read(Operation::Chat, "+AHsAfQ-").unwrap_err().code(), InvalidJson);
}
