//! From settings to models, and to the servers that answer for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backend::{BackendError, EchoBackend, Endpoint, ModelBackend, OipBackend, OpenAiBackend, Timeouts};
use core_validate::{
    Dtype, Extensions, Limits, ModelName, ModelRules, ModelSpec, NotExtensions, Operation, TensorSpec,
};
use pipeline::{InvalidPolicy, Model, Price, ServedBy, Server};
use zeroize::Zeroizing;

use crate::config::{
    BackendKind, BackendSettings, FallbackSettings, InvalidSettings, ModelSettings, OperationSetting, PriceSettings,
    Settings, TensorSettings, TensorsFrom, nearest,
};
use crate::disclosure::disclosure;
use crate::release::{DataSets, data_sets, release};

/// The models that the settings describe.
///
/// # Errors
/// [`InvalidSettings`] for the first setting that cannot be used.
pub(crate) fn models(settings: &Settings) -> Result<BTreeMap<ModelName, Arc<Model>>, InvalidSettings> {
    let mut backends = BTreeMap::new();
    for (name, backend) in &settings.backends {
        let check_every = (backend.check_seconds > 0).then(|| Duration::from_secs(backend.check_seconds));
        let spoken = server(&format!("backends.{name}"), backend)?;
        backends.insert(name.as_str(), Server::new(name.clone(), spoken, check_every));
    }
    let data_sets = data_sets(settings)?;
    let mut models = BTreeMap::new();
    for (name, model) in &settings.models {
        speaks(settings, name, model)?;
        let model = Arc::new(self::model(settings, name, model, &backends, &data_sets)?);
        models.insert(model.name().clone(), model);
    }
    Ok(models)
}

fn server(at: &str, settings: &BackendSettings) -> Result<Arc<dyn ModelBackend>, InvalidSettings> {
    if settings.kind == BackendKind::Echo {
        return Ok(Arc::new(EchoBackend::new()));
    }
    for (key, seconds) in [
        ("connect_seconds", settings.connect_seconds),
        ("answer_seconds", settings.answer_seconds),
        ("idle_seconds", settings.idle_seconds),
        ("total_seconds", settings.total_seconds),
        ("max_answer_bytes", settings.max_answer_bytes as u64),
    ] {
        if seconds == 0 {
            return Err(InvalidSettings::new(format!("{at}.{key}"), "expected a number of 1 or more"));
        }
        if key.ends_with("_seconds") && seconds > crate::rules::LONGEST_SECONDS {
            return Err(InvalidSettings::new(format!("{at}.{key}"), "expected at most a year"));
        }
    }
    let mut timeouts = Timeouts::default();
    timeouts.connect = Duration::from_secs(settings.connect_seconds);
    timeouts.answer = Duration::from_secs(settings.answer_seconds);
    timeouts.idle = Duration::from_secs(settings.idle_seconds);
    timeouts.total = Duration::from_secs(settings.total_seconds);
    timeouts.max_bytes = settings.max_answer_bytes;
    let key = settings.api_key.or_file(&format!("{at}.api_key"), &settings.api_key_file)?;
    let endpoint = endpoint(at, &settings.url, key, timeouts)?;
    Ok(match settings.kind {
        BackendKind::Oip => Arc::new(OipBackend::new(endpoint)),
        _ => Arc::new(OpenAiBackend::new(endpoint)),
    })
}

/// A server at the `url` of the section `at`, with its `api_key` if it has one.
pub(crate) fn endpoint(
    at: &str,
    url: &str,
    key: Option<Zeroizing<String>>,
    timeouts: Timeouts,
) -> Result<Endpoint, InvalidSettings> {
    if url.contains('@') {
        return Err(InvalidSettings::new(format!("{at}.url"), "credentials belong into api_key, not into the address"));
    }
    if key.as_ref().is_some_and(|key| !key.bytes().all(|b| b.is_ascii_graphic())) {
        return Err(InvalidSettings::new(format!("{at}.api_key"), "expected visible ASCII characters"));
    }
    let wrong = |problem: &str| InvalidSettings::new(format!("{at}.url"), problem);
    Endpoint::new(url, key, timeouts).map_err(|error| match error {
        BackendError::Address => wrong("no model server is on the link, at a cloud's metadata, or everywhere"),
        _ => wrong("expected an http or https address"),
    })
}

