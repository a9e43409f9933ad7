//! The commands as people and scripts call them: what they print where, and how they exit.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use hookring_tests::{Bed, HOOKS, numbers_of, wait_for};
use serde_json::Value;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn code(bed: &Bed, args: &[&str]) -> Option<i32> {
    bed.hookring(args).status.code()
}

/// Events of two sessions, and no daemon any more.
fn bed_with_events() -> Bed {
    let bed = Bed::new();
    let daemon = bed.start();
    for n in 0..10 {
        let session = if n % 2 == 0 { "even" } else { "odd" };
        bed.emit_with(
            &["--agent", "claude-code"],
            format!("{{\"n\":{n},\"session_id\":\"{session}\",\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"Bash\"}}").as_bytes(),
        );
    }
    assert_eq!(daemon.stop(), 0);
    bed
}

#[test]
fn a_wrong_call_is_exit_code_2_and_help_is_0() {
    let bed = Bed::new();
    for wrong in [
        &[][..],
        &["rnu"],
        &["tail", "--lines", "many"],
        &["status", "now"],
        &["journal"],
        &["run", "--config"],
    ] {
        let output = bed.hookring(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{wrong:?}");
    }
    for fine in
        [&["--help"][..], &["--version"], &["run", "--help"], &["journal", "export", "--help"]]
    {
        assert_eq!(code(&bed, fine), Some(0), "{fine:?}");
    }
    let help = bed.hookring(&["tail", "--help"]);
    assert!(text(&help.stdout).contains("Example:"));
}

#[test]
fn a_bad_configuration_is_exit_code_78() {
    let bed = Bed::new();
    assert_eq!(code(&bed, &["config", "check"]), Some(0));
    bed.configure("[bus]\nlanes = \"many\"\n");
    for command in [&["run"][..], &["config", "check"], &["config", "show"]] {
        let output = bed.hookring(command);
        assert_eq!(output.status.code(), Some(78), "{command:?}");
        assert!(
            text(&output.stderr).contains("bus.lanes"),
            "{command:?}: {}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty(), "{command:?}");
    }
    let report = bed.hookring(&["config", "check", "--json"]);
    assert_eq!(report.status.code(), Some(78));
    assert_eq!(json(&report)["errors"][0]["key"], "bus.lanes");
    assert_eq!(code(&bed, &["run", "--config", "/nowhere.toml"]), Some(78));
}

#[test]
fn a_shown_configuration_is_one_that_means_the_same() {
    let bed = Bed::new();
    bed.configure("[bus]\nlanes = 8\n[sinks.a]\ntype = \"jsonl\"\nrotate_age = \"1d\"\n[sinks.b]\ntype = \"stdout\"\n");
    let values = |output: &Output| -> Vec<String> {
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let lines = text(&output.stdout)
            .lines()
            .map(|line| line.split('#').next().unwrap_or(line).trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    let shown = bed.hookring(&["config", "show"]);
    let again = bed.path().join("again.toml");
    fs::write(&again, &shown.stdout).expect("the shown configuration");
    fs::set_permissions(&again, fs::Permissions::from_mode(0o600)).expect("its mode");
    let path = again.to_str().expect("text");
    assert_eq!(code(&bed, &["config", "check", path]), Some(0));
    assert_eq!(values(&bed.hookring(&["config", "show", path])), values(&shown));
}

#[test]
fn status_says_whether_the_daemon_lives() {
    let bed = Bed::new();
    let before = bed.hookring(&["status"]);
    assert_eq!(before.status.code(), Some(1));
    assert!(text(&before.stdout).contains("not running"));
    let daemon = bed.start();
    bed.emit_numbers(0..5);
    bed.wait_for_events(5);
    let output = bed.hookring(&["status"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("running"), "{}", text(&output.stdout));
    let status = bed.status();
    assert_eq!((&status["running"], &status["pid"]), (&true.into(), &daemon.id().into()));
    // Killed, it cannot say so itself.
    daemon.kill();
    assert_eq!(code(&bed, &["status", "--json"]), Some(1));
    assert_eq!(bed.status()["running"], false);
}

#[test]
fn a_status_file_that_cannot_be_read_hides_nothing_but_itself() {
    let bed = Bed::new();
    let daemon = bed.start();
    let file = bed.path().join("status.json");
    daemon.signal("STOP");
    fs::write(&file, "{\"version\": 1}").expect("garbage");
    let shown = bed.hookring(&["status"]);
    assert_eq!(shown.status.code(), Some(0));
    let said = text(&shown.stdout);
    assert!(said.starts_with("running") && said.contains("status.json"), "{said}");
    assert!(bed.status()["error"].as_str().is_some_and(|it| it.contains("status.json")));
    fs::remove_file(&file).expect("the removal");
    fs::create_dir(&file).expect("a directory in its place");
    assert_eq!(bed.status()["running"], true);
    daemon.signal("CONT");
    bed.emit_numbers(0..1);
    wait_for("the daemon's complaint", || bed.log().contains("status.json").then_some(()));
    fs::remove_dir(&file).expect("the removal");
    wait_for("a whole file", || bed.status()["events"].is_u64().then_some(()));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn tail_shows_the_latest_and_follows() {
    let bed = bed_with_events();
    let shown = |args: &[&str]| bed.hookring(&[args, &["--namespace", HOOKS]].concat());
    // And a line with the date, or two if the day has just ended.
    let count = |args: &[&str]| {
        let output = shown(args);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        text(&output.stdout).lines().filter(|line| !line.contains("(UTC")).count()
    };
    assert_eq!(count(&["tail"]), 10);
    assert_eq!(count(&["tail", "-n", "3"]), 3);
    assert_eq!(count(&["tail", "-n", "100"]), 10);
    assert_eq!(text(&shown(&["tail", "-n", "0"]).stdout), "");
    assert!(text(&shown(&["tail", "-n", "1"]).stdout).contains("claude-code  PreToolUse"));
    let lines = shown(&["tail", "-n", "4", "--json"]).stdout;
    assert_eq!(numbers_of(text(&lines)), [6, 7, 8, 9]);

    let mut command = bed.command("hookring");
    let command = command
        .args(["tail", "-f", "-n", "1", "--json", "--namespace", HOOKS])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut tail = bed.adopt(command.spawn().expect("tail starts"));
    let mut lines = BufReader::new(tail.take_stdout());
    let mut next = || crate::next_number(&mut lines);
    assert_eq!(next(), 9);
    let daemon = bed.start();
    bed.emit_numbers(10..13);
    assert_eq!([next(), next(), next()], [10, 11, 12]);
    // A reader that leaves ends it, without another event.
    drop(lines);
    assert_eq!(tail.wait(), 0);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn tail_waits_for_a_journal() {
    let bed = Bed::new();
    let mut command = bed.command("hookring");
    let command = command
        .args(["tail", "-f", "-n", "0", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("tail starts");
    let said = child.stderr.take().expect("its errors");
    let mut tail = bed.adopt(child);
    let mut said = BufReader::new(said).lines();
    let said = said.next().expect("a word").expect("text");
    assert!(said.contains("no journal") && said.contains("waiting"), "{said}");
    let daemon = bed.start();
    bed.emit_numbers(0..2);
    let mut lines = BufReader::new(tail.take_stdout());
    let mut next = || crate::next_number(&mut lines);
    assert_eq!([next(), next()], [0, 1], "none is older than the one who waits");
    drop(lines);
    assert_eq!(tail.wait(), 0);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn export_filters_by_time_and_session() {
    let bed = bed_with_events();
    let export = |args: &[&str]| {
        let output = bed.hookring(&[&["journal", "export"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        numbers_of(text(&output.stdout))
    };
    assert_eq!(export(&[]), Vec::from_iter(0..10));
    assert_eq!(export(&["--session", "odd"]), [1, 3, 5, 7, 9]);
    assert_eq!(export(&["--session", "nobody"]), [0; 0]);
    assert_eq!(export(&["--since", "1h"]), Vec::from_iter(0..10));
    assert_eq!(export(&["--until", "1h"]), [0; 0]);
    let timestamp = bed.events()[5]["timestamp"].as_str().expect("a time").to_owned();
    assert_eq!(export(&["--since", &timestamp]), [5, 6, 7, 8, 9]);
    assert_eq!(export(&["--until", &timestamp]), [0, 1, 2, 3, 4]);
    assert_eq!(export(&["--since", &timestamp, "--session", "even"]), [6, 8]);
    assert_eq!(code(&bed, &["journal", "export", "--since", "yesterday"]), Some(2));

    let file = bed.path().join("out.jsonl");
    let output = bed.hookring(&["journal", "export", "-o", file.to_str().expect("text")]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), ""));
    assert_eq!(crate::numbers_in(&file), Vec::from_iter(0..10));
    // A second one does not replace it unasked.
    let again = |more: &[&str]| {
        let output = &["journal", "export", "--session", "odd", "-o", file.to_str().expect("text")];
        bed.hookring(&[&output[..], more].concat())
    };
    let refused = again(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("--force"), "{}", text(&refused.stderr));
    assert_eq!(crate::numbers_in(&file).len(), 10);
    assert_eq!(again(&["--force"]).status.code(), Some(0));
    assert_eq!(crate::numbers_in(&file), [1, 3, 5, 7, 9]);
}

#[test]
fn lines_come_out_byte_for_byte() {
    let bed = Bed::new();
    let daemon = bed.start();
    // What a terminal would act on and JSON allows.
    bed.emit("{\"n\":0,\"odd\":\"\u{7f}\u{9b}31m\u{90}x\"}".as_bytes());
    bed.wait_for_events(1);
    let lines: Vec<u8> =
        bed.all_lines().into_iter().flat_map(|line| [line, b"\n".to_vec()].concat()).collect();
    for command in [&["journal", "export"][..], &["tail", "--json"]] {
        assert_eq!(
            bed.hookring(command).stdout.escape_ascii().to_string(),
            lines.escape_ascii().to_string()
        );
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn the_journals_commands_without_a_journal_and_beside_a_daemon() {
    let bed = Bed::new();
    for command in
        [&["journal", "export"][..], &["journal", "verify"], &["journal", "repair"], &["tail"]]
    {
        let output = bed.hookring(command);
        let said = text(&output.stderr);
        let journal = bed.path().join("journal").display().to_string();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("there is no journal in") && said.contains(&journal), "{said}");
        assert!(said.contains("`hookring run` begins it"), "{said}");
        assert_eq!(text(&output.stdout), "");
    }
    assert!(!bed.path().join("journal").exists(), "looking makes none");
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    bed.wait_for_events(3);
    assert_eq!(code(&bed, &["journal", "verify"]), Some(0));
    let repair = bed.hookring(&["journal", "repair"]);
    assert_eq!(repair.status.code(), Some(1));
    assert!(text(&repair.stderr).contains("stop the daemon first"), "{}", text(&repair.stderr));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn colours_are_for_terminals_and_for_who_asks_for_them() {
    let bed = bed_with_events();
    let commands =
        [&["status"][..], &["tail"], &["journal", "verify"], &["config", "check"], &["--help"]];
    for command in commands {
        let shown = |variables: &[(&str, &str)]| {
            let mut program = bed.command("hookring");
            program.args(command).envs(variables.iter().copied()).stdin(Stdio::null());
            let output = program.output().expect("hookring runs");
            [output.stdout, output.stderr].concat()
        };
        let escape = |bytes: &[u8]| bytes.contains(&0x1b);
        assert!(!escape(&shown(&[])), "{command:?} in a pipe");
        assert!(escape(&shown(&[("CLICOLOR_FORCE", "1")])), "{command:?} when asked");
        assert!(
            !escape(&shown(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])),
            "{command:?} when asked not to"
        );
    }
    let json = |variables: (&str, &str)| {
        let mut program = bed.command("hookring");
        program
            .args(["status", "--json"])
            .env(variables.0, variables.1)
            .output()
            .expect("hookring runs")
            .stdout
    };
    assert!(!json(("CLICOLOR_FORCE", "1")).contains(&0x1b));
}

#[test]
fn what_an_event_holds_cannot_paint_the_terminal() {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_with(
        &["--agent", "a\x1b[31m", "--event", "e\x1b]0;x\x07"],
        br#"{"session_id":"\u001b[2J","prompt":"\u001b[31m\u009b1m\u202e"}"#,
    );
    assert_eq!(daemon.stop(), 0);
    let shown = bed.hookring(&["tail", "--namespace", HOOKS]).stdout;
    assert_eq!(text(&shown).lines().count(), 2, "the date and the event");
    assert!(!text(&shown).chars().any(|c| c.is_control() && c != '\n'), "{}", shown.escape_ascii());
}

/// Where it is installed, nothing stands beside it to compare with, and it says so.
#[test]
fn the_demo_runs_where_it_is_installed() {
    let bed = Bed::new();
    let programs = bed.path().join("bin");
    fs::create_dir(&programs).expect("a directory");
    for name in ["hookring", "hookring-emit"] {
        hookring_tests::copy_program(name, &programs);
    }
    let program = programs.join("hookring");
    let output = Command::new(&program).arg("demo").output().expect("the demo runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("left out: hookring-floor"), "{said}");
    let rest = said.split_once("HOOKRING_DIR=").expect("the closing hint").1;
    let (directory, command) = rest.lines().next().expect("a line").split_once(' ').expect("both");
    assert_eq!(command, format!("{} status", program.display()));
    // What of that command's output is of the demo's making.
    let word = |end: &str| {
        let count = said.split_once(end).unwrap_or_else(|| panic!("{said}")).0.rsplit(' ').next();
        count.and_then(|it| it.trim_start_matches('(').parse::<u64>().ok()).expect("a number")
    };
    let repeated = word(" events that timed the hook");
    assert_eq!(repeated, word(" more to time the hook"), "{said}");
    let mut status = Command::new(&program);
    let status = status.env("HOOKRING_DIR", directory).args(["status", "--json"]).output();
    let status = json(&status.expect("status runs"));
    assert_eq!(status["running"], false);
    // Those of them that have an id.
    let told_twice = status["counts"]["duplicate_events"].as_u64().expect("a number");
    assert!((1..=repeated).contains(&told_twice), "{status}");
    let mut removals = said.lines().filter(|line| line.starts_with("rm "));
    assert!(removals.all(|line| !line.contains('*')), "no pattern is to be removed:\n{said}");
    fs::remove_dir_all(directory).expect("the removal");
}

#[test]
fn the_demo_loses_nothing() {
    let bed = Bed::new();
    let demo = || {
        let output = bed.hookring(&["demo", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        json(&output)
    };
    let reports = [demo(), demo()];
    for report in &reports {
        assert_eq!(report["lost"], 0);
        assert_eq!(report["sent"], report["journaled"]);
        assert!(report["session_events"].as_u64() >= Some(24), "{report}");
        // Beside a process that does nothing, which is there where the workspace was built.
        assert!(report["floor_process_p50_ns"].as_u64() > Some(0), "{report}");
        // The second leaves the first one's files alone.
        let journal = report["journal"].as_str().expect("a path");
        assert!(!crate::is_empty(Path::new(journal)), "{journal}");
    }
    // It names the first one's folder to be removed, exactly, and none in which a daemon runs.
    let first = &reports[0]["directory"];
    let named = |report: &Value| {
        report["earlier_demos"].as_array().expect("a list").iter().any(|it| it == first)
    };
    assert!(named(&reports[1]), "{}", reports[1]);
    let mut command = bed.command("hookring");
    let directory = first.as_str().expect("a path");
    command.env("HOOKRING_DIR", directory).args(["run"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = bed.adopt(command.spawn().expect("the daemon starts"));
    let mut ask = bed.command("hookring");
    ask.env("HOOKRING_DIR", directory).arg("status");
    wait_for("the daemon to run", || ask.output().expect("status").status.success().then_some(()));
    let third = demo();
    assert!(!named(&third), "{third}");
    assert_eq!(daemon.stop(), 0);
    let reports = [&reports[..], &[third]].concat();
    assert_ne!(reports[0]["directory"], reports[1]["directory"]);
    for report in &reports {
        fs::remove_dir_all(report["directory"].as_str().expect("a path")).expect("the removal");
    }
}
