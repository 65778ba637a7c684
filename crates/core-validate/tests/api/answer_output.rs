//! One output tensor: read by name, and answered with alone.

use bytes::Bytes;
use core_validate::{Head, InferenceAnswer, InferenceRequest, Operation, Output, Validator};
use serde_json::{Value, json};

use super::{infer_head, read};

fn asked(more: Value) -> InferenceRequest {
    let mut body = json!({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Validator::default().parse(Operation::Infer, &infer_head(), &body.to_string().into()).unwrap()
}

fn written(answer: &InferenceAnswer) -> Value {
    serde_json::from_slice(&answer.to_body().bytes).unwrap()
}

#[test]
fn outputs_are_read_by_name() {
    let body = json!({"outputs": [
        {"name": "n", "shape": [2], "datatype": "INT64", "data": [7, -8]},
        {"name": "f", "shape": [1, 2], "datatype": "FP32", "data": [[0.5, 1e2]]},
        {"name": "t", "shape": [2], "datatype": "BYTES", "data": ["a", "\u{e9}\n"]},
        {"name": "b", "shape": [1], "datatype": "BOOL", "data": [true]},
    ]});
    let parsed =
        Validator::default().parse_answer(&asked(json!({})), &Head::default(), &body.to_string().into()).unwrap();
    assert_eq!(parsed.output("n"), Some(Output::Numbers(vec![7.0, -8.0])));
    assert_eq!(parsed.output("f"), Some(Output::Numbers(vec![0.5, 100.0])));
    assert_eq!(parsed.output("t"), Some(Output::Texts(vec!["a".to_owned(), "\u{e9}\n".to_owned()])));
    assert_eq!([parsed.output("b"), parsed.output("other")], [None, None]);
}

#[test]
fn an_answer_is_made_of_one_output_alone() {
    let request = asked(json!({"id": "mine"}));
    let numbers = Output::Numbers(vec![0.25, -3.0, 1e300]);
    let answer = InferenceAnswer::of_output(&request, "mean", &numbers).unwrap();
    let expected = json!({"id": "mine", "outputs": [
        {"name": "mean", "shape": [3], "datatype": "FP64", "data": [0.25, -3, 1e300]}]});
    assert_eq!(written(&answer).to_string().replace("-3.0", "-3"), expected.to_string());
    assert_eq!(answer.output("mean"), Some(numbers));
    let label = Output::Texts(vec!["a \"b\"".to_owned()]);
    let answer = InferenceAnswer::of_output(&asked(json!({})), "label", &label).unwrap();
    assert_eq!(
        written(&answer),
        json!({"outputs": [{"name": "label", "shape": [1], "datatype": "BYTES", "data": ["a \"b\""]}]})
    );
    assert!(InferenceAnswer::of_output(&request, "mean", &Output::Numbers(vec![f64::NAN])).is_none());
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    assert!(InferenceAnswer::of_output(&read(Operation::Chat, chat).unwrap(), "mean", &label).is_none());
}

#[test]
fn it_is_binary_where_that_is_asked_for() {
    let outputs = |flag: bool| json!([{"name": "y", "parameters": {"binary_data": flag}}]);
    let of_all = json!({"binary_data_output": true});
    for (more, is_binary) in [
        (json!({}), false),
        (json!({"parameters": of_all}), true),
        (json!({"outputs": outputs(true)}), true),
        (json!({"outputs": outputs(false), "parameters": of_all}), false),
    ] {
        let request = asked(more.clone());
        for output in [Output::Numbers(vec![0.5, 2.0]), Output::Texts(vec!["yes".to_owned(), String::new()])] {
            let body = InferenceAnswer::of_output(&request, "y", &output).unwrap().to_body();
            assert_eq!(body.tensor_header_length.is_some(), is_binary, "{more}");
            let head = Head { tensor_header_length: body.tensor_header_length.map(|n| n as u64), ..infer_head() };
            let again = Validator::default().parse_answer(&request, &head, &Bytes::clone(&body.bytes)).unwrap();
            assert_eq!(again.output("y"), Some(output), "what is written is read as it was meant");
        }
    }
}

#[test]
fn whether_an_output_is_asked_for() {
    assert!(asked(json!({})).asks_for("y"));
    let request = asked(json!({"outputs": [{"name": "y"}]}));
    assert!(request.asks_for("y") && !request.asks_for("z"));
}
