//! From settings to the rules of the line: models, limits, screening. All of it or an error.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backend::{EchoBackend, Endpoint, ModelBackend, OipBackend, OpenAiBackend, Timeouts};
use core_validate::{Dtype, Limits, ModelName, ModelSpec, Operation, TensorSpec, Validator};
use pipeline::{Model, Policy, Price, Screening, ServedBy};
use sanitize::{Action, ControlTokens, Detector, Injection, Rule, Sanitizer, SanitizerBuilder, Secrets};

use crate::config::{
    BackendKind, BackendSettings, DetectorSettings, InputSettings, InvalidSettings, KeptText, LimitSettings,
    ModelSettings, OperationSetting, PriceSettings, Reaction, Settings, nearest,
};
use crate::quotas;

/// Builds the rules that the settings describe.
///
/// # Errors
/// [`InvalidSettings`] for the first setting that cannot be used.
pub(crate) fn policy(settings: &Settings) -> Result<Policy, InvalidSettings> {
    let limits = &settings.limits;
    positive(settings)?;
    let mut backends = BTreeMap::new();
    for (name, backend) in &settings.backends {
        backends.insert(name.as_str(), server(&format!("backends.{name}"), backend)?);
    }
    let mut models = BTreeMap::new();
    for (name, model) in &settings.models {
        speaks(settings, name, model)?;
        let model = Arc::new(self::model(name, model, &backends)?);
        models.insert(model.name().clone(), model);
    }
    Ok(Policy {
        validator: validator(limits),
        max_body_bytes: limits.max_body_bytes,
        body_deadline: Duration::from_secs(limits.body_seconds),
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

fn validator(limits: &LimitSettings) -> Validator {
    Validator::new(
        Limits::default()
            .depth(limits.max_depth)
            .values(limits.max_values)
            .string_bytes(limits.max_string_bytes)
            .messages(limits.max_messages)
            .choices(limits.max_choices)
            .elements(limits.max_elements)
            .allow_fields(limits.allow_fields.clone())
            .danger_remote_media(limits.danger_remote_media)
            .danger_token_prompts(limits.danger_token_prompts),
    )
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
    let known: Vec<&str> = known.collect();
    if let Some(rule) = settings.observe_rules.iter().find(|rule| !known.contains(&rule.as_str())) {
        let near = nearest(rule, known.iter().copied());
        let problem = format!("there is no rule {rule}{near}");
        return Err(InvalidSettings::new(format!("{at}.observe_rules"), problem));
    }
    let builder = Sanitizer::builder().placeholder("[redacted]").observe_rules(settings.observe_rules.iter().cloned());
    let builder = add(builder, control_tokens, settings.control_tokens);
    let builder = add(builder, injection, settings.injection);
    Ok(add(builder, Secrets::new(), settings.secrets))
}

fn add(builder: SanitizerBuilder, detector: impl Detector + 'static, reaction: Reaction) -> SanitizerBuilder {
    match reaction {
        Reaction::Block => builder.detector(detector, Action::Block),
        Reaction::Redact => builder.detector(detector, Action::Redact),
        Reaction::Observe => builder.observe(detector, Action::Block),
        Reaction::Off => builder,
    }
}

fn server(at: &str, settings: &BackendSettings) -> Result<Arc<dyn ModelBackend>, InvalidSettings> {
    if settings.kind == BackendKind::Echo {
        return Ok(Arc::new(EchoBackend::new()));
    }
    for (key, seconds) in [
        ("connect_seconds", settings.connect_seconds),
        ("answer_seconds", settings.answer_seconds),
        ("idle_seconds", settings.idle_seconds),
        ("max_answer_bytes", settings.max_answer_bytes as u64),
    ] {
        if seconds == 0 {
            return Err(InvalidSettings::new(format!("{at}.{key}"), "expected a number of 1 or more"));
        }
    }
    if settings.url.contains('@') {
        return Err(InvalidSettings::new(format!("{at}.url"), "credentials belong into api_key, not into the address"));
    }
    let mut timeouts = Timeouts::default();
    timeouts.connect = Duration::from_secs(settings.connect_seconds);
    timeouts.answer = Duration::from_secs(settings.answer_seconds);
    timeouts.idle = Duration::from_secs(settings.idle_seconds);
    timeouts.max_bytes = settings.max_answer_bytes;
    let key = settings.api_key.or_file(&format!("{at}.api_key"), &settings.api_key_file)?;
    if key.as_ref().is_some_and(|key| !key.bytes().all(|b| b.is_ascii_graphic())) {
        return Err(InvalidSettings::new(format!("{at}.api_key"), "expected visible ASCII characters"));
    }
    let endpoint = Endpoint::new(&settings.url, key, timeouts)
        .map_err(|_| InvalidSettings::new(format!("{at}.url"), "expected an http or https address"))?;
    Ok(match settings.kind {
        BackendKind::Oip => Arc::new(OipBackend::new(endpoint)),
        _ => Arc::new(OpenAiBackend::new(endpoint)),
    })
}

fn model(
    name: &str,
    settings: &ModelSettings,
    backends: &BTreeMap<&str, Arc<dyn ModelBackend>>,
) -> Result<Model, InvalidSettings> {
    let at = format!("models.{name}");
    let parse = |at: String, text: &str| -> Result<ModelName, InvalidSettings> {
        text.parse().map_err(|error: core_validate::NotAModelName| InvalidSettings::new(at, error.to_string()))
    };
    let alias = parse(at.clone(), name)?;
    if settings.max_output_tokens == 0 {
        return Err(InvalidSettings::new(format!("{at}.max_output_tokens"), "expected a number of 1 or more"));
    }
    if name.contains('/') && settings.operations.contains(&OperationSetting::Infer) {
        return Err(InvalidSettings::new(at, "a model that infers stands in paths and has no / in its name"));
    }
    let theirs = if settings.backend_model.is_empty() { name } else { &settings.backend_model };
    let theirs = parse(format!("{at}.backend_model"), theirs)?;
    let servers: Result<Vec<ServedBy>, InvalidSettings> = settings
        .backends
        .iter()
        .map(|label| match backends.get(label.as_str()) {
            Some(backend) => Ok(ServedBy { label: label.clone(), backend: backend.clone(), model: theirs.clone() }),
            None => {
                let near = nearest(label, backends.keys().copied());
                Err(InvalidSettings::new(format!("{at}.backends"), format!("there is no backend {label}{near}")))
            }
        })
        .collect();
    let operations = settings.operations.iter().map(|operation| match operation {
        OperationSetting::Chat => Operation::Chat,
        OperationSetting::Complete => Operation::Complete,
        OperationSetting::Embed => Operation::Embed,
        OperationSetting::Infer => Operation::Infer,
    });
    let spec = spec(&at, &settings.inputs)?;
    let model = Model::new(alias, operations.collect(), settings.max_output_tokens, spec, servers?)
        .map_err(|error| InvalidSettings::new(at, error.to_string()))?;
    Ok(match &settings.price {
        Some(PriceSettings { input, output }) => model.priced(Price { input: *input, output: *output }),
        None => model,
    })
}

/// Whether every backend of a model speaks what its operations need.
fn speaks(settings: &Settings, name: &str, model: &ModelSettings) -> Result<(), InvalidSettings> {
    for (label, backend) in model.backends.iter().filter_map(|label| Some((label, settings.backends.get(label)?))) {
        let wants_tensors = |operation: &OperationSetting| *operation == OperationSetting::Infer;
        let problem = match backend.kind {
            BackendKind::Echo => continue,
            BackendKind::Openai if model.operations.iter().any(wants_tensors) => "infer needs a backend of kind oip",
            BackendKind::Oip if !model.operations.iter().all(wants_tensors) => "kind oip does infer only",
            _ => continue,
        };
        return Err(InvalidSettings::new(format!("models.{name}.operations"), format!("backend {label}: {problem}")));
    }
    Ok(())
}

fn spec(at: &str, inputs: &[InputSettings]) -> Result<Option<ModelSpec>, InvalidSettings> {
    let mut spec = ModelSpec::new();
    for (i, input) in inputs.iter().enumerate() {
        let at = format!("{at}.inputs[{i}]");
        let dtype: Dtype = input.dtype.parse().map_err(|_| {
            let known: Vec<&str> = Dtype::ALL.iter().map(|dtype| dtype.as_str()).collect();
            InvalidSettings::new(format!("{at}.dtype"), format!("expected one of {}", known.join(", ")))
        })?;
        if input.shape.iter().any(|&size| size == 0 || size < -1) {
            return Err(InvalidSettings::new(format!("{at}.shape"), "a size is -1 or more than 0"));
        }
        let mut tensor = TensorSpec::new(dtype, input.shape.clone());
        if let Some(count) = input.max_elements {
            tensor = tensor.max_elements(count);
        }
        match (input.min, input.max) {
            (None, None) => {}
            (min, max) => {
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                if min.is_nan() || max.is_nan() || min > max {
                    return Err(InvalidSettings::new(format!("{at}.min"), "min is more than max"));
                }
                tensor = tensor.range(min, max);
            }
        }
        spec = spec.input(&input.name, tensor);
    }
    Ok((!inputs.is_empty()).then_some(spec))
}
