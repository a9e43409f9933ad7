//! What is noticed, with a clock of the test's own.

use hookring_journal::model::EventType;

use super::silence::MIN_EVENTS;
use super::*;

const HOUR_S: i64 = 3600;

fn at(seconds: i64) -> Moment {
    let ns = seconds * 1_000_000_000;
    Moment { boot_ns: ns, wall_ns: ns + 1_700_000_000_000_000_000 }
}

fn event<'a>(agent: &'a str, session: &'a str) -> Summary<'a> {
    Summary {
        kind: Some(EventType::ToolPre),
        agent,
        session: Some(session),
        elapsed_us: 700,
        ..Summary::default()
    }
}

/// A health loop that is told of events by their seconds.
#[derive(Default)]
struct Bed {
    health: Health,
    seq: u64,
}

impl Bed {
    fn note(&mut self, seconds: i64, it: &Summary<'_>) {
        self.seq += 1;
        self.health.set_now(at(seconds));
        self.health.note(it);
        self.health.numbered(self.seq);
    }

    fn look(&mut self, seconds: i64) -> Vec<Own> {
        self.health.look(at(seconds))
    }
}

#[test]
fn a_session_that_falls_silent_is_told_once_and_anew_if_it_goes_on() {
    let mut bed = Bed::default();
    bed.note(0, &event("claude-code", "s"));
    bed.note(10, &event("claude-code", "s"));
    bed.note(20, &Summary { session: None, ..event("claude-code", "") });
    assert_eq!(bed.look(10 + HOUR_S), []);
    assert_eq!(bed.health.figures().active_sessions, 1);
    let expected = SessionSilent {
        session_id: "s".to_owned(),
        agent: Some("claude-code".to_owned()),
        events: 2,
        last_seq: 2,
        last_event_at: at(10).text(),
        silent_s: 3601,
    };
    assert_eq!(bed.look(11 + HOUR_S), [Own::SessionSilent(expected)]);
    assert_eq!(bed.look(9 * HOUR_S), []);
    let Figures { active_sessions, silent_sessions, .. } = bed.health.figures();
    assert_eq!((active_sessions, silent_sessions), (0, 1));
    bed.note(9 * HOUR_S, &event("claude-code", "s"));
    assert_eq!(bed.look(11 * HOUR_S).len(), 1);
}

