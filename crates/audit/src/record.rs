//! What is recorded: who asked for what, how it ended, what was refused, what was administered.
//! Never a secret, and no text unless the caller puts one in.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One entry of the log.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
pub enum Record {
    /// A request is about to be sent to a backend.
    Intent(Intent),
    /// How it ended. Every intent gets one, if need be at the next start.
    Outcome(Outcome),
    /// A request was refused before.
    Refusal(Refusal),
    /// Something was administered.
    Act(Act),
    /// Another key signs the log from here on. Only [`Log::change_key`](crate::Log::change_key) writes it.
    KeyChange(KeyChange),
    /// How far another log has come.
    Peer(Peer),
}

/// How the records that a verification looks into begin.
pub(crate) const KEY_CHANGE: &[u8] = b"{\"record\":\"keychange\"";
pub(crate) const PEER: &[u8] = b"{\"record\":\"peer\"";

impl Record {
    /// Who asked for it.
    pub fn who(&self) -> &Who {
        match self {
            Self::Intent(Intent { who, .. })
            | Self::Outcome(Outcome { who, .. })
            | Self::Refusal(Refusal { who, .. })
            | Self::Act(Act { who, .. })
            | Self::KeyChange(KeyChange { who, .. })
            | Self::Peer(Peer { who, .. }) => who,
        }
    }
}

/// Who is meant, as far as it is known.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Who {
    /// The public id of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The key's family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Whose key it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What a detector saw and what was done about it; never the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// The detector.
    pub detector: String,
    /// What it saw.
    pub label: String,
    /// What was decided.
    pub action: String,
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// `enforce` or `observe`.
    pub mode: String,
}

/// What a request held.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "lowercase")]
pub enum Input {
    /// A text a model may read.
    Text {
        /// Where, as a JSON pointer.
        pointer: String,
        /// From whom: user, system, tool result.
        origin: String,
        /// Its length.
        bytes: u64,
        /// What may be kept of it, if anything; see [`clean`](crate::clean).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Whether less is kept than there was.
        cut: bool,
    },
    /// A tensor.
    Tensor {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<i64>,
        /// Its data type.
        dtype: String,
        /// Its smallest number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// Its largest number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
        /// Its data, as a keyed digest.
        digest: String,
    },
}

/// A request that is about to be sent to a backend.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Intent {
    /// The request.
    pub request_id: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who asked.
    pub who: Who,
    /// For what.
    pub operation: String,
    /// In which wire shape.
    pub dialect: String,
    /// Of which model, by the caller's name for it.
    pub model: String,
    /// By the backend's name for it.
    pub backend_model: String,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// The length of the body.
    pub body_bytes: u64,
    /// What it may cost.
    pub estimated_tokens: u64,
    /// What it held.
    pub input: Vec<Input>,
    /// The body, as a keyed digest.
    pub input_digest: String,
    /// What the detectors saw.
    pub findings: Vec<Noted>,
}

/// How a request ended.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It was answered to the end.
    Complete,
    /// Its answer was blocked.
    Blocked,
    /// The client left.
    HungUp,
    /// It failed.
    Failed,
    /// The process ended first. Written at the next start.
    #[default]
    Unknown,
}

/// What was released of data about people, and what it cost them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The data set.
    pub data_set: String,
    /// How noise was made; none for an answer that was told before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// What was spent, in billionths of zCDP; nothing for an answer that was told before.
    pub nano_rho: u64,
    /// What was left to the data set then, if something was spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_nano_rho: Option<u64>,
}

/// How a request that was sent to a backend ended.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// The request.
    pub request_id: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who asked.
    pub who: Who,
    /// The status of the answer; 0 if unknown.
    pub status: u16,
    /// The code of the error, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How it ended.
    pub ended: Ended,
    /// Which backend answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// From its arrival to its end.
    pub latency_ms: u64,
    /// From its arrival to the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// The length of the answer.
    pub output_bytes: u64,
    /// The answer, as a keyed digest.
    pub output_digest: String,
    /// What was released under differential privacy, or paid for and not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<Released>,
    /// What the detectors saw.
    pub findings: Vec<Noted>,
}

/// A request that was refused before it was sent to a backend.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// The request.
    pub request_id: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who asked, if that is known.
    pub who: Who,
    /// The step that refused.
    pub step: String,
    /// The code of the error.
    pub code: String,
    /// The status of the answer.
    pub status: u16,
    /// What the caller was not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The limit that was hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What was asked for, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Of which model, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How many more like it are not recorded.
    pub similar: u64,
    /// What the detectors saw.
    pub findings: Vec<Noted>,
}

/// Something that was administered, or tried.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Act {
    /// The request, or what stands for it on a command line.
    pub request_id: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who did it.
    pub who: Who,
    /// What: `keys.issue`.
    pub act: String,
    /// To what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The target before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The target after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Whether it was done.
    pub ok: bool,
    /// Why not, or what else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Another key signs the log from here on.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyChange {
    /// The request, or what stands for it.
    pub request_id: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who did it.
    pub who: Who,
    /// A signed note over all records before: both keys are in it, and both signed it.
    pub note: String,
}

/// How far another log has come. Whoever changes that log afterwards must change this one, too.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// What stands for a request; may be empty.
    pub request_id: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who did it.
    pub who: Who,
    /// The checkpoint of the other log, a signed note.
    pub note: String,
}

macro_rules! new {
    ($($name:ident),+) => {$(
        impl $name {
            /// Of this request, at this time in milliseconds since the Unix epoch; the rest is empty.
            pub fn new(request_id: impl Into<String>, at: u64) -> Self {
                Self { request_id: request_id.into(), at, ..Self::default() }
            }
        }

        impl From<$name> for Record {
            fn from(record: $name) -> Self {
                Self::$name(record)
            }
        }
    )+};
}

new!(Intent, Outcome, Refusal, Act, KeyChange, Peer);

impl Record {
    /// The request it is about.
    pub fn request_id(&self) -> &str {
        match self {
            Self::Intent(record) => &record.request_id,
            Self::Outcome(record) => &record.request_id,
            Self::Refusal(record) => &record.request_id,
            Self::Act(record) => &record.request_id,
            Self::KeyChange(record) => &record.request_id,
            Self::Peer(record) => &record.request_id,
        }
    }
}
