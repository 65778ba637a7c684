//! The numbers of an answer, for whoever makes them less exact: scores, embeddings, log-probabilities.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::answer::{AnswerChunk, AnswerContent, InferenceAnswer};
use crate::json::Json;
use crate::tensor::{Dtype, bits};

/// Which numbers of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NumbersAt<'a> {
    /// An output tensor of a floating point type: its name and shape, values in row-major order.
    Output(&'a str, &'a [u64]),
    /// An embedding, by its index.
    Embedding(u32),
}

impl InferenceAnswer {
    /// Lets `change` read and replace numbers: of output tensors of floating point types, in either wire form, and of
    /// embeddings, in JSON and in base64. Their count and form stay; a value is rounded to its type, held within it, and
    /// left alone when what takes its place is not finite. Costs a pass and eight bytes a value.
    pub fn map_numbers(&mut self, mut change: impl FnMut(NumbersAt<'_>, &mut [f64])) {
        match &mut self.content {
            AnswerContent::Tensors(answer) => {
                answer.map_numbers(|name, shape, values| change(NumbersAt::Output(name, shape), values));
            }
            AnswerContent::Json(root) => {
                let Some(Json::Array(items)) = root.get_mut("data") else { return };
                for (index, item) in items.iter_mut().enumerate() {
                    let Some(vector) = item.get_mut("embedding") else { continue };
                    let at = NumbersAt::Embedding(u32::try_from(index).unwrap_or(u32::MAX));
                    map_embedding(vector, |values| change(at, values));
                }
            }
        }
    }

    /// Leaves out the output tensors that `keep` does not name. `false` if none would be left: then nothing is done.
    pub fn keep_outputs(&mut self, keep: impl Fn(&str) -> bool) -> bool {
        match &mut self.content {
            AnswerContent::Tensors(answer) => match answer.keep_outputs(keep) {
                Some(places) => {
                    self.places = places;
                    true
                }
                None => false,
            },
            AnswerContent::Json(_) => true,
        }
    }

    /// Keeps at most `most` alternatives of each token, the likeliest, and `decimals` digits behind the point of their
    /// log-probabilities and of the tokens' own.
    pub fn limit_logprobs(&mut self, most: usize, decimals: u32) {
        if let AnswerContent::Json(root) = &mut self.content {
            limit_logprobs(root, most, decimals);
        }
    }
}

impl AnswerChunk {
    /// As [`InferenceAnswer::limit_logprobs`].
    pub fn limit_logprobs(&mut self, most: usize, decimals: u32) {
        limit_logprobs(&mut self.root, most, decimals);
    }
}

/// The numbers of a list of numbers in JSON, nested or not, replaced where they stand.
pub(crate) fn map_json(data: &Bytes, dtype: Dtype, change: impl FnOnce(&mut [f64])) -> Bytes {
    let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let runs = || data.chunk_by(|one, other| is_number(one) == is_number(other));
    let read = |run: &[u8]| {
        let text = std::str::from_utf8(run).unwrap_or_default();
        dtype.narrow(text.parse().unwrap_or_default())
    };
    let before: Vec<f64> = runs().filter(|run| run.first().is_some_and(is_number)).map(read).collect();
    let mut after = before.clone();
    change(&mut after);
    let mut pairs = before.iter().zip(&after);
    let mut out = Vec::with_capacity(data.len());
    for run in runs() {
        let pair = run.first().filter(|byte| is_number(byte)).and_then(|_| pairs.next());
        match pair {
            Some((before, after)) if is_new(*before, *after) => out.extend(write(dtype, *after)),
            _ => out.extend_from_slice(run),
        }
    }
    out.into()
}

/// The same for little-endian bytes.
pub(crate) fn map_binary(data: &Bytes, dtype: Dtype, change: impl FnOnce(&mut [f64])) -> Bytes {
    let Some(width) = dtype.width().and_then(|width| usize::try_from(width).ok()) else { return data.clone() };
    let before: Vec<f64> = bits::values(dtype, data).collect();
    let mut after = before.clone();
    change(&mut after);
    let mut out = data.to_vec();
    for ((before, after), element) in before.iter().zip(&after).zip(out.chunks_exact_mut(width)) {
        if is_new(*before, *after) {
            bits::write(dtype, dtype.nearest(*after), element);
        }
    }
    out.into()
}

fn is_new(before: f64, after: f64) -> bool {
    after.is_finite() && before.to_bits() != after.to_bits()
}

/// A number as JSON has it, in as few digits as give its value back.
pub(crate) fn write(dtype: Dtype, value: f64) -> Vec<u8> {
    let value = dtype.nearest(value);
    let is_long = value != 0.0 && !(1e-5..1e17).contains(&value.abs());
    match (dtype, is_long) {
        (Dtype::Fp64, false) => value.to_string(),
        (Dtype::Fp64, true) => format!("{value:e}"),
        (_, false) => (value as f32).to_string(),
        (_, true) => format!("{:e}", value as f32),
    }
    .into_bytes()
}

/// Both alphabets, with padding or without.
const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: [GeneralPurpose; 2] =
    [GeneralPurpose::new(&STANDARD, ANY_PADDING), GeneralPurpose::new(&URL_SAFE, ANY_PADDING)];

fn map_embedding(vector: &mut Json, change: impl FnOnce(&mut [f64])) {
    match vector {
        Json::Raw(bytes) => *bytes = map_json(bytes, Dtype::Fp64, change),
        Json::Text(text) => {
            let decoded = BASE64.iter().find_map(|engine| Some((engine, engine.decode(&text).ok()?)));
            let Some((engine, bytes)) = decoded else { return };
            *text = engine.encode(map_binary(&bytes.into(), Dtype::Fp32, change));
        }
        _ => {}
    }
}

/// Whether an embedding in base64 is finite numbers of four bytes.
pub(crate) fn is_sound_embedding(text: &str) -> bool {
    let Some(bytes) = BASE64.iter().find_map(|engine| engine.decode(text).ok()) else { return false };
    bytes.len().is_multiple_of(4) && bits::first_unsound(Dtype::Fp32, &bytes).is_none()
}

fn limit_logprobs(root: &mut Json, most: usize, decimals: u32) {
    let Some(Json::Array(choices)) = root.get_mut("choices") else { return };
    let fields = choices.iter_mut().filter_map(|choice| choice.get_mut("logprobs"));
    for logprobs in fields {
        if let Some(Json::Array(tokens)) = logprobs.get_mut("content") {
            tokens.iter_mut().for_each(|token| limit_token(token, most, decimals));
        }
        if let Some(Json::Array(numbers)) = logprobs.get_mut("token_logprobs") {
            numbers.iter_mut().for_each(|number| round(number, decimals));
        } else if let Some(Json::Raw(numbers)) = logprobs.get_mut("token_logprobs") {
            let to_decimals =
                |values: &mut [f64]| values.iter_mut().for_each(|value| *value = rounded(*value, decimals));
            *numbers = map_json(numbers, Dtype::Fp64, to_decimals);
        }
        if let Some(Json::Array(tokens)) = logprobs.get_mut("top_logprobs") {
            for token in tokens {
                let Json::Object(alternatives) = token else { continue };
                alternatives.sort_by(|(_, one), (_, other)| number(other).total_cmp(&number(one)));
                alternatives.truncate(most);
                alternatives.iter_mut().for_each(|(_, number)| round(number, decimals));
            }
        }
    }
}

fn limit_token(token: &mut Json, most: usize, decimals: u32) {
    if let Some(logprob) = token.get_mut("logprob") {
        round(logprob, decimals);
    }
    let Some(Json::Array(alternatives)) = token.get_mut("top_logprobs") else { return };
    let logprob = |one: &Json| one.get("logprob").map_or(f64::NEG_INFINITY, number);
    alternatives.sort_by(|one, other| logprob(other).total_cmp(&logprob(one)));
    alternatives.truncate(most);
    for alternative in alternatives {
        if let Some(logprob) = alternative.get_mut("logprob") {
            round(logprob, decimals);
        }
    }
}

fn number(json: &Json) -> f64 {
    match json {
        Json::Uint(number) => *number as f64,
        Json::Raw(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

fn round(json: &mut Json, decimals: u32) {
    let value = number(json);
    if value.is_finite() {
        *json = Json::Raw(write(Dtype::Fp64, rounded(value, decimals)).into());
    }
}

fn rounded(value: f64, decimals: u32) -> f64 {
    let unit = 10_f64.powi(i32::try_from(decimals).unwrap_or(i32::MAX));
    // Adding zero takes the sign from a zero.
    let rounded = (value * unit).round() / unit + 0.0;
    if rounded.is_finite() { rounded } else { value }
}
