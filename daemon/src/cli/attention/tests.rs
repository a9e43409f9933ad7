//! What is told, for how long, and in which words.

use super::*;
use crate::cli::args::Cli;
use crate::run::status::{JournalStatus, LossesStatus};

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hours * 3600).expect("a time")
}

fn place(dropped_events: u64, dropped_at: i64) -> PlaceStatus {
    PlaceStatus {
        path: "/p".to_owned(),
        dropped_events,
        dropped_at: Some(at(dropped_at)),
        ..PlaceStatus::default()
    }
}

fn told(started: i64, now: i64, places: Vec<PlaceStatus>, sinks: Vec<SinkStatus>) -> Vec<String> {
    let status = Status { started: at(started), places, sinks, ..Status::default() };
    needs_attention(&status, at(now))
}

#[test]
fn what_was_dropped_is_news_for_a_day_and_while_the_daemon_that_saw_it_runs() {
    let told = |started, now| told(started, now, vec![place(3, 0)], vec![]);
    assert_eq!(
        told(1, 2),
        [
            "3 events were dropped since the ring was made, the last found 2h 0m ago: /p had room for \
          them in neither ring nor spool; keep a daemon running, or raise bus.spool_bytes"
        ]
    );
    assert_eq!(told(1, 23).len(), 1);
    assert_eq!(told(1, 25), Vec::<String>::new());
    assert_eq!(told(-1, 250).len(), 1);
}

#[test]
fn what_was_dropped_for_want_of_a_spool_says_what_is_wrong_with_that() {
    let told = |unstored_events, spool_error: Option<&str>| {
        let spool_error = spool_error.map(str::to_owned);
        let place = PlaceStatus { unstored_events, spool_error, ..place(3, 0) };
        told(0, 0, vec![place], vec![]).pop().expect("the drops")
    };
    let (full, link) = ("raise bus.spool_bytes", "the spool is a link");
    assert!(told(0, Some(link)).ends_with(full));
    let refused = told(3, Some(link));
    assert!(!refused.contains(full), "{refused}");
    assert!(
        refused.ends_with(
            ": the ring in /p did not take them, and its spool cannot be used: the spool is a link; see \
             that /p/spool is a directory of this user with mode 0700, on a disk with room"
        ),
        "{refused}"
    );
    let unwritten = told(3, None);
    assert!(unwritten.contains("room on its disk") && !unwritten.contains(full), "{unwritten}");
    let both = told(1, None);
    assert!(both.contains(&format!("{full}. For 1 of them no spool could be written; ")), "{both}");
}

#[test]
fn what_is_only_counted_is_news_for_a_day_and_while_the_daemon_that_saw_it_runs() {
    let loss = |count| Loss { count, at: Some(at(0)) };
    let losses = LossesStatus {
        damaged_bytes: loss(64),
        bad_spool_entries: loss(1),
        removed_events: loss(2),
    };
    let journal = JournalStatus { path: "/j".to_owned(), ..JournalStatus::default() };
    let told = |started, now| {
        let (losses, journal) = (losses.clone(), journal.clone());
        let status = Status { started: at(started), losses, journal, ..Status::default() };
        needs_attention(&status, at(now))
    };
    assert_eq!(
        told(1, 2),
        [
            "64 bytes were found damaged in the ring without a whole event, the last found 2h 0m ago: \
             what was published there is lost; see what else writes to the ring's file or cuts it off",
            "1 spool entry was damaged and set aside for good, the last found 2h 0m ago, with what was \
             published there; the newest are kept as .bad-… in the spool: see what else writes there, or \
             whether its disk fails",
            "2 events were in journal files that somebody removed or cut off, the last found 2h 0m ago: \
             sinks that had not got them may never do; keep others (logrotate, say) away from /j, and \
             limit it with journal.retention_bytes or journal.retention_age",
        ]
    );
    assert_eq!((told(1, 23).len(), told(1, 25).len(), told(-1, 250).len()), (3, 0, 3));
}

