//! What the running daemon says about itself: one JSON file, replaced whole.
//!
//! `hookring status` reads it; it holds no payload and nothing from one.

mod health;
mod losses;
mod risks;
mod sinks;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use hookring_bus::drain::{Counts, PlaceReport, RingDamage};
use hookring_sinks::SinkStats;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::health::{HealthStatus, SilentAgentStatus, SlowHooksStatus};
pub use self::losses::LossesStatus;
pub(crate) use self::losses::{Loss, NEWS, since};
pub use self::risks::RisksStatus;
pub(super) use self::sinks::state_name;
pub use self::sinks::{KnownSink, LastRetryStatus, LostStatus, RetryStatus, SinkStatus};
use crate::config::{ConfigReport, Orphan, SinkConfig};

/// Figures of the collector's thread, before they are written.
#[derive(Clone, Default)]
pub(super) struct BusStatus {
    pub(super) events: u64,
    pub(super) own_events: u64,
    pub(super) noticed: crate::pipeline::Noticed,
    pub(super) journal_paused: Option<String>,
    pub(super) rotation_error: Option<String>,
    pub(super) journal_pauses: u64,
    pub(super) publish_to_journal: Latency,
    pub(super) waited: Waited,
    pub(super) counts: Counts,
    pub(super) places: Vec<PlaceReport>,
    pub(super) journal: hookring_journal::Stats,
    pub(super) found_bad_lines: u64,
    pub(super) found_cut_bytes: u64,
    pub(super) health: super::health::Figures,
}

/// The file's content. Fields are only ever added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started: Timestamp,
    /// When something in here last changed.
    pub updated: Timestamp,
    /// The configuration file in force, if there is one.
    pub config: Option<String>,
    /// When the configuration was last read, whether it came into force or not.
    pub config_read: Timestamp,
    /// What was different when it last came into force anew, in words.
    pub config_changes: Vec<String>,
    /// Why the last reload was refused; the earlier configuration stays in force.
    pub config_error: Option<ConfigReport>,
    /// Events moved from the bus to the journal since the start.
    pub events: u64,
    /// Events of the daemon itself that were journaled since then; they are not among `events`.
    pub own_events: u64,
    /// How long they took from publish to journal, but for those that waited for a daemon.
    pub publish_to_journal: Latency,
    /// Events that were published before the daemon started.
    pub waited: Waited,
    /// What had to be counted.
    pub counts: CountsStatus,
    /// Secrets that were taken out of payloads, by rule.
    pub redactions_by_rule: BTreeMap<String, u64>,
    /// Events by their risk.
    pub risks: RisksStatus,
    /// What of it is lost, and when that was found, also by a daemon before.
    pub losses: LossesStatus,
    /// Each place in which hooks and daemon meet.
    pub places: Vec<PlaceStatus>,
    /// The journal.
    pub journal: JournalStatus,
    /// Where metrics are served; `None`: nowhere.
    pub http: Option<HttpStatus>,
    /// What the daemon noticed of sessions, hooks and agents.
    pub health: HealthStatus,
    /// Each sink.
    pub sinks: Vec<SinkStatus>,
    /// What the next daemon is to know of sinks, by name.
    pub known_sinks: BTreeMap<String, KnownSink>,
    /// Cursors of sinks that are not configured any more.
    pub orphaned_cursors: Vec<Orphan>,
}

/// The HTTP server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpStatus {
    /// Its address and port.
    pub listen: String,
    /// Whether that is TLS.
    pub tls: bool,
    /// Why it does not listen; it is tried again.
    pub error: Option<String>,
}

/// Percentiles, in nanoseconds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half took at most this long.
    pub p50_ns: u64,
    /// 99 of 100 took at most this long.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// Events that were published while no daemon ran.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waited {
    /// How many.
    pub events: u64,
    /// How long the first of them waited, in nanoseconds.
    pub longest_ns: u64,
}

impl Waited {
    pub(super) fn add(&mut self, waited_ns: u64) {
        self.events += 1;
        self.longest_ns = self.longest_ns.max(waited_ns);
    }
}

impl From<&Histogram<u64>> for Latency {
    fn from(histogram: &Histogram<u64>) -> Self {
        Latency {
            count: histogram.len(),
            p50_ns: histogram.value_at_quantile(0.5),
            p99_ns: histogram.value_at_quantile(0.99),
            max_ns: histogram.max(),
        }
    }
}

