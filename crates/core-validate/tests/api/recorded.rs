//! What unmodified clients send is accepted: requests that `scripts/record` took from them.

use base64::Engine as _;
use bytes::Bytes;
use core_validate::{Extensions, Head, Limits, Operation, Validator};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    name: String,
    path: String,
    content_type: Option<String>,
    tensor_header_length: Option<u64>,
    body: Option<String>,
    body_base64: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
}

impl Recorded {
    fn operation(&self) -> Operation {
        match self.path.as_str() {
            "/v1/chat/completions" => Operation::Chat,
            "/v1/completions" => Operation::Complete,
            "/v1/embeddings" => Operation::Embed,
            "/v1/responses" => Operation::Respond,
            _ => Operation::Infer,
        }
    }

    fn body(&self) -> Bytes {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => Bytes::from(text.clone()),
            (_, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap().into(),
            _ => Bytes::new(),
        }
    }

    /// The limits under which an operator says what this request needs.
    fn limits(&self) -> Limits {
        let mut limits = Limits::default().danger_empty_tensors(self.name.contains("-infer-empty"));
        if PARAMETERS_OF.iter().any(|suffix| self.name.ends_with(suffix)) {
            limits = limits.allow_parameters(PARAMETERS.iter().map(ToString::to_string).collect());
        }
        for need in &self.needs {
            limits = match need.as_str() {
                "remote_media" => limits.danger_remote_media(true),
                "token_prompts" => limits.danger_token_prompts(true),
                "audio" => limits.danger_audio(true),
                "file" => limits.danger_files(true),
                "state" => limits.danger_stored_state(true),
                "logit_bias_with_logprobs" => limits.danger_bias_with_logprobs(true),
                "sequence" | "priority" => {
                    limits.allow_parameters(PARAMETERS.iter().map(ToString::to_string).collect())
                }
                set => limits.extensions([set.parse::<Extensions>().unwrap()]),
            };
        }
        limits
    }
}

#[rustfmt::skip]
const PARAMETERS: &[&str] = &[
    "sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "content_type", "threshold", "top",
    "explain", "scale", "strict", "mode", "count", "flag", "rate",
];
/// Requests with parameters of a model's own.
const PARAMETERS_OF: [&str; 4] =
    ["infer-content-type", "infer-input-parameters", "kserve-infer-parameters", "option-parameters"];

