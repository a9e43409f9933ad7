//! What is found of the time before, and that it stays within its limits.

use std::fs::set_permissions;
use std::os::unix::fs::PermissionsExt;

use hookring_journal::{Event, Journal, Options, Origin};

use super::*;
use crate::run::health::Health;

const NS_PER_S: i64 = 1_000_000_000;
/// When events are published, by the wall clock: a second each from here on.
const BEGIN_S: i64 = 1_700_000_000;

/// A journal that a daemon before left behind.
struct Bed {
    dir: tempfile::TempDir,
    journal: Journal,
    last: Seq,
}

impl Bed {
    fn new() -> Bed {
        let dir = tempfile::tempdir().unwrap();
        set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let (journal, _) = Journal::open(dir.path(), Options::default(), 0).unwrap();
        Bed { dir, journal, last: 0 }
    }

    fn write(&mut self, members: &str) {
        let timestamp_ns = (BEGIN_S + self.last as i64) * NS_PER_S;
        let members = format!(",\"namespace\":\"session\",\"host\":\"h\",{members}");
        let event = Event { id: [7; 16], timestamp_ns, members: members.as_bytes() };
        self.last = self.journal.stage(Origin::Daemon, &event);
    }

    /// An event of a session.
    fn say(&mut self, agent: &str, session: &str, event_type: &str) {
        self.write(&format!(
            "\"event_type\":\"{event_type}\",\"source\":{{\"agent\":\"{agent}\"}},\"session_id\":\"{session}\""
        ));
    }

    /// An event of the daemon's own.
    fn own(&mut self, event_type: &str, payload: &str) {
        self.write(&format!(
            "\"event_type\":\"{event_type}\",\"source\":{{\"agent\":\"{OWN_AGENT}\"}},\"payload\":{payload}"
        ));
    }

    /// What is found an hour after the first event, on a machine that runs for two.
    fn past(&mut self, limits: Limits) -> Past {
        self.journal.commit().unwrap();
        let now = Moment { boot_ns: 7200 * NS_PER_S, wall_ns: (BEGIN_S + 3600) * NS_PER_S };
        read_within(self.dir.path(), self.last, now, limits).unwrap()
    }
}

