//! Known failures of other servers and gateways: one named test each, with the input that broke them. The numbers
//! are those of section 2 of the report on validation and, with "report", those of the report on gateways.
//!
//! Not of this crate: 1, 2, 5, 10, 18, 23, 26, 31, 35, 36 (the gateway's edge and screening), 17 (a budget of
//! schemas per key; here the size of each). 32 to 34 are shown for tensors in bytes, without a file around them.

use core_validate::{
    Dtype, Extensions, Head, InferenceRequest, Invalid, InvalidCode, Limits, ModelSpec, Operation, TensorSpec,
    Validator,
};

use super::{Bytes, chat, infer, infer_binary, infer_head, read, refused};
use InvalidCode::*;

const HUGE: &str = "input length 18446744073709551615 exceeds maximum 4194304";
const SIZE: &str = "a size is a whole number of 0 or more";

fn with(limits: Limits, operation: Operation, body: &str) -> Result<InferenceRequest, Invalid> {
    Validator::new(limits).parse(operation, &infer_head(), &Bytes::from(body.to_owned()))
}

/// A chat with this as the content of its one message.
fn says(limits: Limits, content: &str) -> Result<InferenceRequest, Invalid> {
    with(limits, Operation::Chat, &format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#))
}

/// A chat with more fields.
fn chat_with(limits: Limits, extra: &str) -> Result<InferenceRequest, Invalid> {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{extra}}}"#);
    with(limits, Operation::Chat, &body)
}

