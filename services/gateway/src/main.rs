//! The `portcullis` binary: arguments, then the command they name.

use std::process::ExitCode;

use clap::Parser as _;
use gateway::cli::Arguments;

fn main() -> ExitCode {
    Arguments::parse().run()
}
