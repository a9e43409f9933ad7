//! A hook never fails its agent and never waits: it reads its input, exits 0 and says nothing, however
//! it is called and whatever state the machine is in.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Command, Output, Stdio};

use hookring_tests::{Bed, assert_holds, members, programs, wait_for};

const PAYLOAD: &[u8] = br#"{"hook_event_name":"Stop","session_id":"s"}"#;

fn assert_silent(output: &Output, what: &str) {
    assert_eq!(output.status.code(), Some(0), "{what}");
    assert!(output.stdout.is_empty(), "{what}: {}", output.stdout.escape_ascii());
    assert!(output.stderr.is_empty(), "{what}: {}", output.stderr.escape_ascii());
}

/// A hook in an environment with nothing but this.
fn bare_hook(variables: &[(&str, &OsStr)]) -> Command {
    let mut command = Command::new(programs().join("hookring-emit"));
    command.env_clear().envs(variables.iter().copied());
    command
}

#[test]
fn whatever_the_command_line_says_the_event_arrives_and_nothing_is_said() {
    let long = "x".repeat(100_000);
    let command_lines: &[&[&str]] = &[
        &[],
        &["--agent"],
        &["--event"],
        &["--reply"],
        &["--arg"],
        &["--agent", "claude-code", "--event", "Stop"],
        &["--agent=", "--event="],
        &["--agent", "Ünïcode", "--event", "\u{1f600}"],
        &["--unheard-of", "-x", "", "-"],
        &["--"],
        &["--", "--agent", "--help"],
        &["--help", "me"],
        &["--agent", &long],
        &["--", &long, &long],
    ];
    let bed = Bed::new();
    let daemon = bed.start();
    for command_line in command_lines {
        let output = bed.run_hook(bed.command("hookring-emit").args(*command_line), PAYLOAD);
        let shown: Vec<_> = command_line.iter().map(|arg| arg.get(..40).unwrap_or(arg)).collect();
        assert_silent(&output, &format!("{shown:?}"));
    }
    let not_utf8 = OsString::from_vec(b"\xff\xfe".to_vec());
    for option in ["--agent", "--event", "--"] {
        let mut command = bed.command("hookring-emit");
        assert_silent(&bed.run_hook(command.arg(option).arg(&not_utf8), PAYLOAD), option);
    }
    assert_eq!(daemon.stop(), 0);
    let lines = bed.lines();
    assert_eq!(lines.len(), command_lines.len() + 3);
    lines.iter().for_each(|line| assert_holds(line, PAYLOAD));
    let cut = lines.iter().filter(|line| members(line).contains_key("truncated")).count();
    assert_eq!(cut, 2, "what does not fit beside the payload is flagged");
}

#[test]
fn whatever_the_environment_is_it_exits_0_and_says_nothing() {
    let bed = Bed::new();
    let file = bed.path().join("file");
    fs::write(&file, "not a directory").expect("a file");
    let missing = bed.path().join("a/b/c");
    let too_long = format!("/{}", "long/".repeat(200));
    let places = [
        bed.path().as_os_str(),
        file.as_os_str(),
        missing.as_os_str(),
        OsStr::new("/proc/nowhere"),
        OsStr::new("/"),
        OsStr::new(&too_long),
    ];
    let big = vec![b'x'; 1 << 20];
    for place in places {
        for switches in [
            &[][..],
            &[("HOOKRING_OFF", OsStr::new("1"))],
            &[("HOOKRING_SKIP", OsStr::new("Stop"))],
        ] {
            for payload in [PAYLOAD, b"", &big] {
                let variables: Vec<_> =
                    [("HOOKRING_DIR", place)].iter().chain(switches).copied().collect();
                // `run_hook` checks that the whole payload was read, too.
                let output = bed.run_hook(&mut bare_hook(&variables), payload);
                assert_silent(&output, &format!("{variables:?}"));
            }
        }
    }
    assert_eq!(fs::read_to_string(&file).expect("the file"), "not a directory");
}

#[test]
fn closed_and_full_descriptors_are_no_failure_and_are_not_written_into_the_ring() {
    let bed = Bed::new();
    let daemon = bed.start();
    let emit = programs().join("hookring-emit");
    let redirections =
        ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-", "</dev/null >/dev/full", "<.", "0>&1"];
    for redirection in redirections {
        for option in ["--agent", "--reply"] {
            // A descriptor that the hook opens itself may get a number that was closed.
            let script =
                format!("cd \"$1\" && exec \"$0\" {option} '{{\"continue\":true}}' {redirection}");
            let mut shell = Command::new("sh");
            shell.env("HOOKRING_DIR", bed.path()).args(["-c", &script]).arg(&emit).arg(bed.path());
            let output = shell.stdin(Stdio::null()).output().expect("sh runs");
            assert_eq!(output.status.code(), Some(0), "{option} {redirection}");
            assert!(output.stderr.is_empty(), "{option} {redirection}");
        }
    }
    bed.emit(PAYLOAD);
    assert_eq!(daemon.stop(), 0);
    let lines = bed.lines();
    assert_eq!(lines.len(), 2 * redirections.len() + 1);
    assert_holds(&lines[lines.len() - 1], PAYLOAD);
    let counts = &bed.status()["counts"];
    assert_eq!(counts["condemned_lanes"], 0, "{counts}");
    assert_eq!(counts["retired_rings"], 0, "{counts}");
}

