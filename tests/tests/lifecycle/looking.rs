//! Looking at events: which are shown, when they were, and what is said of those that are not.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use hookring_tests::{Bed, HOOKS, left_out, numbers_of};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn numbers(output: &Output) -> Vec<u64> {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    numbers_of(text(&output.stdout))
}

/// A journal with an event for each session, numbered from 0.
fn bed_with(sessions: &[&str]) -> Bed {
    let bed = Bed::new();
    let daemon = bed.start();
    for (n, session) in sessions.iter().enumerate() {
        bed.emit(format!("{{\"n\":{n},\"session_id\":\"{session}\"}}").as_bytes());
    }
    assert_eq!(daemon.stop(), 0);
    bed
}

/// Damages the line with this number in its payload.
fn damage(bed: &Bed, number: u64) {
    let segment = bed.path().join("journal/00000000000000000001.jsonl");
    let text = fs::read_to_string(&segment).expect("the segment");
    let good = format!("{{\"n\":{number},");
    assert!(text.contains(&good));
    fs::write(segment, text.replace(&good, &good.replace('n', "m"))).expect("the damage");
}

#[test]
fn tail_counts_whole_events_and_says_what_it_passed_over() {
    let bed = bed_with(&["a"; 6]);
    damage(&bed, 1);
    damage(&bed, 4);
    for (lines, expected, passed_over) in [
        ("1", &[5][..], None),
        ("2", &[3, 5], Some("1 damaged line was passed over")),
        ("3", &[2, 3, 5], Some("1 damaged line was passed over")),
        ("4", &[0, 2, 3, 5], Some("2 damaged lines were passed over")),
        ("9", &[0, 2, 3, 5], Some("2 damaged lines were passed over")),
    ] {
        let output = bed.hookring(&["tail", "--json", "-n", lines, "--namespace", HOOKS]);
        assert_eq!(numbers(&output), expected, "-n {lines}");
        let said = text(&output.stderr);
        match passed_over {
            Some(what) => assert!(said.starts_with(what), "-n {lines}: {said}"),
            None => assert_eq!(said, "", "-n {lines}"),
        }
        let shown = bed.hookring(&["tail", "-n", lines, "--namespace", HOOKS]);
        assert_eq!(text(&shown.stderr), said, "for people, too");
    }
    damage(&bed, 5);
    let output = bed.hookring(&["tail", "--json", "-n", "1", "--namespace", HOOKS]);
    assert_eq!(numbers(&output), [3]);
    assert!(text(&output.stderr).starts_with("2 damaged lines"), "{}", text(&output.stderr));
    let output = bed.hookring(&["journal", "export"]);
    assert_eq!(numbers(&output), [0, 2, 3]);
    assert!(text(&output.stderr).starts_with("3 damaged lines were"), "{}", text(&output.stderr));
}

#[test]
fn tail_says_that_the_journal_was_begun_anew_or_replaced_and_shows_all_of_the_new_one() {
    let bed = bed_with(&["a"; 3]);
    let mut command = bed.command("hookring");
    command.args(["tail", "-f", "--json"]).stdin(Stdio::null());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tail starts");
    let said = child.stderr.take().expect("its stderr");
    let mut tail = bed.adopt(child);
    let mut lines = BufReader::new(tail.take_stdout());
    let mut next = || crate::next_number(&mut lines);
    assert_eq!([next(), next(), next()], [0, 1, 2]);
    let journal = bed.path().join("journal");
    // Fewer events than were shown.
    fs::remove_dir_all(&journal).expect("the removal");
    let daemon = bed.start();
    bed.emit_numbers(10..12);
    assert_eq!([next(), next()], [10, 11]);
    assert_eq!(daemon.stop(), 0);
    // More of them, all at once.
    let other = Bed::new();
    let daemon = other.start();
    other.emit_numbers(20..25);
    assert_eq!(daemon.stop(), 0);
    fs::remove_dir_all(&journal).expect("the removal");
    fs::rename(other.path().join("journal"), &journal).expect("a move");
    assert_eq!([(); 5].map(|()| next()), [20, 21, 22, 23, 24]);
    let daemon = bed.start();
    bed.emit_numbers(25..26);
    assert_eq!(next(), 25);
    assert_eq!(daemon.stop(), 0);
    tail.kill();
    let said: Vec<_> = BufReader::new(said).lines().map(|line| line.expect("text")).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    let text = format!("the journal {} was begun anew or replaced; ", journal.display());
    assert!(said.iter().all(|line| line.starts_with(&text)), "{said:?}");
}

