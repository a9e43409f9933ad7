//! The line of one event: what the journal keeps, without what only the journal needs.

use hookring_journal::line::FROM_AT;
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
    out.extend_from_slice(line.seq.to_string().as_bytes());
    out.extend_from_slice(after_string(&line.bytes[FROM_AT..]));
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

/// What follows the closing quote of a JSON string whose characters `text` begins with.
fn after_string(text: &[u8]) -> &[u8] {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    end.map_or(&[], |quote| &text[quote + 1..])
}
