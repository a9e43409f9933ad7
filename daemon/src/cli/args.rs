//! The command line's definition: what `hookring --help` shows.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::filter_args::FilterArgs;
use super::sink_args::{DlqCommand, ReplayArgs, SinkCommand};
use super::style;
use crate::paths::Paths;

/// The event bus for coding agents' hooks: one durable JSON line per event.
#[derive(Debug, Parser)]
#[command(name = "hookring", version, styles = style::HELP)]
#[command(after_help = "Example:\n  hookring demo        see it work, from hook to journal")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What this process was called with. Wrong usage ends it, with a hint.
    pub fn of_process() -> Cli {
        let words: Vec<_> = std::env::args_os().collect();
        Cli::try_parse_from(&words).unwrap_or_else(|error| hinted(error, &words).exit())
    }
}

/// `hookring pause x` was meant to be `hookring sink pause x`, most likely, whatever else is spelled like that.
fn hinted(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    let Some(word) = words.get(1).and_then(|word| word.to_str()) else { return error };
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let cli = Cli::command();
    let has_it = |command: &&clap::Command| command.find_subcommand(word).is_some();
    let meant = cli.get_subcommands().filter(has_it).map(clap::Command::get_name);
    let shown = |it: &OsString| format!(" {}", style::printable(&it.to_string_lossy()));
    let rest: String = words[2..].iter().map(shown).collect();
    let hint = |group| StyledStr::from(format!("there is `hookring {group} {word}{rest}`"));
    let hints: Vec<_> = meant.map(hint).collect();
    if !hints.is_empty() {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(hints));
    }
    error
}

/// The commands.
#[derive(Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground: collect events, write the journal, feed the sinks
    ///
    /// SIGTERM and SIGINT finish what was begun and exit 0. SIGHUP reads the configuration again; a
    /// wrong one changes nothing then, and exits 78 at the start.
    #[command(after_help = "Example:\n  hookring run --config /etc/hookring.toml")]
    Run(RunArgs),
    /// Check the configuration, and have the running daemon read it again
    ///
    /// A wrong one is listed as `hookring config check` does, exits 78, and the daemon hears nothing
    /// of it. Else this waits until the daemon has it in force, or says why not.
    #[command(after_help = "Example:\n  hookring reload")]
    Reload,
    /// Show what the daemon, the journal and each sink are doing
    ///
    /// Exits 1 if no daemon runs, and with --check also if anything needs attention. The figures are a
    /// second old at most while a daemon runs.
    ///
    /// BUS: IN USE counts lanes that a hook or program holds now; WAITING and SPOOL are bytes of events
    /// that are not collected yet, ENTRIES their files in the spool, DROPPED events that neither ring
    /// nor spool had room for. JOURNAL: LAST is the number of the last event, SYNCED that of the last
    /// one that survives the loss of power. SINK: BEHIND counts events that the journal has and the
    /// sink has not, FOR is how long the oldest of them waits, DEAD counts those that it would not take and
    /// that are kept (`hookring dlq`), LOST those that the journal no longer had when the sink would have
    /// taken them.
    #[command(after_help = "Example:\n  hookring status --json | jq .journal")]
    Status(StatusArgs),
    /// Show the same live in the terminal, with rates: q or Ctrl-C ends it
    ///
    /// The lines of small blocks are the last minute's rates, each beside the highest of its own.
    #[command(after_help = "Example:\n  hookring top")]
    Top,
    /// Show the latest events, and with -f each new one as it arrives
    #[command(after_help = "Example:\n  hookring tail -f -n 20")]
    Tail(TailArgs),
    /// Show what becomes of a payload: its event, and which sinks would take it and why
    ///
    /// Nothing is journaled or delivered. The payload is what an agent hands to its hook, from a file or
    /// standard input.
    #[command(
        after_help = "Example:\n  echo '{\"hook_event_name\":\"Stop\",\"session_id\":\"s\"}' | hookring test"
    )]
    Test(TestArgs),
    /// Print the JSON Schema of an event
    #[command(after_help = "Example:\n  hookring schema > event.schema.json")]
    Schema,
    /// Check, repair or export the journal
    #[command(subcommand)]
    #[command(after_help = "Example:\n  hookring journal verify")]
    Journal(JournalCommand),
    /// Pause, resume or move a sink
    #[command(subcommand)]
    #[command(after_help = "Example:\n  hookring sink pause archive")]
    Sink(SinkCommand),
    /// List, show, send again or give up dead letters: events that a sink would not take
    #[command(subcommand)]
    #[command(after_help = "Example:\n  hookring dlq list")]
    Dlq(DlqCommand),
    /// Send events to a sink once more, through the running daemon, under the same ids
    ///
    /// Say which: --since, --until, --from, --session, or several of these; --from 1 is all that the journal has. They
    /// come with the spacing that they had, unless --speed or --max say otherwise. What comes meanwhile goes first. The
    /// sink's filter, rate limit and breaker hold, and formats that can say so mark it as a replay. Ctrl-C ends it,
    /// and says how to go on. A replay outlives a restart of the daemon.
    #[command(after_help = "Example:\n  hookring replay --sink archive --since 2h --max")]
    Replay(ReplayArgs),
    /// Play a recorded agent session through real hooks and show where each event arrives
    ///
    /// Everything happens in a new directory, which stays: the last lines say where it is and how to
    /// remove it.
    #[command(after_help = "Example:\n  hookring demo")]
    Demo(JsonArgs),
    /// Check or show the configuration
    #[command(subcommand)]
    #[command(after_help = "Example:\n  hookring config check")]
    Config(ConfigCommand),
}

