//! Every family of metrics: its name, its kind, its labels and what it says. `docs/metrics.md` has the same table.

use super::series::Bounds;

/// What can be asked of a family's values.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only rises, from 0 at the daemon's start; those whose help says since when else go on with what is kept.
    Counter,
    /// Rises and falls.
    Gauge,
    /// How many things took how long.
    Histogram,
}

/// A family of metrics.
#[derive(Debug)]
pub struct Family {
    /// Units last.
    pub name: &'static str,
    /// See there.
    pub kind: Kind,
    /// Of each series, in this order.
    pub labels: &'static [&'static str],
    /// A sentence.
    pub help: &'static str,
}

impl Kind {
    /// As the text format has it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Makes one constant of each family, and the list of all.
macro_rules! families {
    ($($constant:ident $kind:ident $name:literal [$($label:literal)*] $help:literal)*) => {
        $(pub(super) static $constant: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All of them, in the order in which they are written.
        pub static FAMILIES: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    EVENTS Counter "hookring_events_total" ["event_type" "namespace" "agent"] "Events that were made of records, and the daemon's own."
    HOOK_DURATION Histogram "hookring_hook_duration_seconds" ["event_type"] "Of a hook's own process, from its start to its publish."
    TOOL_DURATION Histogram "hookring_tool_duration_seconds" ["tool" "outcome"] "Of calls of tools that are over, as far as it is known how long they took."
    TOOL_CALLS Counter "hookring_tool_calls_total" ["tool" "outcome"] "Calls of tools that are over, whether it is known how long they took or not; outcome is success or failure."
    ERRORS Counter "hookring_errors_total" ["error_type"] "Events that tell of an error: of a tool, a turn, a permission, a notification, an end, or a payload that is no JSON."
    LABELS_LIMITED Counter "hookring_metric_labels_limited_total" ["label"] "Events whose value of this label is told as other, since there were too many different ones."
    PUBLISH_TO_JOURNAL Histogram "hookring_publish_to_journal_seconds" [] "From publish to journal, without events that waited for a daemon."
    JOURNAL_SYNC_DURATION Histogram "hookring_journal_sync_duration_seconds" [] "Of syncs of the journal to its disk."
    BUILD_INFO Gauge "hookring_build_info" ["version"] "Always 1; the label says which version runs."
    READY Gauge "hookring_ready" [] "1 if the journal takes events, the collector answers, and hooks have a place for events."
    CONFIG_REFUSED Gauge "hookring_config_refused" [] "1 if the last reload was refused, and the configuration before it is in force."
    RECEIVED Counter "hookring_received_events_total" ["from"] "Events of hooks that were journaled, by where they came through: ring or spool."
    WAITED Counter "hookring_waited_events_total" [] "Events that were published before the daemon started."
    MARKED Counter "hookring_marked_events_total" ["mark"] "Events that are truncated, no JSON, not as their agent's should be (warned), or a duplicate."
    CUT_TEXT Counter "hookring_cut_text_bytes_total" [] "What was cut of long texts."
    RISKS Counter "hookring_security_risk_total" ["level"] "Events by their risk."
    REDACTIONS Counter "hookring_redactions_total" ["rule"] "Secrets that were taken out, by rule."
    ACTIVE_SESSIONS Gauge "hookring_active_sessions" [] "Sessions that have said something, have not ended and are not silent."
    SILENT_SESSIONS Counter "hookring_silent_sessions_total" [] "Sessions that went silent without an end."
    SLOW_HOOKS Gauge "hookring_slow_hooks" [] "1 while hooks take longer than health.hook_p99 allows."
    SILENT_AGENTS Gauge "hookring_silent_agents" [] "Agents that used to send events and are silent now."
    AGENT_SILENT Gauge "hookring_agent_silent" ["agent"] "1 while it sends no events, 0 while it does; of each agent that used to send events."
    HEALTH_LEFT_OUT Counter "hookring_health_left_out_total" ["table"] "Events of sessions and agents that are not watched, since there are too many."
    BUS_USABLE Gauge "hookring_bus_usable" ["place"] "1 if the place is used; 0 if it is refused. One that is not there has none."
    BUS_LANES Gauge "hookring_bus_lanes" ["place"] "Lanes of its ring; 0: it has none."
    BUS_LOCKED_LANES Gauge "hookring_bus_locked_lanes" ["place"] "Lanes that a producer holds."
    BUS_USED Gauge "hookring_bus_used_bytes" ["place"] "Published into the ring and not yet taken."
    BUS_SPOOL_BYTES Gauge "hookring_bus_spool_bytes" ["place"] "In its spool."
    BUS_SPOOL_EVENTS Gauge "hookring_bus_spool_events" ["place"] "Events that wait in its spool, as far as they are known."
    BUS_UNREADABLE Gauge "hookring_bus_unreadable_spool_entries" ["place"] "Entries of its spool that cannot be read, and are tried again."
    BUS_STUCK Gauge "hookring_bus_stuck_spool_entries" ["place"] "Entries of its spool that are journaled and cannot be removed."
    BUS_DROPPED Counter "hookring_bus_dropped_events_total" ["place"] "Events that neither ring nor spool took, since those that the daemon found were made: also while none ran."
    BUS_UNSTORED Counter "hookring_bus_unstored_events_total" ["place"] "Those of them for which no spool could be written, since the same time."
    BUS_CONDEMNED Counter "hookring_bus_condemned_lanes_total" [] "Lanes that were found damaged."
    BUS_DAMAGED Counter "hookring_bus_damaged_bytes_total" [] "Of damaged lanes, in which no event could be found."
    BUS_BAD_ENTRIES Counter "hookring_bus_bad_spool_entries_total" [] "Damaged entries of spools, which were set aside."
    BUS_CLAMPED Counter "hookring_bus_clamped_stamps_total" [] "Time stamps from the future."
    BUS_MENDED Counter "hookring_bus_mended_spool_counters_total" [] "Counters of spools that were set right."
    BUS_RETIRED Counter "hookring_bus_retired_rings_total" [] "Rings that were replaced."
    JOURNAL_BYTES Gauge "hookring_journal_bytes" [] "Of its segments."
    JOURNAL_SEGMENTS Gauge "hookring_journal_segments" [] "Its files."
    JOURNAL_WRITTEN Gauge "hookring_journal_written_seq" [] "Number of the last event written."
    JOURNAL_SYNCED Gauge "hookring_journal_synced_seq" [] "Number of the last event that survives the loss of power."
    JOURNAL_OLDEST Gauge "hookring_journal_oldest_event_timestamp_seconds" [] "When its oldest event was published, Unix time; 0: there is none."
    JOURNAL_BAD_LINES Gauge "hookring_journal_bad_lines" [] "Damaged lines that the start found and passes over."
    JOURNAL_SYNC_ERRORS Counter "hookring_journal_sync_errors_total" [] "Failed syncs; what was not synced was written again."
    JOURNAL_PAUSED Gauge "hookring_journal_paused" [] "1 while it takes nothing: events wait in ring and spool."
    JOURNAL_PAUSES Counter "hookring_journal_pauses_total" [] "How often it could take nothing."
    JOURNAL_ROTATION Gauge "hookring_journal_rotation_failing" [] "1 while no new segment can be begun."
    JOURNAL_SACRIFICED Counter "hookring_journal_sacrificed_events_total" [] "Events deleted within all limits because the disk was full; every sink had them."
    JOURNAL_REMOVED Counter "hookring_journal_removed_events_total" [] "Events in files that somebody removed or cut off while the daemon ran."
    SINK_LAG_EVENTS Gauge "hookring_sink_lag_events" ["sink" "type"] "Events that the journal has and the sink does not have yet."
    SINK_LAG_SECONDS Gauge "hookring_sink_lag_seconds" ["sink" "type"] "Age of the oldest of them; 0: there is none."
    SINK_DELIVERED Counter "hookring_sink_delivered_events_total" ["sink" "type"] "Events that the sink took."
    SINK_FILTERED Counter "hookring_sink_filtered_events_total" ["sink" "type"] "Events that its filter left out."
    SINK_ATTEMPTS Counter "hookring_sink_attempts_total" ["sink" "type" "outcome"] "Batches that were sent, by what the sink answered."
    SINK_SENT Counter "hookring_sink_sent_events_total" ["sink" "type"] "Events in those batches, each time that one was sent: by the batches, how large these were."
    SINK_RETRIES Counter "hookring_sink_retries_total" ["sink" "type"] "Batches that were sent again."
    SINK_BATCH Gauge "hookring_sink_batch_events" ["sink" "type"] "Events that are sent at once at most, just now."
    SINK_STATE Gauge "hookring_sink_state" ["sink" "type" "state"] "1 for what the sink does now: opening, running, retrying, paused, off or stopped."
    SINK_BREAKER Gauge "hookring_sink_breaker_state" ["sink" "type" "state"] "1 for how its breaker stands: closed, open or half_open."
    SINK_DEAD Counter "hookring_sink_dead_letters_total" ["sink" "type"] "Events that it will never take."
    SINK_KEPT_DEAD Gauge "hookring_sink_kept_dead_letters" ["sink" "type"] "Dead letters that are in files now."
    SINK_GIVEN_UP Counter "hookring_sink_given_up_dead_letters_total" ["sink" "type"] "Dead letters that were given up for later ones."
    SINK_SKIPPED Counter "hookring_sink_skipped_events_total" ["sink" "type"] "Events that the journal did not have any more before the sink had them."
    SINK_LOST Counter "hookring_sink_lost_events_total" ["sink" "type"] "The same since its cursor was made, whichever daemon ran."
    SINK_COUNTS Counter "hookring_sink_counts_total" ["sink" "type" "count"] "What only this type of sink counts, such as what its receiver rejected for good of what it took."
    ORPHANED_CURSORS Gauge "hookring_orphaned_cursors" [] "Cursors of sinks that are not configured."
    CPU Counter "process_cpu_seconds_total" [] "User and system time of the daemon."
    RESIDENT Gauge "process_resident_memory_bytes" [] "Its memory, with what it has touched of the ring."
    VIRTUAL Gauge "process_virtual_memory_bytes" [] "Its address space."
    OPEN_FDS Gauge "process_open_fds" [] "Its open file descriptors."
    MAX_FDS Gauge "process_max_fds" [] "How many it may have."
    START_TIME Gauge "process_start_time_seconds" [] "When it started, Unix time."
}

/// A hook of the static command takes less than a millisecond, its process's start included.
pub(super) const HOOK_BOUNDS: Bounds = &[
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_000_000, "0.002"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (20_000_000, "0.02"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (1_000_000_000, "1.0"),
    (5_000_000_000, "5.0"),
];

pub(super) const PUBLISH_BOUNDS: Bounds = &[
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_000_000, "0.002"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (50_000_000, "0.05"),
    (250_000_000, "0.25"),
    (1_000_000_000, "1.0"),
    (10_000_000_000, "10.0"),
];

/// From a look into a file to a build.
pub(super) const TOOL_BOUNDS: Bounds = &[
    (10_000_000, "0.01"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1.0"),
    (5_000_000_000, "5.0"),
    (10_000_000_000, "10.0"),
    (30_000_000_000, "30.0"),
    (60_000_000_000, "60.0"),
    (300_000_000_000, "300.0"),
    (1_800_000_000_000, "1800.0"),
];

pub(super) const SYNC_BOUNDS: Bounds = &[
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_000_000, "0.002"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (500_000_000, "0.5"),
    (2_000_000_000, "2.0"),
    (10_000_000_000, "10.0"),
];
