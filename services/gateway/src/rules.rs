//! From settings to the rules of the line: models, limits, screening. All of it or an error.

use std::path::Path;
use std::time::Duration;

use core_validate::{Limits, Validator};
use pipeline::{Policy, TrailMode};

use crate::config::{AuditMode, InvalidSettings, LimitSettings, ModelSettings, ServerSettings, Settings};
use crate::{models, quotas, screening};

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
        max_unpacked_bytes: limits.max_unpacked_bytes,
        body_deadline: Duration::from_secs(limits.body_seconds),
        body_bytes_per_second: limits.body_bytes_per_second,
        max_schemas: limits.max_schemas,
        reserve_output_tokens: limits.reserve_output_tokens,
        screening: screening::screening(settings, &models)?,
        trail: match settings.audit.mode {
            AuditMode::Strict => TrailMode::Strict,
            AuditMode::Available => TrailMode::Available,
        },
        quotas: quotas::rules(settings, &models)?,
        on_outage: quotas::of_rates(settings.redis.replicas),
        openai_headers: limits.openai_headers,
        models,
    })
}

/// What must be left to unpack a body with.
const UNPACKING: usize = 128 << 10;
/// More is a mistake, and some clocks cannot add it.
pub(crate) const LONGEST_SECONDS: u64 = 31_536_000;

/// Bounds of bodies that contradict each other.
fn bodies(settings: &Settings) -> Result<(), InvalidSettings> {
    let limits = &settings.limits;
    if limits.max_unpacked_bytes > limits.max_body_bytes {
        return Err(InvalidSettings::new("limits.max_unpacked_bytes", "expected at most limits.max_body_bytes"));
    }
    if limits.max_unpacked_bytes > 0 && limits.max_buffered_bytes < limits.max_unpacked_bytes.saturating_add(UNPACKING)
    {
        let problem = "expected at least limits.max_unpacked_bytes and 131072 more, to unpack them";
        return Err(InvalidSettings::new("limits.max_buffered_bytes", problem));
    }
    if limits.max_buffered_bytes < limits.max_body_bytes {
        return Err(InvalidSettings::new("limits.max_buffered_bytes", "expected at least limits.max_body_bytes"));
    }
    let is_more = |model: &ModelSettings| model.max_body_bytes.is_some_and(|most| most > limits.max_buffered_bytes);
    if let Some((name, _)) = settings.models.iter().find(|(_, model)| is_more(model)) {
        let at = format!("models.{name}.max_body_bytes");
        return Err(InvalidSettings::new(at, "expected at most limits.max_buffered_bytes"));
    }
    Ok(())
}

/// Settings that mean nothing at zero, or too much beyond.
fn positive(settings: &Settings) -> Result<(), InvalidSettings> {
    let (limits, server) = (&settings.limits, &settings.server);
    let numbers = [
        ("limits.max_body_bytes", limits.max_body_bytes as u64),
        ("limits.max_buffered_bytes", limits.max_buffered_bytes as u64),
        ("limits.body_seconds", limits.body_seconds),
        ("limits.body_bytes_per_second", limits.body_bytes_per_second),
        ("server.head_seconds", server.head_seconds),
        ("server.idle_seconds", server.idle_seconds),
        ("server.stall_seconds", server.stall_seconds),
        ("server.max_connections_per_address", server.max_connections_per_address as u64),
        ("limits.max_depth", limits.max_depth as u64),
        ("limits.max_values", limits.max_values as u64),
        ("limits.max_string_bytes", limits.max_string_bytes as u64),
        ("limits.max_messages", limits.max_messages as u64),
        ("limits.max_choices", u64::from(limits.max_choices)),
        ("limits.max_elements", limits.max_elements),
        ("limits.max_output_tokens", limits.max_output_tokens),
        ("limits.max_media_bytes", limits.max_media_bytes as u64),
        ("limits.failures_per_minute", u64::from(limits.failures_per_minute)),
        ("screening.judge.deadline_milliseconds", settings.screening.judge.deadline_milliseconds),
        ("screening.judge.max_bytes", settings.screening.judge.max_bytes as u64),
        ("audit.otlp.timeout_milliseconds", settings.audit.otlp.timeout_milliseconds),
        ("server.max_connections", server.max_connections as u64),
        ("redis.deadline_milliseconds", settings.redis.deadline_milliseconds),
    ];
    settings.redis.config()?;
    let spans = [
        ("server.head_seconds", server.head_seconds),
        ("server.idle_seconds", server.idle_seconds),
        ("server.stall_seconds", server.stall_seconds),
        ("server.shutdown_seconds", server.shutdown_seconds),
        ("limits.body_seconds", limits.body_seconds),
    ];
    if let Some((at, _)) = spans.into_iter().find(|(_, seconds)| *seconds > LONGEST_SECONDS) {
        return Err(InvalidSettings::new(at, "expected at most a year"));
    }
    if let Some((at, _)) = numbers.into_iter().find(|(_, number)| *number == 0) {
        return Err(InvalidSettings::new(at, "expected a number of 1 or more"));
    }
    bodies(settings)?;
    if settings.audit.max_waiting_bytes < 1 << 20 || settings.audit.max_waiting_bytes > 1 << 31 {
        return Err(InvalidSettings::new("audit.max_waiting_bytes", "expected from 1048576 to 2147483648"));
    }
    if settings.audit.keep_days > 36_500 {
        return Err(InvalidSettings::new("audit.keep_days", "expected at most 36500; 0 keeps all"));
    }
    crate::trail::check(&settings.audit)?;
    if limits.max_depth > 100 {
        return Err(InvalidSettings::new("limits.max_depth", "expected at most 100"));
    }
    if server.workers > 1_024 {
        return Err(InvalidSettings::new("server.workers", "expected at most 1024"));
    }
    listeners(server)
}

/// Settings of the listeners that contradict each other.
fn listeners(server: &ServerSettings) -> Result<(), InvalidSettings> {
    let wrong = |at: &str, problem: &str| Err(InvalidSettings::new(format!("server.{at}"), problem));
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    if is_set(&server.admin_tls_cert) != is_set(&server.admin_tls_key) {
        return wrong("admin_tls_key", "admin_tls_cert and admin_tls_key go together");
    }
    if is_set(&server.tls_cert) != is_set(&server.tls_key) {
        return wrong("tls_key", "tls_cert and tls_key go together");
    }
    if is_set(&server.admin_client_cert) != is_set(&server.admin_client_key) {
        return wrong("admin_client_key", "admin_client_cert and admin_client_key go together");
    }
    if is_set(&server.admin_client_crl) && !is_set(&server.admin_client_ca) {
        return wrong("admin_client_crl", "there is no admin_client_ca whose certificates it could revoke");
    }
    if server.trusted_proxies.is_empty() && server.proxy_protocol {
        return wrong("proxy_protocol", "nobody may connect: name the proxies in trusted_proxies");
    }
    if server.trusted_proxies.is_empty() && server.danger_plaintext_behind_proxy {
        return wrong("danger_plaintext_behind_proxy", "nobody may connect: name the proxies in trusted_proxies");
    }
    crate::tls::Plan::of(server)?;
    server.trap().map(drop)
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