#[test]
fn a_reply_is_all_that_is_said_even_when_switched_off_or_skipped() {
    let bed = Bed::new();
    let reply = "{\"decision\":\"allow\"}\n";
    for (variable, value) in [("UNRELATED", ""), ("HOOKRING_OFF", "1"), ("HOOKRING_SKIP", "Stop")] {
        let mut command = bed.command("hookring-emit");
        let output = bed.run_hook(command.args(["--reply", reply]).env(variable, value), PAYLOAD);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stdout, reply.as_bytes(), "{variable}");
        assert!(output.stderr.is_empty());
    }
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.lines().len(), 1);
}

#[test]
fn a_payload_on_the_command_line_does_not_wait_for_stdin() {
    let bed = Bed::new();
    let mut command = bed.command("hookring-emit");
    command.arg("--arg").arg(OsStr::new(std::str::from_utf8(PAYLOAD).expect("text")));
    let mut hook = command.stdin(Stdio::piped()).spawn().expect("the hook starts");
    // Held open until the hook has ended.
    let stdin = hook.stdin.take();
    let status = wait_for("the hook to end", || hook.try_wait().expect("its state"));
    drop(stdin);
    assert!(status.success());
    assert_eq!(bed.start().stop(), 0);
    assert_holds(&bed.lines()[0], PAYLOAD);
}

#[test]
fn an_agent_that_never_closes_stdin_gets_its_event_published_and_flagged() {
    let bed = Bed::new();
    let mut command = bed.command("hookring-emit");
    let mut hook = command.stdin(Stdio::piped()).spawn().expect("the hook starts");
    let mut stdin = hook.stdin.take().expect("its stdin");
    stdin.write_all(PAYLOAD).expect("the hook reads");
    let status = wait_for("the hook's deadline", || hook.try_wait().expect("its state"));
    drop(stdin);
    assert!(status.success());
    assert_eq!(bed.start().stop(), 0);
    let line = &bed.lines()[0];
    assert_holds(line, PAYLOAD);
    assert_eq!(members(line)["truncated"].get(), "true");
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let bed = Bed::new();
    let mut command = bed.command("hookring-emit");
    let command = command.args(["--reply", "{}"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut hook = command.spawn().expect("the hook starts");
    drop(hook.stdout.take());
    hook.stdin.take().expect("its stdin").write_all(PAYLOAD).expect("the hook reads");
    assert_eq!(hook.wait().expect("its end").code(), Some(0));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let help = bed.command("hookring-emit").arg("--help").stdout(writer).status();
    assert_eq!(help.expect("it starts").code(), Some(0));
}

#[test]
fn a_stopped_daemon_delays_no_hook() {
    let bed = Bed::new();
    // So small that the ring is soon full, and the spool takes the rest.
    bed.configure("[bus]\nlanes = 2\nlane_bytes = \"16KiB\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..10);
    daemon.signal("STOP");
    bed.emit_numbers(10..500);
    daemon.signal("CONT");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..500));
    let counts = &bed.status()["counts"];
    assert!(
        counts["spool_events"].as_u64() >= Some(1) && counts["ring_events"].as_u64() >= Some(10),
        "{counts}"
    );
}

#[test]
fn with_no_daemon_and_no_ring_events_wait_in_order() {
    let bed = Bed::new();
    bed.emit_numbers(0..50);
    assert!(!bed.path().join("ring").exists(), "a hook does not make a ring");
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.status()["counts"]["spool_events"], 50);
    // Now there is a ring that nobody reads.
    bed.emit_numbers(50..100);
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.status()["counts"]["ring_events"], 50);
    assert_eq!(bed.numbers(), Vec::from_iter(0..100));
}

#[test]
fn missing_directories_are_made_by_whoever_comes_first() {
    let bed = Bed::new();
    let place = bed.path().join("not/there/yet");
    let mut hook = bed.command("hookring-emit");
    assert_silent(&bed.run_hook(hook.env("HOOKRING_DIR", &place), PAYLOAD), "no directory");
    let entries = fs::read_dir(place.join("spool")).expect("a spool").count();
    assert_eq!(entries, 2, "the event and the counters");
}

