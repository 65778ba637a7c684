//! What the answers of a model disclose of it: fewer and rougher numbers, and so many distinct queries.

use std::borrow::Cow;
use std::sync::Arc;

use audit::Noted;
use core_validate::{InferenceAnswer, InferenceRequest, NumbersAt, Operation};
use keys::Principal;
use privacy::distinct::{
    Bucket, Counted, LedgerError, MAX_QUERIES, Query, QueryBudget, QueryKey, QueryLedger, Standing, Verdict,
};
use privacy::{Input, Perturb, PerturbVectors};

use crate::about::unix_millis;

/// What the answers of a model tell.
#[derive(Debug, Clone)]
pub struct Disclosure {
    /// What is told of rows of scores, in output tensors of floating point types; all when absent.
    pub scores: Option<Perturb>,
    /// What is told of embeddings; all when absent.
    pub vectors: Option<PerturbVectors>,
    /// The output tensors that leave; all when empty.
    pub outputs: Vec<String>,
    /// Most alternatives of a token, and decimals of log-probabilities; as they come when absent.
    pub logprobs: Option<(usize, u32)>,
    /// How many distinct queries a key family and a tenant may ask; any number when absent.
    pub queries: Option<(QueryBudget, Arc<QueryKey>)>,
}

impl Default for Disclosure {
    /// Five alternatives with one decimal, which hides the size of a language model's last layer; anything else as it
    /// comes.
    fn default() -> Self {
        Self { scores: None, vectors: None, outputs: Vec::new(), logprobs: Some((5, 1)), queries: None }
    }
}

impl Disclosure {
    /// Takes from an answer what is not told. `false` if nothing would be left of it.
    pub(crate) fn withhold(&self, asked: &InferenceRequest, answer: &mut InferenceAnswer) -> bool {
        if !self.outputs.is_empty() && !answer.keep_outputs(|name| self.outputs.iter().any(|kept| kept == name)) {
            return false;
        }
        if let Some((most, decimals)) = self.logprobs {
            answer.limit_logprobs(most, decimals);
        }
        if self.scores.is_some() || self.vectors.is_some() {
            let inputs = Inputs::of(asked);
            answer.map_numbers(|at, values| self.perturb(&inputs, at, values));
        }
        true
    }

    fn perturb(&self, inputs: &Inputs<'_>, at: NumbersAt<'_>, values: &mut [f64]) {
        // What is not finite does not come here; it would be zeros.
        match (at, &self.scores, &self.vectors) {
            (NumbersAt::Output(_, shape), Some(scores), _) => {
                let count = inputs.rows_of(shape, values.len());
                let width = (values.len() / count.max(1)).max(1);
                for (index, row) in values.chunks_mut(width).enumerate() {
                    let _all_zeros = inputs.with(index, count, |input| scores.scores(input, row));
                }
            }
            (NumbersAt::Embedding(index), _, Some(vectors)) => {
                let _all_zeros = inputs.with(index as usize, inputs.texts.len(), |input| vectors.vector(input, values));
            }
            _ => {}
        }
    }
}

/// What was asked, as far as noise depends on it.
struct Inputs<'r> {
    rows: Vec<Vec<f64>>,
    texts: Vec<Cow<'r, str>>,
    /// Stands for what is neither numbers nor text, such as token numbers.
    body: Option<String>,
}

impl<'r> Inputs<'r> {
    fn of(asked: &'r InferenceRequest) -> Self {
        let rows: Vec<Vec<f64>> = asked.number_rows().into_iter().filter(|row| !row.is_empty()).collect();
        let texts: Vec<_> = asked.texts().filter(|text| !text.is_key()).map(|text| text.text()).collect();
        let is_neither = rows.is_empty() && texts.is_empty();
        let body = is_neither.then(|| String::from_utf8_lossy(&asked.to_body().bytes).into_owned());
        Self { rows, texts, body }
    }