#[test]
fn a_damaged_ring_is_news_for_a_day_whichever_daemon_saw_it() {
    let damaged = |what: Option<&str>, hours| PlaceStatus {
        path: "/p".to_owned(),
        ring_damage: what.map(str::to_owned),
        ring_damage_at: what.map(|_| at(hours)),
        ..PlaceStatus::default()
    };
    for started in [-100, 1] {
        let told = |now| told(started, now, vec![damaged(Some("noise"), 0)], vec![]);
        assert_eq!(told(2), ["/p had a ring that was replaced 2h 0m ago: noise"]);
        assert_eq!((told(23).len(), told(25).len()), (1, 0));
    }
    // The next daemon found none; or another one.
    let before = [damaged(Some("noise"), 0)];
    assert_eq!(damaged(None, 0).after(&before, at(2)).ring_damage_at, Some(at(0)));
    let again = damaged(Some("noise"), 3).after(&before, at(4));
    assert_eq!(again.ring_damage_at, Some(at(3)));
}

#[test]
fn when_events_were_dropped_is_known_from_one_look_to_the_next() {
    let after = |before: &[PlaceStatus], dropped_events, now| {
        PlaceStatus { path: "/p".to_owned(), dropped_events, ..PlaceStatus::default() }
            .after(before, at(now))
    };
    let none = after(&[], 0, 1);
    assert_eq!((none.dropped_since, none.dropped_at), (Some(at(1)), None));
    let some = after(&[none], 3, 2);
    assert_eq!((some.dropped_since, some.dropped_at), (Some(at(1)), Some(at(2))));
    let same = after(std::slice::from_ref(&some), 3, 9);
    assert_eq!((same.dropped_since, same.dropped_at), (Some(at(1)), Some(at(2))));
    let new_ring = after(&[same], 1, 10);
    assert_eq!((new_ring.dropped_since, new_ring.dropped_at), (None, Some(at(10))));
    let first_look = after(&[], 5, 1);
    assert_eq!((first_look.dropped_since, first_look.dropped_at), (None, Some(at(1))));
}

#[test]
fn a_sink_that_lost_events_needs_attention_though_it_runs() {
    let lost = LostStatus { first: 1, last: 25, at: Some(at(0)) };
    let sink = SinkStatus {
        name: "s".to_owned(),
        state: "running".to_owned(),
        lost_events: 25,
        lost: vec![lost],
        ..SinkStatus::default()
    };
    let told = |now| told(1, now, vec![], vec![sink.clone()]);
    let text = "sink s lost 25 events that the journal no longer had, the last 2h 0m ago: 1 to 25;";
    assert!(told(2)[0].starts_with(text), "{:?}", told(2));
    assert!(told(25).is_empty());
}

#[test]
fn losses_that_cannot_be_are_told_as_far_as_they_can_be_counted() {
    let lost = |first, last| LostStatus { first, last, at: Some(at(0)) };
    let sink = SinkStatus {
        name: "s".to_owned(),
        lost: vec![lost(0, u64::MAX), lost(9, 3), lost(1, u64::MAX)],
        ..SinkStatus::default()
    };
    let told = told(0, 0, vec![], vec![sink]);
    assert!(told[0].contains(&format!("{} events", u64::MAX)), "{told:?}");
}

