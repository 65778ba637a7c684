//! What is claimed of a model's answers: of whose data they tell, how they are made private, and what that costs.

use std::sync::Arc;

use core_validate::{Dtype, InferenceRequest, Output, Questions};
use privacy::distinct::{QueryDigest, QueryKey};
use privacy::dp::{Aggregates, DataSet, NANO_RHO, Rho};
use privacy::vote::Vote;
use ratelimit_redis::{Charge, OnOutage, Quota, Window};

/// The quotas of a data set, in refusals and metrics: that of all keys, and that of each.
const QUOTAS: [&str; 2] = ["data_set", "data_set_per_key"];
/// From here on neighbouring integers are one `f64`.
const LARGE: f64 = 9_007_199_254_740_992.0;

/// Data that is spent, by all models made of it together: so much in all, and so much by each key family. Both are for
/// ever.
#[derive(Debug)]
pub struct PrivateData {
    data_set: DataSet,
    budget: Quota,
    per_key: Quota,
}

/// A budget or a release that makes no sense.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRelease {
    /// Nothing may be spent.
    #[error("a budget is more than 0")]
    NoBudget,
    /// A key may spend more than there is.
    #[error("a key has more than the whole budget")]
    PartAboveWhole,
    /// Not even one answer could be given.
    #[error("one answer costs {cost}, which is more than the {} holds", if *is_of_key { "budget of a key" } else { "budget" })]
    TooDear {
        /// What an answer costs.
        cost: Rho,
        /// Whether it is the budget of a key that does not hold it.
        is_of_key: bool,
    },
}

impl PrivateData {
    /// With these budgets.
    ///
    /// # Errors
    /// [`InvalidRelease::NoBudget`], [`InvalidRelease::PartAboveWhole`].
    pub fn new(data_set: DataSet, budget: Rho, per_key: Rho) -> Result<Self, InvalidRelease> {
        if per_key > budget {
            return Err(InvalidRelease::PartAboveWhole);
        }
        // Every `Rho` fits into a quota.
        let quota = |rho: Rho| {
            let units = rho.as_nano().try_into().map_err(|_| InvalidRelease::NoBudget)?;
            let quota = Quota::new(units, Window::Total).map_err(|_| InvalidRelease::NoBudget)?;
            Ok(quota.on_outage(OnOutage::Deny))
        };
        Ok(Self { data_set, budget: quota(budget)?, per_key: quota(per_key)? })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.data_set.as_str()
    }

    /// Where it is kept what is spent, in all and by a key family.
    pub(crate) fn buckets(&self, family: &str) -> [String; 2] {
        [self.data_set.bucket(), self.data_set.bucket_of(&format!("family:{family}"))]
    }

    /// So much of both.
    pub(crate) fn charges<'a>(&self, [all, family]: &'a [String; 2], rho: Rho) -> [Charge<'a>; 2] {
        let [of_all, of_key] = QUOTAS;
        [
            Charge::new(all, NANO_RHO, self.budget, rho.as_nano()).policy(of_all),
            Charge::new(family, NANO_RHO, self.per_key, rho.as_nano()).policy(of_key),
        ]
    }
}

/// How answers are made private.
#[derive(Debug)]
pub enum Claim {
    /// Numbers, clipped and with noise.
    Aggregates(Aggregates),
    /// The label that most servers of the model name, almost. They were made of disjoint parts of the data.
    Vote(Vote),
}

impl Claim {
    /// What an answer costs.
    pub fn rho(&self) -> Rho {
        match self {
            Self::Aggregates(aggregates) => aggregates.rho(),
            Self::Vote(vote) => vote.rho(),
        }
    }
}

/// How a model's answers are released: one output tensor, made private, and nothing else.
#[derive(Debug)]
pub struct ReleaseRule {
    pub(crate) data: Arc<PrivateData>,
    pub(crate) output: String,
    pub(crate) claim: Claim,
    key: QueryKey,
}

impl ReleaseRule {
    /// Of `output`. `key` makes digests of questions, of this model, data set and claim alone: under another key what was
    /// told before is not known.
    ///
    /// # Errors
    /// [`InvalidRelease::TooDear`].
    pub fn new(data: Arc<PrivateData>, output: String, claim: Claim, key: QueryKey) -> Result<Self, InvalidRelease> {
        let cost = claim.rho();
        let dear = [data.budget, data.per_key].iter().position(|quota| quota.units() < cost.as_nano());
        match dear {
            Some(place) => Err(InvalidRelease::TooDear { cost, is_of_key: place > 0 }),
            None => Ok(Self { data, output, claim, key }),
        }
    }

    /// Why a request cannot be answered this way, if it cannot.
    pub(crate) fn unfit(&self, asked: &InferenceRequest) -> Option<&'static str> {
        if asked.questions(1).is_err() {
            return Some("this model takes one question at a time");
        }
        if asked.wants_classes() {
            return Some("this model gives no classes");
        }
        (!asked.asks_for(&self.output)).then_some("this model gives another output alone")
    }

    /// What is asked, whoever asks it; none of several questions.
    pub(crate) fn question(&self, asked: &InferenceRequest) -> Option<QueryDigest> {
        let Questions { each, shared } = asked.questions(1).ok()?;
        let numbers = &each.first()?.numbers;
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        // What is not the same, but reads the same as numbers or text.
        let is_large = numbers.iter().any(|number| number.abs() >= LARGE);
        let is_lossy = |dtype: Dtype| match dtype {
            Dtype::Bytes => true,
            Dtype::Int64 | Dtype::Uint64 => is_large,
            _ => false,
        };
        let mut tensors = asked.tensors();
        tensors.sort_by(|one, other| one.name.cmp(&other.name));
        for tensor in tensors.iter().filter(|tensor| is_lossy(tensor.dtype)) {
            bytes.extend((tensor.data.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&tensor.data);
        }
        Some(self.key.bytes(&shared, &bytes).digest())
    }
}

/// The ballot of a voter whose output this is: a label by its text or its place, or a row of scores.
pub(crate) fn ballot(vote: &Vote, output: &Output) -> Option<usize> {
    match output {
        Output::Texts(texts) => match texts.as_slice() {
            [label] => vote.ballot(label),
            _ => None,
        },
        Output::Numbers(numbers) => match numbers.as_slice() {
            // The cast saturates; what is beyond all labels names none.
            [place] if place.fract() == 0.0 && *place >= 0.0 => {
                Some(*place as usize).filter(|place| vote.label(*place).is_some())
            }
            scores => vote.ballot_of(scores),
        },
    }
}
