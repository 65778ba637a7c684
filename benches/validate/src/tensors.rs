//! V1a and V1b: tensors in JSON beside what `serde_json` makes of the same bytes, and tensors in the binary form
//! beside a copy of them.

use bench_validate::measure::{Random, Turns, time};
use bench_validate::{at_least, at_most, bodies};
use bytes::Bytes;
use core_validate::{Dtype, Operation, TensorSpec, Validator};
use serde::Deserialize;

const COUNT: usize = 1_000_000;
/// Turns over a large body, and over one in cache.
const TURNS: usize = 31;
const SHORT_TURNS: usize = 1_001;

/// What a service in Rust would write.
#[derive(Deserialize)]
struct Request<D> {
    inputs: Vec<Input<D>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read, not looked at")]
struct Input<D> {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    data: Vec<D>,
}

type IsFinite<D> = fn(&D) -> bool;

/// V1a: shape, type and finiteness of a million numbers in JSON.
pub(crate) fn json() {
    let mut random = Random::new(1);
    let short = bodies::list(COUNT, || bodies::short(&mut random));
    let row: Vec<String> = (0..1_000).map(|_| bodies::list(1_000, || bodies::short(&mut random))).collect();
    let nested = format!("[{}]", row.join(","));
    let long = bodies::list(COUNT, || bodies::long(&mut random));
    let small = bodies::list(COUNT, || random.below(256).to_string());
    let finite: IsFinite<f32> = |value| value.is_finite();
    let rows: IsFinite<Vec<f32>> = |row| row.iter().all(|value| value.is_finite());
    let (value, typed) = case("FP32", bodies::tensor("[1000000]", "FP32", &short), finite);
    at_least("V1a.value", value, 2.4);
    at_least("V1a.typed", typed, 1.25);
    case("FP32 [1000, 1000]", bodies::tensor("[1000,1000]", "FP32", &nested), rows);
    let fours: Vec<String> = (0..COUNT / 4).map(|_| bodies::list(4, || bodies::short(&mut random))).collect();
    case("FP32 [250000, 4]", bodies::tensor("[250000,4]", "FP32", &format!("[{}]", fours.join(","))), rows);
    case("FP32 of Python", bodies::tensor("[1000000]", "FP32", &short.replace(',', ", ")), finite);
    let late = format!(r#"{{"inputs":[{{"data":{short},"name":"x","shape":[1000000],"datatype":"FP32"}}]}}"#);
    case("FP32 before its shape", late.into_bytes(), finite);
    case("FP32 of 17 digits", bodies::tensor("[1000000]", "FP32", &long), finite);
    case("FP32 of integers", bodies::tensor("[1000000]", "FP32", &small), finite);
    case::<f64>("FP64 of 17 digits", bodies::tensor("[1000000]", "FP64", &long), |value| value.is_finite());
    case::<i64>("INT64 of integers", bodies::tensor("[1000000]", "INT64", &small), |_| true);
}

/// How many times faster than `Value`, and than the typed struct.
fn case<D: for<'d> Deserialize<'d>>(name: &str, body: Vec<u8>, is_finite: IsFinite<D>) -> (f64, f64) {
    let body = Bytes::from(body);
    let (validator, head) = (Validator::default(), bodies::infer_head(None));
    let ours = || validator.parse(Operation::Infer, &head, &body).ok();
    let value = || serde_json::from_slice::<serde_json::Value>(&body).ok();
    let typed = || {
        let request: Request<D> = serde_json::from_slice(&body).ok()?;
        request.inputs.iter().all(|input| input.data.iter().all(is_finite)).then_some(request)
    };
    assert!(ours().is_some() && value().is_some() && typed().is_some(), "{name}");
    let turns = Turns::take(TURNS, [&mut || time(1, ours), &mut || time(1, value), &mut || time(1, typed)]);
    let (to_value, to_typed) = (turns.ratio(1, 0), turns.ratio(2, 0));
    println!(
        "{name:<21} {:>5.2} MB  ours {:>5.1} ms  Value {:>5.1} ms, {to_value:.2} x  typed {:>5.1} ms, {to_typed:.2} x",
        body.len() as f64 / 1e6,
        turns.of(0) * 1e3,
        turns.of(1) * 1e3,
        turns.of(2) * 1e3
    );
    (to_value, to_typed)
}

/// V1b: finiteness of little-endian numbers, against a copy of as many bytes.
pub(crate) fn binary() {
    let in_cache = [false, true].map(|is_off| scan(4 << 20, is_off, SHORT_TURNS));
    let [aligned, unaligned] = in_cache;
    let large = scan(64 << 20, false, TURNS).max(scan(64 << 20, true, TURNS));
    at_most("V1b.aligned", aligned, 1.3);
    at_most("V1b.unaligned", unaligned, 2.0);
    at_most("V1b.large", large, 0.7);
}

/// The larger of what `check_bytes` and `parse` take, in times of a copy.
fn scan(size: usize, is_off: bool, turns: usize) -> f64 {
    let mut random = Random::new(2);
    let values: Vec<f32> = (0..size / 4).map(|_| random.unit() as f32).collect();
    let off = usize::from(is_off);
    let (body, length) = bodies::binary(&values, off);
    // Somewhere in it the body starts where 64 divides the address.
    let mut room = vec![0; body.len() + 64];
    let start = room.as_ptr().align_offset(64);
    let Some(place) = room.get_mut(start..start + body.len()) else { return f64::NAN };
    place.copy_from_slice(&body);
    let body = Bytes::from(room).slice(start..start + body.len());
    let tensor = body.slice(length..);
    assert_eq!(tensor.as_ptr().align_offset(64), (64 - off) % 64);
    let spec = TensorSpec::new(Dtype::Fp32, [-1]);
    let shape = [(size / 4) as u64];
    let (head, limits) = (bodies::infer_head(Some(length)), core_validate::Limits::default());
    let validator = Validator::new(limits.elements(1 << 30));
    let mut copy = vec![1; size];
    assert!(validator.parse(Operation::Infer, &head, &body).is_ok());
    let turns = Turns::take(
        turns,
        [
            &mut || time(1, || spec.check_bytes(&shape, &tensor).is_ok()),
            &mut || time(1, || validator.parse(Operation::Infer, &head, &body).is_ok()),
            &mut || time(1, || copy.copy_from_slice(&tensor)),
        ],
    );
    let (bytes, parse) = (turns.ratio(0, 2), turns.ratio(1, 2));
    let speed = |act| size as f64 / turns.of(act) / 1e9;
    println!(
        "binary FP32 {:>2} MB {:<9} check_bytes {:>4.1} GB/s, {bytes:.2} x copy  parse {:>4.1} GB/s, {parse:.2} x copy  copy {:>4.1} GB/s",
        size >> 20,
        if is_off { "unaligned" } else { "aligned" },
        speed(0),
        speed(1),
        speed(2)
    );
    bytes.max(parse)
}
