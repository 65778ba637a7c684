//! Numbers of tensors: the edges of every type, the same grammar as another reader's, the same bounds in both forms,
//! and what is not finite found where it stands.

use core_validate::{Dtype, InferenceRequest, Invalid, InvalidCode, TensorSpec};
use proptest::prelude::*;

use super::{infer, infer_binary, refused};
use InvalidCode::*;

const DATA: &str = "/inputs/0/data";

fn binary(dtype: Dtype, tail: &[u8]) -> Result<InferenceRequest, Invalid> {
    let count = tail.len() as u64 / dtype.width().unwrap_or(1);
    let parameters = format!(r#"{{"binary_data_size":{}}}"#, tail.len());
    let tensor = format!(r#"{{"name":"x","shape":[{count}],"datatype":"{dtype}","parameters":{parameters}}}"#);
    infer_binary(&format!(r#"{{"inputs":[{tensor}]}}"#), tail)
}

/// Smallest and largest value of the one tensor.
fn bounds(request: &InferenceRequest) -> (Option<f64>, Option<f64>) {
    let tensors = request.tensors();
    tensors.first().map_or((None, None), |tensor| (tensor.min, tensor.max))
}

#[track_caller]
fn accepts(dtype: &str, number: &str) {
    let request = infer(dtype, "[1]", &format!("[{number}]"));
    let value = number.parse::<f64>().unwrap();
    // As a value of its type; the halves are told from each other below.
    let value = if dtype == "FP32" { f64::from(value as f32) } else { value };
    let (min, max) = request.as_ref().map(bounds).unwrap();
    assert_eq!(min, max, "{dtype} {number}");
    match dtype {
        "FP16" => assert!((min.unwrap() - value).abs() <= (value.abs() / 1_024.0).max(6e-8), "{number}"),
        "BF16" => assert!((min.unwrap() - value).abs() <= (value.abs() / 128.0).max(1e-40), "{number}"),
        _ => assert_eq!(min, Some(value), "{dtype} {number}"),
    }
}

/// The edges of section 1.1 of the report on validation.
#[test]
fn integers_keep_to_their_type() {
    for (dtype, good, bad) in [
        ("UINT8", ["0", "255", "-0"], ["-1", "256", "300"]),
        ("UINT16", ["0", "65535", "1"], ["-1", "65536", "4294967295"]),
        ("UINT32", ["0", "4294967295", "1"], ["-1", "4294967296", "18446744073709551615"]),
        (
            "UINT64",
            ["0", "18446744073709551615", "9223372036854775808"],
            ["-1", "18446744073709551616", "99999999999999999999"],
        ),
        ("INT8", ["-128", "127", "-0"], ["-129", "128", "255"]),
        ("INT16", ["-32768", "32767", "0"], ["-32769", "32768", "65535"]),
        ("INT32", ["-2147483648", "2147483647", "0"], ["-2147483649", "2147483648", "4294967295"]),
        (
            "INT64",
            ["-9223372036854775808", "9223372036854775807", "0"],
            ["-9223372036854775809", "9223372036854775808", "18446744073709551616"],
        ),
    ] {
        good.iter().for_each(|number| accepts(dtype, number));
        for number in bad {
            let message = format!("value at index 1 is outside {dtype}");
            refused(infer(dtype, "[2]", &format!("[0,{number}]")), OutOfRange, DATA, &message);
        }
        for number in ["1.0", "1.5", "1e2", "-1.0", "1E0", "0.0"] {
            let place = format!("{DATA}/1");
            refused(infer(dtype, "[2]", &format!("[0,{number}]")), WrongType, &place, "expected an integer");
        }
    }
}

/// The same of floating point: what would become infinite in its type.
#[test]
fn floats_keep_to_their_type() {
    for (dtype, good, bad) in [
        ("FP16", ["65504", "-65504", "65519.99", "6e-8"], ["65520", "-65520", "7e4", "1e400"]),
        ("BF16", ["3.3895313892515355e38", "-3.39e38", "65520", "1e-45"], ["3.4e38", "-3.4e38", "1e39", "1e400"]),
        (
            "FP32",
            ["3.4028235e38", "-3.4028235e38", "3.4028234663852886e38", "1e-46"],
            ["3.4028236e38", "-3.4028236e38", "1e39", "1e400"],
        ),
        (
            "FP64",
            ["1.7976931348623157e308", "-1.7976931348623157e308", "5e-324", "1e-400"],
            ["1e309", "-1e309", "1.7976931348623159e308", "1e400"],
        ),
    ] {
        good.iter().chain(&["0", "-0", "-0.0", "1", "1e2", "1.5"]).for_each(|number| accepts(dtype, number));
        for number in bad {
            let result = infer(dtype, "[2]", &format!("[0,{number}]"));
            refused(result, NonFinite, DATA, "non-finite value at index 1");
        }
    }
}

/// Every pattern of 16 bits is accepted exactly when it is finite.
#[test]
fn every_half_is_told_from_every_other() {
    for (dtype, exponent, largest) in
        [(Dtype::Fp16, 0x7c00_u16, 65_504.0), (Dtype::Bf16, 0x7f80, f64::from(f32::from_bits(0x7f7f_0000)))]
    {
        let spec = TensorSpec::new(dtype, [-1]);
        let mut finite = Vec::new();
        for bits in 0..=u16::MAX {
            let bytes = bits.to_le_bytes();
            let is_finite = bits & exponent != exponent;
            assert_eq!(spec.check_bytes(&[1], &bytes).is_ok(), is_finite, "{dtype} {bits:#06x}");
            if is_finite {
                finite.extend(bytes);
            } else {
                refused(binary(dtype, &bytes), NonFinite, DATA, "non-finite value at index 0");
            }
        }
        let all = binary(dtype, &finite).unwrap();
        assert_eq!(bounds(&all), (Some(-largest), Some(largest)), "{dtype}");
    }
}

/// Some patterns and their values, normal and subnormal.
#[test]
fn halves_have_the_values_of_ieee_754() {
    for (bits, value) in [
        (0x0001_u16, 5.960464477539063e-8),
        (0x03ff, 6.097555160522461e-5),
        (0x0400, 6.103515625e-5),
        (0x3555, 0.333251953125),
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x7bff, 65_504.0),
        (0x8000, -0.0),
    ] {
        let request = binary(Dtype::Fp16, &bits.to_le_bytes()).unwrap();
        assert_eq!(bounds(&request), (Some(value), Some(value)), "{bits:#06x}");
    }
    for bits in [0x0001_u16, 0x0080, 0x3f80, 0x3eab, 0xc000, 0x7f7f, 0xff7f] {
        let value = f64::from(f32::from_bits(u32::from(bits) << 16));
        let request = binary(Dtype::Bf16, &bits.to_le_bytes()).unwrap();
        assert_eq!(bounds(&request), (Some(value), Some(value)), "{bits:#06x}");
    }
}

/// Beside the bounds: a value of FP32 is one value, however it was written.
#[test]
fn the_shortest_text_of_an_fp32_has_the_bounds_of_its_bytes() {
    for value in [0.1_f32, 1.1, -3.3, f32::MAX, f32::MIN_POSITIVE] {
        let written = infer("FP32", "[1]", &format!("[{value:e}]")).unwrap();
        let packed = binary(Dtype::Fp32, &value.to_le_bytes()).unwrap();
        assert_eq!(bounds(&written), bounds(&packed), "{value}");
    }
}

/// Beside the bounds: what a model allows is meant in the type it has.
#[test]
fn what_a_model_allows_is_allowed_in_its_own_type() {
    let spec = || TensorSpec::new(Dtype::Fp32, [-1]);
    // The nearest FP32 of 0.1 is a little more than 0.1.
    assert!(spec().allowed([0.1, 0.2]).check(&[0.1_f32]).is_ok());
    assert!(spec().range(0.0, 0.1).check(&[0.1_f32]).is_ok());
    assert!(spec().range(0.7, 1.0).check(&[0.7_f32]).is_ok());
}

fn number_like() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+0-9.eE]{1,12}",
        "-?(0|[1-9][0-9]{0,24})([.][0-9]{1,24})?([eE][-+]?[0-9]{1,4})?",
        "-?[0-9]{1,20}([.][0-9]{0,3})?([eE][-+]?[0-9]{0,3})?",
        "-?[0-9]{1,22}",
        "-?[1-9][.][0-9]{1,20}[eE]-?3[0-9]{1,2}",
    ]
}

