#![doc = include_str!("../README.md")]

mod automaton;
mod classifier;
mod control;
mod decode;
mod detector;
mod eraser;
mod error;
mod finding;
mod fold;
mod injection;
mod json;
mod leads;
mod mapped;
mod normalize;
mod personal;
mod personal_forms;
mod placeholders;
mod redactor;
mod rules;
mod sanitizer;
mod secret_rules;
mod secrets;
mod sink;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod tokens;
mod verdict;

pub use classifier::{Classifier, ClassifierError, Judgement, Judging};
pub use control::ControlTokens;
pub use decode::{Encoding, View};
pub use detector::{Detector, LEFT_CONTEXT};
pub use error::{Blocked, BuildError};
pub use finding::{Action, Finding, Label, Mode, Severity};
pub use injection::Injection;
pub use json::JsonStream;
pub use normalize::Normalized;
pub use personal::Personal;
pub use placeholders::{Placeholders, Restorer};
pub use rules::Rule;
pub use sanitizer::{DEFAULT_MAX_BYTES, PANIC_RULE, Sanitizer, SanitizerBuilder};
pub use secrets::Secrets;
pub use sink::TRUNCATION_MARK;
pub use stream::StreamSanitizer;
pub use tokens::TokenSet;
pub use verdict::{MAX_FINDINGS, Verdict};
