//! The gateway beside nginx, both in front of the same model server on loopback.
//!
//! Starts a model server, Redis, the release binary of the gateway and nginx, each a process of its
//! own; asks them in turn; prints a table and a line for each goal. A missed goal is no failure of the
//! run. `just bench-line` builds what it needs.

mod ask;
mod bodies;
mod cpu;
mod model_server;
mod plan;
mod report;
mod servers;
mod streams;
mod wholes;

use std::process::ExitCode;

use clap::Parser;

/// Whatever could not run, with the reason.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Compares the gateway with nginx.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds that each phase is measured, after one second to warm up.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// How often nginx and the gateway are measured, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Run the cases whose name holds this text alone, such as `64 KiB x64`, without the goals.
    #[arg(long)]
    only: Option<String>,
    /// Be the model server: print its address and serve until standard input ends.
    #[arg(long, hide = true)]
    model_server: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::complain(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.model_server {
        return model_server::serve().await;
    }
    // Returning drops the servers, which ends them.
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        done = plan::run(&arguments) => done,
        _ = terminate.recv() => Err("told to stop".into()),
        _ = tokio::signal::ctrl_c() => Err("told to stop".into()),
    }
}
