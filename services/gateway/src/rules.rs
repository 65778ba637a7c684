//! From settings to the rules of the line: models, limits, screening. All of it or an error.

use std::path::Path;
use std::time::Duration;

use core_validate::{Limits, Validator};
use pipeline::{Policy, Screening};
use sanitize::{
    Action, ControlTokens, Detector, Injection, Mode, Personal, Rule, Sanitizer, SanitizerBuilder, Secrets,
};

use crate::config::{DetectorSettings, InvalidSettings, KeptText, LimitSettings, Reaction, Settings, nearest};
use crate::{models, quotas};

/// Builds the rules that the settings describe.
///
/// # Errors
/// [`InvalidSettings`] for the first setting that cannot be used.
pub(crate) fn policy(settings: &Settings) -> Result<Policy, InvalidSettings> {
    let limits = &settings.limits;
    positive(settings)?;
    let models = models::models(settings)?;
    Ok(Policy {
        validator: Validator::new(self::limits(limits)),
        max_body_bytes: limits.max_body_bytes,
        body_deadline: Duration::from_secs(limits.body_seconds),
        max_schemas: limits.max_schemas,
        reserve_output_tokens: limits.reserve_output_tokens,
        screening: screening(settings)?,
        quotas: quotas::rules(settings, &models)?,
        on_outage: quotas::of_rates(settings.redis.replicas),
        openai_headers: limits.openai_headers,
        models,
    })
}

/// Settings that mean nothing at zero, or too much beyond.
fn positive(settings: &Settings) -> Result<(), InvalidSettings> {
    let (limits, server) = (&settings.limits, &settings.server);
    let numbers = [
        ("limits.max_body_bytes", limits.max_body_bytes as u64),
        ("limits.max_buffered_bytes", limits.max_buffered_bytes as u64),
        ("limits.body_seconds", limits.body_seconds),
        ("limits.max_depth", limits.max_depth as u64),
        ("limits.max_values", limits.max_values as u64),
        ("limits.max_string_bytes", limits.max_string_bytes as u64),
        ("limits.max_messages", limits.max_messages as u64),
        ("limits.max_choices", u64::from(limits.max_choices)),
        ("limits.max_elements", limits.max_elements),
        ("limits.max_output_tokens", limits.max_output_tokens),
        ("limits.max_media_bytes", limits.max_media_bytes as u64),
        ("limits.failures_per_minute", u64::from(limits.failures_per_minute)),
        ("screening.output.max_bytes", settings.screening.output.max_bytes.unwrap_or(1) as u64),
        ("server.max_connections", server.max_connections as u64),
        ("redis.deadline_milliseconds", settings.redis.deadline_milliseconds),
    ];
    settings.redis.config()?;
    if let Some((at, _)) = numbers.into_iter().find(|(_, number)| *number == 0) {
        return Err(InvalidSettings::new(at, "expected a number of 1 or more"));
    }
    if limits.max_buffered_bytes < limits.max_body_bytes {
        return Err(InvalidSettings::new("limits.max_buffered_bytes", "expected at least limits.max_body_bytes"));
    }
    if limits.max_depth > 100 {
        return Err(InvalidSettings::new("limits.max_depth", "expected at most 100"));
    }
    if server.workers > 1_024 {
        return Err(InvalidSettings::new("server.workers", "expected at most 1024"));
    }
    let is_pair = |cert: &Path, key: &Path| cert.as_os_str().is_empty() == key.as_os_str().is_empty();
    if !is_pair(&server.admin_tls_cert, &server.admin_tls_key) {
        return Err(InvalidSettings::new("server.admin_tls_key", "admin_tls_cert and admin_tls_key go together"));
    }
    match is_pair(&server.tls_cert, &server.tls_key) {
        true => Ok(()),
        false => Err(InvalidSettings::new("server.tls_key", "tls_cert and tls_key go together")),
    }
}

