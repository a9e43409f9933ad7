//! Whole screens, from two looks.

use unicode_width::UnicodeWidthStr;

use super::*;
use crate::run::status::{JournalStatus, PlaceStatus};

const SCREEN: Screen = Screen { columns: 80, lines: 24, is_coloured: false, is_unicode: true };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

fn sink(name: &str, state: &str, delivered_events: u64) -> SinkStatus {
    SinkStatus {
        name: name.to_owned(),
        state: state.to_owned(),
        breaker: "closed".to_owned(),
        delivered_events,
        ..SinkStatus::default()
    }
}

fn status(events: u64, sinks: Vec<SinkStatus>) -> Status {
    Status {
        version: "1.2.3".to_owned(),
        pid: 42,
        started: at(-200),
        events,
        journal: JournalStatus {
            written_seq: events + 3,
            bytes: 8_500,
            ..JournalStatus::default()
        },
        places: vec![PlaceStatus { locked_lanes: 2, used_bytes: 1024, ..PlaceStatus::default() }],
        sinks,
        ..Status::default()
    }
}

/// What the second of two looks, two seconds apart, shows.
fn shown(before: &Status, after: &Status, problems: &[String], screen: Screen) -> Vec<String> {
    let mut rates = Rates::default();
    for _ in 0..3 {
        rates.push(before, before, 2.0);
    }
    rates.push(before, after, 2.0);
    render(after, &rates, (true, problems), at(0), screen)
}

fn two_looks() -> (Status, Status) {
    let before = status(100, vec![sink("archive", "running", 50), sink("hooks", "running", 7)]);
    let late = SinkStatus {
        breaker: "open".to_owned(),
        waits_until: Some(at(42)),
        lag_events: 12_345,
        oldest_undelivered_at: Some(at(-90)),
        kept_dead_letters: 3,
        lost_events: 20,
        retries: 7,
        ..sink("hooks", "retrying", 9)
    };
    (before, status(125, vec![sink("archive", "running", 75), late]))
}

