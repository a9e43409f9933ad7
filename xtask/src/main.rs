//! The project's own commands, run as `cargo xtask COMMAND`: build, demo, test, bench.
//!
//! They exist because `hookring-emit` (and the floor it is measured against) is a static program
//! without std and without the C runtime: that takes link arguments which only `cargo rustc` passes,
//! and a build of its own, so that no other crate turns std on in the crates it links.

mod programs;

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use programs::Programs;

const HELP: &str = "\
hookring's own commands

Usage: cargo xtask COMMAND [ARGS]

  build          build hookring, hookring-emit and hookring-floor side by side, say where
  demo [ARGS]    build, then run `hookring demo`
  test [ARGS]    build, then run all tests; ARGS go to `cargo test --workspace`
  bench [ARGS]   build, then run the benches; ARGS go to `cargo bench --package hookring-benches`

Example: cargo xtask bench --bench hook_process
";

/// Tests and benches find the programs in the folder that this variable names.
const BIN_DIR_VARIABLE: &str = "HOOKRING_TEST_BIN_DIR";

/// Tests say in the file that this variable names what they left out, and why.
const LEFT_OUT_VARIABLE: &str = "HOOKRING_TEST_LEFT_OUT";

const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let done = match command {
        "build" => build(),
        "demo" => demo(rest),
        "test" => test(rest),
        "bench" => bench(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        unknown => {
            eprintln!("xtask: unknown command `{unknown}`\n\n{HELP}");
            return ExitCode::from(USAGE);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn build() -> Result<ExitCode> {
    let programs = Programs::build()?;
    println!("{}", programs.dir().display());
    Ok(ExitCode::SUCCESS)
}

fn demo(args: &[String]) -> Result<ExitCode> {
    let programs = Programs::build()?;
    run(Command::new(programs.dir().join("hookring")).arg("demo").args(args))
}

fn test(args: &[String]) -> Result<ExitCode> {
    let programs = Programs::build()?;
    let report = programs.dir().join("left-out");
    // Of an earlier run, if there was one.
    let _ = std::fs::remove_file(&report);
    let mut command = cargo(programs.dir());
    let code =
        run(command.args(["test", "--workspace"]).args(args).env(LEFT_OUT_VARIABLE, &report))?;
    // No test wrote it where none left anything out.
    let left_out = std::fs::read_to_string(report).unwrap_or_default();
    print!("{left_out}");
    println!("left out: the group `real`, which tests/real.sh runs");
    Ok(code)
}

fn bench(args: &[String]) -> Result<ExitCode> {
    let programs = Programs::build()?;
    run(cargo(programs.dir()).args(["bench", "--package", "hookring-benches"]).args(args))
}

/// Cargo, in the workspace's root, with the programs where tests and benches look for them.
fn cargo(bin_dir: &Path) -> Command {
    let mut command = programs::cargo();
    command.env(BIN_DIR_VARIABLE, bin_dir);
    command
}

/// Runs `command` to its end and passes its exit code on (1 when a signal ended it).
fn run(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("could not run {}", command.get_program().display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
