//! What is remembered from event to event: when a tool's call began, which reports are of the same
//! thing, what an agent has used and changed.
//!
//! All of it is in memory only, and bounded: a daemon that starts anew, or that forgot the oldest,
//! leaves fields out, and refuses nothing.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

// Several times as fast as the standard library's on a whole payload, and keyed anew in each process: nobody
// outside sees a hash, so nobody can look for two events that have the same.
use foldhash::quality::RandomState;

/// How many calls, and how many reports, are remembered.
const MAX_REMEMBERED: usize = 4096;
/// How many agents at work are remembered.
const MAX_AGENTS: usize = 256;
/// How many names are kept of what one agent used or changed.
const MAX_NAMES: usize = 64;
/// Reports of the same thing that are further apart are of different things, unless an id says that they are
/// one. In ns.
const DUPLICATE_WINDOW_NS: i64 = 2_000_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    hasher: RandomState,
    calls: Recent<Call>,
    reports: Recent<Report>,
    agents: Recent<Work>,
    stretches: Recent<Stretch>,
    /// How many stretches there were.
    last_stretch: u64,
}

/// Whether something begins or ends: a call, a turn.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Begin,
    End,
}

/// All reports of a begin up to that of an end, or the other way round.
#[derive(Copy, Clone, Debug)]
struct Stretch {
    phase: Phase,
    number: u64,
}

/// The beginning of a tool's call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    /// The id of the event that told it.
    pub(crate) event_id: [u8; 16],
    /// When it was told, in ns of the wall clock.
    pub(crate) timestamp_ns: i64,
    /// The same by the machine's own clock, if that is known.
    pub(crate) monotonic_ns: Option<u64>,
    /// The agent's id of it.
    pub(crate) tool_use_id: Option<Arc<str>>,
}

impl Call {
    /// Whether both are one call, as far as ids tell.
    fn may_be(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.tool_use_id.as_deref().is_none_or(|own| own == id))
    }

    /// How long it took up to that time; by the machine's own clock if both know it, as the other may be set.
    pub(crate) fn passed_ms(&self, timestamp_ns: i64, monotonic_ns: Option<u64>) -> Option<u64> {
        let passed_ns = match self.monotonic_ns.zip(monotonic_ns) {
            Some((began, now)) => now.checked_sub(began)?,
            None => u64::try_from(timestamp_ns.checked_sub(self.timestamp_ns)?).ok()?,
        };
        Some(passed_ns / 1_000_000)
    }
}

#[derive(Debug)]
struct Report {
    event_id: [u8; 16],
    timestamp_ns: i64,
    own_name: u64,
}

/// What one agent did since it began, or since its last turn.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Work {
    /// Names of tools.
    pub(crate) tools: BTreeSet<String>,
    /// Paths of files that were written.
    pub(crate) files: BTreeSet<String>,
}

/// How two reports can be of the same thing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Sameness {
    /// An id says so, whenever it is.
    Id,
    /// The same bytes, at almost the same time.
    Bytes,
    /// The same deed under another of the agent's names, at almost the same time.
    Deed,
}

impl Activity {
    /// A key that stands for all of its parts.
    pub(crate) fn key(&self, parts: impl Hash) -> u64 {
        self.hasher.hash_one(parts)
    }

    /// Remembers a call under its keys: that of its id, that of what it is about.
    pub(crate) fn begin(&mut self, keys: impl IntoIterator<Item = u64>, call: Call) {
        keys.into_iter().for_each(|key| self.calls.put(key, call.clone(), MAX_REMEMBERED));
    }

    /// The call that began under the first of these keys that is known; not one with another id.
    pub(crate) fn call(
        &self,
        keys: impl IntoIterator<Item = u64>,
        id: Option<&str>,
    ) -> Option<Call> {
        let calls = keys.into_iter().filter_map(|key| self.calls.get(key));
        calls.into_iter().find(|call| call.may_be(id)).cloned()
    }

