//! V2: what is accepted reads the same to everybody. Documents of every operation, sound but for one fault or none,
//! are given to the validator; what `serde_json`, Python's `json` and RapidJSON read from an accepted body, and from
//! the body that is sent on, must be one and the same, apart from what is documented as left out.

mod documents;
mod mutate;
mod python;
mod read;
mod tensors;
mod write;

use std::collections::BTreeMap;

use bench_validate::measure::Random;
use bench_validate::{at_most, bodies};
use bytes::Bytes;
use core_validate::{Encoded, Extensions, Head, InferenceRequest, Limits, Operation, Validator};

use python::{Pair, Readers};

/// Documents that are read by one call of the other readers.
const BATCH: usize = 500;
/// Differences that are shown.
const SHOWN: usize = 20;

/// A document on its way.
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    pub(crate) body: Vec<u8>,
    /// Bytes of binary tensors at the end.
    pub(crate) tail: usize,
}

struct Tally {
    differences: usize,
    outcomes: BTreeMap<(&'static str, &'static str), usize>,
}

pub(crate) fn run(count: usize, seed: u64) {
    let mut readers = Readers::start();
    let mut random = Random::new(seed);
    let validators = [Validator::default(), Validator::new(generous())];
    let mut tally = Tally { differences: 0, outcomes: BTreeMap::new() };
    let mut left = count;
    while left > 0 {
        let mut pairs = Vec::new();
        for _ in 0..left.min(BATCH) {
            let asked = documents::any(&mut random);
            let which = random.below(validators.len());
            pairs.extend(validators.get(which).and_then(|validator| one(validator, asked, &mut tally)));
        }
        for (pair, told) in pairs.iter().zip(readers.read(&pairs)) {
            if told != b'.' {
                tally.differ(python::what(told), pair);
            }
        }
        left = left.saturating_sub(BATCH);
    }
    for ((operation, outcome), count) in &tally.outcomes {
        println!("{operation:<10} {outcome:<24} {count:>8}");
    }
    at_most("V2", tally.differences as f64, 0.0);
}

impl Tally {
    fn differ(&mut self, what: &str, pair: &Pair) {
        self.differences += 1;
        if self.differences <= SHOWN {
            let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
            println!("{}: {what}\n  {}\n  {}", pair.operation, show(&pair.original.body), show(&pair.written.body));
        }
    }
}

/// Everything allowed that can be, but for the servers that are told their bound under two names.
fn generous() -> Limits {
    Limits::default()
        .extensions([Extensions::Vllm, Extensions::Sglang, Extensions::LlamaCpp])
        .allow_fields(vec!["anything".to_owned()])
        .allow_parameters(vec!["priority".to_owned()])
        .danger_audio(true)
        .danger_files(true)
        .danger_remote_media(true)
        .danger_token_prompts(true)
        .danger_bias_with_logprobs(true)
        .danger_stored_state(true)
}

/// Reads a document; when it is accepted, what there is to be compared by others.
fn one(validator: &Validator, asked: Asked, tally: &mut Tally) -> Option<Pair> {
    let Asked { operation, body, tail } = asked;
    let json = body.len().saturating_sub(tail);
    let head = match operation {
        Operation::Infer => bodies::infer_head((tail > 0).then_some(json)),
        _ => Head::default(),
    };
    let body = Bytes::from(body);
    let parsed = validator.parse(operation, &head, &body);
    let outcome = parsed.as_ref().map_or_else(|error| error.code().as_str(), |_| "accepted");
    *tally.outcomes.entry((operation.as_str(), outcome)).or_default() += 1;
    let request = parsed.ok()?;
    let written = request.to_body();
    let pair = Pair {
        operation: operation.as_str(),
        original: python::Reading::new(body.slice(..json)),
        written: python::Reading::new(
            written.bytes.slice(..written.tensor_header_length.unwrap_or(written.bytes.len())),
        ),
    };
    match (pair.original.tree.clone(), pair.written.tree.clone()) {
        (Some(original), Some(again)) => {
            let (mut original, again) = (read::normal(operation, original), read::normal(operation, again));
            read::prune(&mut original, &again);
            let same = original == again;
            let tails =
                body.get(json..) == written.tensor_header_length.map_or(Some(&[][..]), |at| written.bytes.get(at..));
            if !same || !tails {
                tally.differ("serde_json reads another thing from what is sent on", &pair);
            }
        }
        _ => tally.differ("serde_json does not read it", &pair),
    }
    if !is_settled(validator, &request, &written) {
        tally.differ("what is sent on is not accepted, or becomes another thing", &pair);
    }
    Some(pair)
}

/// Whether what was written is accepted and is written the same again.
fn is_settled(validator: &Validator, request: &InferenceRequest, written: &Encoded) -> bool {
    let head = match request.operation() {
        Operation::Infer => bodies::infer_head(written.tensor_header_length),
        _ => Head::default(),
    };
    validator.parse(request.operation(), &head, &written.bytes).is_ok_and(|again| again.to_body() == *written)
}