/// The ids of the sessions, in order.
fn ids(past: &Past) -> Vec<&str> {
    let mut ids: Vec<_> = past.sessions.iter().map(|session| &*session.id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn what_had_not_ended_and_was_not_told_is_known_with_its_figures() {
    let mut bed = Bed::new();
    for session in ["ended", "goes-on", "told"] {
        (0..2).for_each(|_| bed.say("a", session, "tool.pre"));
    }
    bed.say("b", "goes-on", "tool.pre");
    bed.say("a", "ended", "session.end");
    bed.own("session.silent", "{\"session_id\":\"told\",\"agent\":\"a\"}");
    bed.own("agent.silent", "{\"agent\":\"a\",\"state\":\"silent\"}");
    bed.write("\"event_type\":\"tool.pre\"");
    let mut past = bed.past(LIMITS);
    past.sessions.sort_by(|a, b| a.agent.cmp(&b.agent));
    past.agents.sort_by(|a, b| a.name.cmp(&b.name));
    let [a, b] = &past.sessions[..] else { panic!("{:?}", past.sessions) };
    assert_eq!((&*a.agent, &*a.id, a.events, a.last_seq), ("a", "goes-on", 2, 4));
    assert_eq!((&*b.agent, &*b.id, b.events, b.last_seq), ("b", "goes-on", 1, 7));
    let at = |seq: i64| Moment {
        boot_ns: (3600 + seq - 1) * NS_PER_S,
        wall_ns: (BEGIN_S + seq - 1) * NS_PER_S,
    };
    assert_eq!((a.last, b.last), (at(4), at(7)));
    let agents: Vec<_> =
        past.agents.iter().map(|it| (&*it.name, it.events, it.last_seq, it.is_silent)).collect();
    assert_eq!(agents, [("a", 7, 8, true), ("b", 1, 7, false)]);
}

#[test]
fn no_more_events_are_read_than_the_limit_and_those_are_the_last() {
    let mut bed = Bed::new();
    for number in 0..1000 {
        bed.say("a", &format!("{number:03}"), "tool.pre");
    }
    for events in [1, 255, 256, 257, 600] {
        let past = bed.past(Limits { events, ..LIMITS });
        let expected: Vec<_> = (1000 - events..1000).map(|it| format!("{it:03}")).collect();
        assert_eq!(ids(&past), expected, "{events}");
    }
    assert_eq!(ids(&bed.past(LIMITS)).len(), 1000);
    assert_eq!(ids(&bed.past(Limits { events: 1001, ..LIMITS })).len(), 1000);
}

#[test]
fn no_more_bytes_are_read_than_the_limit_and_those_are_the_last() {
    let mut bed = Bed::new();
    let padded = |bed: &mut Bed, session: &str, bytes: usize| {
        bed.write(&format!(
            "\"event_type\":\"tool.pre\",\"session_id\":\"{session}\",\"payload\":\"{}\"",
            "x".repeat(bytes)
        ));
    };
    padded(&mut bed, "large", 100_000);
    (0..300).for_each(|number| padded(&mut bed, &format!("{number:03}"), 1000));
    let past = bed.past(Limits { bytes: 150_000, ..LIMITS });
    let ids_read = ids(&past);
    let count = ids_read.len();
    assert_eq!(ids_read.last(), Some(&"299"), "the end is what counts");
    assert_eq!(ids_read[0], format!("{:03}", 300 - count), "without a hole");
    // What stands in a line beside its payload is a few hundred bytes.
    assert!((100..150).contains(&count), "{count}");
    assert_eq!(ids(&bed.past(LIMITS)).len(), 301);
    // One that is larger than all that may be read.
    padded(&mut bed, "last", 200_000);
    assert_eq!(ids(&bed.past(Limits { bytes: 150_000, ..LIMITS })), [""; 0]);
}

#[test]
fn sessions_and_agents_beyond_their_limits_are_not_kept_and_their_events_are_counted() {
    let mut bed = Bed::new();
    for number in 0..MAX_SESSIONS + 3 {
        bed.say("a", &number.to_string(), "tool.pre");
    }
    bed.say("a", "0", "tool.post");
    for number in 0..MAX_AGENTS {
        bed.write(&format!(
            "\"event_type\":\"tool.pre\",\"source\":{{\"agent\":\"agent-{number}\"}}"
        ));
    }
    // One ends, and there is room for another.
    bed.say("a", "0", "session.end");
    bed.say("a", "late", "tool.pre");
    let past = bed.past(LIMITS);
    assert_eq!((past.sessions.len(), past.left_out_sessions), (MAX_SESSIONS, 3));
    assert_eq!((past.agents.len(), past.left_out_agents), (MAX_AGENTS, 1));
    assert!(ids(&past).contains(&"late") && !ids(&past).contains(&"0"));
    let mut health = Health::default();
    health.remember(past);
    let figures = health.figures();
    assert_eq!((figures.left_out_sessions, figures.left_out_agents), (3, 1));
    assert_eq!(figures.active_sessions, MAX_SESSIONS as u64);
}

#[test]
fn names_are_cut_and_lines_that_say_nothing_are_passed_over() {
    let mut bed = Bed::new();
    let long = "x".repeat(100_000);
    bed.say(&long, &long, "tool.pre");
    bed.say(&long, &format!("{}y", &long[..1000]), "tool.pre");
    // No namespace that this daemon knows; a silence of nobody.
    bed.journal.stage(
        Origin::Daemon,
        &Event { id: [7; 16], timestamp_ns: 0, members: b",\"event_type\":\"tool.pre\"" },
    );
    bed.own("session.silent", "7");
    bed.own("agent.silent", "{\"agent\":\"nobody\",\"state\":\"silent\"}");
    let past = bed.past(LIMITS);
    assert_eq!((past.sessions.len(), past.agents.len()), (1, 1), "they begin alike");
    assert_eq!((past.sessions[0].id.len(), past.agents[0].name.len()), (256, 256));
    assert_eq!(past.sessions[0].events, 2);
}

#[test]
fn a_journal_that_is_empty_or_not_there_has_no_past() {
    let mut bed = Bed::new();
    assert_eq!(ids(&bed.past(LIMITS)), [""; 0]);
    let past = read_past(&bed.dir.path().join("nowhere"), 5, Moment::default()).unwrap();
    assert!(past.sessions.is_empty() && past.agents.is_empty());
}