    /// Ends a call: the next under the same keys is another.
    pub(crate) fn end(&mut self, keys: impl IntoIterator<Item = u64>, id: Option<&str>) {
        for key in keys {
            if self.calls.get(key).is_some_and(|call| call.may_be(id)) {
                self.calls.forget(key);
            }
        }
    }

    /// The number of a stretch in the life of something: reports of its begin and of its end (`phase`) change it
    /// by turns, others belong to the one that it is in.
    pub(crate) fn stretch(&mut self, of: u64, phase: Option<Phase>) -> u64 {
        let known = self.stretches.get(of).copied();
        let Some(phase) = phase else { return known.map_or(0, |known| known.number) };
        let number = match known {
            Some(known) if known.phase == phase => known.number,
            _ => {
                self.last_stretch += 1;
                self.last_stretch
            }
        };
        self.stretches.put(of, Stretch { phase, number }, MAX_REMEMBERED);
        number
    }

    /// Remembers a report of something, and tells of which event it is a duplicate. `own_name` is the
    /// key of the agent's name for the event.
    pub(crate) fn report(
        &mut self,
        (key, sameness): (u64, Sameness),
        own_name: u64,
        call: &Call,
    ) -> Option<[u8; 16]> {
        let Call { event_id, timestamp_ns, .. } = *call;
        if let Some(earlier) = self.reports.get(key) {
            let is_near =
                timestamp_ns.abs_diff(earlier.timestamp_ns) <= DUPLICATE_WINDOW_NS.unsigned_abs();
            let is_same = match sameness {
                Sameness::Id => true,
                Sameness::Bytes => is_near,
                Sameness::Deed => is_near && own_name != earlier.own_name,
            };
            if is_same {
                return Some(earlier.event_id);
            }
        }
        self.reports.put(key, Report { event_id, timestamp_ns, own_name }, MAX_REMEMBERED);
        None
    }

    /// Notes that an agent used a tool, and which files it wrote.
    pub(crate) fn work<'f>(
        &mut self,
        agent: u64,
        tool: &str,
        files: impl IntoIterator<Item = &'f str>,
    ) {
        let mut work = self.agents.take(agent).unwrap_or_default();
        if work.tools.len() < MAX_NAMES {
            work.tools.insert(tool.to_owned());
        }
        for file in files {
            if work.files.len() < MAX_NAMES {
                work.files.insert(file.to_owned());
            }
        }
        self.agents.put(agent, work, MAX_AGENTS);
    }

    /// What an agent did; from here on it begins anew.
    pub(crate) fn take_work(&mut self, agent: u64) -> Option<Work> {
        self.agents.take(agent)
    }
}

/// A map that forgets what was put in first once it is full.
#[derive(Debug)]
struct Recent<T> {
    values: HashMap<u64, (u64, T), RandomState>,
    /// Keys in the order of their last `put`, with its number; those that were put again or taken since
    /// are passed over.
    order: VecDeque<(u64, u64)>,
    puts: u64,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Recent { values: HashMap::default(), order: VecDeque::new(), puts: 0 }
    }
}

impl<T> Recent<T> {
    fn get(&self, key: u64) -> Option<&T> {
        self.values.get(&key).map(|(_, value)| value)
    }

    fn put(&mut self, key: u64, value: T, limit: usize) {
        self.puts += 1;
        self.values.insert(key, (self.puts, value));
        self.order.push_back((key, self.puts));
        while self.values.len() > limit || self.order.len() > 2 * limit {
            let Some((oldest, put)) = self.order.pop_front() else { return };
            if self.values.get(&oldest).is_some_and(|(last, _)| *last == put) {
                self.values.remove(&oldest);
            }
        }
    }

    fn take(&mut self, key: u64) -> Option<T> {
        self.values.remove(&key).map(|(_, value)| value)
    }

