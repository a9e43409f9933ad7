//! The line of one event: what the journal keeps, without what only the journal needs.

use hookring_journal::text::push_decimal;
use hookring_journal::{Batch, Line, Seq};

/// How each line begins.
pub(crate) const LINE_START: &[u8] = b"{\"seq\":";

/// How the line of an event begins that is there once more, since a person asked for it. No number stands where
/// others have theirs, so whoever looks for the end of what arrived does not take it for that.
pub(crate) const REPLAY_START: &[u8] = b"{\"replay\":true,\"seq\":";

/// Appends the line of one event: `{"seq":17,"version":2,…}` and a newline. The journal's checksum
/// and the event's way into the journal are left out.
pub(crate) fn encode_line(line: &Line<'_>, out: &mut Vec<u8>) {
    encode_with(LINE_START, line, out);
}

/// The same, marked as a replay: `{"replay":true,"seq":17,…}`.
pub(crate) fn encode_replay(line: &Line<'_>, out: &mut Vec<u8>) {
    encode_with(REPLAY_START, line, out);
}

fn encode_with(start: &[u8], line: &Line<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(start);
    push_decimal(out, line.seq);
    out.extend_from_slice(line.after_origin());
    out.push(b'\n');
}

/// The lines of a whole batch.
pub(crate) fn encode_batch(batch: &Batch, out: &mut Vec<u8>) {
    out.reserve(batch.bytes().len());
    for line in batch.lines() {
        encode_line(&line, out);
    }
}

/// The number that a line, or its beginning, carries; `None` if it is not one of ours.
pub(crate) fn line_seq(line: &[u8]) -> Option<Seq> {
    let rest = line.strip_prefix(LINE_START)?;
    let digits = rest.iter().position(|byte| *byte == b',')?;
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
