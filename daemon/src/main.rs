//! The `hookring` command.

use std::process::ExitCode;

use clap::Parser as _;
use hookring::cli::{self, args::Cli};

fn main() -> ExitCode {
    cli::dispatch(&Cli::parse()).into()
}