#[test]
fn two_looks_make_a_screen() {
    let (before, after) = two_looks();
    let problems = ["sink hooks: down\n  and more".to_owned()];
    let screen = shown(&before, &after, &problems, SCREEN).join("\n");
    insta::assert_snapshot!(screen, @r"
    running  hookring 1.2.3, pid 42, for 3m 20s    q quits

    EVENTS IN     12.5/s                                      ▁▁▁█  125
    JOURNALED     12.5/s                                      ▁▁▁█  last 128
    BUS       2 lanes in use, waiting 1.0 KiB, spool 0 B, dropped 0, journal 8.3 KiB

    SINK         STATE               RATE         DELIVERED BEHIND     FOR DEAD LOST
    archive      running           12.5/s    ▁▁▁█        75      0            0    0
    hooks        open, 42.0 s       1.0/s    ▁▁▁█         9    12k  1m 30s    3   20

    NEEDS ATTENTION
    sink hooks: down
      and more
    ");
}

/// The way out stands at the end.
#[test]
fn what_needs_attention_is_shown_to_its_end_or_where_that_is() {
    let (before, after) = two_looks();
    let problem =
        format!("sink hooks: {}; `hookring sink resume hooks` tries at once", "no way ".repeat(30));
    let problems = [problem.clone()];
    let whole = shown(&before, &after, &problems, SCREEN);
    let begin = whole.iter().position(|line| line.starts_with("sink hooks")).expect("the problem");
    let words = whole[begin..].concat();
    let words: Vec<_> = words.split_whitespace().collect();
    assert!(words.concat().ends_with("triesatonce"), "{whole:?}");
    assert!(whole.iter().all(|line| !line.contains('~') && line.width() <= 80), "{whole:?}");
    let cut = shown(&before, &after, &problems, Screen { lines: 14, ..SCREEN });
    assert_eq!(cut.last().map(String::as_str), Some("`hookring status` has the rest"));
}

#[test]
fn colours_and_characters_are_left_out_where_a_terminal_has_none_and_change_nothing_else() {
    let (before, after) = two_looks();
    let plain = shown(&before, &after, &[], SCREEN);
    let coloured = shown(&before, &after, &[], Screen { is_coloured: true, ..SCREEN });
    assert!(coloured.concat().contains(&format!("{GOOD}running")), "{coloured:?}");
    let stripped = anstream::adapter::strip_str(&coloured.join("\n")).to_string();
    assert_eq!(stripped, plain.join("\n"));
    let ascii = shown(&before, &after, &[], Screen { is_unicode: false, ..SCREEN });
    assert!(ascii.concat().is_ascii(), "{ascii:?}");
    assert!(ascii[2].contains("___#"), "{ascii:?}");
}

#[test]
fn nothing_is_larger_than_the_terminal_and_what_does_not_work_is_shown() {
    let many = |state: &str| {
        let mut sinks: Vec<_> =
            (0..64).map(|n| sink(&format!("a-long-name-of-sink-{n}-世界"), "running", n)).collect();
        sinks.push(sink("broken", state, 1));
        status(u64::MAX / 2, sinks)
    };
    let problems: Vec<_> = (0..50).map(|n| format!("problem {n} {}", "x".repeat(300))).collect();
    for (columns, lines) in [(80, 24), (40, 10), (10, 3), (1, 1), (300, 200)] {
        let screen = Screen { columns, lines, ..SCREEN };
        let shown = shown(&many("running"), &many("off"), &problems, screen);
        assert!(shown.len() <= lines, "{columns}x{lines}");
        assert!(shown.iter().all(|line| line.width() <= columns), "{columns}x{lines}: {shown:?}");
        if lines >= 24 {
            assert!(shown.iter().any(|line| line.starts_with("broken")), "{shown:?}");
            assert!(shown.iter().any(|line| line.starts_with("problem 0")), "{shown:?}");
        }
    }
}

#[test]
fn columns_go_by_what_matters_least() {
    let (before, after) = two_looks();
    let titles = |columns: usize| {
        let lines = shown(&before, &after, &[], Screen { columns, ..SCREEN });
        assert!(lines.iter().all(|line| line.width() <= columns), "{columns}: {lines:?}");
        lines[6].split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    for (columns, expected) in [
        (200, "SINK STATE RATE DELIVERED BEHIND FOR DEAD LOST RETRIES"),
        (88, "SINK STATE RATE DELIVERED BEHIND FOR DEAD LOST RETRIES"),
        (80, "SINK STATE RATE DELIVERED BEHIND FOR DEAD LOST"),
        (60, "SINK STATE RATE BEHIND DEAD LOST"),
        (40, "SINK STATE BEHIND"),
        (20, "SINK STATE"),
    ] {
        assert_eq!(titles(columns), expected, "{columns}");
    }
}

#[test]
fn a_sink_is_shown_as_soon_as_there_are_three_lines() {
    let (before, after) = two_looks();
    let problems = ["sink hooks: down".to_owned()];
    for (columns, lines) in [(20, 5), (80, 3), (20, 3), (80, 4), (80, 7), (40, 9)] {
        let screen = Screen { columns, lines, ..SCREEN };
        let shown = shown(&before, &after, &problems, screen);
        let hooks = shown.iter().find(|line| line.starts_with("hooks"));
        // That which does not work, where there is one line.
        assert!(hooks.is_some_and(|line| line.contains("open")), "{columns}x{lines}: {shown:?}");
        assert!(shown.len() <= lines && shown[0].starts_with("running"), "{shown:?}");
    }
}

#[test]
fn a_daemon_that_is_started_anew_counts_from_nothing_and_none_says_so() {
    let (before, after) = two_looks();
    let shown_anew = shown(&after, &before, &[], SCREEN);
    assert!(shown_anew[2].contains(" 50.0/s "), "{shown_anew:?}");
    let none = render(&after, &Rates::default(), (false, &[]), at(0), SCREEN);
    assert!(none[0].starts_with("not running  start it with `hookring run`"), "{none:?}");
}

#[test]
fn figures_stay_short() {
    let counts = [0, 9999, 10_000, 999_999, 1_000_000, 999_999_999, 1_000_000_000, u64::MAX];
    let expected = ["0", "9999", "10k", "999k", "1M", "999M", "1G", "18446744073G"];
    assert_eq!(counts.map(short), expected);
    let rates = [0.0, 0.04, 99.94, 99.96, 9999.4, 12_345.0, 1.2e9];
    let expected = ["0.0/s", "0.0/s", "99.9/s", "100/s", "9999/s", "12k/s", "1G/s"];
    assert_eq!(rates.map(per_second), expected);
}
