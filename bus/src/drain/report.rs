//! What the reader says of its places: why none can be used, and what stands in each.

use crate::place::Refused;

/// Why the bus cannot be read at all.
#[derive(Debug)]
pub enum OpenError {
    /// Another daemon reads the ring in this place.
    Busy(String),
    /// No place can be used; each with its reason.
    NoPlace(Vec<(String, Refused)>),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy(path) => write!(
                f,
                "another hookring daemon reads the ring {path}; stop it, or set HOOKRING_DIR to another directory"
            ),
            Self::NoPlace(refused) => {
                f.write_str("no directory for the ring can be used:")?;
                for (path, reason) in refused {
                    write!(f, " {path} ({reason});")?;
                }
                f.write_str(" make one of them a directory of this user with mode 0700")
            }
        }
    }
}

impl std::error::Error for OpenError {}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::NotADirectory => f.write_str("not a directory, or a symbolic link"),
            Self::NotPrivate(stat) => {
                let (uid, mode) = (stat.uid, stat.mode & 0o7777);
                let user = crate::sys::effective_uid();
                write!(f, "belongs to uid {uid} with mode {mode:04o}, not to uid {user} with 0700")
            }
            Self::System(errno) => std::io::Error::from(*errno).fmt(f),
        }
    }
}

/// What was wrong with a ring.
#[derive(Clone, Debug)]
pub struct RingDamage {
    /// In words.
    pub what: String,
    /// When it was found last, Unix time.
    pub at_ns: u64,
}

impl RingDamage {
    pub(super) fn now(what: String) -> RingDamage {
        RingDamage { what, at_ns: crate::sys::realtime_ns() }
    }
}

/// What stands in one place, for people and programs.
#[derive(Clone, Debug, Default)]
pub struct PlaceReport {
    /// The place's directory.
    pub path: String,
    /// Why it is not used, if it is not.
    pub refused: Option<String>,
    /// Why it has no ring, if it should have one.
    pub ring_error: Option<String>,
    /// What was wrong with the last ring that was replaced for damage.
    pub ring_damage: Option<RingDamage>,
    /// Why it has no spool.
    pub spool_error: Option<String>,
    /// Why entries of its spool wait.
    pub spool_held_up: Option<String>,
    /// Lanes of its ring, and how many a producer holds now.
    pub lanes: usize,
    /// See `lanes`.
    pub locked_lanes: usize,
    /// Bytes published and not yet taken.
    pub used_bytes: u64,
    /// Events that producers dropped because neither ring nor spool took them.
    pub dropped_events: u64,
    /// Bytes in its spool.
    pub spool_bytes: u64,
    /// Entries in its spool, as far as they are known.
    pub spool_entries: usize,
    /// Events dropped at the spool's limit.
    pub spool_dropped_events: u64,
    /// Spool entries that are journaled and could not be removed.
    pub stuck_spool_entries: usize,
    /// Spool entries that cannot be read; they are kept, and tried again.
    pub unreadable_spool_entries: usize,
    /// Rings that are being emptied before they go, damaged ones that were set aside included.
    pub retired_rings: usize,
}
