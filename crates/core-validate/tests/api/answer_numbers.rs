//! The numbers of answers are seen, and replaced where they stand.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use core_validate::{Head, InferenceAnswer, InferenceRequest, Invalid, NumbersAt, Operation, Validator};
use serde_json::{Value, json};

use super::{infer, infer_head, read};

fn answer_to(asked: &InferenceRequest, body: &str) -> Result<InferenceAnswer, Invalid> {
    Validator::default().parse_answer(asked, &Head::default(), &Bytes::from(body.to_owned()))
}

fn tensor_answer(body: &str) -> InferenceAnswer {
    answer_to(&infer("FP32", "[1]", "[1]").unwrap(), body).unwrap()
}

fn binary_answer(dtype: &str, shape: &str, data: &[u8]) -> InferenceAnswer {
    let json = format!(
        r#"{{"outputs":[{{"name":"y","shape":{shape},"datatype":"{dtype}","parameters":{{"binary_data_size":{}}}}}]}}"#,
        data.len()
    );
    let head = Head { tensor_header_length: Some(json.len() as u64), ..infer_head() };
    let body = Bytes::from([json.as_bytes(), data].concat());
    Validator::default().parse_answer(&infer("FP32", "[1]", "[1]").unwrap(), &head, &body).unwrap()
}

fn written(answer: &InferenceAnswer) -> Value {
    serde_json::from_slice(&answer.to_body().bytes).unwrap()
}

/// The binary part of an answer.
fn tail(answer: &InferenceAnswer) -> Vec<u8> {
    let body = answer.to_body();
    body.bytes.slice(body.tensor_header_length.unwrap()..).to_vec()
}

