//! The sink itself. It has no options, and its lines are those of the `jsonl` sink.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use hookring_journal::{Batch, Seq};

use crate::jsonl::encode::{encode_batch, encode_replay};
use crate::sink::{Outcome, Sink, SinkError};

/// Standard output cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout")]
pub struct StdoutError {
    #[from]
    source: io::Error,
}

/// Prints each event as a line of JSON.
///
/// Nothing is buffered: a line is with its reader before the cursor moves. A reader that does not
/// read holds this sink up, and one that has gone is a failure that is retried; neither touches
/// anything else.
pub struct StdoutSink<W = File> {
    out: W,
    /// The batch whose lines went out only in part, by its range, and how many bytes did.
    partial: Option<(Piece, usize)>,
}

/// The range of a batch, and whether it is replayed.
type Piece = (Seq, Seq, bool);

impl StdoutSink {
    /// A sink on this process's standard output.
    ///
    /// # Errors
    /// Standard output is closed, or no descriptor is left for a second handle of it (the standard
    /// library's own would buffer).
    pub fn new() -> Result<StdoutSink, StdoutError> {
        Ok(StdoutSink::on(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }
}

impl<W: Write> StdoutSink<W> {
    pub(crate) fn on(out: W) -> StdoutSink<W> {
        StdoutSink { out, partial: None }
    }

    /// Goes on in the middle of a line if that is where the last attempt ended, so that no reader
    /// sees half a line twice.
    fn write(&mut self, batch: &Batch, is_replay: bool) -> io::Result<()> {
        let mut lines = Vec::new();
        if is_replay {
            batch.lines().for_each(|line| encode_replay(&line, &mut lines));
        } else {
            encode_batch(batch, &mut lines);
        }
        let piece = (batch.first(), batch.last(), is_replay);
        let mut sent = match self.partial.take() {
            Some((of, sent)) if of == piece => sent,
            _ => 0,
        };
        while sent < lines.len() {
            match self.out.write(&lines[sent..]) {
                Ok(more @ 1..) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                refused => {
                    self.partial = Some((piece, sent));
                    return Err(refused.err().unwrap_or(io::ErrorKind::WriteZero.into()));
                }
            }
        }
        self.out.flush()
    }
}

impl<W: Write + Send> Sink for StdoutSink<W> {
    fn deliver(&mut self, batch: &Batch) -> Outcome {
        answer(self.write(batch, false))
    }

    fn replay(&mut self, batch: &Batch) -> Outcome {
        answer(self.write(batch, true))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(self.out.flush().map_err(StdoutError::from)?)
    }
}

fn answer(written: io::Result<()>) -> Outcome {
    match written {
        Ok(()) => Outcome::Accepted,
        Err(error) => Outcome::failed(StdoutError::from(error)),
    }
}