    fn forget(&mut self, key: u64) {
        self.values.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn at(event: u8, timestamp_ns: i64) -> Call {
        Call { event_id: [event; 16], timestamp_ns, monotonic_ns: None, tool_use_id: None }
    }

    #[test]
    fn a_call_is_found_by_any_of_its_keys_until_it_ends() {
        let mut activity = Activity::default();
        activity.begin([1, 2], at(7, 5 * S));
        assert_eq!(activity.call([9, 2], Some("t")), Some(at(7, 5 * S)));
        activity.end([1, 2], None);
        assert_eq!(activity.call([1, 2], None), None);
    }

    #[test]
    fn calls_with_different_ids_are_different() {
        let mut activity = Activity::default();
        let call = Call { tool_use_id: Some("p1".into()), ..at(7, S) };
        activity.begin([1, 2], call.clone());
        activity.end([9, 2], Some("nn"));
        assert_eq!(activity.call([9, 2], Some("nn")), None);
        assert_eq!(activity.call([9, 2], None), Some(call.clone()));
        assert_eq!(activity.call([1, 2], Some("p1")), Some(call));
    }

    #[test]
    fn the_machines_own_clock_goes_before_the_walls() {
        let began = Call { monotonic_ns: Some(5_000_000), ..at(7, 10 * S) };
        assert_eq!(began.passed_ms(S, Some(7_999_999)), Some(2));
        assert_eq!(began.passed_ms(11 * S, Some(4_000_000)), None);
        assert_eq!(began.passed_ms(11 * S, None), Some(1000));
        assert_eq!(began.passed_ms(9 * S, None), None);
        assert_eq!(at(7, 10 * S).passed_ms(11 * S, Some(1)), Some(1000));
    }

    #[test]
    fn begins_and_ends_change_the_stretch_by_turns() {
        use Phase::{Begin, End};
        let mut activity = Activity::default();
        let phases = [None, Some(Begin), Some(Begin), None, Some(End), Some(End), Some(Begin)];
        let numbers = phases.map(|phase| activity.stretch(1, phase));
        assert_eq!(numbers, [0, 1, 1, 1, 2, 2, 3]);
        assert_eq!((activity.stretch(2, Some(End)), activity.stretch(1, None)), (4, 3));
    }

    #[test]
    fn what_is_reported_twice_is_told() {
        use Sameness::{Bytes, Deed, Id};
        for (sameness, names, later, expected) in [
            (Id, (1, 1), 3600 * S, Some([7; 16])),
            (Bytes, (1, 1), 2 * S, Some([7; 16])),
            (Bytes, (1, 1), -2 * S, Some([7; 16])),
            (Bytes, (1, 1), 2 * S + 1, None),
            (Deed, (1, 2), S, Some([7; 16])),
            (Deed, (1, 1), S, None),
            (Deed, (1, 2), 3 * S, None),
        ] {
            let mut activity = Activity::default();
            assert_eq!(activity.report((1, sameness), names.0, &at(7, 0)), None);
            let found = activity.report((1, sameness), names.1, &at(8, later));
            assert_eq!(found, expected, "{sameness:?} {later}");
        }
    }

    #[test]
    fn work_is_taken_once_and_bounded() {
        let mut activity = Activity::default();
        for turn in 0..1000 {
            activity.work(1, "Edit", [&*format!("/f{turn}")]);
        }
        activity.work(1, "Bash", []);
        let work = activity.take_work(1).unwrap();
        assert_eq!((work.tools.len(), work.files.len()), (2, MAX_NAMES));
        assert_eq!(activity.take_work(1), None);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut recent = Recent::default();
        for key in 0..10 {
            recent.put(key, key, 4);
            // Put again and again, it stays.
            recent.put(0, 0, 4);
        }
        let kept: Vec<_> = (0..10).filter(|key| recent.get(*key).is_some()).collect();
        assert_eq!(kept, [0, 7, 8, 9]);
        assert!(recent.order.len() <= 8);
    }
}