fn model(
    all: &Settings,
    name: &str,
    settings: &ModelSettings,
    backends: &BTreeMap<&str, Arc<Server>>,
    data_sets: &DataSets,
) -> Result<Model, InvalidSettings> {
    let at = format!("models.{name}");
    let alias = name.parse::<ModelName>().map_err(|error| InvalidSettings::new(at.clone(), error.to_string()))?;
    if settings.max_output_tokens == 0 {
        return Err(InvalidSettings::new(format!("{at}.max_output_tokens"), "expected a number of 1 or more"));
    }
    if name.contains('/') && settings.operations.contains(&OperationSetting::Infer) {
        return Err(InvalidSettings::new(at, "a model that infers stands in paths and has no / in its name"));
    }
    let operations = settings.operations.iter().map(|operation| match operation {
        OperationSetting::Chat => Operation::Chat,
        OperationSetting::Complete => Operation::Complete,
        OperationSetting::Embed => Operation::Embed,
        OperationSetting::Respond => Operation::Respond,
        OperationSetting::Message => Operation::Message,
        OperationSetting::Infer => Operation::Infer,
    });
    let rules = rules(all, &at, settings)?;
    let mut model = Model::new(
        alias,
        operations.collect(),
        settings.max_output_tokens,
        rules,
        served_by(&at, name, settings, backends)?,
    )
    .map_err(|error| InvalidSettings::new(at, error.to_string()))?;
    if let Some(most) = settings.max_body_bytes {
        model = model.taking(most);
    }
    model = model.disclosing(disclosure(&all.disclosure, name, settings)?);
    if let Some(rule) = release(all, data_sets, name, settings)? {
        let wrong = |error: InvalidPolicy| InvalidSettings::new(format!("models.{name}.release"), error.to_string());
        model = model.releasing(rule).map_err(wrong)?;
    }
    if settings.tensors == TensorsFrom::Servers && settings.inputs.is_empty() {
        model = model.described_by_servers(settings.optional_inputs.clone());
    }
    Ok(match &settings.price {
        Some(PriceSettings { input, output }) => model.priced(Price { input: *input, output: *output }),
        None => model,
    })
}

/// The servers of a model, in the order they are named, then those that stand in for them.
fn served_by(
    at: &str,
    name: &str,
    settings: &ModelSettings,
    backends: &BTreeMap<&str, Arc<Server>>,
) -> Result<Vec<ServedBy>, InvalidSettings> {
    let own = FallbackSettings { backends: settings.backends.clone(), backend_model: settings.backend_model.clone() };
    let mut servers = Vec::new();
    for (place, group) in std::iter::once(&own).chain(&settings.fallbacks).enumerate() {
        let at = if place == 0 { at.to_owned() } else { format!("{at}.fallbacks[{}]", place - 1) };
        let theirs = if group.backend_model.is_empty() { name } else { &group.backend_model };
        let model = theirs.parse::<ModelName>();
        let model = model.map_err(|error| InvalidSettings::new(format!("{at}.backend_model"), error.to_string()))?;
        for label in &group.backends {
            let Some(server) = backends.get(label.as_str()) else {
                let near = nearest(label, backends.keys().copied());
                return Err(InvalidSettings::new(
                    format!("{at}.backends"),
                    format!("there is no backend {label}{near}"),
                ));
            };
            servers.push(ServedBy { server: server.clone(), model: model.clone(), is_fallback: place > 0 });
        }
    }
    Ok(servers)
}

