//! From a record of the bus to an event of the journal.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hookring_bus::drain::{Batch, Origin, Record};
use hookring_bus::names::{self, AGENTS, EVENTS};
use hookring_bus::record::{flag, meta_entries, tag};
use hookring_journal as journal;
use hookring_journal::model::Level;
use hookring_journal::{Event, Journal, Seq, system};
use hookring_pipeline::redact::{Redacted, Redactor};
use hookring_pipeline::risk::Rules;
use hookring_pipeline::{OWN_AGENT, Options, Own, Pipeline, Received, Summary, Watch, Written};

use crate::config::Config;
use crate::paths::Paths;
use times::Times;

pub mod key;
mod times;

/// A buffer for members of up to this many bytes is kept for the next event.
const KEPT_BYTES: usize = 1 << 20;

/// Makes events of records and hands them to the journal.
pub struct Intake {
    pipeline: Pipeline,
    members: Vec<u8>,
}

/// What was noticed in records while their events were made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Noticed {
    /// Events of which something is not there: cut by the hook, or at a limit here.
    pub truncated: u64,
    /// Those among them that were cut here.
    pub cut_events: u64,
    /// How many bytes that took away.
    pub cut_bytes: u64,
    /// Events whose payload is not JSON; it stands there as text or base64.
    pub not_json: u64,
    /// Events whose payload was not as its agent's should be; they say why.
    pub warned: u64,
    /// Events that tell again what another told.
    pub duplicates: u64,
    /// Secrets that were taken out, by rule.
    pub redactions: BTreeMap<String, u64>,
    /// How many bytes of long texts were cut.
    pub cut_text_bytes: u64,
    /// Events of each level of risk, the lowest first.
    pub risks: [u64; Level::ALL.len()],
}

impl Intake {
    /// Events are made as `options` say.
    pub fn new(options: Options) -> Intake {
        Intake { pipeline: Pipeline::new(options), members: Vec::new() }
    }

    /// From here on, events are made as these options say.
    pub fn set_options(&mut self, options: Options) {
        self.pipeline.set_options(options);
    }

    /// The rules by which secrets are taken out now.
    pub fn redaction_rules(&self) -> impl Iterator<Item = &str> {
        self.pipeline.redaction_rules()
    }