#[test]
fn a_session_is_known_by_what_tail_shows_of_it() {
    let [one, two] = ["0123456789-one", "0123456789-two"];
    let bed = bed_with(&[one, "abcdefgh-other", two, one, "01234567", "ab"]);
    let ask = |command: &[&str], session: &str| {
        bed.hookring(&[command, &["--session", session]].concat())
    };
    for command in [&["journal", "export"][..], &["tail", "--json"]] {
        for (session, expected) in [
            (one, &[0, 3][..]),
            ("0123456789-o", &[0, 3]),
            ("abcdefgh", &[1]),
            ("01234567", &[4]),
            ("ab", &[5]),
        ] {
            assert_eq!(numbers(&ask(command, session)), expected, "{command:?} {session}");
        }
        let several = ask(command, "0123456789");
        assert_eq!(several.status.code(), Some(1));
        let said = text(&several.stderr);
        assert!(said.contains(&format!("{one}, {two}")), "{said}");
        for nobody in ["abcdefg", "nobody-has-this"] {
            let output = ask(command, nobody);
            assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), ""));
            let said = text(&output.stderr);
            assert!(said.contains("no event of a session") && said.contains(nobody), "{said}");
        }
    }
    // The latest of the session, however far back.
    let output = bed.hookring(&["tail", "--json", "-n", "1", "--session", "abcdefgh"]);
    assert_eq!(numbers(&output), [1]);
}

#[test]
fn an_empty_range_is_a_mistake_and_a_date_is_a_time() {
    let bed = bed_with(&["a"]);
    let export = |args: &[&str]| bed.hookring(&[&["journal", "export"], args].concat());
    for args in [["--since", "5m", "--until", "1h"], ["--since", "2h", "--until", "7d"]] {
        let output = export(&args);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
        assert!(text(&output.stderr).contains("--since must be before --until"));
    }
    assert_eq!(numbers(&export(&["--since", "1h", "--until", "0s"])), [0]);
    assert_eq!(numbers(&export(&["--since", "2026-01-31"])), [0]);
    let output = export(&["--until", "2026-01-31"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), "no event matches\n"));
}

#[test]
fn times_are_local_and_the_day_is_said() {
    let bed = bed_with(&["a"]);
    let timestamp = bed.events()[0]["timestamp"].as_str().expect("a time").to_owned();
    let shown = |zone: &str, args: &[&str]| {
        let mut command = bed.command("hookring");
        let output = command
            .args(["tail", "--namespace", HOOKS])
            .args(args)
            .env("TZ", zone)
            .output()
            .expect("tail runs");
        let lines: Vec<_> = text(&output.stdout).lines().map(str::to_owned).collect();
        let [date, event] = &lines[..] else { panic!("{lines:?}") };
        (date.clone(), event.split(' ').next().expect("a time").to_owned())
    };
    let (date, time) = (&timestamp[..10], &timestamp[11..23]);
    for (zone, args) in [("UTC", &[][..]), ("XYZ-5:30", &["--utc"])] {
        let (day, shown) = shown(zone, args);
        assert!(day.contains(date) && day.ends_with("(UTC+00:00)"), "{day}");
        assert_eq!(shown, time);
    }
    let (day, shown) = shown("XYZ-5:30", &[]);
    assert!(day.ends_with("(UTC+05:30)"), "{day}");
    assert_eq!(shown[5..], time[5..], "seconds are the same everywhere");
    assert_ne!(shown, time);
}

#[test]
fn an_output_that_takes_nothing_is_named() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        left_out("dev-full", "there is no /dev/full");
        return;
    };
    let bed = bed_with(&["a"]);
    for command in [
        &["tail"][..],
        &["tail", "--json"],
        &["status"],
        &["config", "show"],
        &["journal", "export"],
    ] {
        let mut program = bed.command("hookring");
        program.args(command).stdin(Stdio::null()).stdout(full.try_clone().expect("a copy"));
        let output = program.stderr(Stdio::piped()).output().expect("hookring runs");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        for part in ["cannot write to standard output: ", "No space left", "send it elsewhere"] {
            assert!(said.contains(part), "{command:?}: no `{part}` in: {said}");
        }
    }
}

/// The kernel would stop it, with every signal but one.
#[cfg(target_os = "linux")]
#[test]
fn top_ends_where_another_job_has_the_terminal() {
    let bed = Bed::new();
    let program = bed.command("hookring").get_program().to_owned();
    // `timeout` puts what it runs into a job of its own; `script` is the terminal.
    let line = format!("timeout -s KILL 60 {} top; echo ended with $?", program.display());
    let mut script = Command::new("script");
    script.env("HOOKRING_DIR", bed.path()).args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
    let output = script.output().expect("script, of util-linux, runs");
    let said = text(&output.stdout);
    assert!(said.contains("another job has") && said.contains("ended with 1"), "{said}");
}
