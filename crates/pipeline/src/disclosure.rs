//! What the answers of a model disclose of it: fewer and rougher numbers, and so many distinct queries.

use std::sync::Arc;

use audit::Noted;
use core_validate::{InferenceAnswer, InferenceRequest, NumbersAt, Question, Questions, TooManyQuestions};
use keys::Principal;
use privacy::distinct::{
    Bucket, Counted, LedgerError, MAX_QUERIES, Query, QueryBudget, QueryKey, QueryLedger, Standing, Verdict,
};
use privacy::{Input, Perturb, PerturbVectors};
use sanitize::Normalized;

use crate::about::unix_millis;
use crate::monitoring::Monitoring;

/// Most rows of an answer that are made less exact: noise takes some 20 us for each.
pub(crate) const MAX_ROWS: usize = 16_384;

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
    /// How those who ask are watched; not at all when absent.
    pub monitor: Option<Monitoring>,
}

impl Default for Disclosure {
    /// Five alternatives with one decimal, which hides the size of a language model's last layer; anything else as it
    /// comes.
    fn default() -> Self {
        Self { scores: None, vectors: None, outputs: Vec::new(), logprobs: Some((5, 1)), queries: None, monitor: None }
    }
}

impl Disclosure {
    /// Whether the numbers of an answer are looked at or made less exact, which takes time.
    pub(crate) fn reads_numbers(&self) -> bool {
        self.scores.is_some() || self.vectors.is_some() || self.monitor.is_some()
    }

    /// What is told of scores; less to who is suspected, if so it was set.
    fn scores(&self, is_suspect: bool) -> Option<&Perturb> {
        let of_suspects = self.monitor.as_ref().filter(|_| is_suspect).and_then(|monitor| monitor.scores.as_ref());
        of_suspects.or(self.scores.as_ref())
    }

    /// Whether a request asks for what this cannot make less of: scores that come as texts.
    pub(crate) fn is_evaded(&self, asked: &InferenceRequest) -> bool {
        let may_perturb = self.scores.is_some() || self.monitor.as_ref().is_some_and(|it| it.scores.is_some());
        may_perturb && asked.wants_classes()
    }

    /// What a request asks, as far as somebody must know: who counts it, watches, or makes its answer less exact.
    pub(crate) fn questions(&self, asked: &InferenceRequest) -> Result<Option<Questions>, TooManyQuestions> {
        match (&self.queries, self.reads_numbers()) {
            (Some(_), _) => asked.questions(MAX_QUERIES).map(Some),
            (None, true) => asked.questions(MAX_ROWS).map(Some),
            (None, false) => Ok(None),
        }
    }

    /// The buckets of distinct queries: of the tenant, then of the key family.
    fn named(
        &self,
        budget: QueryBudget,
        principal: &Principal,
        is_suspect: bool,
        model: &str,
    ) -> [(String, QueryBudget); 2] {
        // In braces what all buckets of a call share, so that a cluster of Redis keeps them together.
        let tenant = format!("{{{}}}:model:{model}", principal.tenant());
        let family = format!("{tenant}:family:{}", principal.family());
        // The others of a tenant are not punished for one that is suspected.
        let own = self.monitor.as_ref().filter(|_| is_suspect).map_or(budget, |monitor| monitor.reduced(budget));
        [(tenant, budget), (family, own)]
    }

    /// How the budgets of distinct queries stand, of the tenant and of the key family, if the model has some.
    pub(crate) async fn standings(
        &self,
        ledger: &dyn QueryLedger,
        principal: &Principal,
        model: &str,
    ) -> Result<Vec<Standing>, LedgerError> {
        let Some((budget, _)) = &self.queries else { return Ok(Vec::new()) };
        let is_suspect = self.monitor.as_ref().is_some_and(|monitor| monitor.suspicion(principal).is_raised());
        let named = self.named(*budget, principal, is_suspect, model);
        let buckets = named.each_ref().map(|(name, budget)| Bucket::new(name, *budget));
        Ok(ledger.count(&buckets, &[], unix_millis()).await?.standings().to_vec())
    }

    /// Takes from an answer what is not told. `false` if nothing would be left of it, or if it has more rows than are
    /// made less of at once.
    pub(crate) fn withhold(&self, asked: &InferenceRequest, answer: &mut InferenceAnswer, is_suspect: bool) -> bool {
        if !self.outputs.is_empty() && !answer.keep_outputs(|name| self.outputs.iter().any(|kept| kept == name)) {
            return false;
        }
        if let Some((most, decimals)) = self.logprobs {
            answer.limit_logprobs(most, decimals);
        }
        let scores = self.scores(is_suspect);
        if scores.is_some() || self.vectors.is_some() {
            let Ok(questions) = asked.questions(MAX_ROWS) else { return false };
            let inputs = Inputs::new(questions);
            let mut rows = 0;
            answer.map_numbers(|at, values| {
                rows += inputs.count(at, values.len());
                if rows <= MAX_ROWS {
                    perturb(scores, self.vectors.as_ref(), &inputs, at, values);
                }
            });
            return rows <= MAX_ROWS;
        }
        true
    }
}

