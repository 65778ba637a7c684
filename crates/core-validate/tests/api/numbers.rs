//! Numbers of tensors in JSON: many are taken at once, with the same result as one by one.

use core_validate::{Dtype, InvalidCode, Operation, Validator};
use proptest::prelude::*;

use crate::{chat, infer, infer_head, refused};

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-1.0_f32..1.0).prop_map(|value| value.to_string()),
        2 => (-1.0_f64..1.0).prop_map(|value| value.to_string()),
        2 => (-3_i32..3).prop_map(|value| value.to_string()),
        1 => any::<i64>().prop_map(|value| value.to_string()),
        1 => "-?(0|[1-9][0-9]{0,22})([.][0-9]{1,25})?([eE]-?[0-9])?",
        1 => Just("-0.0".to_owned()),
    ]
}

fn comma() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(","), 2 => Just(", "), 1 => Just(" , "), 1 => Just(",\n  ")]
}

/// RapidJSON refuses them, others read zero.
#[test]
fn zeros_with_a_power_that_is_too_large_are_refused() {
    for zero in ["0e309", "-0.0e310", "0.00E+99999999999999999999", "0e18446744073709551616"] {
        assert_eq!(infer("FP64", "[2]", &format!("[1,{zero}]")).unwrap_err().code(), InvalidCode::NonFinite, "{zero}");
        assert_eq!(chat(&format!(r#","temperature":{zero}"#)).unwrap_err().code(), InvalidCode::OutOfRange, "{zero}");
    }
    for zero in ["0e308", "0.0e309", "0e-99999999999999999999"] {
        assert!(infer("FP64", "[2]", &format!("[1,{zero}]")).is_ok(), "{zero}");
    }
}

/// Data that came before an empty shape was not looked at, and was sent on.
#[test]
fn data_of_no_dimension_is_looked_at() {
    let late = |data: &str| {
        let body = format!(r#"{{"inputs":[{{"data":{data},"name":"x","datatype":"FP64","shape":[]}}]}}"#);
        Validator::default().parse(Operation::Infer, &infer_head(), &body.into())
    };
    assert!(late("[1.5]").is_ok() && infer("FP64", "[]", "[1.5]").is_ok());
    for data in ["[[1.5]]", "[[NaN, what you like],[]]", "[[]]", "[]", "[1,2]", "[[1.5]"] {
        assert!(late(data).is_err(), "{data}");
        assert!(infer("FP64", "[]", data).is_err(), "{data}");
    }
    let message = "data is nested deeper than the shape";
    refused(late("[[1.5]]"), InvalidCode::WrongShape, "/inputs/0/data", message);
    refused(infer("FP64", "[]", "[[1.5]]"), InvalidCode::WrongShape, "/inputs/0/data", message);
}

proptest! {
    #[test]
    fn bounds_are_those_of_the_values(numbers in prop::collection::vec((number(), comma()), 1..60)) {
        let mut data = String::new();
        for (i, (number, comma)) in numbers.iter().enumerate() {
            data += if i > 0 { comma } else { "" };
            data += number;
        }
        let values = || numbers.iter().map(|(number, _)| number.parse::<f64>().unwrap());
        let request = infer("FP64", &format!("[{}]", numbers.len()), &format!("[{data}]")).unwrap();
        let tensor = request.tensors().remove(0);
        prop_assert_eq!(tensor.min, values().reduce(f64::min));
        prop_assert_eq!(tensor.max, values().reduce(f64::max));
    }

    #[test]
    fn the_first_bad_value_is_named(
        before in prop::collection::vec(-128_i64..128, 0..40),
        after in prop::collection::vec(number(), 0..5),
        (dtype, bad) in prop_oneof![
            Just((Dtype::Int8, "128")), Just((Dtype::Int8, "-129")), Just((Dtype::Fp16, "65520")),
            Just((Dtype::Fp32, "-3.4028236e38")), Just((Dtype::Fp64, "1e309")), Just((Dtype::Bf16, "3.4e38")),
        ],
    ) {
        let numbers: Vec<String> = before.iter().map(i64::to_string).chain([bad.to_owned()]).chain(after).collect();
        let data = format!("[{}]", numbers.join(","));
        let error = infer(dtype.as_str(), &format!("[{}]", numbers.len()), &data).unwrap_err();
        let code = if dtype == Dtype::Int8 { InvalidCode::OutOfRange } else { InvalidCode::NonFinite };
        prop_assert_eq!(error.code(), code);
        let at_index = format!("at index {}", before.len());
        prop_assert!(error.message().contains(&at_index), "{}", error.message());
    }
}