fn recorded(client: &str) -> Vec<Recorded> {
    let file = format!("{}/tests/recorded/{client}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let lines = std::fs::read_to_string(file).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn check(client: &str, refused: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for request in recorded(client) {
        let head = Head {
            content_type: request.content_type.clone(),
            tensor_header_length: request.tensor_header_length,
            model: (request.operation() == Operation::Infer).then(|| "m".parse().unwrap()),
            ..Head::default()
        };
        let expected = refused.iter().find(|(name, _)| *name == request.name).map(|(_, why)| *why);
        if expected.is_none() && request.needs.iter().any(|need| need == "hosted_tools") {
            continue;
        }
        let read = Validator::new(request.limits()).parse(request.operation(), &head, &request.body());
        let got = read.as_ref().err().map(|error| format!("{} {} {}", error.code().as_str(), error.at(), error));
        if expected.is_some() != got.is_some() || !expected.is_none_or(|why| got.as_ref().unwrap().starts_with(why)) {
            wrong.push(format!("{} {:?}: {got:?}, expected {expected:?}", request.name, request.needs));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is refused by policy, whatever an operator allows by name of a set: what loads, compiles, skips the
/// screening, builds on other requests or runs at a provider.
const REFUSED: &[(&str, &str)] = &[
    ("openai-chat-audio-handed-back", "unsupported_content /audio"),
    ("openai-chat-audio-voice-id", "unsupported_content /audio"),
    ("openai-chat-file-id", "missing_field /messages/0/content/0/file/file_data"),
    ("openai-chat-llama-cpp-cache-prompt-id-slot-n-probs-min-keep-t-max-predict-ms", "unknown_field /id_slot"),
    ("openai-chat-llama-cpp-grammar", "unsupported_content /grammar"),
    ("openai-chat-llama-cpp-logit-bias", "wrong_type /logit_bias"),
    ("openai-chat-llama-cpp-lora-timings-per-token-post-sampling-probs", "unknown_field /lora"),
    (
        "openai-chat-llama-cpp-reasoning-format-chat-template-kwargs-enable-thinking-parse-tool-calls",
        "unknown_field /parse_tool_calls",
    ),
    ("openai-chat-llama-cpp-typical-p-repeat-penalty-repeat-last-n-n-predict-n-keep", "unknown_field /n_predict"),
    ("openai-chat-modalities-audio", "unsupported_content /audio"),
    ("openai-chat-moderation", "unsupported_content /moderation"),
    ("openai-chat-sglang-continue-final-message-skip-special-tokens", "unknown_field /continue_final_message"),
    ("openai-chat-sglang-ebnf", "unsupported_content /ebnf"),
    ("openai-chat-sglang-lora-path", "unknown_field /lora_path"),
    ("openai-chat-sglang-regex", "unsupported_content /regex"),
    ("openai-chat-sglang-return-hidden-states", "unknown_field /return_hidden_states"),
    ("openai-chat-sglang-rid-priority", "unknown_field /rid"),
    ("openai-chat-sglang-session-params-id", "unknown_field /session_params"),
    (
        "openai-chat-sglang-stop-token-ids-stop-regex-no-stop-trim-min-tokens-ignore-eos",
        "unsupported_content /stop_regex",
    ),
    ("openai-chat-tgi-guideline", "unknown_field /guideline"),
    ("openai-chat-tgi-response-format-regex", "unsupported_content /response_format/value"),
    (
        "openai-chat-tgi-truncate-best-of-do-sample-return-full-text-typical-p-watermark-details-repetition-penalty",
        "unknown_field /truncate",
    ),
    ("openai-chat-tools-custom-grammar", "unsupported_content /tools/0/custom/format/grammar"),
    ("openai-chat-tools-custom-regex", "unsupported_content /tools/0/custom/format/grammar"),
    ("openai-chat-vllm-audio-url", "unsupported_content /messages/0/content/0/type"),
    ("openai-chat-vllm-cache-salt", "unknown_field /cache_salt"),
    ("openai-chat-vllm-chat-template", "unknown_field /chat_template"),
    ("openai-chat-vllm-echo-add-generation-prompt-continue-final-message-add-special-tokens", "unknown_field /echo"),
    ("openai-chat-vllm-guided-grammar", "unsupported_content /guided_grammar"),
    ("openai-chat-vllm-guided-regex-guided-decoding-backend", "unsupported_content /guided_regex"),
    ("openai-chat-vllm-mm-processor-kwargs-num-crops", "unknown_field /mm_processor_kwargs"),
    ("openai-chat-vllm-priority", "unknown_field /priority"),
    ("openai-chat-vllm-prompt-logprobs", "unknown_field /prompt_logprobs"),
    ("openai-chat-vllm-request-id", "unknown_field /request_id"),
    ("openai-chat-vllm-return-tokens-as-token-ids-return-token-ids", "unknown_field /return_tokens_as_token_ids"),
    ("openai-chat-vllm-structured-outputs-grammar", "unsupported_content /structured_outputs/grammar"),
    ("openai-chat-vllm-structured-outputs-regex", "unsupported_content /structured_outputs/regex"),
    ("openai-chat-vllm-structured-outputs-structural-tag", "unsupported_content /structured_outputs/structural_tag"),
    ("openai-chat-vllm-truncate-prompt-tokens", "unknown_field /truncate_prompt_tokens"),
    ("openai-chat-vllm-use-beam-search-length-penalty", "unknown_field /use_beam_search"),
    ("openai-chat-vllm-video", "unsupported_content /messages/0/content/0/type"),
    ("openai-chat-vllm-video-url", "unsupported_content /messages/0/content/0/type"),
    ("openai-chat-vllm-vllm-xargs-a", "unknown_field /vllm_xargs"),
    ("openai-completions-llama-cpp", "unknown_field /n_predict"),
    ("openai-completions-sglang", "unsupported_content /regex"),
    ("openai-completions-vllm", "unknown_field /use_beam_search"),
    ("openai-embeddings-vllm", "unknown_field /normalize"),
    ("openai-embeddings-vllm-chat", "unknown_field /messages"),
    ("openai-responses-compaction-item", "unsupported_content /input/0/type"),
    ("openai-responses-context-management", "unsupported_content /context_management"),
    ("openai-responses-file-id", "unsupported_content /input/0/content/0/file_id"),
    ("openai-responses-file-url", "unsupported_content /input/0/content/0/file_url"),
    ("openai-responses-image-file-id", "unsupported_content /input/0/content/0/file_id"),
    ("openai-responses-moderation", "unsupported_content /moderation"),
    ("openai-responses-tools-custom-grammar", "unsupported_content /tools/0/format/definition"),
    ("openai-responses-tools-namespace", "unsupported_content /tools/0/type"),
    ("openai-responses-vllm", "unknown_field /request_id"),
];

#[test]
fn of_openai() {
    check("openai", REFUSED);
}

#[test]
fn of_tritonclient() {
    check("tritonclient", &[]);
}

#[test]
fn of_kserve() {
    check("kserve", &[]);
}

#[test]
fn of_langchain_litellm_llamaindex_and_instructor() {
    for client in ["langchain", "litellm", "llamaindex", "instructor"] {
        check(client, &[]);
    }
}
