//! `hookring test` and `hookring schema`: what would become of a payload, without a daemon and without a trace.

use std::fs;
use std::io::Write as _;
use std::process::{Output, Stdio};

use hookring_tests::Bed;
use serde_json::{Value, json};

use crate::schema;

const CONFIG: &str = "[sinks.all]\ntype = \"jsonl\"\n\
    [sinks.alerts]\ntype = \"jsonl\"\n[sinks.alerts.filter]\nmin_risk = \"high\"\n\
    [sinks.reads]\ntype = \"jsonl\"\n[sinks.reads.filter]\ntools = [\"Read\"]\n\
    [sinks.quiet]\ntype = \"jsonl\"\n[sinks.quiet.filter.exclude]\nevent_types = [\"tool.*\"]\n\
    [sinks.off]\ntype = \"stdout\"\nenabled = false\n";

fn payload() -> Value {
    json!({"hook_event_name": "PreToolUse", "session_id": "s", "cwd": "/home/ada/app", "tool_name": "Bash",
        "tool_use_id": "t", "tool_input": {"command": "make", "password": "Uk7-pqz3Lw9x"}})
}

/// `hookring test` with a payload on its stdin.
fn test(bed: &Bed, args: &[&str], payload: &str) -> Output {
    let mut command = bed.command("hookring");
    command
        .arg("test")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("hookring starts");
    // One that refuses its configuration does not read.
    let _ = child.stdin.take().expect("its stdin").write_all(payload.as_bytes());
    child.wait_with_output().expect("hookring ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn test_shows_the_event_and_what_each_sink_does_with_it() {
    let bed = Bed::new();
    bed.configure(CONFIG);
    let output = test(&bed, &["--json"], &payload().to_string());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let event = &shown["event"];
    assert_eq!([&event["event_type"], &event["tool_name"]], ["tool.pre", "Bash"]);
    assert_eq!(event["source"]["agent"], "claude-code");
    assert_eq!(event["redactions"], json!({"key-name": 1}));
    assert!(!text(&output.stdout).contains("Uk7-pqz3Lw9x"));
    let sink = |name: &str| {
        let sinks = shown["sinks"].as_array().expect("sinks");
        let sink = sinks.iter().find(|sink| sink["name"] == name).expect("the sink");
        (sink["takes"].as_bool(), sink["why_not"].as_str().unwrap_or_default().to_owned())
    };
    for (name, takes, why) in [
        ("all", true, ""),
        ("alerts", false, "min_risk"),
        ("reads", false, "`tools`"),
        ("quiet", false, "`exclude`"),
        ("off", false, "`enabled`"),
    ] {
        let (is_taken, why_not) = sink(name);
        assert_eq!(is_taken, Some(takes), "{name}");
        assert!(why_not.contains(why) && why_not.is_empty() == takes, "{name}: {why_not}");
    }

    // For people.
    let output = test(&bed, &[], &payload().to_string());
    let shown = text(&output.stdout);
    for part in ["EVENT", "tool.pre", "[redacted:key-name:", "SINK", "TAKES IT", "WHY NOT"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let row =
        |name: &str| shown.lines().find(|line| line.starts_with(name)).expect("a row").to_owned();
    assert!(row("all").contains("yes") && row("alerts").contains("no"), "{shown}");
    assert!(row("reads").contains("it is not in `tools`"), "{shown}");

    // As the hook command would be told, and from a file; whatever it is.
    let file = bed.path().join("payload");
    fs::write(&file, "refs/heads/main 1 refs/heads/main 2\n").expect("a file");
    let path = file.to_str().expect("a path");
    let output = test(&bed, &["--json", "--agent", "git", "--event", "pre-push", path], "");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!([&shown["event"]["event_type"], &shown["event"]["event"]], ["git.push", "pre-push"]);
    fs::remove_file(&file).expect("the removal");
    assert_eq!(test(&bed, &[path], "").status.code(), Some(1), "a file that is not there");

    let left: Vec<_> =
        fs::read_dir(bed.path()).expect("the folder").map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["hookring.toml"], "it leaves nothing");
}

#[test]
fn test_uses_the_daemons_key_and_judges_as_the_daemon_does() {
    let bed = Bed::new();
    bed.configure(CONFIG);
    let daemon = bed.start();
    bed.emit(payload().to_string().as_bytes());
    let events = bed.wait_for_events(1);
    let journaled = events.iter().find(|event| event["from"] != "daemon").expect("the hook's");
    let output = test(&bed, &["--json"], &payload().to_string());
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for member in ["payload", "event_type", "tool_parameters", "redactions", "working_directory"] {
        assert_eq!(shown["event"][member], journaled[member], "{member}");
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_bad_pattern_is_said_with_its_place() {
    let bed = Bed::new();
    for (config, key, line, part) in [
        (
            "[redact]\n[[redact.patterns]]\nname = \"x\"\npattern = \"a(b\"\n",
            "pattern",
            4,
            "at byte",
        ),
        (
            "[sinks.a]\ntype = \"jsonl\"\n[sinks.a.filter]\ntools = [\"Bash\", \"a[b\"]\n",
            "tools",
            4,
            "not a pattern",
        ),
        (
            "[redact]\ndisable = [\"jwt\", \"nothing-like-this\"]\n",
            "disable",
            2,
            "nothing-like-this",
        ),
        (
            "[[risk.rules]]\nid = \"own.x\"\nlevel = \"huge\"\nprograms = [\"x\"]\n",
            "level",
            3,
            "huge",
        ),
    ] {
        bed.configure(config);
        let output = test(&bed, &[], "{}");
        assert_eq!(output.status.code(), Some(78), "{config}");
        let said = text(&output.stderr);
        assert!(said.contains(&format!("hookring.toml:{line}:")) && said.contains(part), "{said}");
        // The daemon does not start with it, and a check says the same.
        let checked = bed.hookring(&["config", "check", "--json"]);
        let checked: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
        let error = &checked["errors"][0];
        assert!(error["key"].as_str().is_some_and(|it| it.contains(key)), "{error}");
        assert_eq!(error["line"], line, "{error}");
        assert_eq!(bed.start_refused().0, 78);
    }
}

/// Journal, sinks, `tail --json`, `journal export` and `hookring test` differ in their first members only.
#[test]
fn every_output_is_valid_by_the_schema() {
    let bed = Bed::new();
    bed.configure_as_it_is("[sinks.all]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_with(&["--agent", "claude-code"], payload().to_string().as_bytes());
    bed.emit(b"not JSON");
    bed.emit(b"null");
    bed.wait_for_events(3);
    assert_eq!(daemon.stop(), 0);
    let count = bed.all_lines().len();
    let lines = |text: &[u8]| -> Vec<Value> {
        let all = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        all.map(|line| serde_json::from_slice(line).expect("JSON")).collect()
    };
    let printed = |args: &[&str]| lines(&bed.hookring(args).stdout);
    let sink = fs::read(bed.path().join("sinks/all.jsonl")).expect("the sink's file");
    let (whole, numbered) = (&["crc", "seq", "from"][..], &["seq"][..]);
    for (name, events, own) in [
        ("journal", lines(&bed.all_lines().join(&b'\n')), whole),
        ("tail", printed(&["tail", "--json", "-n", "100"]), whole),
        ("export", printed(&["journal", "export"]), whole),
        ("sink", lines(&sink), numbered),
    ] {
        assert_eq!(events.len(), count, "{name}");
        for event in events {
            schema::assert_valid(&event);
            assert_eq!(schema::unknown_members(&event), [""; 0], "{name}");
            let has = |member: &&str| event.get(*member).is_some();
            assert!(
                ["crc", "seq", "from"].into_iter().filter(has).eq(own.iter().copied()),
                "{name}"
            );
        }
    }
    for payload in [payload().to_string(), "not JSON".to_owned()] {
        let output = test(&bed, &["--json"], &payload);
        let event = serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["event"].take();
        schema::assert_valid(&event);
        assert!(["crc", "seq", "from"].iter().all(|member| event.get(member).is_none()), "{event}");
    }
}

#[test]
fn schema_is_the_documents() {
    let output = Bed::new().hookring(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let document: Value =
        serde_json::from_str(include_str!("../../../docs/event.schema.json")).expect("JSON");
    assert_eq!(printed, document);
}
