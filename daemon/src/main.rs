//! The `hookring` command.

use std::process::ExitCode;

use hookring::cli::{self, args::Cli};

fn main() -> ExitCode {
    // Whatever is created belongs to this user alone, and to them in full.
    hookring_bus::sys::set_umask(0o077);
    cli::dispatch(&Cli::of_process()).into()
}
