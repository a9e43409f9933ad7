//! What came out of the ring: a payload, and what the hook command said beside it.

/// A longer payload is cut to this and kept as text or base64.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// Longer values of `agent`, `event` and `directory` are cut to this.
pub const MAX_NAME_BYTES: usize = 4 << 10;

/// Arguments beyond this, together with three bytes for each, are left out.
pub const MAX_ARGUMENTS_BYTES: usize = 1 << 20;

/// One record, as the hook published it.
#[derive(Copy, Clone)]
pub struct Received<'a> {
    /// The UUID that was made when it was published.
    pub id: [u8; 16],
    /// Wall clock at publication, Unix nanoseconds.
    pub timestamp_ns: i64,
    /// `CLOCK_BOOTTIME` at publication, nanoseconds; `None` if it is of another boot or time namespace.
    pub monotonic_ns: Option<u64>,
    /// Which agent it came from, if the command line said so.
    pub agent: Option<&'a str>,
    /// The agent's own name of the event, if the command line said so.
    pub event: Option<&'a str>,
    /// Where the hook's process ran; counts where the payload does not say where the agent works. A
    /// path need not be UTF-8.
    pub directory: Option<&'a [u8]>,
    /// The publishing process.
    pub pid: u32,
    /// Microseconds from that process's start to publication.
    pub elapsed_us: u32,
    /// What the hook was given besides the payload.
    pub arguments: &'a [&'a [u8]],
    /// The payload was cut off before it was published.
    pub truncated: bool,
    /// What the agent handed to the hook.
    pub payload: &'a [u8],
}

impl Received<'_> {
    /// The same with everything cut to its limit, and how many bytes that took away.
    pub(crate) fn within_limits(&self) -> (Self, u64) {
        let mut kept = *self;
        let mut cut = 0;
        for field in [&mut kept.agent, &mut kept.event] {
            *field = field.map(|text| {
                let kept = &text[..text.floor_char_boundary(MAX_NAME_BYTES)];
                cut += text.len() - kept.len();
                kept
            });
        }
        kept.directory = kept.directory.map(|path| {
            let kept = &path[..path.len().min(MAX_NAME_BYTES)];
            cut += path.len() - kept.len();
            kept
        });
        let mut total = 0;
        let within = kept.arguments.iter().take_while(|argument| {
            total += argument.len() + 3;
            total <= MAX_ARGUMENTS_BYTES
        });
        let (within, left_out) = kept.arguments.split_at(within.count());
        kept.arguments = within;
        cut += left_out.iter().map(|argument| argument.len()).sum::<usize>();
        kept.payload = &kept.payload[..kept.payload.len().min(MAX_PAYLOAD_BYTES)];
        cut += self.payload.len() - kept.payload.len();
        kept.truncated |= cut > 0 || !left_out.is_empty();
        (kept, cut as u64)
    }
}