#[test]
fn numbers_of_a_tensor_change_where_they_stand() {
    let mut answer = tensor_answer(
        r#"{"outputs":[{"name":"y","shape":[2,2],"datatype":"FP32","data":[[0.10, 2e1],[-3, 0.25]]},{"name":"n","shape":[1],"datatype":"INT64","data":[7]}]}"#,
    );
    let mut seen = Vec::new();
    answer.map_numbers(|at, values| {
        let NumbersAt::Output(name, shape) = at else { panic!("an output") };
        seen.push((name.to_owned(), shape.to_vec(), values.to_vec()));
        values[1] = 1.0 / 3.0;
        values[3] = f64::NAN;
    });
    assert_eq!(seen, [("y".to_owned(), vec![2, 2], vec![f64::from(0.1_f32), 20.0, -3.0, 0.25])]);
    let body = String::from_utf8(answer.to_body().bytes.to_vec()).unwrap();
    // What does not change stays as it was written, and what is not finite takes nothing's place.
    assert!(body.contains(r#""data":[[0.10, 0.33333334],[-3, 0.25]]"#), "{body}");
}

#[test]
fn large_and_small_numbers_are_json() {
    for (dtype, value, expected) in [
        ("FP64", 1e300, "1e300"),
        ("FP64", 2.5e-9, "2.5e-9"),
        ("FP64", 0.1, "0.1"),
        ("FP32", 1e300, "3.4028235e38"),
        ("FP16", 1e300, "65504"),
        ("BF16", 1e300, "3.3895314e38"),
        ("FP16", 0.1, "0.099975586"),
    ] {
        let body = format!(r#"{{"outputs":[{{"name":"y","shape":[1],"datatype":"{dtype}","data":[1]}}]}}"#);
        let mut answer = tensor_answer(&body);
        answer.map_numbers(|_, values| values[0] = value);
        let body = String::from_utf8(answer.to_body().bytes.to_vec()).unwrap();
        assert!(body.contains(&format!("[{expected}]")), "{body}");
        assert!(written(&answer)["outputs"][0]["data"][0].is_number());
    }
}

#[test]
fn every_half_that_is_finite_is_written_as_it_was_read() {
    let finite: Vec<u16> = (0..=u16::MAX).filter(|bits| bits >> 10 & 0x1f != 0x1f).collect();
    let of = |bits: &[u16]| bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>();
    let shape = format!("[{}]", finite.len());
    let mut answer = binary_answer("FP16", &shape, &vec![0; finite.len() * 2]);
    let mut values = Vec::new();
    binary_answer("FP16", &shape, &of(&finite)).map_numbers(|_, read| values = read.to_vec());
    answer.map_numbers(|_, written| written.copy_from_slice(&values));
    assert_eq!(tail(&answer), of(&finite));
}

#[test]
fn binary_numbers_are_rounded_to_their_type() {
    let cases: [(&str, &[u8], &[u8]); 4] = [
        ("FP64", &[0; 8], &(1.0_f64 / 3.0).to_le_bytes()),
        ("FP32", &[0; 4], &(1.0_f32 / 3.0).to_le_bytes()),
        ("BF16", &[0; 2], &0x3eab_u16.to_le_bytes()),
        ("FP16", &[0; 2], &0x3555_u16.to_le_bytes()),
    ];
    for (dtype, before, after) in cases {
        let mut answer = binary_answer(dtype, "[1]", before);
        answer.map_numbers(|_, values| values[0] = 1.0 / 3.0);
        assert_eq!(tail(&answer), after, "{dtype}");
    }
}

#[test]
fn outputs_that_are_not_named_are_left_out() {
    let body = r#"{"outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[1]},{"name":"z","shape":[1],"datatype":"BYTES","data":["b"]}]}"#;
    let mut answer = tensor_answer(body);
    assert!(!answer.keep_outputs(|_| false));
    assert_eq!(written(&answer)["outputs"].as_array().unwrap().len(), 2);
    assert!(answer.keep_outputs(|name| name == "z"));
    assert_eq!(written(&answer)["outputs"], json!([{"name": "z", "shape": [1], "datatype": "BYTES", "data": ["b"]}]));
    let mut texts = Vec::new();
    answer.map_texts(|_, text| texts.push(text.clone()));
    assert_eq!(texts, ["b"]);
}

#[test]
fn embeddings_change_in_both_forms() {
    let asked = read(Operation::Embed, r#"{"model":"m","input":["a","b","c"]}"#).unwrap();
    let bytes: Vec<u8> = [0.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let body = json!({"object": "list", "data": [
        {"embedding": [0.5, -2.0]}, {"embedding": STANDARD.encode(&bytes)}, {"embedding": URL_SAFE_NO_PAD.encode(&bytes)},
    ]});
    let mut answer = answer_to(&asked, &body.to_string()).unwrap();
    let mut seen = Vec::new();
    answer.map_numbers(|at, values| {
        seen.push((at == NumbersAt::Embedding(0), values.to_vec()));
        values[0] = 0.25;
    });
    assert_eq!(seen, [(true, vec![0.5, -2.0]), (false, vec![0.5, -2.0]), (false, vec![0.5, -2.0])]);
    let bytes: Vec<u8> = [0.25_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let data = &written(&answer)["data"];
    assert_eq!(data[0]["embedding"], json!([0.25, -2.0]));
    assert_eq!(data[1]["embedding"], STANDARD.encode(&bytes));
    assert_eq!(data[2]["embedding"], STANDARD.encode(&bytes), "padding does no harm");
    for broken in ["AAAA", &STANDARD.encode(f32::NAN.to_le_bytes()), "A"] {
        let body = json!({"data": [{"embedding": broken}]});
        assert!(answer_to(&asked, &body.to_string()).is_err(), "{broken}");
    }
}

#[test]
fn log_probabilities_are_few_and_rounded() {
    let asked = read(Operation::Chat, r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#).unwrap();
    let top = |logprob: f64| json!({"token": "t", "logprob": logprob});
    let token =
        json!({"token": "hi", "logprob": -0.04, "top_logprobs": [top(-3.26), top(-0.04), top(-2.0), top(-9999.0)]});
    let choice = json!({"message": {"content": "hi"}, "logprobs": {"content": [token]}});
    let mut answer = answer_to(&asked, &json!({"choices": [choice]}).to_string()).unwrap();
    answer.limit_logprobs(3, 1);
    let expected = json!([{"token": "hi", "logprob": 0, "top_logprobs": [top(0.0), top(-2.0), top(-3.3)]}]);
    let found = &written(&answer)["choices"][0]["logprobs"]["content"];
    assert_eq!(found.to_string().replace(".0", ""), expected.to_string().replace(".0", ""));

    let delta = json!({"choices": [{"delta": {"content": "hi"}, "logprobs": {"content": [token]}}]});
    let mut chunk = Validator::default().parse_chunk(&Bytes::from(delta.to_string())).unwrap();
    chunk.limit_logprobs(0, 0);
    let chunk: Value = serde_json::from_slice(&chunk.to_body().bytes).unwrap();
    assert_eq!(chunk["choices"][0]["logprobs"]["content"], json!([{"token": "hi", "logprob": 0, "top_logprobs": []}]));
}

#[test]
fn log_probabilities_of_completions_are_few_and_rounded() {
    let asked = read(Operation::Complete, r#"{"model":"m","prompt":"x"}"#).unwrap();
    for token_logprobs in [json!([-1.26]), json!([null, -1.26])] {
        let tokens = if token_logprobs[0].is_null() { json!(["h", "i"]) } else { json!(["hi"]) };
        let logprobs = json!({
            "tokens": tokens, "token_logprobs": token_logprobs, "top_logprobs": [{"a": -2.04, "b": -1.26, "c": -7}],
        });
        let body = json!({"choices": [{"text": "hi", "logprobs": logprobs}]});
        let mut answer = answer_to(&asked, &body.to_string()).unwrap();
        answer.limit_logprobs(2, 1);
        let found = &written(&answer)["choices"][0]["logprobs"];
        assert_eq!(found["top_logprobs"].to_string(), r#"[{"a":-2,"b":-1.3}]"#);
        assert!(found["token_logprobs"].to_string().ends_with("-1.3]"), "{found}");
    }
}
