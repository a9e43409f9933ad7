//! The command line's part about sinks: `hookring sink`, `dlq`, `replay`.

use clap::{ArgGroup, Args, Subcommand};
use hookring_sinks::replay::MIN_SPEED;
use jiff::Timestamp;

use super::args::parse_time;

/// What can be done with a sink.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum SinkCommand {
    /// Send nothing to a sink until it is resumed; the journal keeps what it may need, up to its hard limit
    ///
    /// Works with and without a running daemon, and lasts across restarts.
    #[command(after_help = "Example:\n  hookring sink pause archive --reason maintenance")]
    Pause(PauseArgs),
    /// Have a sink go on that was paused or is off, or try one at once that waits after failures
    #[command(after_help = "Example:\n  hookring sink resume archive")]
    Resume(SinkName),
    /// Have a sink go on elsewhere in the journal
    ///
    /// It gets everything again from there on, or is never sent what lies before. Without a running daemon this
    /// happens at its next start.
    #[command(after_help = "Example:\n  hookring sink reset archive --to now")]
    Reset(ResetArgs),
    /// Remove the cursor of a sink that is not configured any more
    #[command(after_help = "Example:\n  hookring sink forget old-name")]
    Forget(SinkName),
}

/// A sink.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct SinkName {
    /// The sink's name in the configuration
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `hookring sink pause`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct PauseArgs {
    /// The sink's name in the configuration
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Why, for `hookring status` to say
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `hookring sink reset`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct ResetArgs {
    /// The sink's name in the configuration
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where: oldest (of the journal: all of it goes again), now (the next event), or an event's number
    #[arg(long, value_name = "oldest|now|SEQ", value_parser = parse_position)]
    pub to: Position,
}

/// Where a sink is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the oldest event of the journal.
    Oldest,
    /// At the next event.
    Now,
    /// At the event with this number.
    Seq(u64),
}

fn parse_position(text: &str) -> Result<Position, String> {
    match text {
        "oldest" => Ok(Position::Oldest),
        "now" => Ok(Position::Now),
        number => match number.parse() {
            Ok(seq) if seq > 0 => Ok(Position::Seq(seq)),
            _ => Err("give oldest, now, or an event's number, which is 1 or more".to_owned()),
        },
    }
}

/// What can be done with dead letters.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum DlqCommand {
    /// List dead letters, the oldest first, with what each sink said
    #[command(after_help = "Example:\n  hookring dlq list --sink hooks")]
    List(DlqListArgs),
    /// Show a dead letter whole, with its event: by the event's id or number
    #[command(after_help = "Example:\n  hookring dlq show 1234")]
    Show(DlqShowArgs),
    /// Send dead letters again; those that the sink takes now are gone, the others stay
    ///
    /// They go through the running daemon, under the same ids. A letter may arrive twice if the daemon is killed
    /// meanwhile; none is lost. Ctrl-C ends it; if the command ends otherwise, the daemon goes on.
    #[command(after_help = "Example:\n  hookring dlq retry --sink hooks --all")]
    #[command(group = ArgGroup::new("which").required(true).args(["ids", "all", "stop"]))]
    Retry(DlqRetryArgs),
    /// Give dead letters up for good
    #[command(after_help = "Example:\n  hookring dlq purge --sink hooks --all --yes")]
    #[command(group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
    Purge(DlqPurgeArgs),
}

/// `hookring dlq list`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct DlqListArgs {
    /// Only those of this sink
    #[arg(long, value_name = "NAME")]
    pub sink: Option<String>,
    /// Print each letter's whole line of JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// `hookring dlq show`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct DlqShowArgs {
    /// The event's id or its number, as `hookring dlq list` has them
    #[arg(value_name = "ID")]
    pub id: String,
    /// Only of this sink
    #[arg(long, value_name = "NAME")]
    pub sink: Option<String>,
}

/// Which dead letters are meant.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct WhichLetters {
    /// Only those of this sink
    #[arg(long, value_name = "NAME")]
    pub sink: Option<String>,
    /// The letter of the event with this id or number; may be given more than once
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<String>,
    /// All of them
    #[arg(long)]
    pub all: bool,
}

/// `hookring dlq retry`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct DlqRetryArgs {
    /// Which of them.
    #[command(flatten)]
    pub which: WhichLetters,
    /// End a retry that is under way; what was not sent stays a dead letter
    #[arg(long)]
    pub stop: bool,
    /// Print JSON, a line for each look and one at each sink's end, for programs
    #[arg(long, conflicts_with = "stop")]
    pub json: bool,
}

/// `hookring dlq purge`.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct DlqPurgeArgs {
    /// Which of them.
    #[command(flatten)]
    pub which: WhichLetters,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// `hookring replay`.
#[derive(Debug, PartialEq, Args)]
pub struct ReplayArgs {
    /// The sink
    #[arg(long, value_name = "NAME")]
    pub sink: String,
    /// Only events from this time on: RFC 3339, a local date, or a span ago such as 30m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Timestamp>,
    /// Only events before this time, in the same forms
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<Timestamp>,
    /// Only events from this number on; 1 is all that the journal has
    #[arg(long, value_name = "SEQ")]
    pub from: Option<u64>,
    /// Only events of this session: its id, or the beginning of it that `hookring tail` shows
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Divide the times between events by this [default: 1, as they were]
    #[arg(long, value_name = "N", value_parser = parse_speed, conflicts_with = "max")]
    pub speed: Option<f64>,
    /// As fast as the sink takes them
    #[arg(long)]
    pub max: bool,
    /// End a replay that is under way
    #[arg(long, conflicts_with_all = ["since", "until", "from", "session", "speed", "max"])]
    pub stop: bool,
    /// Print JSON, a line for each look and one at the end, for programs
    #[arg(long)]
    pub json: bool,
}

// Only finite speeds are parsed.
impl Eq for ReplayArgs {}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('x').parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed >= MIN_SPEED => Ok(speed),
        Ok(speed) if speed > 0.0 && speed < MIN_SPEED => {
            Err(format!("that is no replay any more; the slowest is {MIN_SPEED}"))
        }
        _ => {
            Err("give a number above 0, such as 1, 10 or 0.5; --max is as fast as can be"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_that_ends_within_a_life() {
        for (text, speed) in [("1", 1.0), ("10x", 10.0), ("0.5", 0.5), ("0.000001", MIN_SPEED)] {
            assert_eq!(parse_speed(text), Ok(speed), "{text}");
        }
        for text in ["1e-300", "0.0000009", "5e-324"] {
            let error = parse_speed(text).expect_err(text);
            assert_eq!(error, "that is no replay any more; the slowest is 0.000001", "{text}");
        }
        for text in ["0", "-0", "-1", "-1e-300", "NaN", "inf", "-inf", "1e999", "", "x", "fast"] {
            let error = parse_speed(text).expect_err(text);
            assert!(error.starts_with("give a number above 0"), "{text}: {error}");
        }
    }
}