#[test]
fn switches_keep_events_away_from_the_bus() {
    let bed = Bed::new();
    let run = |variable: &str, value: &str, args: &[&str], payload: &str| {
        let mut command = bed.command("hookring-emit");
        assert_silent(
            &bed.run_hook(command.args(args).env(variable, value), payload.as_bytes()),
            value,
        );
    };
    run("HOOKRING_OFF", "1", &[], r#"{"n":1}"#);
    run("HOOKRING_OFF", "0", &[], r#"{"n":2}"#);
    run("HOOKRING_OFF", "", &[], r#"{"n":3}"#);
    let skip = "PreToolUse, MessageDisplay";
    run(
        "HOOKRING_SKIP",
        skip,
        &[],
        r#"{"n":4,"deep":{"hook_event_name":"x"},"hook_event_name":"MessageDisplay"}"#,
    );
    run(
        "HOOKRING_SKIP",
        skip,
        &[],
        r#"{"n":5,"deep":{"hook_event_name":"PreToolUse"},"hook_event_name":"Stop"}"#,
    );
    run("HOOKRING_SKIP", skip, &["--event", "PreToolUse"], r#"{"n":6}"#);
    run("HOOKRING_SKIP", skip, &["--event", "PreToolUseX"], r#"{"n":7}"#);
    run("HOOKRING_SKIP", skip, &[], r#"{"n":8}"#);
    run("HOOKRING_SKIP", "", &[], r#"{"n":9,"hook_event_name":"PreToolUse"}"#);
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.numbers(), [2, 3, 5, 7, 8, 9]);
}

/// What docs/emit.md says. The kernel moves each process's stack by up to 8 KiB, so one run says nothing.
#[test]
fn with_a_stack_of_16_kib_the_event_arrives() {
    const RUNS: usize = 100;
    // What is in the ring and the spool, small and large, with a daemon and before there is any.
    let cases = [(0, RUNS), (1500, RUNS), (60_000, RUNS), (2_000_000, RUNS / 10)];
    let bed = Bed::new();
    let run_all = || {
        for (bytes, runs) in cases {
            for _ in 0..runs {
                let mut shell = Command::new("sh");
                shell.env_clear().env("HOOKRING_DIR", bed.path());
                let hook = programs().join("hookring-emit");
                let script = "ulimit -s 16 && exec \"$0\" --agent claude-code -- x";
                let output = bed.run_hook(shell.args(["-c", script]).arg(hook), &vec![b'x'; bytes]);
                assert_silent(&output, &format!("{bytes} bytes"));
            }
        }
    };
    run_all();
    let daemon = bed.start();
    run_all();
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.lines().len(), 2 * cases.iter().map(|(_, runs)| runs).sum::<usize>());
}

/// In front of the ring's one lane, and in the middle of the record there: what is written in part is
/// not published, and the spool takes it.
#[test]
fn a_limit_for_the_size_of_files_costs_no_event() {
    let bed = Bed::new();
    bed.configure("[bus]\nlanes = 1\nlane_bytes = \"16KiB\"\n");
    let daemon = bed.start();
    let payload = format!("{{\"pad\":\"{}\"}}", "x".repeat(2000));
    for limit_bytes in [50 * 1024, 65 * 1024] {
        // In a shell that was started as `sh`, blocks of 512 bytes.
        let script = format!("ulimit -f {} && exec \"$0\"", limit_bytes / 512);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(programs().join("hookring-emit"));
        shell.env("HOOKRING_DIR", bed.path());
        let output = bed.run_hook(&mut shell, payload.as_bytes());
        assert_silent(&output, &format!("a limit of {limit_bytes} bytes"));
    }
    assert_eq!(bed.wait_for_events(2).len(), 2);
    assert_eq!(daemon.stop(), 0);
    let counts = &bed.status()["counts"];
    assert_eq!(counts["spool_events"], 2, "{counts}");
    assert_eq!(counts["condemned_lanes"], 0, "{counts}");
}

#[test]
fn without_descriptors_the_event_arrives_all_the_same() {
    let bed = Bed::new();
    let daemon = bed.start();
    for (limit, reply) in [(3, ""), (4, ""), (5, ""), (3, "yes"), (4, "yes")] {
        run_with_descriptors(&bed, limit, reply);
    }
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.status()["counts"]["ring_events"], 5);
}

#[test]
fn without_descriptors_and_a_place_the_event_arrives_all_the_same() {
    let limits = [(3, ""), (4, ""), (5, ""), (6, ""), (4, "yes"), (5, "yes")];
    for (limit, reply) in limits {
        let bed = Bed::new();
        fs::remove_dir_all(bed.path()).expect("the place goes");
        run_with_descriptors(&bed, limit, reply);
        let daemon = bed.start();
        assert_eq!(bed.wait_for_events(1).len(), 1, "{limit}");
        assert_eq!(daemon.stop(), 0);
    }
}

/// A hook that may have so many descriptors, the standard ones among them.
fn run_with_descriptors(bed: &Bed, limit: u32, reply: &str) {
    let mut shell = Command::new("sh");
    shell.env_clear().env("HOOKRING_DIR", bed.path());
    let options = if reply.is_empty() { "" } else { "--reply yes" };
    let script = format!("ulimit -n {limit} && exec \"$0\" {options}");
    shell.args(["-c", &script]).arg(programs().join("hookring-emit"));
    let output = bed.run_hook(&mut shell, PAYLOAD);
    assert_eq!(output.status.code(), Some(0), "{limit}");
    assert_eq!(output.stdout, reply.as_bytes(), "{limit}");
}
