//! Fields beyond the API of OpenAI, by the server that takes them.
//!
//! Here are those that shape sampling and the form of the answer at a bounded cost. What loads code, templates,
//! grammars or other callers' state, skips the messages that were screened, or changes whose turn it is, is not
//! here; an operator can allow it by name.

use crate::limits::Extensions;
use crate::openai::fields::EFFORT;
use crate::openai::rule::Rule;
use crate::operation::Operation;
use crate::request::Origin;

use Extensions::{LlamaCpp, Ollama, Sglang, Tgi, Vllm};
use Rule::*;

const WORDS_OF_TEMPLATE: Rule = Object(&[
    ("enable_thinking", Flag),
    ("thinking", Flag),
    ("preserve_thinking", Flag),
    ("clear_thinking", Flag),
    ("reasoning_effort", EFFORT),
]);
const REASONING: Rule = Object(&[("effort", EFFORT), ("enabled", Flag), ("enable", Flag)]);
const CHOICES: Rule = From(Origin::Schema, &List(128, &Text(256)));
const SCHEMA: Rule = From(Origin::Schema, &Schema);
/// Patterns and grammars are compiled by the server, which has crashed on some.
const COMPILED: Rule = Grammar(&From(Origin::Schema, &Free));
const STRUCTURED: Rule = Object(&[
    ("choice", CHOICES),
    ("json", SCHEMA),
    ("json_object", Flag),
    ("disable_any_whitespace", Flag),
    ("disable_additional_properties", Flag),
    ("regex", COMPILED),
    ("grammar", COMPILED),
    ("structural_tag", COMPILED),
]);

/// A field of some servers.
type Row = (&'static [Extensions], &'static str, Rule);

const WRITING: &[Row] = &[
    (&[Vllm, Sglang], "min_tokens", Integer(0, 1 << 20)),
    (&[Vllm, Sglang], "stop_token_ids", Tokens(64)),
    (&[Vllm, Sglang, LlamaCpp], "ignore_eos", Flag),
    (&[Vllm], "include_stop_str_in_output", Flag),
    (&[Vllm, Sglang], "skip_special_tokens", Flag),
    (&[Vllm, Sglang], "spaces_between_special_tokens", Flag),
    (&[Vllm], "bad_words", List(32, &Text(64))),
    (&[Vllm], "allowed_token_ids", Tokens(256)),
    (&[Vllm], "thinking_token_budget", Integer(-1, 1 << 24)),
    (&[Vllm], "stream_interval", Integer(1, 64)),
    (&[Vllm], "length_penalty", Number(-10.0, 10.0)),
    (&[Vllm], "structured_outputs", STRUCTURED),
    (&[Vllm], "guided_json", SCHEMA),
    (&[Vllm], "guided_choice", CHOICES),
    (&[Vllm], "guided_regex", COMPILED),
    (&[Vllm], "guided_grammar", COMPILED),
    (
        &[Vllm],
        "repetition_detection",
        Object(&[
            ("max_pattern_size", Integer(0, 64)),
            ("min_pattern_size", Integer(0, 64)),
            ("min_count", Integer(2, 64)),
        ]),
    ),
    (&[Sglang], "no_stop_trim", Flag),
    (&[Sglang], "regex", COMPILED),
    (&[Sglang], "ebnf", COMPILED),
    (&[Sglang], "stop_regex", COMPILED),
    (&[LlamaCpp], "typical_p", Number(0.0, 1.0)),
    (&[LlamaCpp], "top_n_sigma", Number(-1.0, 10.0)),
    (&[LlamaCpp], "dynatemp_range", Number(0.0, 2.0)),
    (&[LlamaCpp], "dynatemp_exponent", Number(0.0, 10.0)),
    (&[LlamaCpp], "xtc_probability", Number(0.0, 1.0)),
    (&[LlamaCpp], "xtc_threshold", Number(0.0, 1.0)),
    (&[LlamaCpp], "repeat_penalty", Number(0.1, 2.0)),
    (&[LlamaCpp], "repeat_last_n", Integer(-1, 4_096)),
    (&[LlamaCpp], "dry_multiplier", Number(0.0, 10.0)),
    (&[LlamaCpp], "dry_base", Number(1.0, 4.0)),
    (&[LlamaCpp], "dry_allowed_length", Integer(0, 64)),
    (&[LlamaCpp], "dry_penalty_last_n", Integer(-1, 4_096)),
    (&[LlamaCpp], "dry_sequence_breakers", List(16, &Text(16))),
    (&[LlamaCpp], "mirostat", Integer(0, 2)),
    (&[LlamaCpp], "mirostat_tau", Number(0.0, 20.0)),
    (&[LlamaCpp], "mirostat_eta", Number(0.0, 1.0)),
    (&[LlamaCpp], "samplers", List(10, &Word(SAMPLERS))),
    (&[LlamaCpp], "min_keep", Integer(0, 100)),
    (&[LlamaCpp], "t_max_predict_ms", Integer(-1, 1 << 31)),
    (&[LlamaCpp], "cache_prompt", Flag),
    (&[LlamaCpp], "timings_per_token", Flag),
    (&[LlamaCpp], "return_progress", Flag),
    (&[LlamaCpp], "json_schema", SCHEMA),
    (&[LlamaCpp], "grammar", COMPILED),
];