#[test]
fn a_failing_sink_says_why_and_how_much_waits() {
    let sink = |state: &str, lag_events| SinkStatus {
        name: "s".to_owned(),
        state: state.to_owned(),
        lag_events,
        last_error: Some("cannot".to_owned()),
        last_error_at: Some(at(0)),
        ..SinkStatus::default()
    };
    let told = |state, lag| told(0, 1, vec![], vec![sink(state, lag)]);
    assert!(told("running", 1).is_empty());
    assert_eq!(told("retrying", 0), ["sink s, 1h 0m ago: cannot"]);
    assert_eq!(told("retrying", 1), ["sink s, 1h 0m ago: cannot; 1 event waits in the journal"]);
    // It may have worked again, and slowly.
    assert!(told("stopped", 2).is_empty());
    let waiting = |state: &str, wait_s, because: &str| {
        let waits_until = Some(at(1) + Duration::from_secs(wait_s));
        let waits_because = Some(because.to_owned());
        let ended_failing = state == "stopped";
        let sink = SinkStatus { waits_until, waits_because, ended_failing, ..sink(state, 0) };
        self::told(0, 1, vec![], vec![sink]).remove(0)
    };
    let error = "sink s, 1h 0m ago: cannot";
    assert_eq!(
        waiting("retrying", 40, "failed"),
        format!("{error}; it is tried again in 40.0 s, `hookring sink resume s` tries at once")
    );
    let help = "only you can help: set it right, then `hookring sink resume s` tries at once";
    assert_eq!(waiting("retrying", 400, "refused"), format!("{error}; {help}"));
    assert_eq!(waiting("retrying", 9, "failed"), error, "it is over soon");
    assert_eq!(waiting("stopped", 40, "failed"), error, "nobody tries");
    let failing = SinkStatus { ended_failing: true, ..sink("stopped", 2) };
    let told = self::told(0, 1, vec![], vec![failing]);
    assert_eq!(told, ["sink s, 1h 0m ago: cannot; 2 events wait in the journal"]);
}

#[test]
fn the_first_errors_of_a_configuration_stand_for_all() {
    let error = |line| ProblemReport {
        key: Some("bus.x".to_owned()),
        message: "unknown key".to_owned(),
        line: Some(line),
        ..ProblemReport::default()
    };
    let report = ConfigReport {
        file: "/c".to_owned(),
        errors: (1..=100).map(error).collect(),
        errors_left_out: 5,
        ..ConfigReport::default()
    };
    let journal = JournalStatus { paused: Some("full".to_owned()), ..JournalStatus::default() };
    let status = Status { config_error: Some(report), journal, ..Status::default() };
    let told = needs_attention(&status, at(0));
    assert_eq!(told[0], "full");
    let lines: Vec<_> = told[1].lines().collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[3], "  /c:3: bus.x: unknown key");
    assert_eq!(lines[4..], ["  and 102 more", "  `hookring config check /c` shows all of it"]);
}

#[test]
fn every_command_that_is_named_parses_as_it_is_written() {
    let sink = |state: &str| SinkStatus {
        name: "hooks".to_owned(),
        state: state.to_owned(),
        kept_dead_letters: 2,
        last_error: Some("cannot".to_owned()),
        waits_until: Some(at(1) + Duration::from_secs(400)),
        ..SinkStatus::default()
    };
    let refused = SinkStatus { waits_because: Some("refused".to_owned()), ..sink("retrying") };
    let report = ConfigReport { file: "/c.toml".to_owned(), ..ConfigReport::default() };
    let sinks = vec![sink("off"), sink("retrying"), refused];
    let status = Status { config_error: Some(report), sinks, ..Status::default() };
    let told = needs_attention(&status, at(1)).join("\n");
    let codes: Vec<_> = told.split('`').skip(1).step_by(2).collect();
    // Of each sink: what it refused, in three commands, and how to go on.
    assert_eq!(codes.len(), 1 + 3 * 4, "{told}");
    for code in codes {
        let words = code.split_whitespace();
        let parsed = <Cli as clap::Parser>::try_parse_from(words);
        assert!(parsed.is_ok(), "`{code}`: {}", parsed.unwrap_err());
    }
}

#[test]
fn a_spool_that_is_held_up_is_not_called_missing() {
    let spool_held_up = Some("its entries wait, since 16 of them cannot be read".to_owned());
    let place = PlaceStatus { path: "/p".to_owned(), spool_held_up, ..PlaceStatus::default() };
    assert_eq!(
        told(0, 0, vec![place], vec![]),
        ["/p has a spool that is held up: its entries wait, since 16 of them cannot be read"]
    );
}

#[test]
fn a_place_that_is_not_used_is_told_unless_it_is_simply_not_there() {
    let refused = |reason: &str| PlaceStatus {
        path: "/p".to_owned(),
        refused: Some(reason.to_owned()),
        ..PlaceStatus::default()
    };
    let places = vec![refused("missing"), refused("a reason")];
    assert_eq!(told(0, 1, places, vec![]), ["/p is not used: a reason"]);
}
