//! Who is watched at a model, and what follows from suspicion: rougher answers, a smaller budget, a warning. A monitor
//! alone never refuses.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use audit::Noted;
use core_validate::{InferenceAnswer, InferenceRequest, NumbersAt, Operation};
use keys::{Principal, Tenant};
use privacy::distinct::QueryBudget;
use privacy::{Observed, Perturb, Suspicion, Watch, margin};

use crate::disclosure::{MAX_ROWS, rows_of};

/// Most questions of one request that are taken into account: ten microseconds each. Of more it is so many that nobody
/// can foretell.
const MOST: usize = 256;

/// How a model is watched: questions of numbers, and the answers to them.
#[derive(Debug, Clone)]
pub struct Monitoring {
    /// Those who ask it, under all its names. Principals are key families, as [`Monitoring::who`] names them.
    pub watch: Arc<Watch>,
    /// What the numbers of a question are divided by, so that none decides by its size alone; 1 for those beyond.
    pub scale: Vec<f64>,
    /// The tenants whose questions a calibration is learnt from; all of them, if there are none.
    pub learn_from: Vec<Tenant>,
    /// Whether the log warns when a suspicion rises.
    pub alerts: bool,
    /// What is told of scores to who is suspected; as much as to anybody, if this is absent.
    pub scores: Option<Perturb>,
    /// How much of the budget a suspected family has, in percent.
    pub percent: Option<u8>,
}

impl Monitoring {
    /// The name of a principal in a watch: its tenant and key family, `acme:0123..`.
    pub fn who(principal: &Principal) -> String {
        format!("{}:{}", principal.tenant(), principal.family())
    }

    /// What is thought of a principal by what it asked before.
    pub(crate) fn suspicion(&self, principal: &Principal) -> Suspicion {
        self.watch.suspicion(&Self::who(principal))
    }

    /// The budget of a family that is suspected.
    pub(crate) fn reduced(&self, budget: QueryBudget) -> QueryBudget {
        self.percent.map_or(budget, |percent| budget.percent(percent))
    }

    /// Takes a request into account that was answered, before less is made of the answer.
    pub(crate) fn observe(
        &self,
        principal: &Principal,
        asked: &InferenceRequest,
        answer: &mut InferenceAnswer,
    ) -> Option<Observed> {
        if asked.operation() != Operation::Infer {
            return None;
        }
        let each = asked.questions(MAX_ROWS).ok()?.each;
        let margins = margins(each.len(), answer);
        let is_taken = chance(each.len());
        let queries = each.into_iter().zip(margins).enumerate();
        let queries: Vec<_> = queries
            .filter(|(at, (question, _))| is_taken(*at) && !question.numbers.is_empty())
            .map(|(_, (question, margin))| (self.scaled(question.numbers), margin))
            .collect();
        let queries: Vec<_> = queries.iter().map(|(numbers, margin)| (numbers.as_slice(), *margin)).collect();
        let learns = self.learn_from.is_empty() || self.learn_from.contains(principal.tenant());
        (!queries.is_empty()).then(|| self.watch.observe(&Self::who(principal), &queries, learns))
    }

    fn scaled(&self, mut numbers: Vec<f64>) -> Vec<f64> {
        numbers.iter_mut().zip(&self.scale).for_each(|(number, scale)| *number /= scale);
        numbers
    }
}

/// How clear the answer to each question is: by the first row for it in the first output of scores.
fn margins(questions: usize, answer: &mut InferenceAnswer) -> Vec<Option<f64>> {
    let mut margins = vec![None; questions];
    let mut is_first = true;
    answer.map_numbers(|at, values| {
        let NumbersAt::Output(_, shape) = at else { return };
        if !std::mem::replace(&mut is_first, false) {
            return;
        }
        let rows = rows_of(questions, shape, values.len());
        let (width, each) = (values.len() / rows.max(1), rows / questions.max(1));
        if width > 0 && each > 0 && each * questions == rows {
            let firsts = values.chunks(width).step_by(each);
            margins.iter_mut().zip(firsts).for_each(|(place, row)| *place = margin(row));
        }
    });
    margins
}

/// Which of so many questions are taken. Who could foretell it would put honest ones in their places.
fn chance(questions: usize) -> impl Fn(usize) -> bool {
    let (state, one_in) = (RandomState::new(), questions.div_ceil(MOST).max(1) as u64);
    move |at| state.hash_one(at) % one_in == 0
}

/// The note of a suspicion, for the trail: its reason and how strong it is.
pub(crate) fn noted(suspicion: Suspicion) -> Option<Noted> {
    let reason = suspicion.reason().filter(|_| suspicion.is_raised())?;
    Some(Noted {
        detector: "monitor".to_owned(),
        label: format!("{} {:.2}", reason.as_str(), suspicion.value()),
        action: "allow".to_owned(),
        pointer: String::new(),
        mode: "observe".to_owned(),
    })
}