#[test]
fn one_that_ended_is_not_silent_and_the_same_id_of_another_agent_is_another() {
    let mut bed = Bed::default();
    bed.note(0, &event("a", "s"));
    bed.note(0, &event("b", "s"));
    bed.note(1, &Summary { kind: Some(EventType::SessionEnd), ..event("a", "s") });
    let told = bed.look(2 * HOUR_S);
    let [Own::SessionSilent(it)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(it.agent.as_deref(), Some("b"));
}

#[test]
fn a_wall_clock_that_is_set_finds_nobody_silent() {
    let mut bed = Bed::default();
    bed.note(0, &event("a", "s"));
    let now = Moment { wall_ns: i64::MAX, ..at(1) };
    assert_eq!(bed.health.look(now), []);
    assert_eq!(bed.health.look(Moment { wall_ns: 0, ..at(2) }), []);
}

#[test]
fn zero_switches_each_of_them_off() {
    let mut bed = Bed::default();
    let zero = Duration::ZERO;
    let off = HealthConfig { session_silent: zero, hook_p99: zero, agent_silent: zero };
    bed.health.set_config(off);
    for _ in 0..2 * MIN_EVENTS {
        bed.note(0, &Summary { elapsed_us: 10_000_000, ..event("a", "s") });
    }
    assert_eq!(bed.look(1), []);
    assert_eq!(bed.look(24 * 40 * HOUR_S), []);
    assert_eq!(bed.health.figures().active_sessions, 0, "it is forgotten all the same");
}

#[test]
fn however_many_sessions_there_are_no_more_than_the_limit_are_kept_and_the_rest_is_counted() {
    let mut bed = Bed::default();
    let limit = sessions::MAX_SESSIONS as u64;
    for n in 0..limit + 5 {
        bed.note(0, &event("a", &n.to_string()));
    }
    let Figures { active_sessions, left_out_sessions, .. } = bed.health.figures();
    assert_eq!((active_sessions, left_out_sessions), (limit, 5));
    let mut told = 0;
    while bed.health.figures().active_sessions > 0 {
        let news = bed.look(2 * HOUR_S).len();
        assert!((1..=64).contains(&news), "{news}");
        told += news as u64;
    }
    assert_eq!(told, limit);
}

/// The default limit of agents.
const LIMIT_S: i64 = 72 * HOUR_S;

fn agents(news: Vec<Own>) -> Vec<(String, SilenceState, u64, u64)> {
    let told = news.into_iter().filter_map(|own| match own {
        Own::AgentSilent(it) => Some((it.agent, it.state, it.events, it.silent_s)),
        _ => None,
    });
    told.collect()
}

#[test]
fn an_agent_that_used_to_send_events_is_missed_and_one_that_did_not_is_not() {
    let mut bed = Bed::default();
    (0..MIN_EVENTS).for_each(|_| bed.note(0, &event("often", "s")));
    (0..MIN_EVENTS - 1).for_each(|_| bed.note(0, &event("seldom", "t")));
    (0..MIN_EVENTS).for_each(|_| bed.note(0, &event("", "u")));
    assert_eq!(agents(bed.look(LIMIT_S)), []);
    let silent = ("often".to_owned(), SilenceState::Silent, MIN_EVENTS, LIMIT_S as u64 + 1);
    assert_eq!(agents(bed.look(LIMIT_S + 1)), [silent]);
    assert_eq!(agents(bed.look(LIMIT_S + 2)), []);
    let Figures { silent_agents, watched_agents, .. } = bed.health.figures();
    assert_eq!(silent_agents, [("often".to_owned(), at(0))]);
    assert_eq!(watched_agents, ["often"], "the others are too seldom here to be missed");
    bed.note(LIMIT_S + HOUR_S, &event("often", "s"));
    let silent_s = (LIMIT_S + HOUR_S) as u64;
    let back = ("often".to_owned(), SilenceState::Back, MIN_EVENTS, silent_s);
    assert_eq!(agents(bed.look(LIMIT_S + HOUR_S)), [back]);
    assert_eq!(bed.health.figures().silent_agents, []);
}

#[test]
fn a_limit_that_is_raised_or_switched_off_holds_for_agents_that_are_silent_already() {
    for agent_silent in [Duration::ZERO, Duration::from_secs(2 * LIMIT_S as u64)] {
        let mut bed = Bed::default();
        (0..MIN_EVENTS).for_each(|_| bed.note(0, &event("a", "s")));
        assert_eq!(agents(bed.look(LIMIT_S + 1)).len(), 1);
        bed.health.set_config(HealthConfig { agent_silent, ..HealthConfig::default() });
        let cleared = ("a".to_owned(), SilenceState::Cleared, MIN_EVENTS, LIMIT_S as u64 + 2);
        assert_eq!(agents(bed.look(LIMIT_S + 2)), [cleared]);
        assert_eq!(agents(bed.look(LIMIT_S + 3)), []);
        assert_eq!(bed.health.figures().silent_agents, []);
        // It was not back, so nobody says so later.
        bed.note(LIMIT_S + 4, &event("a", "s"));
        assert_eq!(agents(bed.look(LIMIT_S + 4)), []);
    }
}

/// Only the last events are read again at a start.
#[test]
fn one_that_was_told_silent_stays_so_whatever_is_remembered_of_it() {
    let mut bed = Bed::default();
    let agent = silence::Agent {
        name: "droid".into(),
        events: MIN_EVENTS - 1,
        last_seq: 9,
        last: at(0),
        is_silent: true,
    };
    bed.health.remember(Past { agents: vec![agent], ..Past::default() });
    assert_eq!(agents(bed.look(LIMIT_S + 1)), []);
    let Figures { silent_agents, watched_agents, .. } = bed.health.figures();
    assert_eq!((silent_agents.len(), watched_agents), (1, vec!["droid".to_owned()]));
}

#[test]
fn an_agent_that_stays_silent_is_forgotten_and_begins_anew_if_it_comes_again() {
    let mut bed = Bed::default();
    (0..MIN_EVENTS).for_each(|_| bed.note(0, &event("left", "s")));
    (0..MIN_EVENTS).for_each(|_| bed.note(LIMIT_S, &event("used", "t")));
    assert_eq!(agents(bed.look(LIMIT_S + 1)).len(), 1);
    let end_s = LIMIT_S + silence::FORGET.as_secs() as i64;
    bed.note(end_s, &event("used", "t"));
    assert_eq!(agents(bed.look(end_s)), []);
    let told = agents(bed.look(end_s + 1));
    assert_eq!(told, [("left".to_owned(), SilenceState::Cleared, MIN_EVENTS, end_s as u64 + 1)]);
    let Figures { silent_agents, watched_agents, .. } = bed.health.figures();
    assert_eq!((silent_agents, watched_agents), (vec![], vec!["used".to_owned()]));
    bed.note(end_s + 2, &event("left", "s"));
    bed.note(end_s + 2, &event("used", "t"));
    assert_eq!(agents(bed.look(end_s + 2 + 2 * LIMIT_S)).len(), 1, "one event is no habit");
}

#[test]
fn hooks_that_became_slow_are_told_once_and_so_is_their_end() {
    let mut bed = Bed::default();
    let hooks = |news: Vec<Own>| {
        let told = news.into_iter().filter_map(|own| match own {
            Own::HooksSlow(it) => Some((it.state, it.p99_us / 1000, it.hooks)),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    for n in 0..99 {
        bed.note(n, &Summary { elapsed_us: 60_000, ..event("a", "s") });
    }
    assert_eq!(hooks(bed.look(100)), [], "too few to say anything");
    for _ in 0..101 {
        bed.note(100, &event("a", "s"));
    }
    assert_eq!(hooks(bed.look(100)), [(SlowState::Slow, 61, 200)]);
    assert_eq!(hooks(bed.look(101)), []);
    assert!(bed.health.figures().slow_hooks.is_some());
    for _ in 0..150 {
        bed.note(400, &event("a", "s"));
    }
    assert_eq!(hooks(bed.look(400)), [], "five minutes ago they were slow");
    assert_eq!(hooks(bed.look(401)), [(SlowState::Fine, 0, 150)]);
    assert!(bed.health.figures().slow_hooks.is_none());
}

#[test]
fn hooks_about_the_limit_are_not_told_again_and_again() {
    let mut bed = Bed::default();
    let states = |news: Vec<Own>| {
        let told = news.into_iter().filter_map(|own| match own {
            Own::HooksSlow(it) => Some(it.state),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let slow = || Summary { elapsed_us: 60_000, ..event("a", "s") };
    let mut told = Vec::new();
    (0..99).for_each(|_| bed.note(0, &event("a", "s")));
    bed.note(0, &slow());
    // In each second they are a little above the limit, and a little below.
    for second in 0..90 {
        bed.note(second, &slow());
        told.extend(states(bed.look(second)));
        (0..100).for_each(|_| bed.note(second, &event("a", "s")));
        told.extend(states(bed.look(second)));
    }
    assert_eq!(told, [SlowState::Slow]);
    // A few are enough to be fine, if none of them is slow.
    bed.note(380, &event("a", "s"));
    assert_eq!(states(bed.look(380)), []);
    assert_eq!(states(bed.look(389)), [SlowState::Fine]);
}

#[test]
fn without_any_hooks_none_is_slow() {
    let mut bed = Bed::default();
    (0..200).for_each(|_| bed.note(0, &Summary { elapsed_us: 60_000, ..event("a", "s") }));
    assert_eq!(bed.look(1).len(), 1);
    assert_eq!(bed.look(HOUR_S / 2).len(), 1);
    assert!(bed.health.figures().slow_hooks.is_none());
}

#[test]
fn what_ended_before_the_past_is_known_stays_ended_and_takes_no_room() {
    let session = |id: &str| sessions::Session {
        events: 5,
        last_seq: 9,
        ..sessions::Session::new(id, "a", at(0))
    };
    let mut bed = Bed::default();
    for n in 0..sessions::MAX_SESSIONS as u64 {
        bed.note(0, &event("a", &n.to_string()));
    }
    bed.note(0, &Summary { kind: Some(EventType::SessionEnd), ..event("a", "ended") });
    let sessions = vec![session("0"), session("ended"), session("left-out")];
    bed.health.remember(Past { sessions, left_out_sessions: 2, ..Past::default() });
    let Figures { active_sessions, left_out_sessions, .. } = bed.health.figures();
    assert_eq!((active_sessions, left_out_sessions), (sessions::MAX_SESSIONS as u64, 7));
}
