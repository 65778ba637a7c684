//! The tensor model: four numbers in, the probabilities of three classes out.

use bytes::{BufMut, Bytes, BytesMut};
use core_validate::Encoded;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::error::BackendError;
use crate::{Description, TensorDescription};

/// One row of weights for each class.
const WEIGHTS: [[f32; 4]; 3] = [[0.4, 1.3, -2.0, -0.9], [0.4, -0.3, 0.1, -0.8], [-1.6, -1.5, 2.4, 2.4]];

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    inputs: Vec<Input<'a>>,
}

#[derive(Deserialize)]
struct Input<'a> {
    shape: Vec<usize>,
    datatype: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What the model takes and gives.
pub(super) fn description() -> Description {
    let tensor = |name: &str, size| TensorDescription {
        name: name.to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![-1, size],
    };
    Description {
        versions: vec!["1".to_owned()],
        inputs: vec![tensor("input", 4)],
        outputs: vec![tensor("probabilities", 3)],
    }
}

/// Reads one FP32 tensor of rows of four, answers in the form it was asked in.
pub(super) fn classify(model: &str, body: &Encoded) -> Result<(Option<u64>, Bytes), BackendError> {
    let json = body.tensor_header_length.and_then(|length| body.bytes.get(..length)).unwrap_or(&body.bytes);
    let asked: Asked<'_> = serde_json::from_slice(json).map_err(|_| BackendError::Refused)?;
    let [input] = asked.inputs.as_slice() else { return Err(BackendError::Refused) };
    if input.datatype != "FP32" || input.shape.last() != Some(&4) {
        return Err(BackendError::Refused);
    }
    let values = match (input.data, body.tensor_header_length) {
        (Some(data), _) => flatten(&serde_json::from_str(data.get()).map_err(|_| BackendError::Refused)?),
        (None, Some(length)) => body
            .bytes
            .get(length..)
            .unwrap_or_default()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap_or_default()))
            .collect(),
        (None, None) => return Err(BackendError::Refused),
    };
    let rows: Vec<f32> = values.chunks_exact(4).flat_map(probabilities).collect();
    Ok(write(model, &rows, body.tensor_header_length.is_some()))
}

fn write(model: &str, rows: &[f32], binary: bool) -> (Option<u64>, Bytes) {
    let mut output = json!({"name": "probabilities", "datatype": "FP32", "shape": [rows.len() / 3, 3]});
    let mut tail = BytesMut::new();
    let (key, value) = if binary {
        rows.iter().for_each(|value| tail.put_f32_le(*value));
        ("parameters", json!({"binary_data_size": tail.len()}))
    } else {
        ("data", json!(rows))
    };
    if let Value::Object(fields) = &mut output {
        fields.insert(key.to_owned(), value);
    }
    let json = json!({"model_name": model, "outputs": [output]}).to_string();
    let length = binary.then_some(json.len() as u64);
    let mut out = BytesMut::from(json.as_bytes());
    out.put(tail);
    (length, out.freeze())
}

fn flatten(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(items) => items.iter().flat_map(flatten).collect(),
        other => vec![other.as_f64().unwrap_or_default() as f32],
    }
}

/// Softmax of the weighted sums.
fn probabilities(row: &[f32]) -> [f32; 3] {
    // In 64 bits, so that no sum of finite numbers overflows.
    let sums = WEIGHTS.map(|weights| weights.iter().zip(row).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>());
    let largest = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers = sums.map(|sum| (sum - largest).exp());
    let total: f64 = powers.iter().sum();
    powers.map(|power| (power / total) as f32)
}
