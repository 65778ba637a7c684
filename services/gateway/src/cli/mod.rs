//! The command line.

mod audit_checks;
mod audit_trail;
mod corpus;
mod first_start;
mod here;
mod inspect;
mod keys;
mod screen;
mod serve;
mod setup;
mod terms;
mod way;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{InvalidSettings, Settings};
pub(crate) use here::system_act;

/// A security gateway in front of AI model servers.
///
/// Without a command it serves. Without --config it starts on embedded parts: limits in memory, keys
/// and audit trail under ./portcullis-data, a certificate of its own and a built-in echo model.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    after_help = "\
Examples:
  portcullis                                   try it: HTTPS on 127.0.0.1:8443 with the echo model
  portcullis serve --config portcullis.toml    serve your models
  portcullis config check --config FILE        say what is wrong with a file, without starting
  portcullis keys issue --name ci --model 'llama-*' --operation chat --requests '5/second burst 10'
  portcullis explain 0198c1de-...              why a request was refused, by its x-request-id
  portcullis screen --jsonl prompts.jsonl      what the rules make of texts, before they hold for requests

A running gateway is administered over its admin listener, with the key in PORTCULLIS_ADMIN_KEY.
Exit codes: 0 done, 1 failed, 2 wrong arguments or a tampered trail, 3 an incomplete trail."
)]
pub struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Default, Args)]
struct SettingsArguments {
    /// The configuration file. Without one, the built-in echo models are served.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder, instead of server.data_dir.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The callers' port, instead of the one in server.listen; 0 takes any free ports.
    #[arg(long, global = true)]
    port: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT; SIGHUP reloads models, limits, quotas, screening and certificates.
    Serve,
    /// Look at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Issue, list, change, rotate and revoke API keys.
    #[command(subcommand)]
    Keys(Box<keys::KeysCommand>),
    /// Make, list and revoke tenants, to whom keys belong.
    #[command(subcommand)]
    Tenants(keys::TenantsCommand),
    /// Verify, search, prove and hand on the audit trail.
    #[command(subcommand)]
    Audit(Box<audit_trail::AuditCommand>),
    /// Make what several gateways share: a certificate, peppers, the keys of the audit trail, the secret of [disclosure].
    Setup(setup::SetupArguments),
    /// Issue a demo key, and the first admin key if there is none, and show commands to try.
    Welcome(setup::WelcomeArguments),
    /// Make files of texts that answers must not repeat.
    #[command(subcommand)]
    Corpus(corpus::CorpusCommand),
    /// Screen a text as requests or answers are, and say what was found and how long it took.
    Screen(screen::ScreenArguments),
    /// Ask the gateway on this machine whether it is ready; exit code 0 if so. For containers.
    Healthcheck,
    /// Say what happened to a request: which step, which rule, which limit.
    Explain {
        /// The x-request-id of the answer.
        request_id: String,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the settings can be used.
    Check,
    /// Show the settings that hold, all layers applied; secrets stay hidden.
    Show,
}

/// A command failed; the text says how, the code goes to the shell.
#[derive(Debug)]
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn new(error: impl std::fmt::Display) -> Self {
        Self { text: error.to_string(), code: 1 }
    }
}

impl Arguments {
    /// Does what the arguments say.
    pub fn run(self) -> ExitCode {
        // Fails only if another provider was installed before, which then is the one in use.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return fail(&Failure::new(error)),
        };
        let done = runtime.block_on(self.dispatch());
        // Nothing is waited for that was left: who is told twice to stop stops.
        runtime.shutdown_background();
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => fail(&failure),
        }
    }

    async fn dispatch(self) -> Result<(), Failure> {
        let arguments = self.settings;
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => serve::run(&arguments).await,
            Command::Config(ConfigCommand::Check) => inspect::check(&arguments.load().map_err(Failure::new)?),
            Command::Config(ConfigCommand::Show) => inspect::show(&arguments.load().map_err(Failure::new)?),
            Command::Keys(command) => keys::run(&arguments.load().map_err(Failure::new)?, *command).await,
            Command::Tenants(command) => keys::tenants(&arguments.load().map_err(Failure::new)?, command).await,
            Command::Audit(command) => audit_trail::run(&arguments.load().map_err(Failure::new)?, *command).await,
            Command::Corpus(corpus::CorpusCommand::Build(command)) => {
                corpus::build(&arguments.load().map_err(Failure::new)?, &command)
            }
            Command::Screen(command) => screen::run(&arguments.load().map_err(Failure::new)?, &command),
            Command::Healthcheck => inspect::healthcheck(&arguments.load().map_err(Failure::new)?).await,
            Command::Setup(command) => setup::make(&command),
            Command::Welcome(command) => setup::welcome(&arguments.load().map_err(Failure::new)?, &command).await,
            Command::Explain { request_id } => {
                inspect::explain(&arguments.load().map_err(Failure::new)?, &request_id).await
            }
        }
    }
}

impl SettingsArguments {
    /// All layers, and the arguments over them.
    fn load(&self) -> Result<Settings, InvalidSettings> {
        let mut settings = Settings::load(self.config.as_deref())?;
        if let Some(data) = &self.data {
            settings.server.data_dir.clone_from(data);
        }
        if let Some(port) = self.port {
            settings.server.listen.set_port(port);
            if port == 0 {
                settings.server.admin_listen.set_port(0);
            }
        }
        Ok(settings)
    }
}

fn fail(failure: &Failure) -> ExitCode {
    let _ = writeln!(io::stderr(), "portcullis: {}", failure.text);
    ExitCode::from(failure.code)
}

/// Prints for people or pipes. A reader that has left is no failure.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