const SAMPLERS: &[&str] =
    &["penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"];

const CHAT: &[Row] = &[
    (&[Vllm, Sglang, LlamaCpp], "chat_template_kwargs", WORDS_OF_TEMPLATE),
    (&[Vllm], "include_reasoning", Flag),
    (
        &[Vllm],
        "documents",
        From(Origin::ToolResult, &List(32, &Map(16, 64, &Or(&Text(64 << 10), &Number(f64::MIN, f64::MAX))))),
    ),
    (&[Sglang], "separate_reasoning", Flag),
    (&[Sglang], "stream_reasoning", Flag),
    (&[Sglang, Ollama], "reasoning", REASONING),
    (&[LlamaCpp], "reasoning_format", Word(&["none", "auto", "deepseek", "deepseek-legacy"])),
    (&[LlamaCpp], "reasoning_budget_tokens", Integer(-1, 1 << 24)),
    (&[Tgi], "tool_prompt", From(Origin::System, &Text(4_096))),
];

const EMBED: &[Row] = &[
    (&[Vllm], "truncate_prompt_tokens", Integer(1, 1 << 24)),
    (&[Vllm], "add_special_tokens", Flag),
    (&[Vllm], "use_activation", Flag),
    (&[Vllm], "embed_dtype", Word(&["float32", "float16", "bfloat16"])),
    (&[LlamaCpp], "embd_normalize", Integer(-1, 2)),
    (&[Ollama], "truncate", Flag),
    (&[Ollama], "keep_alive", Refused("how long a model stays loaded is the operator's")),
];

fn rows(operation: Operation) -> impl Iterator<Item = &'static Row> {
    let tables: &[&[Row]] = match operation {
        Operation::Chat => &[WRITING, CHAT],
        Operation::Complete => &[WRITING],
        Operation::Respond | Operation::Message => &[WRITING, CHAT],
        Operation::Embed => &[EMBED],
        Operation::Infer => &[],
    };
    tables.iter().copied().flatten()
}

/// The rule of a field that one of the sets has.
pub(super) fn find(sets: &[Extensions], operation: Operation, key: &str) -> Option<&'static Rule> {
    rows(operation)
        .find(|(of, name, _)| *name == key && of.iter().any(|set| sets.contains(set)))
        .map(|(_, _, rule)| rule)
}

/// A set that has the field.
pub(super) fn of(operation: Operation, key: &str) -> Option<Extensions> {
    rows(operation).find(|(_, name, _)| *name == key).and_then(|(of, _, _)| of.first().copied())
}
