//! Settings: typed, layered, checked before anything starts. The only reader of the environment.

mod acme;
mod disclosure;
mod models;
mod release;
mod screening;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::builder::DefaultState;
use config::{Config, ConfigBuilder, ConfigError, File, FileFormat};
use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

pub use acme::AcmeSettings;
pub use disclosure::{DisclosureSettings, ModelDisclosureSettings, MonitorSettings};
pub use models::{BackendSettings, FallbackSettings, ModelSettings, PriceSettings, QuotaSettings, TensorSettings};
pub use release::{AggregatesSettings, DataSetSettings, ReleaseSettings, VoteSettings};
pub use screening::{
    CanarySettings, ExceptionSettings, InputSettings, JudgeSettings, OutputSettings, ScreeningSettings,
};
pub use words::{
    AuditMode, BackendKind, JudgeApi, JudgeOutage, KeptText, LogFormat, LogLevel, Noise, OnSuspicion, OperationSetting,
    Preset, QuotaCounts, QuotaOf, QuotaOnOutage, Reaction, TensorsFrom,
};

/// The compiled-in defaults; also the documentation of every setting.
pub const DEFAULT: &str = include_str!("../../../config/default.toml");
/// The models of a start without a configuration file.
pub const LOCAL: &str = include_str!("../../../config/local.toml");

/// Where the command line finds the admin key.
const ADMIN_KEY: &str = "PORTCULLIS_ADMIN_KEY";

type Builder = ConfigBuilder<DefaultState>;

/// All settings.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Listeners, certificate, data folder.
    pub server: ServerSettings,
    /// Bounds on requests.
    pub limits: LimitSettings,
    /// Quotas that several gateways share.
    pub redis: RedisSettings,
    /// Keys that several gateways share.
    pub database: DatabaseSettings,
    /// What keys are made with.
    pub keys: KeySettings,
    /// What is screened.
    pub screening: ScreeningSettings,
    /// What answers tell of models.
    pub disclosure: DisclosureSettings,
    /// What the audit trail keeps.
    pub audit: AuditSettings,
    /// What is logged.
    pub log: LogSettings,
    /// Model servers by name.
    #[serde(default)]
    pub backends: BTreeMap<String, BackendSettings>,
    /// Models by the name callers use.
    #[serde(default)]
    pub models: BTreeMap<String, ModelSettings>,
    /// Data about people by name, whose privacy answers spend.
    #[serde(default)]
    pub data_sets: BTreeMap<String, DataSetSettings>,
    /// Quotas by name, beside those of keys.
    #[serde(default)]
    pub quotas: BTreeMap<String, QuotaSettings>,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct ServerSettings {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub data_dir: PathBuf,
    pub tls_cert: PathBuf,
    pub tls_key: PathBuf,
    pub admin_tls_cert: PathBuf,
    pub admin_tls_key: PathBuf,
    pub admin_client_ca: PathBuf,
    pub admin_client_crl: PathBuf,
    pub admin_client_cert: PathBuf,
    pub admin_client_key: PathBuf,
    pub workers: usize,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub head_seconds: u64,
    pub idle_seconds: u64,
    pub stall_seconds: u64,
    pub shutdown_seconds: u64,
    pub trusted_proxies: Vec<IpNet>,
    pub proxy_protocol: bool,
    pub danger_plaintext_behind_proxy: bool,
    pub plaintext_trap: String,
    pub metrics_from: Vec<IpNet>,
    pub acme: AcmeSettings,
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct LimitSettings {
    pub max_body_bytes: usize,
    pub max_unpacked_bytes: usize,
    pub max_buffered_bytes: usize,
    pub body_seconds: u64,
    pub body_bytes_per_second: u64,
    pub max_depth: usize,
    pub max_values: usize,
    pub max_string_bytes: usize,
    pub max_messages: usize,
    pub max_choices: u32,
    pub max_elements: u64,
    pub allow_fields: Vec<String>,
    pub reserve_output_tokens: u32,
    pub failures_per_minute: u32,
    pub openai_headers: bool,
    pub max_output_tokens: u64,
    pub max_media_bytes: usize,
    pub max_schemas: usize,
    pub danger_remote_media: bool,
    pub danger_audio: bool,
    pub danger_files: bool,
    pub danger_token_prompts: bool,
    pub danger_bias_with_logprobs: bool,
    pub danger_stored_state: bool,
    pub danger_grammars: bool,
    pub danger_empty_tensors: bool,
}

/// `[redis]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct RedisSettings {
    pub url: Secret,
    pub tls_ca: PathBuf,
    pub tls_cert: PathBuf,
    pub tls_key: PathBuf,
    pub sentinel_user: String,
    pub sentinel_password: Secret,
    pub sentinel_password_file: PathBuf,
    pub prefix: String,
    pub deadline_milliseconds: u64,
    pub replicas: u32,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct DatabaseSettings {
    pub url: Secret,
}

/// `[keys]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct KeySettings {
    pub peppers: Secret,
    pub peppers_file: PathBuf,
}

