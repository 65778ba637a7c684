//! Every code a caller can see, its status and its words: one table.

use core_validate::InvalidCode;

/// The step of the line that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the steps are explained in ARCHITECTURE.md")]
pub enum Step {
    Accept,
    Authenticate,
    Read,
    Admit,
    ScreenIn,
    Commit,
    Infer,
    ScreenOut,
}

impl Step {
    /// The stable word for this step.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Authenticate => "authenticate",
            Self::Read => "read",
            Self::Admit => "admit",
            Self::ScreenIn => "screen in",
            Self::Commit => "commit",
            Self::Infer => "infer",
            Self::ScreenOut => "screen out",
        }
    }
}

macro_rules! codes {
    ($($name:ident $status:literal $word:literal $message:literal)*) => {
        /// The stable word for why a request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $message] $name,)*
            /// The body is not a valid request.
            Invalid(InvalidCode),
        }

        impl Code {
            /// All codes apart from those of the validator.
            const OWN: &[Self] = &[$(Self::$name),*];

            /// The word, as it stands in answers, logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Invalid(code) => code.as_str(),
                }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                    Self::Invalid(InvalidCode::UnsupportedMediaType) => 415,
                    Self::Invalid(_) => 400,
                }
            }

            /// The generic words of the answer.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                    Self::Invalid(code) => code.meaning(),
                }
            }
        }
    };
}

codes! {
    BadRequest 400 "bad_request" "the request head is not acceptable"
    UnknownRoute 404 "unknown_route" "there is nothing here"
    MethodNotAllowed 405 "method_not_allowed" "the method is not allowed here"
    Misdirected 421 "misdirected_request" "the request names another host"
    HttpsOnly 403 "https_only" "only HTTPS is served here; a key that was sent without it is not safe any more"
    HeadTimeout 408 "head_timeout" "the request head did not arrive in time"
    HeadTooLarge 431 "head_too_large" "the request head is too large"
    InvalidApiKey 401 "invalid_api_key" "the API key is missing or not valid"
    NotAllowed 403 "not_allowed" "the API key does not allow this"
    TooManyFailures 429 "too_many_failures" "too many failed attempts from this address"
    KeysUnavailable 503 "keys_unavailable" "keys cannot be checked at the moment"
    BodyTimeout 408 "body_timeout" "the body did not arrive in time"
    BodyIncomplete 400 "body_incomplete" "the body broke off or is not well framed"
    BodyNotPacked 400 "body_not_packed" "the body is not packed as its head says, or does not end where it should"
    BodyTooLarge 413 "body_too_large" "the body is too large"
    ModelNotFound 404 "model_not_found" "there is no such model for this key and operation"
    RateLimitExceeded 429 "rate_limit_exceeded" "the quota of this key is used up for now"
    InsufficientQuota 429 "insufficient_quota" "the budget of this key is spent"
    NotPriced 403 "not_priced" "the model has no price, and a quota of this key counts spend"
    TooManySchemas 429 "too_many_schemas" "this key has asked for too many different schemas"
    CostExceedsQuota 400 "cost_exceeds_quota" "the request costs more than the quota of this key ever holds"
    LimitsUnavailable 503 "limits_unavailable" "quotas cannot be checked at the moment"
    Busy 503 "busy" "too much is going on at the moment"
    PromptBlocked 400 "prompt_blocked" "the input was blocked by the content policy"
    ScreeningUnavailable 503 "screening_unavailable" "texts cannot be screened at the moment"
    AuditUnavailable 503 "audit_unavailable" "the request cannot be recorded at the moment"
    BackendRefused 400 "backend_refused" "the model server refused the request"
    BackendUnavailable 503 "backend_unavailable" "the model is not available at the moment"
    BackendFailed 502 "backend_failed" "the model server failed"
    BackendTimeout 504 "backend_timeout" "the model server did not answer in time"
    AnswerBlocked 422 "answer_blocked" "the answer was blocked by the content policy"
    NotFound 404 "not_found" "there is no such key, tenant or request"
    Conflict 409 "conflict" "this does not fit what is there"
    IdempotencyKeyReused 422 "idempotency_key_reused" "the idempotency key was used for another request"
    InvalidForm 400 "invalid_form" "the body is not what is asked for"
    InvalidSettings 400 "invalid_settings" "the settings cannot be used, the old ones hold"
    ShuttingDown 503 "shutting_down" "the gateway is stopping"
    Internal 500 "internal_error" "something went wrong"
}

impl Code {
    /// Every code.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::OWN.iter().copied().chain(InvalidCode::ALL.into_iter().map(Self::Invalid))
    }
}
