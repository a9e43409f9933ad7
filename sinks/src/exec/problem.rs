//! What can be wrong with a program, or with what it says.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::answer::{BadAnswer, Malformed, RpcError};
use super::lines::TooLong;

/// Why a call to a program came to nothing. After all but [`Problem::Answer`] the program is ended, and
/// started anew for the next call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is not there any more.
    #[error("it ended ({0})")]
    Ended(ExitStatus),
    /// It runs, and will not answer.
    #[error("it closed its stdout")]
    ClosedOutput,
    /// It runs, and will not listen.
    #[error("it closed its stdin")]
    ClosedInput,
    /// It took too long.
    #[error("it did not answer within {} ms; does it flush its stdout after each line?", .0.as_millis())]
    TimedOut(Duration),
    /// It wrote a line that does not end.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// It wrote a line that is no message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It answered what was not asked, or twice.
    #[error("it answered request {0}, which does not wait for an answer")]
    NotAsked(u64),
    /// It complained of nothing.
    #[error("while nothing was asked, it answered with {0}")]
    Unprovoked(RpcError),
    /// It cannot know what it answers to.
    #[error("it answered before it had read the whole request")]
    TooEarly,
    /// It asks and asks.
    #[error("it asked {0} questions during one call")]
    Asks(usize),
    /// It says and says.
    #[error(
        "it wrote more than {} bytes to its stdout during one call",
        super::child::MAX_SAID_BYTES
    )]
    SaysTooMuch,
    /// It answered with an error.
    #[error("it answered with {0}")]
    Answer(RpcError),
    /// Its answer says nothing that there is.
    #[error(transparent)]
    BadAnswer(#[from] BadAnswer),
    /// It speaks otherwise.
    #[error("it speaks version {0} of the protocol, and hookring speaks {expected}", expected = super::encode::PROTOCOL)]
    Protocol(u64),
    /// The system's answer.
    #[error("reading or writing its pipes failed")]
    Pipe(#[from] io::Error),
}