/// Any number that is one: from all patterns of bits, so that none is left out.
fn finite() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite())
}

fn finite_f32() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |value| value.is_finite())
}

/// Whether another reader takes a text for one JSON value; of these texts, a number.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

proptest! {
    #[test]
    fn floats_are_accepted_exactly_when_they_are_json_and_finite(text in number_like()) {
        let value = if is_json(&text) { text.parse::<f64>().ok() } else { None };
        // RapidJSON refuses a zero with a power that is too large.
        prop_assume!(value != Some(0.0) || !text.contains(['e', 'E']));
        for (dtype, is_inside) in [
            ("FP64", value.is_some_and(f64::is_finite)),
            ("FP32", value.is_some_and(|value| (value as f32).is_finite())),
            ("FP16", value.is_some_and(|value| value.abs() < 65_520.0)),
        ] {
            let request = infer(dtype, "[1]", &format!("[{text}]"));
            prop_assert_eq!(request.is_ok(), is_inside, "{} {}", dtype, text);
            if let Ok(request) = request {
                let (min, max) = bounds(&request);
                prop_assert_eq!(min.map(f64::to_bits), max.map(f64::to_bits), "{}", text);
                let own = value.map(|value| if dtype == "FP32" { f64::from(value as f32) } else { value });
                prop_assert!(dtype == "FP16" || min.map(f64::to_bits) == own.map(f64::to_bits), "{} {}", dtype, text);
            } else if value.is_some() {
                prop_assert_eq!(request.unwrap_err().code(), NonFinite);
            }
        }
    }

    #[test]
    fn integers_are_accepted_exactly_when_they_are_json_and_fit(text in number_like()) {
        let is_integer = is_json(&text) && !text.contains(['.', 'e', 'E']);
        let value = if is_integer { text.parse::<i128>().ok() } else { None };
        for (dtype, is_inside) in [
            ("UINT8", value.is_some_and(|value| u8::try_from(value).is_ok())),
            ("INT8", value.is_some_and(|value| i8::try_from(value).is_ok())),
            ("UINT16", value.is_some_and(|value| u16::try_from(value).is_ok())),
            ("INT16", value.is_some_and(|value| i16::try_from(value).is_ok())),
            ("UINT32", value.is_some_and(|value| u32::try_from(value).is_ok())),
            ("INT32", value.is_some_and(|value| i32::try_from(value).is_ok())),
            ("UINT64", value.is_some_and(|value| u64::try_from(value).is_ok())),
            ("INT64", value.is_some_and(|value| i64::try_from(value).is_ok())),
        ] {
            let request = infer(dtype, "[1]", &format!("[{text}]"));
            prop_assert_eq!(request.is_ok(), is_inside, "{} {}", dtype, text);
            if let Ok(request) = request {
                prop_assert_eq!(bounds(&request).0, value.map(|value| value as f64));
            }
        }
    }

    #[test]
    fn bounds_are_those_of_the_texts(values in proptest::collection::vec((finite(), any::<bool>()), 1..20)) {
        let text = |(value, is_short): &(f64, bool)| if *is_short { format!("{value:e}") } else { value.to_string() };
        let texts: Vec<String> = values.iter().map(text).collect();
        let request = infer("FP64", &format!("[{}]", values.len()), &format!("[{}]", texts.join(" , "))).unwrap();
        let parsed = || texts.iter().map(|text| text.parse::<f64>().unwrap());
        let expected = (parsed().fold(f64::INFINITY, f64::min), parsed().fold(f64::NEG_INFINITY, f64::max));
        prop_assert_eq!(bounds(&request), (Some(expected.0), Some(expected.1)));
    }

    #[test]
    fn both_forms_of_fp32_have_the_same_bounds(values in proptest::collection::vec(finite_f32(), 1..300)) {
        let exact: Vec<String> = values.iter().map(|value| f64::from(*value).to_string()).collect();
        let written = infer("FP32", &format!("[{}]", values.len()), &format!("[{}]", exact.join(","))).unwrap();
        let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let packed = binary(Dtype::Fp32, &packed).unwrap();
        prop_assert_eq!(bounds(&written), bounds(&packed));
    }

    #[test]
    fn both_forms_of_fp64_have_the_same_bounds(values in proptest::collection::vec(finite(), 1..100)) {
        let exact: Vec<String> = values.iter().map(|value| format!("{value:e}")).collect();
        let written = infer("FP64", &format!("[{}]", values.len()), &format!("[{}]", exact.join(","))).unwrap();
        let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let packed = binary(Dtype::Fp64, &packed).unwrap();
        prop_assert_eq!(bounds(&written), bounds(&packed));
    }

    // More than one block of 16 KiB, so that an index is counted over blocks.
    #[test]
    fn what_is_not_finite_is_found_where_it_stands(
        (count, at) in (1_usize..12_000).prop_flat_map(|count| (Just(count), 0..count)),
        fraction in any::<u64>(),
        is_negative in any::<bool>(),
    ) {
        let expected = Some((NonFinite, format!("non-finite value at index {at}")));
        let told = |result: Result<(), Invalid>| result.err().map(|error| (error.code(), error.message().to_owned()));
        let sent = |result: Result<InferenceRequest, Invalid>| told(result.map(drop));
        // All ones in the exponent: infinite, or not a number of any kind.
        let sign = u64::from(is_negative) << 63;
        let wide = f64::from_bits(sign | 0x7ff0 << 48 | fraction >> 12);
        let single = f32::from_bits((sign >> 32) as u32 | 0x7f80_0000 | (fraction >> 41) as u32);
        let half = (sign >> 48) as u16 | 0x7c00 | (fraction >> 54) as u16;

        let wides: Vec<f64> = (0..count).map(|i| if i == at { wide } else { -1.5 }).collect();
        let bytes: Vec<u8> = wides.iter().flat_map(|value| value.to_le_bytes()).collect();
        prop_assert_eq!(sent(binary(Dtype::Fp64, &bytes)), expected.clone());
        prop_assert_eq!(told(TensorSpec::new(Dtype::Fp64, [-1]).check(&wides)), expected.clone());

        let singles: Vec<f32> = (0..count).map(|i| if i == at { single } else { f32::MAX }).collect();
        let bytes: Vec<u8> = singles.iter().flat_map(|value| value.to_le_bytes()).collect();
        prop_assert_eq!(sent(binary(Dtype::Fp32, &bytes)), expected.clone());
        prop_assert_eq!(told(TensorSpec::new(Dtype::Fp32, [-1]).check(&singles)), expected.clone());

        let bytes: Vec<u8> = (0..count).flat_map(|i| if i == at { half } else { 0xfbff }.to_le_bytes()).collect();
        prop_assert_eq!(sent(binary(Dtype::Fp16, &bytes)), expected);
    }

    #[test]
    fn a_word_that_is_no_number_is_found_where_it_stands(
        (count, at) in (1_usize..500).prop_flat_map(|count| (Just(count), 0..count)),
        word in prop_oneof![Just("NaN"), Just("-Infinity"), Just("1e39"), Just("-1e400")],
        is_nested in any::<bool>(),
    ) {
        let values: Vec<&str> = (0..count).map(|i| if i == at { word } else { "-1.5e3" }).collect();
        let (shape, data) = match is_nested {
            true => (format!("[{count},1]"), format!("[[{}]]", values.join("],["))),
            false => (format!("[{count}]"), format!("[{}]", values.join(","))),
        };
        let error = infer("FP32", &shape, &data).unwrap_err();
        let message = format!("non-finite value at index {at}");
        prop_assert_eq!((error.code(), error.at().as_str(), error.message()), (NonFinite, DATA, message.as_str()));
    }
}