/// What can be done with the journal.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum JournalCommand {
    /// Check every line of the journal; changes nothing, works while the daemon runs
    #[command(after_help = "Example:\n  hookring journal verify --json")]
    Verify(JsonArgs),
    /// Move damaged lines out of the journal into files beside it; the daemon must not be running
    #[command(after_help = "Example:\n  hookring journal repair")]
    Repair(JsonArgs),
    /// Write events as JSON lines, oldest first
    #[command(
        after_help = "Example:\n  hookring journal export --since 2h --session 3f1c -o session.jsonl"
    )]
    Export(ExportArgs),
}

/// What can be done with the configuration.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration and list everything that is wrong with it; exits 78 if anything is
    #[command(after_help = "Example:\n  hookring config check ~/.config/hookring/hookring.toml")]
    Check(ConfigCheckArgs),
    /// Show the configuration with its defaults filled in
    ///
    /// Where a value comes from an environment variable, the variable is shown, never its content.
    #[command(after_help = "Example:\n  hookring config show --json | jq .settings.journal")]
    Show(ConfigShowArgs),
}

/// For commands with two forms of output.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct JsonArgs {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// `hookring status`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct StatusArgs {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// Exit 1 if anything needs attention, for monitors
    #[arg(long)]
    pub check: bool,
}

/// `hookring run`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct RunArgs {
    /// The configuration to use.
    #[arg(long, value_name = "FILE", help = config_help("The configuration to use"))]
    pub config: Option<PathBuf>,
}

/// `hookring tail`.
#[derive(Debug, PartialEq, Args)]
pub struct TailArgs {
    /// Go on with each new event until interrupted
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the latest events to begin with
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 10)]
    pub lines: usize,
    /// Only events of this session: its id, or the beginning of it that is shown
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Show times in UTC instead of local time
    #[arg(long)]
    pub utc: bool,
    /// Print each event's whole line of JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// Which events.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// `hookring test`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct TestArgs {
    /// The payload; - for standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Whose payload it is, as for hookring-emit
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// The agent's own name of the event, as for hookring-emit
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// The configuration to use.
    #[arg(long, value_name = "FILE", help = config_help("The configuration to use"))]
    pub config: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// `hookring journal export`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct ExportArgs {
    /// Only events from this time on: RFC 3339, a local date, or a span ago such as 30m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Timestamp>,
    /// Only events before this time: RFC 3339, a local date, or a span ago such as 30m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<Timestamp>,
    /// Only events of this session: its id, or the beginning of it that `hookring tail` shows
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace that file if it is there already
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// `hookring config check`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct ConfigCheckArgs {
    /// The configuration to check.
    #[arg(value_name = "FILE", help = config_help("The configuration to check"))]
    pub file: Option<PathBuf>,
    /// The same, as `hookring run` has it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub config: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// `hookring config show`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct ConfigShowArgs {
    /// The configuration to show.
    #[arg(value_name = "FILE", help = config_help("The configuration to show"))]
    pub file: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// The help for a configuration file, with the one that is read if none is named, as things are now.
fn config_help(what: &str) -> String {
    match Paths::from_process() {
        Ok(paths) => format!("{what} [default: {}, if it is there]", paths.config_file.display()),
        Err(_) => format!("{what} [default: hookring.toml in its usual place]"),
    }
}

pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    time_before(text, Timestamp::now(), &TimeZone::system())
}

/// A moment from an RFC 3339 time, from a date (its first moment in `zone`), or from a span before
/// `now`. A day has 24 hours here.
fn time_before(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    // A span begins with its number and ends with its unit; "2026-01-02" does neither as a whole,
    // so whichever form parses is the one that was meant.
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = || {
        "give a time such as 2026-01-31T09:30:00Z, with its offset, a date such as 2026-01-31, or a \
         span ago such as 30m, 2h, 7d"
            .to_owned()
    };
    // Longer ones have a time, too, which without an offset may be anybody's.
    if let Some(date) = text.parse::<Date>().ok().filter(|_| text.len() <= "2026-01-31".len()) {
        return date.to_zoned(zone.clone()).map(|day| day.timestamp()).map_err(|_| wrong());
    }
    let span: Span = text.parse().map_err(|_| wrong())?;
    let span = span.abs().to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    now.checked_sub(span).map_err(|_| format!("{text} ago is before time began"))
}

#[cfg(test)]
mod tests;
