//! The stdout sink on pipes.

use std::io::{self, Read, Write};

use super::*;
use crate::sink::{Outcome, Sink};
use crate::stats::in_words;
use crate::testing::{TestJournal, seqs};

#[test]
fn each_event_is_a_line() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let mut out = Vec::new();
    let mut sink = StdoutSink::on(&mut out);
    assert!(matches!(sink.deliver(&journal.batch(1, 2)), Outcome::Accepted));
    assert!(matches!(sink.deliver(&journal.batch(3, 1)), Outcome::Accepted));
    sink.flush().expect("nothing is held back");
    assert_eq!(seqs(&out), [1, 2, 3]);
}

#[test]
fn a_reader_that_has_gone_is_a_failure() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let mut sink = StdoutSink::on(writer);
    for _ in 0..3 {
        let outcome = sink.deliver(&journal.batch(1, 1));
        let error = outcome.error().expect("nobody took it");
        assert!(in_words(error).starts_with("cannot write to stdout: "));
    }
}

#[test]
fn an_attempt_goes_on_where_the_last_one_ended() {
    let mut journal = TestJournal::new();
    journal.write_many(4);
    let batch = journal.batch(1, 4);
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let mut sink = StdoutSink::on(Hesitant { out: writer, calls: 0 });
    let failures = std::iter::repeat_with(|| sink.deliver(&batch)).take_while(is_failed).count();
    assert!(failures > 3, "it failed in mid-line");
    drop(sink);
    let mut lines = Vec::new();
    reader.read_to_end(&mut lines).expect("a pipe");
    assert_eq!(seqs(&lines), [1, 2, 3, 4]);
}

fn is_failed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed { .. })
}

/// Takes 50 bytes at a time, and refuses every other call.
struct Hesitant<W> {
    out: W,
    calls: usize,
}

impl<W: Write> Write for Hesitant<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(2) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.out.write(&bytes[..bytes.len().min(50)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