/// The limits that hold for every model.
pub(crate) fn limits(limits: &LimitSettings) -> Limits {
    Limits::default()
        .depth(limits.max_depth)
        .values(limits.max_values)
        .string_bytes(limits.max_string_bytes)
        .messages(limits.max_messages)
        .choices(limits.max_choices)
        .output_tokens(limits.max_output_tokens)
        .elements(limits.max_elements)
        .media_bytes(limits.max_media_bytes)
        .allow_fields(limits.allow_fields.clone())
        .danger_remote_media(limits.danger_remote_media)
        .danger_audio(limits.danger_audio)
        .danger_files(limits.danger_files)
        .danger_token_prompts(limits.danger_token_prompts)
        .danger_bias_with_logprobs(limits.danger_bias_with_logprobs)
        .danger_stored_state(limits.danger_stored_state)
        .danger_grammars(limits.danger_grammars)
        .danger_empty_tensors(limits.danger_empty_tensors)
}

fn screening(settings: &Settings) -> Result<Screening, InvalidSettings> {
    let whole = settings.limits.max_string_bytes.max(settings.limits.max_body_bytes);
    let output_bytes = settings.screening.output.max_bytes.unwrap_or(1 << 20);
    if settings.screening.input.max_bytes.is_some() {
        return Err(InvalidSettings::new(
            "screening.input.max_bytes",
            "only answers are cut; see limits.max_string_bytes",
        ));
    }
    let build = |at: &str, builder: SanitizerBuilder| {
        builder.build().map_err(|error| InvalidSettings::new(at, error.to_string()))
    };
    let input = input(&settings.screening.input)?.max_bytes(whole);
    let output = detectors("screening.output", &settings.screening.output, ControlTokens::new())?;
    let output = output.max_bytes(output_bytes);
    let audit = Sanitizer::builder().detector(Secrets::new(), Action::Redact).placeholder("[redacted]");
    Ok(Screening {
        input: build("screening.input", input)?,
        output: build("screening.output", output)?,
        audit: build("audit", audit)?,
        keep_text: settings.audit.text == KeptText::Redacted,
    })
}

fn input(settings: &DetectorSettings) -> Result<SanitizerBuilder, InvalidSettings> {
    let at = "screening.input";
    let builder = detectors(at, settings, ControlTokens::tokens_only())?;
    // `SYSTEM: Ubuntu` is an honest line of a bug report, so headers in requests are recorded only.
    Ok(match settings.control_tokens {
        Reaction::Off => builder,
        _ => builder.observe(ControlTokens::headers_only(), Action::Block),
    })
}

fn detectors(
    at: &str,
    settings: &DetectorSettings,
    control_tokens: ControlTokens,
) -> Result<SanitizerBuilder, InvalidSettings> {
    let injection = Injection::new().map_err(|error| InvalidSettings::new(at, error.to_string()))?;
    if settings.injection == Reaction::Redact {
        return Err(InvalidSettings::new(format!("{at}.injection"), "expected one of block, observe, off"));
    }
    let known = injection.rules().iter().map(Rule::id).chain(ControlTokens::rules()).chain(Secrets::rules());
    let known = known.chain(Personal::rules());
    let known: Vec<&str> = known.collect();
    if let Some(rule) = settings.observe_rules.iter().find(|rule| !known.contains(&rule.as_str())) {
        let near = nearest(rule, known.iter().copied());
        let problem = format!("there is no rule {rule}{near}");
        return Err(InvalidSettings::new(format!("{at}.observe_rules"), problem));
    }
    let builder = Sanitizer::builder().placeholder("[redacted]");
    let observed = |builder: SanitizerBuilder, rule: &String| builder.rule(rule, Action::Block, Mode::Observe);
    let builder = settings.observe_rules.iter().fold(builder, observed);
    let builder = add(builder, control_tokens, settings.control_tokens);
    let builder = add(builder, injection, settings.injection);
    let builder = add(builder, Secrets::new(), settings.secrets);
    Ok(add(builder, Personal::new(), settings.personal))
}

fn add(builder: SanitizerBuilder, detector: impl Detector + 'static, reaction: Reaction) -> SanitizerBuilder {
    match reaction {
        Reaction::Block => builder.detector(detector, Action::Block),
        Reaction::Redact => builder.detector(detector, Action::Redact),
        Reaction::Observe => builder.observe(detector, Action::Block),
        Reaction::Off => builder,
    }
}