/// Settings that mean nothing, contradict each other, or undo what is checked.
fn sound(all: &Settings, at: &str, settings: &ModelSettings) -> Result<(), InvalidSettings> {
    let numbers = [
        ("max_body_bytes", settings.max_body_bytes == Some(0)),
        ("max_messages", settings.max_messages == Some(0)),
        ("max_choices", settings.max_choices == Some(0)),
        ("max_elements", settings.max_elements == Some(0)),
    ];
    if let Some((key, _)) = numbers.iter().find(|(_, is_zero)| *is_zero) {
        return Err(InvalidSettings::new(format!("{at}.{key}"), "expected a number of 1 or more"));
    }
    if settings.allow_parameters.iter().any(|name| name.starts_with("shared_memory")) {
        return Err(InvalidSettings::new(format!("{at}.allow_parameters"), "shared memory is never passed on"));
    }
    let fields =
        [("limits.allow_fields", &all.limits.allow_fields), (&*format!("{at}.allow_fields"), &settings.allow_fields)];
    for (at, fields) in fields {
        if let Some(field) = fields.iter().find(|field| Limits::is_reserved(field)) {
            let problem = format!("{field} is another name or form of what is checked: it is never passed on");
            return Err(InvalidSettings::new(at, problem));
        }
    }
    let known = |name: &String| settings.inputs.iter().any(|input| input.name == *name);
    if let Some(name) = settings.optional_inputs.iter().find(|name| !settings.inputs.is_empty() && !known(name)) {
        return Err(InvalidSettings::new(format!("{at}.optional_inputs"), format!("there is no input {name}")));
    }
    if settings.inputs.is_empty() && !settings.outputs.is_empty() {
        return Err(InvalidSettings::new(format!("{at}.outputs"), "describe the inputs as well"));
    }
    let infers = settings.operations.contains(&OperationSetting::Infer);
    let has_tensors = !settings.inputs.is_empty() || !settings.allow_parameters.is_empty();
    if has_tensors && !infers {
        let key = if settings.inputs.is_empty() { "allow_parameters" } else { "inputs" };
        return Err(InvalidSettings::new(format!("{at}.{key}"), "only a model that infers has tensors"));
    }
    for tensors in [&settings.inputs, &settings.outputs] {
        let names: BTreeSet<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        if names.len() < tensors.len() {
            return Err(InvalidSettings::new(format!("{at}.inputs"), "two tensors have the same name"));
        }
    }
    Ok(())
}

/// What requests to a model must keep to.
fn rules(all: &Settings, at: &str, settings: &ModelSettings) -> Result<ModelRules, InvalidSettings> {
    sound(all, at, settings)?;
    let mut limits = crate::rules::limits(&all.limits);
    let mut fields = all.limits.allow_fields.clone();
    fields.extend(settings.allow_fields.iter().cloned());
    limits = limits.allow_fields(fields).allow_parameters(settings.allow_parameters.clone());
    limits = limits.extensions(extensions(all, at, settings)?);
    if let Some(most) = settings.max_messages {
        limits = limits.messages(most);
    }
    if let Some(most) = settings.max_choices {
        limits = limits.choices(most);
    }
    if let Some(most) = settings.max_elements {
        limits = limits.elements(most);
    }
    let rules = ModelRules::new(limits);
    let mut spec = ModelSpec::new();
    for (i, input) in settings.inputs.iter().enumerate() {
        let tensor = tensor(&format!("{at}.inputs[{i}]"), input)?;
        spec = match settings.optional_inputs.contains(&input.name) {
            true => spec.optional_input(&input.name, tensor),
            false => spec.input(&input.name, tensor),
        };
    }
    for (i, output) in settings.outputs.iter().enumerate() {
        spec = spec.output(&output.name, tensor(&format!("{at}.outputs[{i}]"), output)?);
    }
    Ok(if settings.inputs.is_empty() { rules } else { rules.spec(spec) })
}

/// The sets of fields that are named, or else those of the model's servers.
fn extensions(all: &Settings, at: &str, settings: &ModelSettings) -> Result<Vec<Extensions>, InvalidSettings> {
    if let Some(names) = &settings.extensions {
        let parse = |name: &String| {
            name.parse()
                .map_err(|error: NotExtensions| InvalidSettings::new(format!("{at}.extensions"), error.to_string()))
        };
        return names.iter().map(parse).collect();
    }
    // What stands in for them takes no more than they do.
    let kinds = settings.backends.iter().filter_map(|label| Some(all.backends.get(label)?.kind));
    Ok(kinds
        .flat_map(|kind| match kind {
            BackendKind::Vllm => vec![Extensions::Vllm],
            BackendKind::Sglang => vec![Extensions::Sglang],
            BackendKind::LlamaCpp => vec![Extensions::LlamaCpp],
            BackendKind::Tgi => vec![Extensions::Tgi],
            BackendKind::Ollama => vec![Extensions::Ollama],
            // It reads none of them.
            BackendKind::Echo => Extensions::ALL.to_vec(),
            BackendKind::Openai | BackendKind::Oip => Vec::new(),
        })
        .collect())
}