/// Everything that was dropped, cut, repaired or set aside since the start.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CountsStatus {
    /// Events that came through the ring.
    pub ring_events: u64,
    /// Events that came through the spool.
    pub spool_events: u64,
    /// Events whose payload or arguments are not whole.
    pub truncated_events: u64,
    /// Events whose payload is not JSON; it is kept as text or base64.
    pub not_json_events: u64,
    /// Bytes of long texts that were cut (`redact.max_text`).
    pub cut_text_bytes: u64,
    /// Secrets that were taken out.
    pub redactions: u64,
    /// Events whose payload was not as its agent's should be; `normalise_warnings` says what.
    pub warned_events: u64,
    /// Events that tell again what another told; `duplicate_of` says which.
    pub duplicate_events: u64,
    /// Lanes found damaged.
    pub condemned_lanes: u64,
    /// Bytes of damaged lanes in which no event could be found.
    pub damaged_bytes: u64,
    /// Time stamps from the future.
    pub clamped_stamps: u64,
    /// Damaged spool entries, kept as `.bad-…` beside the spool's entries.
    pub bad_spool_entries: u64,
    /// Spool entries that were removed unread, because the journal had their events.
    pub journaled_spool_entries: u64,
    /// Counters of spools set right, because a hook died over them, or somebody wrote there.
    pub mended_spool_counters: u64,
    /// Rings replaced.
    pub retired_rings: u64,
}

/// One place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlaceStatus {
    /// Its directory.
    pub path: String,
    /// Why it is not used, if it is not.
    pub refused: Option<String>,
    /// Why it has no ring, if it should have one.
    pub ring_error: Option<String>,
    /// What was wrong with the last ring that was replaced for damage.
    pub ring_damage: Option<String>,
    /// When that was found, by whichever daemon.
    pub ring_damage_at: Option<Timestamp>,
    /// Why it has no spool.
    pub spool_error: Option<String>,
    /// Why entries of its spool wait.
    pub spool_held_up: Option<String>,
    /// Lanes of its ring.
    pub lanes: usize,
    /// Lanes that a producer holds.
    pub locked_lanes: usize,
    /// Bytes published and not yet taken.
    pub used_bytes: u64,
    /// Bytes in its spool.
    pub spool_bytes: u64,
    /// Events that wait in its spool, as far as they are known.
    pub spool_entries: usize,
    /// Spool entries that cannot be read; they are kept, and tried again.
    pub unreadable_spool_entries: usize,
    /// Spool entries that are journaled and could not be removed.
    pub stuck_spool_entries: usize,
    /// Events that hooks dropped because neither ring nor spool took them, since the ring that the
    /// daemon found was made.
    pub dropped_events: u64,
    /// Those of them for which no spool could be written: it was refused, or its disk was full.
    pub unstored_events: u64,
    /// Since when they are counted, as far as it is known.
    pub dropped_since: Option<Timestamp>,
    /// When a daemon last found that there were more of them.
    pub dropped_at: Option<Timestamp>,
    /// Retired rings that are being emptied.
    pub retired_rings: usize,
}

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalStatus {
    /// Its directory.
    pub path: String,
    /// Number of the last event written.
    pub written_seq: u64,
    /// Number of the last event that survives the loss of power.
    pub synced_seq: u64,
    /// The number with which the oldest segment begins.
    pub oldest_seq: u64,
    /// When its first event was published; `None`: there is none.
    pub oldest_at: Option<Timestamp>,
    /// Segment files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lines that are damaged and passed over.
    pub bad_lines: u64,
    /// Bytes cut off behind the last whole line at the start.
    pub cut_bytes: u64,
    /// Failed syncs; each sealed a segment, and what was not synced was written again.
    pub sync_errors: u64,
    /// Why it takes nothing now; ring and spool take what hooks publish.
    pub paused: Option<String>,
    /// How often it could take nothing.
    pub pauses: u64,
    /// Why no new segment can be begun; the current one grows meanwhile.
    pub rotation_error: Option<String>,
    /// Segments deleted within all limits, because the disk was full; every sink had their events.
    pub sacrificed_segments: u64,
    /// Their bytes.
    pub sacrificed_bytes: u64,
    /// Their events.
    pub sacrificed_events: u64,
    /// Segments that somebody removed or cut off while the daemon ran.
    pub removed_segments: u64,
    /// Events that were in them then.
    pub removed_events: u64,
}

impl From<&PlaceReport> for PlaceStatus {
    fn from(report: &PlaceReport) -> Self {
        PlaceStatus {
            path: report.path.clone(),
            refused: report.refused.clone(),
            ring_error: report.ring_error.clone(),
            ring_damage: report.ring_damage.as_ref().map(|damage| damage.what.clone()),
            ring_damage_at: report.ring_damage.as_ref().and_then(found_at),
            spool_error: report.spool_error.clone(),
            spool_held_up: report.spool_held_up.clone(),
            lanes: report.lanes,
            locked_lanes: report.locked_lanes,
            used_bytes: report.used_bytes,
            spool_bytes: report.spool_bytes,
            dropped_events: report.dropped_events.saturating_add(report.spool_dropped_events),
            unstored_events: report.dropped_events,
            dropped_since: None,
            dropped_at: None,
            spool_entries: report.spool_entries,
            unreadable_spool_entries: report.unreadable_spool_entries,
            stuck_spool_entries: report.stuck_spool_entries,
            retired_rings: report.retired_rings,
        }
    }
}

fn found_at(damage: &RingDamage) -> Option<Timestamp> {
    Timestamp::from_nanosecond(damage.at_ns.into()).ok()
}