fn perturb(
    scores: Option<&Perturb>,
    vectors: Option<&PerturbVectors>,
    inputs: &Inputs,
    at: NumbersAt<'_>,
    values: &mut [f64],
) {
    // What is not finite does not come here; it would be zeros.
    match (at, scores, vectors) {
        (NumbersAt::Output(_, shape), Some(scores), _) => {
            let count = rows_of(inputs.each.len(), shape, values.len());
            let width = (values.len() / count.max(1)).max(1);
            for (index, row) in values.chunks_mut(width).enumerate() {
                let _all_zeros = scores.scores(inputs.of(index, count).input(), row);
            }
        }
        (NumbersAt::Embedding(index), _, Some(vectors)) => {
            let input = inputs.of(index as usize, inputs.each.len());
            let _all_zeros = vectors.vector(input.input(), values);
        }
        _ => {}
    }
}

/// How many rows of scores a tensor holds that answers so many questions: one for each where it has one value for each,
/// or else its last dimension is a row.
pub(crate) fn rows_of(questions: usize, shape: &[u64], values: usize) -> usize {
    match *shape {
        [only] if questions > 1 && only == questions as u64 => questions,
        _ => {
            let width = shape.last().and_then(|last| usize::try_from(*last).ok()).unwrap_or(values);
            values / width.max(1)
        }
    }
}

/// What was asked, as far as noise depends on it.
struct Inputs {
    each: Vec<Asked>,
    /// All of it together, for rows that do not fall evenly on the questions.
    all: Asked,
}

/// What one row was given for.
enum Asked {
    Numbers(Vec<f64>),
    Text(String),
}

impl Inputs {
    fn new(Questions { each, shared }: Questions) -> Self {
        let all = each.iter().flat_map(|question| question.numbers.iter().copied()).collect::<Vec<f64>>();
        let said: String = each.iter().map(|question| question.text.as_str()).collect();
        let all = match (all.is_empty(), said.is_empty()) {
            (false, true) => Asked::Numbers(all),
            (true, true) => Asked::Text(String::from_utf8_lossy(&shared).into_owned()),
            _ => Asked::Text(written(&all, &said)),
        };
        let each = each.into_iter().map(|Question { numbers, text }| match (numbers.is_empty(), text.is_empty()) {
            (false, true) => Asked::Numbers(numbers),
            _ => Asked::Text(written(&numbers, &text)),
        });
        Self { each: each.collect(), all }
    }

    /// How many rows are to be perturbed.
    fn count(&self, at: NumbersAt<'_>, values: usize) -> usize {
        match at {
            NumbersAt::Output(_, shape) => rows_of(self.each.len(), shape, values),
            _ => 1,
        }
    }

    /// What the row `index` of `count` was given for.
    fn of(&self, index: usize, count: usize) -> &Asked {
        let each = count.checked_div(self.each.len()).unwrap_or_default();
        let is_even = each > 0 && each * self.each.len() == count;
        let one = if is_even { self.each.get(index / each) } else { None };
        one.unwrap_or(&self.all)
    }
}

impl Asked {
    fn input(&self) -> Input<'_> {
        match self {
            Self::Numbers(numbers) => Input::Vector(numbers),
            Self::Text(text) => Input::Text(text),
        }
    }
}

/// Numbers and text as one text, without what a model's reader may drop: each way to write it would be noise of its own.
fn written(numbers: &[f64], text: &str) -> String {
    let text = Normalized::new(text).folded().to_owned();
    numbers.iter().map(|number| format!("{number} ")).chain([text]).collect()
}

/// Why queries are not answered.
pub(crate) enum NotAsked {
    /// The budget has no room for them.
    Spent(Standing),
    /// They are more than are taken at once.
    TooMany(TooManyQuestions),
    /// Nobody knows how many there were.
    Unknown(LedgerError),
}

/// Counts the queries of a request for the key family and the tenant, both or none. `None` when the model has no
/// budget: then only whether they are too many to perturb the answer is asked.
pub(crate) async fn count(
    disclosure: &Disclosure,
    ledger: &dyn QueryLedger,
    request: &InferenceRequest,
    principal: &Principal,
    is_suspect: bool,
    model: &str,
) -> Result<Option<Counted>, NotAsked> {
    let questions = disclosure.questions(request).map_err(NotAsked::TooMany)?;
    let (Some((budget, key)), Some(questions)) = (&disclosure.queries, questions) else { return Ok(None) };
    let queries = queries(&questions, key);
    let named = disclosure.named(*budget, principal, is_suspect, model);
    let buckets = named.each_ref().map(|(name, budget)| Bucket::new(name, *budget));
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

/// A query for each question.
fn queries(Questions { each, shared }: &Questions, key: &QueryKey) -> Vec<Query> {
    let query = |Question { numbers, text }: &Question| match (numbers.is_empty(), text.is_empty()) {
        (false, true) => key.numbers(shared, numbers),
        (true, _) => key.text(shared, text),
        (false, false) => {
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
            key.text(&shared.iter().copied().chain(bytes).collect::<Vec<u8>>(), text)
        }
    };
    each.iter().map(query).collect()
}