/// `[audit]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct AuditSettings {
    pub mode: AuditMode,
    pub text: KeptText,
    pub keep_days: u64,
    pub max_waiting_bytes: usize,
    pub signing_key: Secret,
    pub signing_key_file: PathBuf,
    pub digest_key: Secret,
    pub digest_key_file: PathBuf,
    pub otlp: OtlpSettings,
}

/// `[audit.otlp]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct OtlpSettings {
    pub url: String,
    pub api_key: Secret,
    pub api_key_file: PathBuf,
    pub timeout_milliseconds: u64,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct LogSettings {
    pub format: LogFormat,
    pub level: LogLevel,
}

/// A secret setting: never shown, by no way of printing.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret; `None` when it is not set.
    pub fn reveal(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&self.0)
    }

    /// The secret, or what is in its file, without the white space around it; `None` when neither is
    /// set. `at` is the setting; that of the file ends in `_file`.
    ///
    /// # Errors
    /// When both are set, or the file is empty or cannot be read.
    pub fn or_file(&self, at: &str, file: &Path) -> Result<Option<Zeroizing<String>>, InvalidSettings> {
        let wrong = |problem: String| InvalidSettings::new(format!("{at}_file"), problem);
        let is_named = !file.as_os_str().is_empty();
        let text = match self.reveal() {
            Some(_) if is_named => {
                let name = at.rsplit('.').next().unwrap_or(at);
                return Err(wrong(format!("{name} is set as well")));
            }
            Some(text) => Zeroizing::new(text.trim().to_owned()),
            None if !is_named => return Ok(None),
            None => {
                let read = std::fs::read_to_string(file).map(Zeroizing::new);
                let text = read.map_err(|error| wrong(format!("{}: {error}", file.display())))?;
                Zeroizing::new(text.trim().to_owned())
            }
        };
        if text.is_empty() { Err(wrong("it is empty".to_owned())) } else { Ok(Some(text)) }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "[hidden]" })
    }
}

/// Settings that cannot be used: which, what is wrong, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", if at.is_empty() { String::new() } else { format!("{at}: ") }, problem)]
pub struct InvalidSettings {
    at: String,
    problem: String,
}

impl InvalidSettings {
    /// What is wrong with the setting `at`.
    pub fn new(at: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { at: at.into(), problem: problem.into() }
    }
}

impl ServerSettings {
    /// Where plaintext is refused, if anywhere.
    ///
    /// # Errors
    /// When it is not an address.
    pub fn trap(&self) -> Result<Option<SocketAddr>, InvalidSettings> {
        if self.plaintext_trap.is_empty() {
            return Ok(None);
        }
        let wrong = |_| InvalidSettings::new("server.plaintext_trap", "expected an address such as 0.0.0.0:80");
        self.plaintext_trap.parse().map(Some).map_err(wrong)
    }
}

impl KeySettings {
    /// The text of the peppers, if it is given.
    ///
    /// # Errors
    /// As [`Secret::or_file`].
    pub fn peppers(&self) -> Result<Option<Zeroizing<String>>, InvalidSettings> {
        self.peppers.or_file("keys.peppers", &self.peppers_file)
    }
}

impl AuditSettings {
    /// The text of the key that signs checkpoints, if it is given.
    ///
    /// # Errors
    /// As [`Secret::or_file`].
    pub fn signing_key(&self) -> Result<Option<Zeroizing<String>>, InvalidSettings> {
        self.signing_key.or_file("audit.signing_key", &self.signing_key_file)
    }

    /// The text of the key that makes digests, if it is given.
    ///
    /// # Errors
    /// As [`Secret::or_file`].
    pub fn digest_key(&self) -> Result<Option<Zeroizing<String>>, InvalidSettings> {
        self.digest_key.or_file("audit.digest_key", &self.digest_key_file)
    }
}

impl Settings {
    /// Reads all layers.
    ///
    /// # Errors
    /// [`InvalidSettings`] for the first setting that cannot be used.
    pub fn load(file: Option<&Path>) -> Result<Self, InvalidSettings> {
        let builder = Config::builder().add_source(File::from_str(DEFAULT, FileFormat::Toml));
        let builder = match file {
            Some(path) => builder.add_source(File::from(path).format(FileFormat::Toml)),
            None => builder.add_source(File::from_str(LOCAL, FileFormat::Toml)),
        };
        Self::read(environment(builder)?.build())
    }

