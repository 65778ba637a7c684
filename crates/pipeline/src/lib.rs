//! The straight line every request travels, without any web framework.
//!
//! ```text
//! Received -> Authenticated -> Parsed -> Admitted -> Screened -> Committed -> Answering -> Answer
//!      authenticate       read      admit    screen_in    commit      infer     screen_out
//! ```
//!
//! Each step consumes the type before it, and no other code can make that type: a skipped step does
//! not compile. A step that refuses gives a [`Rejection`], which travels the same exit as an answer.
//! [`Pipeline::run`] walks the line; `tests/skipped` shows what the compiler says otherwise.

mod about;
mod admit;
mod authenticate;
mod clean_texts;
mod closer;
mod code;
mod commit;
mod convert;
mod cut;
mod disclosure;
mod estimate;
mod infer;
mod look;
mod metrics;
mod monitoring;
mod plan;
mod policy;
mod privacy_stand;
mod query_stand;
mod read;
mod received;
mod refusals;
mod rejection;
mod release;
mod release_rule;
mod run;
mod schemas;
mod screen_in;
mod screen_out;
mod screening;
mod servers;
mod stream;
mod ticket;
mod trail;
mod turns;
mod unpack;

pub use about::About;
pub use admit::Admitted;
pub use authenticate::Authenticated;
pub use clean_texts::CleanTexts;
pub use code::{Code, Step};
pub use commit::Committed;
pub use convert::{to_operation, to_quota};
pub use disclosure::Disclosure;
pub use estimate::Price;
pub use infer::Answering;
pub use metrics::Metrics;
pub use monitoring::Monitoring;
pub use plan::{Counts, OWN_UNITS, Planned, QuotaRule, Whose};
pub use policy::{InvalidPolicy, Model, Policy};
pub use privacy_stand::PrivacyStand;
pub use query_stand::QueryStand;
pub use read::Parsed;
pub use received::{BodyError, Received, Unread};
pub use rejection::Rejection;
pub use release_rule::{Claim, InvalidRelease, PrivateData, ReleaseRule};
pub use run::{Parts, Pipeline, Stand};
pub use screen_in::Screened;
pub use screen_out::{Answer, AnswerBody};
pub use screening::{Judge, Planted, ScreenException, ScreenRules, Screening, TextDigest};
pub use servers::{ServedBy, Server};
pub use ticket::LEASE;
pub use trail::{TrailMode, TrailStand};
pub use unpack::Packing;
