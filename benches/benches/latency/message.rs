//! What goes over, and the ways it takes.

use hookring_bus::sys;

/// Messages of one turn.
pub(crate) const TURN: usize = 300;
/// Bytes of a message; the first eight say when it was sent.
pub(crate) const MESSAGE_BYTES: usize = 256;

/// How a message reaches the reader.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    Spinning,
    Sleeping,
    Datagram,
}

impl Way {
    pub(crate) const ALL: [Way; 3] = [Way::Spinning, Way::Sleeping, Way::Datagram];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Spinning => "ring, reader spins",
            Way::Sleeping => "ring, reader sleeps",
            Way::Datagram => "Unix datagram, reader sleeps",
        }
    }
}

/// A message that is sent now.
pub(crate) fn stamped() -> [u8; MESSAGE_BYTES] {
    let mut message = [b'x'; MESSAGE_BYTES];
    message[..8].copy_from_slice(&sys::boottime_ns().to_le_bytes());
    message
}

/// How long a message that arrived at `now_ns` was on its way, in ns.
pub(crate) fn age_ns(message: &[u8], now_ns: u64) -> u64 {
    let sent_ns = message.first_chunk().copied().map_or(now_ns, u64::from_le_bytes);
    now_ns.saturating_sub(sent_ns)
}
