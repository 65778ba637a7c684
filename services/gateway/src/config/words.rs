//! Settings that are one of a few words.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An enum of words, read and written as such. A wrong word is told the right ones.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$word_doc])* $variant,)*
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match String::deserialize(deserializer)?.as_str() {
                    $($word => Ok(Self::$variant),)*
                    other => Err(serde::de::Error::unknown_variant(other, &[$($word),*])),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(match self {
                    $(Self::$variant => $word,)*
                })
            }
        }
    };
}

words! {
    /// What happens when a detector finds something.
    Reaction {
        /// The request or answer is refused.
        Block = "block",
        /// What was found is removed.
        Redact = "redact",
        /// It is recorded, nothing else.
        Observe = "observe",
        /// Nobody looks.
        Off = "off",
    }
}

words! {
    /// How much the answers of a model tell.
    Preset {
        /// All that the server tells.
        Open = "open",
        /// Rounded.
        Scores = "scores",
        /// Only which is best.
        Labels = "labels",
    }
}

words! {
    /// What happens when a monitor suspects somebody.
    OnSuspicion {
        /// The log warns, once.
        Alert = "alert",
        /// Answers are rounded more than usual.
        Round = "round",
        /// Answers tell only which score is best.
        Labels = "labels",
        /// The budget of the key family is smaller.
        Budget = "budget",
    }
}

words! {
    /// The noise of released numbers.
    Noise {
        /// Discrete Gaussian.
        Gaussian = "gaussian",
        /// Discrete Laplace.
        Laplace = "laplace",
    }
}

words! {
    /// How a judge elsewhere is asked.
    JudgeApi {
        /// `moderations` of OpenAI's API.
        Moderations = "moderations",
        /// A chat model that answers `safe` or `unsafe`, as Llama Guard does.
        Chat = "chat",
    }
}

words! {
    /// What happens to a request that a judge elsewhere did not judge.
    JudgeOutage {
        /// It is refused.
        Refuse = "refuse",
        /// It passes, and the trail says that it was not scanned.
        Pass = "pass",
    }
}

words! {
    /// What counts more while the audit trail cannot be written.
    AuditMode {
        /// Records: nothing is asked without one.
        Strict = "strict",
        /// Answers: records wait in memory.
        Available = "available",
    }
}

words! {
    /// What of a text the audit trail keeps.
    KeptText {
        /// Its beginning, redacted.
        Redacted = "redacted",
        /// Nothing but a digest.
        Digest = "digest",
    }
}

words! {
    /// How a log line looks.
    LogFormat {
        /// For people.
        Pretty = "pretty",
        /// For programs.
        Json = "json",
    }
}

words! {
    /// The least severe line that is logged.
    LogLevel {
        /// Something is broken.
        Error = "error",
        /// Something may break.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// How it happens.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}

words! {
    /// What a backend speaks.
    BackendKind {
        /// OpenAI's API.
        Openai = "openai",
        /// The same, of vLLM.
        Vllm = "vllm",
        /// The same, of SGLang.
        Sglang = "sglang",
        /// The same, of llama.cpp.
        LlamaCpp = "llama.cpp",
        /// The same, of Text Generation Inference.
        Tgi = "tgi",
        /// The same, of Ollama.
        Ollama = "ollama",
        /// The Open Inference Protocol.
        Oip = "oip",
        /// Nothing: it is the built-in model.
        Echo = "echo",
    }
}

words! {
    /// Whose requests a quota counts together.
    QuotaOf {
        /// Those of one key.
        Key = "key",
        /// Those of a key and of what it was rotated from and into.
        Family = "family",
        /// Those of a tenant.
        Tenant = "tenant",
        /// Those from one address.
        Address = "address",
        /// Everybody's.
        All = "all",
    }
}

words! {
    /// What a quota counts.
    QuotaCounts {
        /// Requests.
        Requests = "requests",
        /// Tokens, read and written.
        Tokens = "tokens",
        /// Tokens that models read.
        InputTokens = "input_tokens",
        /// Tokens that models write.
        OutputTokens = "output_tokens",
        /// Millionths of what prices are in.
        Spend = "spend",
        /// Requests under way.
        Concurrent = "concurrent",
    }
}

words! {
    /// What a quota says while Redis is away.
    QuotaOnOutage {
        /// Nothing is let through.
        Refuse = "refuse",
        /// Each gateway lets its share through.
        Share = "share",
        /// Everything is let through.
        DangerAllow = "danger_allow",
    }
}

words! {
    /// Who says what a model's tensors are.
    TensorsFrom {
        /// The settings; where they say nothing, the model's servers.
        Servers = "servers",
        /// The settings alone.
        Settings = "settings",
    }
}

words! {
    /// What a model does.
    OperationSetting {
        /// Chat.
        Chat = "chat",
        /// Text completion.
        Complete = "complete",
        /// Embeddings.
        Embed = "embed",
        /// The responses API.
        Respond = "respond",
        /// Anthropic's Messages API.
        Message = "message",
        /// Tensors.
        Infer = "infer",
    }
}
