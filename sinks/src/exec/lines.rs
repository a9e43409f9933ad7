//! Lines out of a stream of bytes, with a limit: a program that writes none fills no memory.

/// The longest line that a program may write, in bytes; an answer about 100,000 events fits. One that is
/// longer is an error.
pub const MAX_LINE_BYTES: usize = 4 << 20;
/// An empty buffer of more than this is given back.
const KEPT_BYTES: usize = 64 << 10;

/// A line became longer than [`MAX_LINE_BYTES`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {MAX_LINE_BYTES} bytes")]
pub struct TooLong;

/// Bytes that came, up to the end of the line that is not whole yet.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to here it was looked for an end of it.
    seen: usize,
}

impl Lines {
    /// More bytes came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, without its newline.
    ///
    /// # Errors
    /// It is too long, whole or not. There is no going on.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let end = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n');
        self.seen = end.map_or(self.bytes.len(), |end| self.seen + end);
        if self.seen - self.start > MAX_LINE_BYTES {
            return Err(TooLong);
        }
        if end.is_some() {
            let line = self.bytes[self.start..self.seen].to_vec();
            self.seen += 1;
            self.start = self.seen;
            return Ok(Some(line));
        }
        self.bytes.drain(..self.start);
        (self.start, self.seen) = (0, self.bytes.len());
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        Ok(None)
    }

    /// Whether a line has begun and not ended.
    pub fn is_within_line(&self) -> bool {
        self.start < self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_of_the_longest_length_is_taken_and_one_more_byte_is_not() {
        for (length, is_taken) in [(MAX_LINE_BYTES, true), (MAX_LINE_BYTES + 1, false)] {
            for end in ["\n", ""] {
                let mut lines = Lines::default();
                lines.push(&vec![b'x'; length]);
                lines.push(end.as_bytes());
                assert_eq!(lines.next_line().is_ok(), is_taken, "{length} {end:?}");
            }
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MAX_LINE_BYTES]);
        lines.push(b"\n");
        assert!(lines.next_line().expect("short enough").is_some());
        assert_eq!(lines.next_line(), Ok(None));
        assert!(lines.bytes.capacity() <= KEPT_BYTES);
    }

    proptest! {
        #[test]
        fn lines_come_out_as_they_went_in_however_they_are_cut(
            parts in prop::collection::vec("[ab\n]{0,5}", 0..12)
        ) {
            let (whole, mut lines, mut found) = (parts.concat(), Lines::default(), Vec::new());
            for part in &parts {
                lines.push(part.as_bytes());
                while let Some(line) = lines.next_line().expect("short") {
                    found.push(String::from_utf8(line).expect("text"));
                }
            }
            let mut expected: Vec<_> = whole.split('\n').map(str::to_owned).collect();
            let rest = expected.pop().expect("split gives one at least");
            prop_assert_eq!(found, expected);
            prop_assert_eq!(lines.is_within_line(), !rest.is_empty());
        }
    }
}
