//! An event as the journal takes it: what it needs to know itself, and members that it does not look
//! into.

use crate::text::{push_decimal, push_hex, push_timestamp};

/// The version of the event's members, written first in every line. `docs/events.md` says when it
/// changes.
pub const EVENT_VERSION: u64 = 2;

/// The most that the members of an event may take, in bytes.
pub const MAX_MEMBERS_BYTES: usize = 400 << 20;

/// One event.
#[derive(Copy, Clone, Debug)]
pub struct Event<'a> {
    /// The UUID that was made when the event was published.
    pub id: [u8; 16],
    /// Wall clock at publication, Unix nanoseconds.
    pub timestamp_ns: i64,
    /// All other members as JSON, each with a comma in front: `,"event_type":…`. No newline, at most
    /// [`MAX_MEMBERS_BYTES`].
    pub members: &'a [u8],
}

impl Event<'_> {
    /// Appends the event's members, without braces: `"version":2,"id":…`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.members.len() + 128);
        out.extend_from_slice(b"\"version\":");
        push_decimal(out, EVENT_VERSION);
        out.extend_from_slice(b",\"id\":\"");
        push_uuid(out, &self.id);
        out.extend_from_slice(b"\",\"timestamp\":\"");
        push_timestamp(out, self.timestamp_ns);
        out.push(b'"');
        out.extend_from_slice(self.members);
    }
}

/// A UUID as people write it.
pub fn push_uuid(out: &mut Vec<u8>, id: &[u8; 16]) {
    for (part, separator) in [(0..4, "-"), (4..6, "-"), (6..8, "-"), (8..10, "-"), (10..16, "")] {
        push_hex(out, &id[part]);
        out.extend_from_slice(separator.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_journal_knows_comes_first() {
        let event = Event {
            id: *uuid::Uuid::parse_str("67e55044-10b1-426f-9247-bb680e5fe0c8").unwrap().as_bytes(),
            timestamp_ns: 1_700_000_000_123_456_789,
            members: b",\"payload\":{}",
        };
        let mut out = Vec::new();
        event.write_to(&mut out);
        let expected = concat!(
            r#""version":2,"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","#,
            r#""timestamp":"2023-11-14T22:13:20.123456789Z","payload":{}"#,
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
