//! Standard output whose errors say what could not be written, and what to do.

use std::fmt;
use std::io::{self, Write};

/// Writes to standard output.
pub(super) struct Output<W>(pub(super) W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(named)
    }
}

/// The same error, of the same kind: a reader who left is still told by it.
fn named(source: io::Error) -> io::Error {
    // Whoever writes tries again, or is told so.
    if source.kind() == io::ErrorKind::Interrupted {
        return source;
    }
    io::Error::new(source.kind(), CannotWrite(source))
}

#[derive(Debug)]
struct CannotWrite(io::Error);

impl fmt::Display for CannotWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An `io::Error` shows this and passes over its source, so the cause stands here.
        let cause = &self.0;
        write!(f, "cannot write to standard output: {cause}; make room there, or send it elsewhere")
    }
}

impl std::error::Error for CannotWrite {}
