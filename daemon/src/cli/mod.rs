//! The command line: its definition, how its text looks, and what each command does.

pub mod args;
mod attention;
pub mod config_commands;
pub mod dlq_commands;
mod dlq_follow;
mod dlq_retry;
pub mod export_command;
mod filter_args;
mod held_up;
mod interrupt;
pub mod journal_commands;
mod output;
pub mod places_now;
mod progress;
pub mod reload_command;
pub mod replay_command;
mod replay_range;
mod session;
pub mod sink_args;
pub mod sink_commands;
pub mod status_command;
mod status_health;
mod status_sinks;
pub mod style;
pub mod table;
pub mod tail_command;
pub mod test_command;
pub mod top_command;
mod top_view;
pub mod view;

use std::io::{self, Write};

use anyhow::{Context as _, Result};

use crate::paths::{DIR_VARIABLE, Paths};
use args::{Command, ConfigCommand, JournalCommand};
use output::Output;

/// How a command ends, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was asked to do.
    Fine = 0,
    /// It could not, or what it looked at is not in order.
    Failed = 1,
    /// It was not called as its help text says. The command line's parser ends with this by itself.
    Usage = 2,
    /// The configuration is wrong (`EX_CONFIG` of sysexits.h).
    BadConfig = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Does what the command line says.
pub fn dispatch(cli: &args::Cli) -> Exit {
    // The daemon has its own way to say what is wrong, and needs no buffered output.
    if let Command::Run(args) = &cli.command {
        return crate::run::run(args);
    }
    match command(&cli.command) {
        Ok(exit) => exit,
        Err(error) if is_closed_pipe(&error) => Exit::Fine,
        Err(error) => {
            let _ = writeln!(anstream::stderr(), "{0}error{0:#}: {error:#}", style::ERROR);
            Exit::Failed
        }
    }
}

fn command(command: &Command) -> Result<Exit> {
    let paths = Paths::from_process()?;
    let env = |name: &str| std::env::var(name).ok();
    let out = &mut Output(anstream::stdout().lock());
    let err = &mut anstream::stderr().lock();
    // For lines of the journal: what takes colours away also takes bytes away that JSON may hold.
    let raw = &mut Output(io::stdout().lock());
    let exit = match command {
        Command::Run(args) => crate::run::run(args),
        Command::Reload => reload_command::reload(&paths, out, err)?,
        Command::Status(args) => status_command::status(args, &paths, out)?,
        Command::Top => top_command::top(&paths)?,
        Command::Tail(args) if args.json => tail_command::tail(args, &paths, &env, raw, err)?,
        Command::Tail(args) => tail_command::tail(args, &paths, &env, out, err)?,
        Command::Test(args) => test_command::test(args, &paths, &env, out, err)?,
        Command::Schema => {
            let schema = hookring_journal::fields::schema();
            writeln!(raw, "{}", serde_json::to_string_pretty(&schema)?)?;
            raw.flush()?;
            Exit::Fine
        }
        Command::Journal(JournalCommand::Verify(args)) => {
            journal_commands::verify(args, &paths, out, err)?
        }
        Command::Journal(JournalCommand::Repair(args)) => {
            journal_commands::repair(args, &paths, out, err)?
        }
        Command::Journal(JournalCommand::Export(args)) => {
            export_command::export(args, &paths, raw, err)?
        }
        Command::Sink(command) => sink_commands::sink(command, &paths, &env, out)?,
        Command::Dlq(command) => dlq_commands::dlq(command, &paths, &env, (out, raw), err)?,
        Command::Replay(args) if args.json => replay_command::replay(args, &paths, &env, raw, err)?,
        Command::Replay(args) => replay_command::replay(args, &paths, &env, out, err)?,
        Command::Demo(args) => crate::demo::demo(args, out)?,
        Command::Config(ConfigCommand::Check(args)) => {
            config_commands::check(args, &paths, &env, out, err)?
        }
        Command::Config(ConfigCommand::Show(args)) => {
            config_commands::show(args, &paths, &env, out, err)?
        }
    };
    out.flush()?;
    Ok(exit)
}

/// For the commands that read a journal: says what to do where there is none.
fn require_journal(paths: &Paths) -> Result<()> {
    let dir = paths.journal.display();
    let begun = hookring_journal::is_begun(&paths.journal);
    if begun.with_context(|| format!("cannot list the journal directory {dir}"))? {
        return Ok(());
    }
    anyhow::bail!(
        "there is no journal in {dir} yet; `hookring run` begins it, \
         and {DIR_VARIABLE} says where if it is elsewhere"
    )
}

/// Whoever reads our output has seen enough: `hookring journal export | head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