impl PlaceStatus {
    /// With what was known `before`, by an earlier daemon perhaps: of the last damage, and of when
    /// events were dropped here. The bus counts those, and does not say when.
    pub(crate) fn after(self, before: &[PlaceStatus], now: Timestamp) -> PlaceStatus {
        let known = before.iter().find(|before| before.path == self.path);
        let dropped_before = known.map_or(0, |before| before.dropped_events);
        // A count that is smaller is another one.
        let dropped_before = if self.dropped_events < dropped_before { 0 } else { dropped_before };
        let dropped_since = match known {
            Some(before) if self.dropped_events >= before.dropped_events => before.dropped_since,
            _ => (self.dropped_events == 0).then_some(now),
        };
        let dropped_at = if self.dropped_events > dropped_before {
            Some(now)
        } else {
            known.and_then(|before| before.dropped_at)
        };
        let earlier = known.filter(|_| self.ring_damage.is_none());
        let (ring_damage, ring_damage_at) = match earlier {
            Some(before) => (before.ring_damage.clone(), before.ring_damage_at),
            None => (self.ring_damage, self.ring_damage_at),
        };
        PlaceStatus { ring_damage, ring_damage_at, dropped_since, dropped_at, ..self }
    }
}

impl Status {
    /// Puts the collector's figures in.
    pub(super) fn set_bus(&mut self, bus: &BusStatus) {
        let losses_before = self.counted_losses();
        let counts = &bus.counts;
        self.events = bus.events;
        self.own_events = bus.own_events;
        self.publish_to_journal = bus.publish_to_journal;
        self.waited = bus.waited;
        self.redactions_by_rule = bus.noticed.redactions.clone();
        self.risks = bus.noticed.risks.into();
        self.health = HealthStatus::from(&bus.health);
        self.counts = CountsStatus {
            ring_events: counts.lane_records,
            spool_events: counts.spool_records,
            truncated_events: bus.noticed.truncated,
            not_json_events: bus.noticed.not_json,
            cut_text_bytes: bus.noticed.cut_text_bytes,
            redactions: bus.noticed.redactions.values().sum(),
            warned_events: bus.noticed.warned,
            duplicate_events: bus.noticed.duplicates,
            condemned_lanes: counts.condemned_lanes,
            damaged_bytes: counts.damaged_bytes,
            clamped_stamps: counts.clamped_stamps,
            bad_spool_entries: counts.bad_spool_entries,
            journaled_spool_entries: counts.journaled_spool_entries,
            mended_spool_counters: counts.mended_spool_counters,
            retired_rings: counts.retired_rings,
        };
        let now = Timestamp::now();
        let before = std::mem::take(&mut self.places);
        let place = |report| PlaceStatus::from(report).after(&before, now);
        self.places = bus.places.iter().map(place).collect();
        let path = std::mem::take(&mut self.journal.path);
        self.journal = JournalStatus {
            path,
            written_seq: bus.journal.written_seq,
            synced_seq: bus.journal.synced_seq,
            oldest_seq: bus.journal.oldest_seq,
            oldest_at: None,
            segments: bus.journal.segments,
            bytes: bus.journal.bytes,
            bad_lines: bus.found_bad_lines,
            cut_bytes: bus.found_cut_bytes,
            sync_errors: bus.journal.sync_errors,
            paused: bus.journal_paused.clone(),
            pauses: bus.journal_pauses,
            rotation_error: bus.rotation_error.clone(),
            sacrificed_segments: bus.journal.sacrificed_segments,
            sacrificed_bytes: bus.journal.sacrificed_bytes,
            sacrificed_events: bus.journal.sacrificed_events,
            removed_segments: bus.journal.removed_segments,
            removed_events: bus.journal.removed_events,
        };
        self.losses.note(losses_before, self.counted_losses(), now);
    }

    /// Puts the sinks' figures in, which were taken before those of the journal.
    pub(super) fn set_sinks(&mut self, sinks: impl Iterator<Item = SinkStats>) {
        let written_seq = self.journal.written_seq;
        self.sinks = sinks.map(|stats| SinkStatus::new(stats, written_seq)).collect();
    }

    /// Says which type each sink has.
    pub(super) fn name_sink_types(&mut self, configured: &[SinkConfig]) {
        for sink in &mut self.sinks {
            let config = configured.iter().find(|config| config.name == sink.name);
            sink.kind = config.map_or("", SinkConfig::type_name).to_owned();
        }
    }

    /// Reads the file; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not a status file.
    pub fn read(path: &Path) -> io::Result<Option<Status>> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, in one step if there is room for another one. On a full disk the room that it
    /// has may be all that there is; and if that is not enough, no file is better than one that says
    /// that all is well.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match self.replace(path) {
            Err(error) if matches!(error.kind(), StorageFull | QuotaExceeded) => {
                remove(path)?;
                self.replace(path)
            }
            replaced => replaced,
        }
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("json.new");
        // A fresh file under a name of our own: whatever stands there is a leftover, or a trap.
        remove(&fresh)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        file.write_all(&bytes)?;
        fs::rename(&fresh, path)
    }
}

/// Removes a file, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