/// Whether every backend of a model speaks what its operations need.
fn speaks(settings: &Settings, name: &str, model: &ModelSettings) -> Result<(), InvalidSettings> {
    let labels = model.backends.iter().chain(model.fallbacks.iter().flat_map(|group| &group.backends));
    for (label, backend) in labels.filter_map(|label| Some((label, settings.backends.get(label)?))) {
        let wants_tensors = |operation: &OperationSetting| *operation == OperationSetting::Infer;
        let problem = match backend.kind {
            BackendKind::Echo => continue,
            BackendKind::Oip if !model.operations.iter().all(wants_tensors) => "kind oip does infer only",
            BackendKind::Oip => continue,
            _ if model.operations.iter().any(wants_tensors) => "infer needs a backend of kind oip",
            _ => continue,
        };
        return Err(InvalidSettings::new(format!("models.{name}.operations"), format!("backend {label}: {problem}")));
    }
    Ok(())
}

fn tensor(at: &str, settings: &TensorSettings) -> Result<TensorSpec, InvalidSettings> {
    let dtype: Dtype = settings.dtype.parse().map_err(|_| {
        let known: Vec<&str> = Dtype::ALL.iter().map(|dtype| dtype.as_str()).collect();
        InvalidSettings::new(format!("{at}.dtype"), format!("expected one of {}", known.join(", ")))
    })?;
    if settings.shape.len() > 8 || settings.shape.iter().any(|&size| size == 0 || size < -1) {
        return Err(InvalidSettings::new(format!("{at}.shape"), "expected at most 8 sizes of -1 or more than 0"));
    }
    if settings
        .allowed
        .as_ref()
        .is_some_and(|values| values.is_empty() || values.iter().any(|value| !value.is_finite()))
    {
        return Err(InvalidSettings::new(format!("{at}.allowed"), "expected some numbers"));
    }
    let mut spec = TensorSpec::new(dtype, settings.shape.clone());
    if let Some(count) = settings.max_elements {
        if count == 0 {
            return Err(InvalidSettings::new(format!("{at}.max_elements"), "expected a number of 1 or more"));
        }
        spec = spec.max_elements(count);
    }
    if settings.min.is_some() || settings.max.is_some() {
        let (min, max) = (settings.min.unwrap_or(f64::NEG_INFINITY), settings.max.unwrap_or(f64::INFINITY));
        if min.is_nan() || max.is_nan() || min > max {
            return Err(InvalidSettings::new(format!("{at}.min"), "min is more than max"));
        }
        spec = spec.range(min, max);
    }
    if let Some(values) = &settings.allowed {
        spec = spec.allowed(values.clone());
    }
    if let Some(tolerance) = settings.normalised {
        if !(0.0..=1.0).contains(&tolerance) {
            return Err(InvalidSettings::new(format!("{at}.normalised"), "expected a tolerance from 0 to 1"));
        }
        spec = spec.normalised(tolerance);
    }
    let has_texts = settings.texts.is_some() || settings.max_text_bytes.is_some();
    let has_numbers = settings.min.is_some() || settings.max.is_some() || settings.allowed.is_some();
    if has_texts && dtype != Dtype::Bytes {
        return Err(InvalidSettings::new(format!("{at}.texts"), "only tensors of BYTES hold texts"));
    }
    if (has_numbers || settings.normalised.is_some()) && dtype == Dtype::Bytes {
        return Err(InvalidSettings::new(at, "tensors of BYTES hold no numbers"));
    }
    if let Some(texts) = &settings.texts {
        spec = spec.texts(texts.clone());
    }
    Ok(match settings.max_text_bytes {
        Some(most) => spec.max_text_bytes(most),
        None => spec,
    })
}
