//! What a program says besides its answers: its stderr and its `log` notifications, into the log of the
//! daemon, marked as the program's own words, cut, and no more of it than a log can bear.

use std::time::{Duration, Instant};

use tracing::Level;

/// The longest line that is told, in bytes; the rest of it is left out.
pub(super) const MAX_TOLD_BYTES: usize = 1000;
/// So many lines may come at once.
const BURST: u32 = 50;
/// After those, one in this time.
const INTERVAL: Duration = Duration::from_secs(1);

/// The mouth of one sink's program.
#[derive(Debug)]
pub(super) struct Voice {
    sink: String,
    /// The begin of a line of its stderr.
    begun: Vec<u8>,
    /// How much longer that line is than what is kept of it.
    cut_bytes: usize,
    /// What it wrote last.
    last: Option<String>,
    limit: Limit,
}

impl Voice {
    pub(super) fn new(sink: &str) -> Voice {
        Voice {
            sink: sink.to_owned(),
            begun: Vec::new(),
            cut_bytes: 0,
            last: None,
            limit: Limit::new(Instant::now()),
        }
    }

    /// Bytes of its stderr.
    pub(super) fn hear(&mut self, bytes: &[u8], now: Instant) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = (MAX_TOLD_BYTES - self.begun.len()).min(text.len());
            self.begun.extend_from_slice(&text[..room]);
            self.cut_bytes += text.len() - room;
            if text.len() < part.len() {
                self.end_line(now);
            }
        }
    }

    /// Its stderr ended.
    pub(super) fn end(&mut self, now: Instant) {
        self.end_line(now);
    }

    /// The last line of its stderr since this was asked.
    pub(super) fn take_last(&mut self) -> Option<String> {
        self.last.take()
    }

    /// It told something by a notification.
    pub(super) fn tell(&mut self, level: Level, message: &str, now: Instant) {
        self.log(level, &printable(message.as_bytes(), MAX_TOLD_BYTES), now);
    }

    fn end_line(&mut self, now: Instant) {
        let cut_bytes = std::mem::take(&mut self.cut_bytes);
        let mut line = printable(&std::mem::take(&mut self.begun), MAX_TOLD_BYTES);
        if cut_bytes > 0 {
            line.push_str(&format!(" … and {cut_bytes} bytes more"));
        }
        if !line.trim().is_empty() {
            self.log(Level::INFO, &line, now);
            self.last = Some(line);
        }
    }

    fn log(&mut self, level: Level, line: &str, now: Instant) {
        let Some(left_out) = self.limit.permit(now) else { return };
        let sink = &self.sink;
        if left_out > 0 {
            tracing::warn!(
                "sink {sink}: {left_out} lines of its program were left out, which says too much"
            );
        }
        match level {
            Level::ERROR => tracing::error!("sink {sink}: its program says: {line}"),
            Level::WARN => tracing::warn!("sink {sink}: its program says: {line}"),
            Level::INFO => tracing::info!("sink {sink}: its program says: {line}"),
            _ => tracing::debug!("sink {sink}: its program says: {line}"),
        }
    }
}

/// How many lines may be told.
#[derive(Debug)]
struct Limit {
    left: u32,
    /// Up to here, what came back was counted.
    counted_to: Instant,
    left_out: u64,
}

impl Limit {
    fn new(now: Instant) -> Limit {
        Limit { left: BURST, counted_to: now, left_out: 0 }
    }

    /// Whether a line may be told now, and how many were not before it.
    fn permit(&mut self, now: Instant) -> Option<u64> {
        let back = now.saturating_duration_since(self.counted_to).as_secs() / INTERVAL.as_secs();
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(back).min(BURST);
        self.counted_to += INTERVAL * back;
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// The first bytes of a text, at most so many, without control characters.
pub(super) fn printable(text: &[u8], max_bytes: usize) -> String {
    let is_cut = text.len() > max_bytes;
    let text = String::from_utf8_lossy(&text[..text.len().min(max_bytes)]);
    let mut shown: String =
        text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect();
    if is_cut {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_cut_and_without_control_characters() {
        let (mut voice, now) = (Voice::new("s"), Instant::now());
        for (bytes, last) in [
            (&b"half"[..], None),
            (b" a line\n", Some("half a line")),
            (b"one\ntwo\r\n\n", Some("two\u{fffd}")),
            (b"\x1b[31mred \xff\n", Some("\u{fffd}[31mred \u{fffd}")),
        ] {
            voice.hear(bytes, now);
            assert_eq!(voice.take_last().as_deref(), last);
        }
        voice.hear(b"not ended", now);
        voice.end(now);
        assert_eq!(voice.take_last().as_deref(), Some("not ended"));
        let long = vec![b'x'; MAX_TOLD_BYTES];
        voice.hear(&long, now);
        voice.hear(&long, now);
        voice.hear(b"\n", now);
        let told = voice.take_last().expect("a line");
        assert!(told.ends_with("x … and 1000 bytes more"), "{told}");
    }

    #[test]
    fn no_more_is_told_than_a_log_can_bear_and_what_is_not_is_counted() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let told = (0..100).filter(|_| limit.permit(start).is_some()).count();
        assert_eq!(told, 50);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(limit.permit(at(900)), None);
        assert_eq!(limit.permit(at(1000)), Some(51));
        assert_eq!(limit.permit(at(1900)), None);
        assert_eq!(limit.permit(at(2000)), Some(1));
        let told = (0..100).filter(|_| limit.permit(at(1_000_000)).is_some()).count();
        assert_eq!(told, 50);
    }
}
