//! How far long work is, on a terminal.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use super::table::human_bytes;

/// A line on a terminal that says how far long work is; nothing elsewhere, nothing for short work.
pub(super) struct Progress<'a> {
    err: &'a mut dyn Write,
    begun: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl<'a> Progress<'a> {
    pub(super) fn new(err: &'a mut dyn Write) -> Progress<'a> {
        let terminal = io::stderr().is_terminal();
        Progress { err, begun: Instant::now(), shown: None, terminal }
    }

    /// Whether there is a terminal to show it on.
    pub(super) fn is_shown(&self) -> bool {
        self.terminal
    }

    /// Bytes that are done, of so many.
    pub(super) fn show(&mut self, done: u64, total: u64) {
        let percent = (done.min(total) * 100).checked_div(total).unwrap_or(100);
        self.show_text(&format!("{} of {} ({percent} %)", human_bytes(done), human_bytes(total)));
    }

    /// Anything that fits into a line.
    pub(super) fn show_text(&mut self, text: &str) {
        let last = self.shown.unwrap_or(self.begun);
        if !self.terminal || last.elapsed() < Duration::from_millis(200) {
            return;
        }
        self.shown = Some(Instant::now());
        // Without a terminal to show it on, the work goes on all the same.
        let _ = write!(self.err, "\r\x1b[K{text}");
        let _ = self.err.flush();
    }

    /// A whole line, above what is shown.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        self.clear();
        writeln!(self.err, "{line}")?;
        self.err.flush()
    }

    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(self.err, "\r\x1b[K");
        }
    }
}