    /// How many rows of scores a tensor holds: one for each input where it has one value for each, or else its last
    /// dimension is a row.
    fn rows_of(&self, shape: &[u64], values: usize) -> usize {
        let inputs = self.rows.len().max(self.texts.len());
        match *shape {
            [only] if inputs > 1 && only == inputs as u64 => inputs,
            _ => {
                let width = shape.last().and_then(|last| usize::try_from(*last).ok()).unwrap_or(values);
                values / width.max(1)
            }
        }
    }

    /// Calls `change` with what the row `index` of `count` was answered for.
    fn with<T>(&self, index: usize, count: usize, change: impl FnOnce(Input<'_>) -> T) -> T {
        /// The input of a row, when the rows fall evenly on the inputs.
        fn of<I>(inputs: &[I], index: usize, count: usize) -> Option<&I> {
            let each = count.checked_div(inputs.len())?;
            if each * inputs.len() == count { inputs.get(index.checked_div(each)?) } else { None }
        }
        if let Some(body) = &self.body {
            return change(Input::Text(body));
        }
        if self.rows.is_empty() {
            return match of(&self.texts, index, count) {
                Some(text) => change(Input::Text(text)),
                None => change(Input::Text(&self.texts.concat())),
            };
        }
        match of(&self.rows, index, count) {
            Some(row) => change(Input::Vector(row)),
            None => change(Input::Vector(&self.rows.concat())),
        }
    }
}

/// Why queries are not answered.
pub(crate) enum NotAsked {
    /// The budget has no room for them.
    Spent(Standing),
    /// They are more than can be counted at once.
    TooMany(usize),
    /// Nobody knows how many there were.
    Unknown(LedgerError),
}

/// Counts the queries of a request for the key family and the tenant, both or none. `None` when the model has no
/// budget.
pub(crate) async fn count(
    disclosure: &Disclosure,
    ledger: &dyn QueryLedger,
    request: &InferenceRequest,
    principal: &Principal,
    model: &str,
) -> Result<Option<Counted>, NotAsked> {
    let Some((budget, key)) = &disclosure.queries else { return Ok(None) };
    let queries = queries(request, key);
    if queries.len() > MAX_QUERIES {
        return Err(NotAsked::TooMany(queries.len()));
    }
    // In braces what all buckets of a call share, so that a cluster of Redis keeps them together.
    let tenant = format!("{{{}}}:model:{model}", principal.tenant());
    let family = format!("{tenant}:family:{}", principal.family());
    let buckets = [Bucket::new(&tenant, *budget), Bucket::new(&family, *budget)];
    let counted = ledger.count(&buckets, &queries, unix_millis()).await.map_err(NotAsked::Unknown)?;
    match counted.refused_by().and_then(|place| counted.standings().get(place)) {
        Some(standing) => Err(NotAsked::Spent(standing.clone())),
        None => Ok(Some(counted)),
    }
}

/// The note that a budget is nearly spent.
pub(crate) fn past_soft(counted: &Counted) -> Option<Noted> {
    (counted.verdict() == Verdict::PastSoft).then(|| Noted {
        detector: "queries".to_owned(),
        label: "past_soft".to_owned(),
        action: "allow".to_owned(),
        pointer: String::new(),
        mode: "observe".to_owned(),
    })
}

/// What a request asks: a query for each row of numbers, or text to embed, or else one.
fn queries(request: &InferenceRequest, key: &QueryKey) -> Vec<Query> {
    let also = request.asks_for();
    let texts = || request.texts().filter(|text| !text.is_key()).map(|text| text.text());
    let rows = request.number_rows();
    let has_numbers = rows.iter().any(|row| !row.is_empty());
    match request.operation() {
        Operation::Infer if has_numbers && texts().next().is_none() => {
            rows.iter().map(|row| key.numbers(&also, row)).collect()
        }
        Operation::Infer | Operation::Embed if !has_numbers && texts().next().is_some() => {
            texts().map(|text| key.text(&also, &text)).collect()
        }
        // The answer depends on all of the body; what is near is told from its texts.
        _ => {
            let said: Vec<_> = texts().collect();
            vec![key.text(&[&*also, &request.to_body().bytes].concat(), &said.join("\n"))]
        }
    }
}