/// A chat with one tool that takes these parameters.
fn tool(parameters: &str) -> Result<InferenceRequest, Invalid> {
    let function = format!(r#"{{"name":"f","parameters":{parameters}}}"#);
    chat(&format!(r#","tools":[{{"type":"function","function":{function}}}]"#))
}

fn tensor(limits: Limits, dtype: &str, shape: &str, data: &str) -> Result<InferenceRequest, Invalid> {
    let body = format!(r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{dtype}","data":{data}}}]}}"#);
    with(limits, Operation::Infer, &body)
}

/// One input whose data follows in the binary part.
fn input(name: &str, dtype: &str, shape: &str, size: u64) -> String {
    let parameters = format!(r#"{{"binary_data_size":{size}}}"#);
    format!(r#"{{"name":"{name}","shape":{shape},"datatype":"{dtype}","parameters":{parameters}}}"#)
}

fn binary(inputs: &[String], tail: &[u8]) -> Result<InferenceRequest, Invalid> {
    infer_binary(&format!(r#"{{"inputs":[{}]}}"#, inputs.join(",")), tail)
}

/// The same without a bound on elements, so that the arithmetic itself is asked.
fn binary_unbounded(inputs: &[String], tail: &[u8]) -> Result<InferenceRequest, Invalid> {
    let json = format!(r#"{{"inputs":[{}]}}"#, inputs.join(","));
    let head = Head { tensor_header_length: Some(json.len() as u64), ..infer_head() };
    let body = Bytes::from([json.as_bytes(), tail].concat());
    Validator::new(Limits::default().elements(u64::MAX)).parse(Operation::Infer, &head, &body)
}

#[track_caller]
fn code(result: Result<InferenceRequest, Invalid>) -> InvalidCode {
    result.expect_err("refused").code()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The address of an image that has nothing but its header.
fn png(width: u32, height: u32) -> String {
    use base64::Engine as _;
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn image(limits: Limits, url: &str) -> Result<InferenceRequest, Invalid> {
    says(limits, &format!(r#"[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]"#))
}

const URL: &str = "/messages/0/content/0/image_url/url";

/// 3. CVE-2026-24173: a shape whose product overflows.
#[test]
fn a_shape_whose_product_overflows_is_refused() {
    for shape in [
        "[4294967296,4294967296]",
        "[9223372036854775808,2]",
        "[2,9223372036854775808]",
        "[65536,65536,65536,65536]",
        "[18446744073709551615,18446744073709551615]",
    ] {
        refused(infer("FP32", shape, "[1]"), InputTooLong, "/inputs/0/shape", HUGE);
        refused(binary(&[input("x", "FP32", shape, 0)], b""), InputTooLong, "/inputs/0/shape", HUGE);
    }
    let beyond = infer("FP32", "[18446744073709551616]", "[1]");
    refused(beyond, OutOfRange, "/inputs/0/shape/0", "number is out of range");
    let more = "input length 4196352 exceeds maximum 4194304";
    refused(binary(&[input("x", "UINT8", "[2048,2049]", 0)], b""), InputTooLong, "/inputs/0/shape", more);
    assert!(binary(&[input("x", "UINT8", "[2048,2048]", 4 << 20)], &vec![0; 4 << 20]).is_ok());
}

/// 4. CVE-2026-24146: a huge list of outputs.
#[test]
fn a_huge_list_of_outputs_is_refused() {
    let asking = |count: usize| {
        let outputs: Vec<String> = (0..count).map(|i| format!(r#"{{"name":"y{i}"}}"#)).collect();
        let input = r#"{"name":"x","shape":[1],"datatype":"FP32","data":[1]}"#;
        read_tensors(&format!(r#"{{"outputs":[{}],"inputs":[{input}]}}"#, outputs.join(",")))
    };
    assert!(asking(64).is_ok());
    refused(asking(65), OutOfRange, "/outputs", "65 tensors exceed maximum 64");
    refused(asking(100_000), TooManyValues, "/outputs", "body holds more than 25000 values");
    let twice =
        r#"{"outputs":[{"name":"y"},{"name":"y"}],"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#;
    refused(read_tensors(twice), ConflictingFields, "/outputs/1/name", "an output is asked for twice");
    let inputs = |count: usize| {
        let input = |i| format!(r#"{{"name":"x{i}","shape":[1],"datatype":"FP32","data":[1]}}"#);
        let inputs: Vec<String> = (0..count).map(input).collect();
        read_tensors(&format!(r#"{{"inputs":[{}]}}"#, inputs.join(",")))
    };
    assert!(inputs(64).is_ok());
    refused(inputs(65), OutOfRange, "/inputs", "65 tensors exceed maximum 64");
}

fn read_tensors(body: &str) -> Result<InferenceRequest, Invalid> {
    with(Limits::default(), Operation::Infer, body)
}

/// 6. triton-inference-server/server#3563, report 43: a size of -1 in a request.
#[test]
fn a_negative_size_is_refused_at_its_place() {
    for (shape, at) in [
        ("[-1]", "/inputs/0/shape/0"),
        ("[2,-1]", "/inputs/0/shape/1"),
        ("[-9223372036854775808,1]", "/inputs/0/shape/0"),
        ("[1,1,-2147483648]", "/inputs/0/shape/2"),
    ] {
        refused(infer("FP32", shape, "[1,2]"), WrongShape, at, SIZE);
    }
    refused(infer("FP32", "[-0]", "[]"), WrongShape, "/inputs/0/shape/0", SIZE);
    assert!(infer("FP32", "[1]", "[1]").is_ok());
}

/// 7. triton-inference-server/server#1649: texts where the shape and numbers should be.
#[test]
fn fields_of_a_tensor_that_have_another_type_are_refused() {
    refused(infer("FP32", r#""-1""#, "[1]"), WrongType, "/inputs/0/shape", "expected a list");
    refused(infer("FP32", r#"["-1"]"#, "[1]"), WrongShape, "/inputs/0/shape/0", SIZE);
    let unknown = "not a data type of the protocol";
    refused(infer("STRING", "[1]", "[1]"), WrongDtype, "/inputs/0/datatype", unknown);
    refused(infer("STRING", r#""-1""#, "[1]"), WrongDtype, "/inputs/0/datatype", unknown);
    refused(infer("FP32", "[1]", r#""1""#), WrongType, "/inputs/0/data", "expected a list");
    let of = |fields: &str| read_tensors(&format!(r#"{{"inputs":[{{{fields}}}]}}"#));
    let dtype = of(r#""name":"x","shape":[1],"datatype":5,"data":[1]"#);
    refused(dtype, WrongType, "/inputs/0/datatype", "expected a string");
    let name = of(r#""name":null,"shape":[1],"datatype":"FP32","data":[1]"#);
    refused(name, WrongType, "/inputs/0/name", "expected a string");
    refused(read_tensors(r#"{"inputs":{"name":"x"}}"#), WrongType, "/inputs", "expected a list");
    refused(read_tensors(r#"{"inputs":[1]}"#), WrongType, "/inputs/0", "expected an object");
    refused(read_tensors(r#"{"inputs":["x"]}"#), WrongType, "/inputs/0", "expected an object");
    refused(read_tensors(r#"{"inputs":[],"id":5}"#), WrongType, "/id", "expected a string");
}

/// Beside 7: the size that is wrong is the one that is named.
#[test]
fn a_size_of_another_type_is_refused_at_its_place() {
    refused(infer("FP32", r#"[1,"2"]"#, "[1]"), WrongShape, "/inputs/0/shape/1", SIZE);
    refused(infer("FP32", "[1,2,null]", "[1]"), WrongShape, "/inputs/0/shape/2", SIZE);
}

/// 8. triton-inference-server/common PR 151: elements times width wraps to what is there.
#[test]
fn a_size_in_bytes_that_wraps_is_refused() {
    let wrapped = "shape and data type need 18446744073709551615 bytes, got 0";
    for (dtype, shape) in [
        ("FP64", "[2305843009213693952]"),
        ("FP32", "[4611686018427387904]"),
        ("INT16", "[9223372036854775808]"),
        ("FP32", "[2147483648,2147483648]"),
    ] {
        let result = binary_unbounded(&[input("x", dtype, shape, 0)], b"");
        refused(result, WrongShape, "/inputs/0/data", wrapped);
    }
    let one = binary_unbounded(&[input("x", "FP64", "[2305843009213693953]", 8)], &[0; 8]);
    let message = "shape and data type need 18446744073709551615 bytes, got 8";
    refused(one, WrongShape, "/inputs/0/data", message);
    let bytes = TensorSpec::new(Dtype::Fp64, [-1]).check_bytes(&[1 << 61], &[]).unwrap_err();
    assert_eq!((bytes.code(), bytes.message()), (WrongShape, wrapped));
}

/// 9. triton-inference-server/server#3916 and #5664: memory for what is only claimed.
#[test]
fn what_is_only_claimed_is_refused_before_it_is_read() {
    let shape = "/inputs/0/shape";
    refused(infer("FP32", "[4194305]", "[]"), InputTooLong, shape, "input length 4194305 exceeds maximum 4194304");
    refused(infer("BYTES", "[25001]", "[]"), InputTooLong, shape, "input length 25001 exceeds maximum 25000");
    let unbounded = tensor(Limits::default().elements(u64::MAX), "FP32", "[1152921504606846976]", "[1]");
    let message = "expected 1152921504606846976 values, got 1";
    refused(unbounded, WrongShape, "/inputs/0/data", message);
    for size in [9, 1 << 31, i64::MAX as u64, u64::MAX] {
        let result = binary(&[input("x", "FP32", "[2]", size)], &[0; 8]);
        refused(result, WrongShape, "/inputs/0/parameters", "binary data is shorter than announced");
    }
    assert!(binary(&[input("x", "FP32", "[2]", 8)], &[0; 8]).is_ok());
}

/// 11. triton-inference-server/server#2148: lengths of elements that leave the data.
#[test]
fn elements_that_leave_their_data_are_refused() {
    let bytes =
        |count: u64, tail: &[u8]| binary(&[input("x", "BYTES", &format!("[{count}]"), tail.len() as u64)], tail);
    let at = "/inputs/0/data";
    for tail in [&b"\xff\xff\xff\xffhi"[..], b"\x03\0\0\0hi", b"\x02\0\0", b"", b"\0\0\0\x80", b"\xfc\xff\xff\xff"] {
        refused(bytes(1, tail), WrongShape, at, "elements do not fill the data");
    }
    refused(bytes(1, b"\x01\0\0\0hi"), InputTooLong, at, "input length 2 exceeds maximum 1");
    refused(bytes(1, b"\x02\0\0\0hi\0"), InputTooLong, at, "input length 2 exceeds maximum 1");
    refused(bytes(3, b"\x01\0\0\0h\x01\0\0\0i"), WrongShape, at, "elements do not fill the data");
    assert!(bytes(1, b"\x02\0\0\0hi").is_ok());
    assert!(bytes(2, b"\0\0\0\0\0\0\0\0").is_ok());
}

/// 12. CVE-2025-62164, and 13. vLLM PR 54632: tensors in pickle, whatever the field is called.
#[test]
fn embeddings_in_the_place_of_a_prompt_are_refused() {
    let everything = || Limits::default().extensions(Extensions::ALL);
    for field in ["prompt_embeds", "image_embeds", "audio_embeds", "input_embeds", "inputs_embeds"] {
        // What is known to be a prompt in another form cannot be allowed either.
        let message = match field {
            "prompt_embeds" | "input_embeds" => format!("field {field} is not accepted here"),
            _ => format!("field {field} is not accepted (an operator can list it under allow_fields of the model)"),
        };
        let extra = format!(r#","{field}":"UEsDBAAA""#);
        refused(chat_with(everything(), &extra), UnknownField, &format!("/{field}"), &message);
        for prompt in ["", r#","prompt":"a""#] {
            let body = format!(r#"{{"model":"m"{prompt}{extra}}}"#);
            let result = with(everything(), Operation::Complete, &body);
            refused(result, UnknownField, &format!("/{field}"), &message);
        }
        let part = says(everything(), &format!(r#"[{{"type":"{field}","{field}":"UEsDBAAA"}}]"#));
        let message = "this kind of content is not accepted";
        refused(part, UnsupportedContent, "/messages/0/content/0/type", message);
    }
}

/// 14. CVE-2025-48944: a schema with a `pattern` or `type` that is none killed the worker.
#[test]
fn a_tool_whose_schema_is_none_is_refused() {
    const AT: &str = "/tools/0/function/parameters";
    let linear = "a pattern that is not understood, or is too large";
    for (schema, code, below, message) in [
        (r#"{"properties":{"a":{"type":"strin"}}}"#, OutOfRange, "/properties/a/type", "not a type of JSON schema"),
        (r#"{"type":""}"#, OutOfRange, "/type", "not a type of JSON schema"),
        (r#"{"type":["string","nul"]}"#, OutOfRange, "/type/1", "not a type of JSON schema"),
        (r#"{"type":{"a":1}}"#, WrongType, "/type", "expected a type of JSON schema"),
        (r#"{"type":5}"#, WrongType, "/type", "expected a type of JSON schema"),
        (r#"{"pattern":5}"#, WrongType, "/pattern", "expected a string"),
        (r#"{"pattern":"["}"#, UnsupportedContent, "/pattern", linear),
        (r#"{"pattern":"(a"}"#, UnsupportedContent, "/pattern", linear),
        (r#"{"pattern":"*a"}"#, UnsupportedContent, "/pattern", linear),
        (r#"{"pattern":"a{1000}{1000}"}"#, UnsupportedContent, "/pattern", linear),
        (r#"{"items":{"pattern":"a{3,1}"}}"#, UnsupportedContent, "/items/pattern", linear),
        (r#"{"patternProperties":{"(":{}}}"#, UnsupportedContent, "/patternProperties/?", linear),
        ("[]", WrongType, "", "expected an object"),
        (r#""object""#, WrongType, "", "expected an object"),
    ] {
        refused(tool(schema), code, &format!("{AT}{below}"), message);
    }
    for good in [
        "{}",
        r#"{"type":"object","properties":{"a":{"type":["string","null"],"pattern":"^[a-z]{1,64}$"}}}"#,
        // Linear here, whatever it is to an engine that backtracks.
        r#"{"pattern":"(a+)+$"}"#,
        // A name, a value and an extension: no schemas.
        r#"{"properties":{"type":{},"pattern":{}},"enum":["("],"x-pattern":5}"#,
    ] {
        assert!(tool(good).is_ok(), "{good}");
    }
    for beyond in ["^(?!a).*$", r"(a)\\1"] {
        let passed = tool(&format!(r#"{{"type":"string","pattern":"{beyond}"}}"#)).unwrap().to_body().bytes;
        assert!(!String::from_utf8_lossy(&passed).contains("pattern"), "what is not linear is not passed on");
    }
}

/// 15. CVE-2025-48942 and CVE-2025-48943: schemas and patterns of the asked-for answer.
#[test]
fn an_answer_format_that_cannot_be_compiled_is_refused() {
    let format = |schema: &str| {
        let named = format!(r#"{{"name":"n","schema":{schema}}}"#);
        chat(&format!(r#","response_format":{{"type":"json_schema","json_schema":{named}}}"#))
    };
    let at = "/response_format/json_schema/schema/pattern";
    let linear = "a pattern that is not understood, or is too large";
    refused(format(r#"{"pattern":"[a-"}"#), UnsupportedContent, at, linear);
    let of_length = |length: usize| format(&format!(r#"{{"pattern":"{}"}}"#, "a".repeat(length)));
    refused(of_length(1_025), StringTooLong, at, "text of 1025 bytes exceeds maximum 1024");
    assert!(of_length(1_024).is_ok());
    let vllm = || Limits::default().extensions([Extensions::Vllm]);
    let guided = chat_with(vllm(), r#","guided_json":{"type":"objekt"}"#);
    refused(guided, OutOfRange, "/guided_json/type", "not a type of JSON schema");
    let structured = chat_with(vllm(), r#","structured_outputs":{"json":{"pattern":"(?<"}}"#);
    refused(structured, UnsupportedContent, "/structured_outputs/json/pattern", linear);
    assert!(chat_with(vllm(), r#","structured_outputs":{"json":{"type":"object"}}"#).is_ok());
}

/// Beside 14 and 15: what zod and pydantic write for letters and emoji is no fault.
#[test]
fn patterns_with_letters_beyond_ascii_are_accepted() {
    for pattern in [r"^[\u0430-\u044f]+$", r"^\\p{L}+$", r"^(\\p{Extended_Pictographic}|\\p{Emoji_Component})+$"] {
        assert!(tool(&format!(r#"{{"type":"string","pattern":"{pattern}"}}"#)).is_ok(), "{pattern}");
    }
}

/// 16. CVE-2025-48887: texts that a tool parser's pattern walks again and again. Their length is bounded.
#[test]
fn the_arguments_of_a_call_are_bounded() {
    let calling = |length: usize| {
        let function = format!(r#"{{"name":"f","arguments":"{}"}}"#, "[".repeat(length));
        let call = format!(r#"{{"id":"a","type":"function","function":{function}}}"#);
        let body = format!(r#"{{"model":"m","messages":[{{"role":"assistant","tool_calls":[{call}]}}]}}"#);
        with(Limits::default().string_bytes(1_000), Operation::Chat, &body)
    };
    assert!(calling(1_000).is_ok());
    let at = "/messages/0/tool_calls/0/function/arguments";
    refused(calling(1_001), StringTooLong, at, "text of 1001 bytes exceeds maximum 1000");
}

/// 17. GHSA-mgrm-fgjv-mhv8: each new schema took disk. Each is bounded here, how many there are by the gateway.
#[test]
fn one_schema_is_bounded_in_bytes_values_and_depth() {
    const AT: &str = "/tools/0/function/parameters";
    let empty = r#"{"description":""}"#.len();
    let of_bytes = |bytes: usize| tool(&format!(r#"{{"description":"{}"}}"#, "a".repeat(bytes - empty)));
    assert!(of_bytes(65_536).is_ok());
    refused(of_bytes(65_537), OutOfRange, AT, "schema of 65537 bytes exceeds maximum 65536");
    let of_values = |values: usize| tool(&format!(r#"{{"enum":[{}]}}"#, vec![r#""a""#; values - 1].join(",")));
    assert!(of_values(5_000).is_ok());
    refused(of_values(5_001), OutOfRange, AT, "list of 5001 exceeds maximum 5000");
    let of_depth = |depth: usize| tool(&format!("{}{{}}{}", r#"{"items":"#.repeat(depth), "}".repeat(depth)));
    assert!(of_depth(48).is_ok());
    // A place is at most 128 bytes long.
    let at = format!("{AT}{}", "/items".repeat(16));
    refused(of_depth(49), TooDeep, &at, "schema is nested deeper than 48");
}

/// 19. CVE-2025-6242: a server that fetches what a caller names.
#[test]
fn an_address_that_leads_inside_is_refused() {
    let message = "images are accepted as base64 data: addresses only";
    for inside in [
        "http://example.com/a.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/a.png",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://example.com:8080/a.png",
        "https://user@example.com/a.png",
        "https://example.com@127.0.0.1/",
        "https://example.com./a.png",
        "https:///a.png",
        "https://example.com\\\\@inside.corp/",
        "HTTPS://example.com/a.png",
        "file:///etc/passwd",
        "ftp://example.com/a.png",
        "//example.com/a.png",
        "",
    ] {
        for limits in [Limits::default(), Limits::default().danger_remote_media(true)] {
            refused(image(limits, inside), UnsupportedContent, URL, message);
        }
    }
    refused(image(Limits::default(), "https://example.com/a.png"), UnsupportedContent, URL, message);
    assert!(image(Limits::default().danger_remote_media(true), "https://example.com/a.png?b=c").is_ok());
}

/// 20. CVE-2025-62426: arguments of the chat template that switch the server's own work on.
#[test]
fn arguments_of_the_template_are_refused() {
    let tokenize = r#","chat_template_kwargs":{"tokenize":true}"#;
    let message =
        "field chat_template_kwargs is not accepted (an operator can list vllm under extensions of the model)";
    refused(chat(tokenize), UnknownField, "/chat_template_kwargs", message);
    let vllm = |extra: &str| chat_with(Limits::default().extensions([Extensions::Vllm]), extra);
    let message = "field tokenize is not accepted here";
    refused(vllm(tokenize), UnknownField, "/chat_template_kwargs/tokenize", message);
    for key in ["chat_template", "tools", "messages", "__class__"] {
        let result = vllm(&format!(r#","chat_template_kwargs":{{"enable_thinking":true,"{key}":1}}"#));
        assert_eq!(code(result), UnknownField, "{key}");
    }
    assert!(vllm(r#","chat_template_kwargs":{"enable_thinking":false}"#).is_ok());
}

/// 21. CVE-2026-22773: an image of one pixel crashed the engine.
#[test]
fn an_image_that_is_too_small_or_too_large_is_refused() {
    for (width, height) in [(1, 1), (0, 0), (27, 28), (28, 27), (1, 40_000)] {
        let message = format!("an image of {width} x {height} is smaller than 28 x 28");
        refused(image(Limits::default(), &png(width, height)), OutOfRange, URL, &message);
    }
    for (width, height) in [(8_000, 5_001), (u32::MAX, u32::MAX)] {
        let message = format!("an image of {width} x {height} has more than 40000000 pixels");
        refused(image(Limits::default(), &png(width, height)), OutOfRange, URL, &message);
    }
    assert!(image(Limits::default(), &png(28, 28)).is_ok());
    assert!(image(Limits::default(), &png(8_000, 5_000)).is_ok());
}

/// 22. CVE-2026-22778: the words of an image library named an address of the heap.
#[test]
fn an_image_that_is_none_is_refused_in_our_own_words() {
    let message = "not an image of type png, jpeg, gif or webp";
    for data in ["AAAA", "iVBORw0KGgo=", "/9j/4AAQSkZJRgABAQAA", "UklGRgAAAABXRUJQ", "R0lGODlh"] {
        let url = format!("data:image/jpeg;base64,{data}");
        refused(image(Limits::default(), &url), UnsupportedContent, URL, message);
    }
}

/// 24. vLLM up to 0.5.0: `best_of` without a bound.
#[test]
fn best_of_is_bounded_as_n_is() {
    let complete = |extra: &str| read(Operation::Complete, &format!(r#"{{"model":"m","prompt":"a"{extra}}}"#));
    for field in ["best_of", "n"] {
        for count in ["9", "0", "-1", "16384", "9223372036854775807"] {
            let result = complete(&format!(r#","{field}":{count}"#));
            refused(result, OutOfRange, &format!("/{field}"), "expected a value from 1 to 8");
        }
        let huge = complete(&format!(r#","{field}":18446744073709551616"#));
        refused(huge, OutOfRange, &format!("/{field}"), "number is out of range");
    }
    refused(complete(r#","n":3,"best_of":2"#), ConflictingFields, "/best_of", "best_of is smaller than n");
    assert!(complete(r#","n":8,"best_of":8"#).is_ok());
    let all = "8388608 tokens in all answers exceed maximum 1048576";
    refused(complete(r#","best_of":8,"max_tokens":1048576"#), OutOfRange, "/max_tokens", all);
    assert!(complete(r#","best_of":8,"max_tokens":131072"#).is_ok());
}

/// 25. vLLM 0.5.4: an empty prompt ended the engine.
#[test]
fn an_empty_prompt_is_refused() {
    for (prompt, at) in [(r#""""#, "/prompt"), ("[]", "/prompt"), (r#"["a",""]"#, "/prompt/1")] {
        let complete = read(Operation::Complete, &format!(r#"{{"model":"m","prompt":{prompt}}}"#));
        refused(complete, EmptyInput, at, "input is empty");
        let embed = read(Operation::Embed, &format!(r#"{{"model":"m","input":{prompt}}}"#));
        refused(embed, EmptyInput, &at.replace("prompt", "input"), "input is empty");
    }
    refused(says(Limits::default(), "[]"), EmptyInput, "/messages/0/content", "input is empty");
    refused(says(Limits::default(), "null"), MissingField, "/messages/0/content", "field is required");
    let respond = read(Operation::Respond, r#"{"model":"m","input":""}"#);
    refused(respond, EmptyInput, "/input", "input is empty");
    let tokens =
        with(Limits::default().danger_token_prompts(true), Operation::Complete, r#"{"model":"m","prompt":[[1],[]]}"#);
    assert!(tokens.is_err(), "one of two prompts is empty");
    assert!(read(Operation::Complete, r#"{"model":"m","prompt":" "}"#).is_ok());
}

/// 27. CVE-2025-62372: the right rank, another shape.
#[test]
fn a_shape_of_the_right_rank_is_held_to_the_model() {
    let spec = ModelSpec::new().input("x", TensorSpec::new(Dtype::Fp32, [-1, 4]));
    let narrow = "expected size 4 in dimension 1, got 3";
    for result in [infer("FP32", "[1,3]", "[1,2,3]"), binary(&[input("x", "FP32", "[1,3]", 12)], &floats(&[1.0; 3]))] {
        let error = result.unwrap().check_spec(&spec).unwrap_err();
        assert_eq!((error.code(), error.at().as_str(), error.message()), (WrongShape, "/inputs/0/shape", narrow));
    }
    let error = infer("FP32", "[4,1]", "[1,2,3,4]").unwrap().check_spec(&spec).unwrap_err();
    assert_eq!((error.code(), error.message()), (WrongShape, "expected size 4 in dimension 1, got 1"));
    assert!(infer("FP32", "[2,4]", "[1,2,3,4,5,6,7,8]").unwrap().check_spec(&spec).is_ok());
}

/// 28. CVE-2026-21869: a negative `n_discard` wrote outside of memory.
#[test]
fn fields_that_move_the_context_are_refused() {
    let everything = || Limits::default().extensions(Extensions::ALL);
    for field in ["n_discard", "n_keep", "id_slot", "n_probs"] {
        let message =
            format!("field {field} is not accepted (an operator can list it under allow_fields of the model)");
        for value in ["-1", "1"] {
            let result = chat_with(everything(), &format!(r#","{field}":{value}"#));
            refused(result, UnknownField, &format!("/{field}"), &message);
        }
    }
}

/// 29. llama.cpp#4492, #18990, #22234: grammars that crash the server.
#[test]
fn grammars_are_refused_until_an_operator_allows_them() {
    let message = "grammars and patterns are not accepted (an operator can set danger_grammars)";
    let everything = || Limits::default().extensions(Extensions::ALL);
    let cases = [
        (r#","grammar":"root ::= root""#, "/grammar"),
        (r#","guided_grammar":"root ::= (""#, "/guided_grammar"),
        (r#","guided_regex":"(a+)+""#, "/guided_regex"),
        (r#","ebnf":"root ::=""#, "/ebnf"),
        (r#","structured_outputs":{"grammar":"x"}"#, "/structured_outputs/grammar"),
        (r#","response_format":{"type":"regex","value":"a"}"#, "/response_format/value"),
        (
            r#","tools":[{"type":"custom","custom":{"name":"f","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}}}]"#,
            "/tools/0/custom/format/grammar",
        ),
    ];
    for (extra, at) in cases {
        refused(chat_with(everything(), extra), UnsupportedContent, at, message);
        assert!(chat_with(everything().danger_grammars(true), extra).is_ok(), "{extra}");
    }
    let named = "field grammar is not accepted (an operator can list llama.cpp under extensions of the model)";
    refused(chat(r#","grammar":"root ::= root""#), UnknownField, "/grammar", named);
}

/// 30. llamafile#835: a prompt whose length left 31 bits. Nothing comes near.
#[test]
fn a_prompt_is_bounded() {
    let complete =
        |length: usize| read(Operation::Complete, &format!(r#"{{"model":"m","prompt":"{}"}}"#, "a".repeat(length)));
    assert!(complete(4 << 20).is_ok());
    let message = "text of 4194305 bytes exceeds maximum 4194304";
    refused(complete((4 << 20) + 1), StringTooLong, "/prompt", message);
    refused(
        says(Limits::default(), &format!(r#""{}""#, "a".repeat((4 << 20) + 1))),
        StringTooLong,
        "/messages/0/content",
        message,
    );
}

/// 32. mlx#3364: bytes that are fewer, or more, than a shape needs.
#[test]
fn bytes_that_do_not_fit_a_shape_are_refused() {
    let spec = TensorSpec::new(Dtype::Fp32, [-1, 2]);
    for length in [0, 12, 15, 17, 20] {
        let error = spec.check_bytes(&[2, 2], &vec![0; length]).unwrap_err();
        let message = format!("shape and data type need 16 bytes, got {length}");
        assert_eq!((error.code(), error.at().as_str(), error.message()), (WrongShape, "", message.as_str()));
    }
    assert!(spec.check_bytes(&[2, 2], &[0; 16]).is_ok());
}

/// 33. Report F002 on safetensors, report 44 (triton-inference-server/server#3613): tensors of size zero.
#[test]
fn a_tensor_of_no_elements_is_refused_unless_it_is_allowed() {
    for shape in ["[0]", "[1,0]", "[0,9223372036854775808]"] {
        refused(infer("FP32", shape, "[]"), EmptyInput, "/inputs/0/shape", "input is empty");
        refused(binary(&[input("x", "FP32", shape, 0)], b""), EmptyInput, "/inputs/0/shape", "input is empty");
    }
    let no_data = r#"{"inputs":[{"name":"x","shape":[1,0],"datatype":"FP32"}]}"#;
    refused(read_tensors(no_data), EmptyInput, "/inputs/0/shape", "input is empty");
    assert_eq!(TensorSpec::new(Dtype::Uint8, [-1]).check_bytes(&[0], &[]).unwrap_err().code(), EmptyInput);
    let allowed = || Limits::default().danger_empty_tensors(true);
    assert!(tensor(allowed(), "FP32", "[1,0]", "[[]]").is_ok());
    assert!(tensor(allowed(), "FP32", "[0]", "[]").is_ok());
    refused(with(allowed(), Operation::Infer, no_data), MissingField, "/inputs/0/data", "field is required");
    refused(tensor(allowed(), "FP32", "[0]", "[1]"), WrongShape, "/inputs/0/data", "expected 0 values, got more");
}

/// 34. Found in safetensors 0.8.0: sizes that overflow when they are added up.
#[test]
fn sizes_that_overflow_together_are_refused() {
    let size = (1_u64 << 61) - 1;
    let mut inputs: Vec<String> =
        (0..8).map(|i| input(&format!("x{i}"), "UINT8", &format!("[{size}]"), size)).collect();
    inputs.push(input("y", "UINT8", "[16]", 16));
    let message = "binary data is shorter than announced";
    refused(binary_unbounded(&inputs, &[0; 16]), WrongShape, "/inputs/0/parameters", message);
}
