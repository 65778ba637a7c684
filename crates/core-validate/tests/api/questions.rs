//! What a request asks is told question by question, and what does not change the answer is no part of it.

use bytes::Bytes;
use core_validate::{
    Dtype, InferenceRequest, Limits, ModelRules, ModelSpec, Operation, Question, Questions, TensorSpec,
    TooManyQuestions, Validator,
};

use super::{infer, infer_head, read};

fn tensors(body: &str) -> InferenceRequest {
    Validator::default().parse(Operation::Infer, &infer_head(), &Bytes::from(body.to_owned())).unwrap()
}

fn numbers(questions: &Questions) -> Vec<Vec<f64>> {
    questions.each.iter().map(|question| question.numbers.clone()).collect()
}

fn texts(questions: &Questions) -> Vec<&str> {
    questions.each.iter().map(|question| question.text.trim_end_matches('\0')).collect()
}

#[test]
fn rows_of_tensors_are_questions() {
    let of = |dtype: &str, shape: &str, data: &str| infer(dtype, shape, data).unwrap().questions(1_000).unwrap();
    assert_eq!(numbers(&of("FP32", "[2,2]", "[[1, 2], [3, 4]]")), [[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(numbers(&of("FP32", "[1,2]", "[1, 2]")), [[1.0, 2.0]]);
    assert_eq!(numbers(&of("FP32", "[3]", "[1, 2, 3]")), [[1.0, 2.0, 3.0]], "a vector is one question");
    assert_eq!(texts(&of("BYTES", "[2]", r#"["a", "b"]"#)), ["a", "b"]);
    assert_eq!(texts(&of("BYTES", "[2,1]", r#"["a", "b"]"#)), ["a", "b"]);
}

#[test]
fn more_questions_than_are_taken_are_not_made() {
    let four = infer("INT8", "[4,1]", "[1, 2, 3, 4]").unwrap();
    assert_eq!((four.questions(4).unwrap().each.len(), four.questions(3)), (4, Err(TooManyQuestions(4))));
    let two = read(Operation::Embed, r#"{"model":"m","input":["a","b"]}"#).unwrap();
    assert_eq!((two.questions(2).unwrap().each.len(), two.questions(1)), (2, Err(TooManyQuestions(2))));
}

#[test]
fn a_tensor_that_belongs_to_every_row_is_shared() {
    let with = |second: &str| {
        let first = r#"{"name":"x","shape":[2,2],"datatype":"INT64","data":[1,2,3,4]}"#;
        tensors(&format!(r#"{{"inputs":[{first},{{"name":"y",{second}}}]}}"#)).questions(1_000).unwrap()
    };
    let mask = with(r#""shape":[2],"datatype":"BOOL","data":[true,false]"#);
    assert_eq!(numbers(&mask), [[1.0, 2.0, 1.0], [3.0, 4.0, 0.0]]);
    let (warm, cold) =
        (with(r#""shape":[1],"datatype":"FP32","data":[5]"#), with(r#""shape":[1],"datatype":"FP32","data":[6]"#));
    assert_eq!(numbers(&warm), [[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(warm.each, cold.each);
    assert_ne!(warm.shared, cold.shared);
    let named = with(r#""shape":[2],"datatype":"BYTES","data":["a","b"]"#);
    assert_eq!((numbers(&named), texts(&named)), (vec![vec![1.0, 2.0], vec![3.0, 4.0]], vec!["a", "b"]));
}

#[test]
fn what_the_model_says_of_its_first_dimension_holds() {
    let spec = |first: i64| {
        let spec = ModelSpec::new().input("x", TensorSpec::new(Dtype::Fp32, [first, 2]));
        let rules = std::sync::Arc::new(ModelRules::new(Limits::default()).spec(spec));
        let body = r#"{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[1,2,3,4]}]}"#;
        let parsed =
            Validator::default().parse_for(Operation::Infer, &infer_head(), &Bytes::from(body), |_| Some(rules));
        parsed.unwrap().questions(1_000).unwrap().each.len()
    };
    assert_eq!((spec(-1), spec(2)), (2, 1));
    let of_a_sequence = ModelSpec::new()
        .input("x", TensorSpec::new(Dtype::Fp32, [-1, 2]))
        .output("y", TensorSpec::new(Dtype::Fp32, [1, 3]));
    let rules = std::sync::Arc::new(ModelRules::new(Limits::default()).spec(of_a_sequence));
    let body = r#"{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[1,2,3,4]}]}"#;
    let parsed = Validator::default().parse_for(Operation::Infer, &infer_head(), &Bytes::from(body), |_| Some(rules));
    assert_eq!(parsed.unwrap().questions(1_000).unwrap().each.len(), 1, "one answer for all rows");
}

#[test]
fn what_does_not_change_the_answer_is_no_part_of_a_question() {
    let tensor = |id: &str, rest: &str| {
        tensors(&format!(r#"{{{id}"inputs":[{{"name":"x","shape":[2,1],"datatype":"FP32","data":[1,2]}}]{rest}}}"#))
            .questions(1_000)
            .unwrap()
    };
    assert_eq!(tensor("", ""), tensor(r#""id":"a","#, ""));
    assert_eq!(tensor(r#""id":"a","#, "").each.len(), 2);
    assert_ne!(tensor("", "").shared, tensor("", r#","outputs":[{"name":"y"}]"#).shared);
    let two = |first: &str, second: &str| {
        let tensor = |name: &str, rest: &str| format!(r#"{{"name":"{name}","datatype":"FP32",{rest}}}"#);
        let (x, w) = (tensor("x", first), tensor("w", second));
        let both =
            |one: &str, other: &str| tensors(&format!(r#"{{"inputs":[{one},{other}]}}"#)).questions(1_000).unwrap();
        assert_eq!(both(&x, &w), both(&w, &x), "the order of tensors");
        both(&x, &w)
    };
    let long = two(r#""shape":[3],"data":[1,2,3]"#, r#""shape":[1],"data":[4]"#);
    assert_ne!(long, two(r#""shape":[1],"data":[1]"#, r#""shape":[3],"data":[2,3,4]"#));
    let embed =
        |rest: &str| read(Operation::Embed, &format!(r#"{{"model":"m",{rest}}}"#)).unwrap().questions(1_000).unwrap();
    let hi = embed(r#""input":"hi""#);
    assert_eq!(hi.each, [Question { numbers: vec![], text: "hi".to_owned() }]);
    assert_eq!(hi, embed(r#""user":"u","input":["hi"]"#));
    assert_ne!(hi.shared, embed(r#""input":"hi","dimensions":8"#).shared);
    assert_eq!(texts(&embed(r#""user":"u","input":["a","b"]"#)), ["a", "b"]);
    let tokens = Validator::new(Limits::default().danger_token_prompts(true));
    let tokens = |input: &str| {
        let body = Bytes::from(format!(r#"{{"model":"m","input":{input}}}"#));
        tokens.parse(Operation::Embed, &Default::default(), &body).unwrap().questions(1_000).unwrap()
    };
    assert_eq!(texts(&tokens("[1, 2]")), ["[1,2]"]);
    assert_eq!(texts(&tokens("[[1, 2],[3]]")), ["[1,2]", "[3]"]);
}

#[test]
fn a_chat_is_one_question() {
    let chat = |said: &str, rest: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{said}"}}]{rest}}}"#);
        read(Operation::Chat, &body).unwrap().questions(1_000).unwrap()
    };
    assert_eq!(texts(&chat("hi", "")), ["hi"]);
    assert_eq!(chat("hi", ""), chat("hi", r#","user":"u""#));
    assert_ne!(chat("hi", "").shared, chat("hi", r#","temperature":0.5"#).shared);
}
