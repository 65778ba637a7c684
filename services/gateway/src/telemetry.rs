//! Logs: on standard error, one line an event, never with texts or secrets.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{LogFormat, LogLevel, LogSettings};

/// Starts logging for the whole process. A second call changes nothing.
pub(crate) fn start(settings: &LogSettings) {
    let level = match settings.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    // Other people's crates say little, and never below a warning: they may log what they handle.
    let filter = Targets::new()
        .with_default(Level::WARN)
        .with_targets(["gateway", "pipeline", "keys", "audit", "store", "backend"].map(|target| (target, level)));
    let is_terminal = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(is_terminal);
    let lines = match settings.format {
        LogFormat::Pretty => lines.boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // Where, never what: a panic message may hold input.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
    }));
}