    /// Reads settings from text over the defaults, without the environment.
    ///
    /// # Errors
    /// [`InvalidSettings`] for the first setting that cannot be used.
    pub fn parse(text: &str) -> Result<Self, InvalidSettings> {
        let builder = Config::builder()
            .add_source(File::from_str(DEFAULT, FileFormat::Toml))
            .add_source(File::from_str(text, FileFormat::Toml));
        Self::read(builder.build())
    }

    fn read(built: Result<Config, ConfigError>) -> Result<Self, InvalidSettings> {
        let config = built.map_err(|error| InvalidSettings::new("", unreadable(&error)))?;
        serde_path_to_error::deserialize(config)
            .map_err(|error| explain(&error.path().to_string(), &error.inner().to_string()))
    }
}

/// Puts `PORTCULLIS__SECTION__KEY` over the files, as text: numbers are read by the setting's own type,
/// so that a secret of digits stays as it is.
fn environment(mut builder: Builder) -> Result<Builder, InvalidSettings> {
    const LISTS: [&str; 6] = [
        "server.acme.domains",
        "server.trusted_proxies",
        "server.metrics_from",
        "limits.allow_fields",
        "screening.input.trusted_texts",
        "screening.output.link_hosts",
    ];
    const SECTIONS: [&str; 13] = [
        "SERVER",
        "LIMITS",
        "REDIS",
        "DATABASE",
        "KEYS",
        "SCREENING",
        "DISCLOSURE",
        "AUDIT",
        "LOG",
        "BACKENDS",
        "MODELS",
        "DATA_SETS",
        "QUOTAS",
    ];
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    // Other names belong to others: Kubernetes sets PORTCULLIS_SERVICE_HOST, for one.
    let is_meant = |name: &str| {
        let rest = name.strip_prefix("PORTCULLIS_").unwrap_or_default();
        rest.starts_with('_') || SECTIONS.iter().any(|section| rest.starts_with(&format!("{section}_")))
    };
    for (name, value) in variables.filter(|(name, _)| is_meant(name)) {
        let wrong = |problem: &str| InvalidSettings::new(name.clone(), problem);
        let Some(path) = name.strip_prefix("PORTCULLIS__") else {
            return Err(wrong("a setting is written PORTCULLIS__SECTION__KEY, with two underscores"));
        };
        let path = path.replace("__", ".").to_ascii_lowercase();
        let value = value.into_string().map_err(|_| wrong("not UTF-8"))?;
        let set = if LISTS.contains(&path.as_str()) {
            let items: Vec<&str> = value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
            builder.set_override(&path, items)
        } else {
            builder.set_override(&path, value)
        };
        builder = set.map_err(|_| wrong("not the name of a setting"))?;
    }
    Ok(builder)
}

/// Files are named and lines are shown by the parser; values never are.
fn unreadable(error: &ConfigError) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    format!("the settings cannot be read: {first}")
}

/// The same for settings that were put together from others, `at` where they stand.
fn explain_value(at: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> InvalidSettings {
    let path = match error.path().to_string() {
        path if path == "." => at.to_owned(),
        path => format!("{at}.{path}"),
    };
    explain(&path, &error.inner().to_string())
}

/// The parser's own words, without the value, and with the nearest name.
fn explain(path: &str, text: &str) -> InvalidSettings {
    let text = text.split(" for key `").next().unwrap_or_default();
    let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let unknown = ["unknown field ", "unknown variant "].iter().find(|start| text.contains(*start));
    if let (Some(kind), Some((name, known))) = (unknown, quoted.split_first()) {
        let near = nearest(name, known.iter().copied());
        return match *kind {
            "unknown field " => InvalidSettings::new(path.to_owned(), format!("there is no such setting{near}")),
            _ => InvalidSettings::new(path.to_owned(), format!("expected one of {}{near}", known.join(", "))),
        };
    }
    if let Some(name) = text.split("missing configuration field \"").nth(1).and_then(|rest| rest.split('"').next()) {
        let name = name.rsplit('.').next().unwrap_or(name);
        return InvalidSettings::new(path.trim_matches('.').to_owned(), format!("{name} is required"));
    }
    let wanted = text.rsplit_once("expected ").map(|(_, wanted)| wanted);
    InvalidSettings::new(path.to_owned(), wanted.map_or("not a usable value".to_owned(), |w| format!("expected {w}")))
}

/// The known name that was probably meant, as the end of a sentence; empty when none is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let scored = known.map(|known| (strsim::jaro_winkler(name, known), known));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(score, _)| *score > 0.7);
    best.map(|(_, near)| format!("; did you mean {near}?")).unwrap_or_default()
}

/// The admin key that the command line uses against a running gateway.
pub fn admin_key() -> Option<Secret> {
    std::env::var(ADMIN_KEY).ok().map(Secret)
}