    /// Stages a record's event, counts what was noticed, and returns the event's number.
    pub fn stage(
        &mut self,
        (batch, record): (&Batch, &Record<'_>),
        journal: &mut Journal,
        noticed: &mut Noticed,
    ) -> Seq {
        self.stage_watched((batch, record), journal, noticed, &mut ())
    }

    /// The same, and `watch` is told what the event says.
    pub fn stage_watched(
        &mut self,
        (batch, record): (&Batch, &Record<'_>),
        journal: &mut Journal,
        noticed: &mut Noticed,
        watch: &mut impl Watch,
    ) -> Seq {
        let event = self.event_watched((batch, record), noticed, watch);
        let seq = journal.stage(origin(record.origin), &event);
        self.members.shrink_to(KEPT_BYTES);
        seq
    }

    /// Stages an event of the daemon itself: what happened, and when (the wall clock in Unix nanoseconds, and
    /// `CLOCK_BOOTTIME`). Counts the secrets in it.
    pub fn stage_own(
        &mut self,
        own: &system::Own,
        (wall_ns, monotonic_ns): (u64, u64),
        journal: &mut Journal,
        noticed: &mut Noticed,
    ) -> Seq {
        // What has only texts and numbers for members is JSON.
        let payload = serde_json::to_vec(own).unwrap_or_default();
        let own = Own {
            kind: own.kind(),
            monotonic_ns,
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            payload: &payload,
        };
        self.members.clear();
        let redacted = self.pipeline.write_own(&own, &mut self.members);
        noticed.count_redactions(&redacted);
        let id = *uuid::Uuid::now_v7().as_bytes();
        let timestamp_ns = i64::try_from(wall_ns).unwrap_or(i64::MAX);
        let event = Event { id, timestamp_ns, members: &self.members };
        journal.stage(journal::Origin::Daemon, &event)
    }

    /// Makes a record's event, and counts what was noticed.
    pub fn event(
        &mut self,
        (batch, record): (&Batch, &Record<'_>),
        noticed: &mut Noticed,
    ) -> Event<'_> {
        self.event_watched((batch, record), noticed, &mut ())
    }

    fn event_watched(
        &mut self,
        (batch, record): (&Batch, &Record<'_>),
        noticed: &mut Noticed,
        watch: &mut impl Watch,
    ) -> Event<'_> {
        let said = Said::by(record);
        let times = Times::of(batch, record);
        let header = record.header;
        let received = Received {
            id: header.id,
            timestamp_ns: times.wall_ns,
            monotonic_ns: times.monotonic_ns,
            agent: said.agent.as_deref(),
            event: said.event.as_deref(),
            directory: said.directory,
            pid: header.pid,
            elapsed_us: header.elapsed_us,
            arguments: &said.arguments,
            truncated: header.flags & (flag::TRUNCATED | flag::META_CUT) != 0,
            payload: record.payload,
        };
        self.members.clear();
        let written = self.pipeline.write_watched(&received, &mut self.members, watch);
        noticed.count(received.truncated, &written);
        Event { id: header.id, timestamp_ns: times.wall_ns, members: &self.members }
    }
}

impl Noticed {
    /// `is_cut`: the hook's command had cut it already.
    fn count(&mut self, is_cut: bool, written: &Written) {
        self.truncated += u64::from(is_cut || written.cut_bytes > 0);
        self.cut_events += u64::from(written.cut_bytes > 0);
        self.cut_bytes += written.cut_bytes;
        self.not_json += u64::from(written.not_json.is_some());
        self.warned += u64::from(written.warnings > 0);
        self.duplicates += u64::from(written.is_duplicate);
        self.count_redactions(&written.redacted);
        if let Some(level) = written.risk {
            self.risks[level as usize] += 1;
        }
    }

    fn count_redactions(&mut self, redacted: &Redacted) {
        self.cut_text_bytes += redacted.cut_bytes();
        for (rule, times) in redacted.rules() {
            *self.redactions.entry(rule.to_owned()).or_default() += times;
        }
    }
}

/// What an event of the daemon itself says.
pub fn own_summary(own: &system::Own) -> Summary<'static> {
    let kind = own.kind();
    Summary {
        kind: Some(kind),
        event_type: kind.name(),
        namespace: kind.namespace().name(),
        agent: OWN_AGENT,
        ..Summary::default()
    }
}

/// How events are made by this configuration.
///
/// # Errors
///
/// The patterns cannot be put together: with the environment's secrets they are too many.
pub fn options(config: &Config, paths: &Paths, key: [u8; 32]) -> anyhow::Result<Options> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let redactor = Redactor::new(config.redact.options(key, environment.collect()))?;
    Ok(Options {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        home: paths.home.as_ref().map(|home| home.to_string_lossy().into_owned()),
        redactor,
        rules: Rules::new(&config.risk)?,
        keep: config.capture,
    })
}

/// What a record's header and metadata say, decoded.
struct Said<'a> {
    agent: Option<Cow<'a, str>>,
    event: Option<Cow<'a, str>>,
    directory: Option<&'a [u8]>,
    arguments: Vec<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn by(record: &Record<'a>) -> Said<'a> {
        let mut said = Said {
            agent: names::name(AGENTS, record.header.agent).map(Cow::Borrowed),
            event: names::name(EVENTS, record.header.event).map(Cow::Borrowed),
            directory: None,
            arguments: Vec::new(),
        };
        for (tag, value) in meta_entries(record.meta) {
            match tag {
                tag::AGENT => said.agent = Some(String::from_utf8_lossy(value)),
                tag::EVENT => said.event = Some(String::from_utf8_lossy(value)),
                tag::DIRECTORY => said.directory = Some(value),
                tag::ARGUMENT => said.arguments.push(value),
                // Of a later version.
                _ => {}
            }
        }
        said
    }
}

fn origin(origin: &Origin) -> journal::Origin<'_> {
    match origin {
        Origin::Lane(end) => journal::Origin::Ring(lane_end(end)),
        Origin::Spool(name) => journal::Origin::Spool(name),
    }
}

/// The bus's position as the journal has it; the two crates do not know each other.
pub fn lane_end(end: &hookring_bus::drain::LaneEnd) -> journal::LaneEnd {
    journal::LaneEnd { bus: end.bus, lane: end.lane, end: end.end }
}

/// The journal's position as the bus has it.
pub fn bus_end(end: &journal::LaneEnd) -> hookring_bus::drain::LaneEnd {
    hookring_bus::drain::LaneEnd { bus: end.bus, lane: end.lane, end: end.end }
}

#[cfg(test)]
mod tests;
