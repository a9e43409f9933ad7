//! `[sinks.NAME.filter]` and the options of `hookring tail`: each key, through a real daemon.

use std::collections::BTreeSet;

use hookring_tests::Bed;
use serde_json::{Value, json};

use crate::{sink, wait_for_delivery};

/// A few events that differ in all that filters look at; each has a number in its payload.
fn payloads() -> Vec<Value> {
    let tool = |n: u32, event: &str, session: &str, cwd: &str, tool: &str, command: &str| {
        json!({"n": n, "hook_event_name": event, "session_id": session, "cwd": cwd, "tool_name": tool,
            "tool_use_id": format!("t{n}"), "tool_input": {"command": command}})
    };
    vec![
        json!({"n": 0, "hook_event_name": "SessionStart", "session_id": "one", "cwd": "/home/ada/work/app"}),
        tool(1, "PreToolUse", "one", "/home/ada/work/app", "Bash", "ls"),
        tool(2, "PreToolUse", "one", "/home/ada/work/app", "Bash", "rm -rf /"),
        tool(3, "PreToolUse", "two", "/srv/shop", "mcp__db__query", "select"),
        json!({"n": 4, "hook_event_name": "Notification", "session_id": "two", "cwd": "/srv/shop",
            "message": "m"}),
        json!({"n": 5, "hook_event_name": "stop", "conversation_id": "three", "generation_id": "g",
            "status": "completed", "workspace_roots": ["/home/ada/work/site"]}),
        tool(6, "PreToolUse", "two", "/srv/shop", "Bash", "sudo ls"),
        json!({"n": 7, "later": true}),
    ]
}

/// Names of filters, what is in them, and which payloads pass. Number 8 is number 1 again.
const FILTERS: &[(&str, &str, &[u64])] = &[
    ("all", "", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ("namespaces", "namespaces = [\"session\", \"log\"]", &[0, 4, 5]),
    ("event_types", "event_types = [\"session.*\", \"turn.end\"]", &[0, 5]),
    ("agents", "agents = [\"curs?r\"]", &[5]),
    ("tools", "tools = [\"mcp__*\"]", &[3]),
    ("projects", "projects = [\"/home/ada/work/*\"]", &[0, 1, 2, 5, 8]),
    ("deep", "projects = [\"/home/**\"]", &[0, 1, 2, 5, 8]),
    ("itself", "projects = [\"/srv/shop/**\", \"/home/ada/work/site/\"]", &[3, 4, 5, 6]),
    ("any_case", "tools = [\"bash\"]", &[1, 2, 6, 8]),
    ("shallow", "projects = [\"/home/*\"]", &[]),
    ("sessions", "sessions = [\"t[wx]o\", \"th*\"]", &[3, 4, 5, 6]),
    ("risk", "min_risk = \"high\"", &[2]),
    ("low", "min_risk = \"low\"", &[2, 6]),
    ("once", "duplicates = false", &[0, 1, 2, 3, 4, 5, 6, 7]),
    ("sample", "sample = 0", &[7]),
    ("both", "namespaces = [\"hook\"]\nsessions = [\"two\"]", &[3, 6]),
    ("exclude", "[sinks.exclude.filter.exclude]\ntools = [\"Bash\"]", &[0, 3, 4, 5, 7]),
    (
        "except",
        "[sinks.except.filter.exclude]\ntools = [\"Bash\"]\nsessions = [\"one\"]",
        &[0, 3, 4, 5, 6, 7],
    ),
    (
        "mixed",
        "namespaces = [\"hook\"]\nmin_risk = \"low\"\n[sinks.mixed.filter.exclude]\nprojects = [\"/srv/**\"]",
        &[2],
    ),
];

fn configured() -> Bed {
    let bed = Bed::new();
    let sinks = FILTERS.iter().map(|(name, filter, _)| {
        format!("[sinks.{name}]\ntype = \"jsonl\"\n[sinks.{name}.filter]\n{filter}\n")
    });
    bed.configure(&sinks.collect::<String>());
    bed
}

/// Hands each payload to a hook, and number 1 once more; gives how many events the journal has then.
fn publish_all(bed: &Bed) -> u64 {
    let payloads = payloads();
    for payload in payloads.iter().chain([&payloads[1]]) {
        bed.emit(payload.to_string().as_bytes());
    }
    bed.wait_for_events(payloads.len() + 1).len() as u64
}

fn numbers(jsonl: &str) -> Vec<u64> {
    let event = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    jsonl.lines().filter_map(|line| event(line)["payload"]["n"].as_u64()).collect()
}

/// The numbers that pass: what was published again has its first number.
fn expected(numbers: &[u64]) -> Vec<u64> {
    numbers.iter().map(|number| if *number == 8 { 1 } else { *number }).collect()
}

#[test]
fn a_sink_gets_what_its_filter_takes_and_counts_the_rest() {
    let bed = configured();
    let daemon = bed.start();
    let all = publish_all(&bed);
    for (name, _, passing) in FILTERS {
        let taken = |sink: &Value| {
            let count = |key: &str| sink[key].as_u64().expect("a number");
            count("delivered_events") + count("filtered_events")
        };
        hookring_tests::wait_for(&format!("{name} to be done"), || {
            (taken(&sink(&bed, name)?) >= all).then_some(())
        });
        let path = bed.path().join(format!("sinks/{name}.jsonl"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(numbers(&text), expected(passing), "{name}");
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn tail_shows_what_its_options_ask_for() {
    let bed = configured();
    let daemon = bed.start();
    publish_all(&bed);
    assert_eq!(daemon.stop(), 0);
    let shown = |args: &[&str]| {
        let output = bed.hookring(&[&["tail", "--json", "-n", "100"], args].concat());
        assert!(output.status.success(), "{args:?}: {output:?}");
        numbers(&String::from_utf8(output.stdout).expect("text"))
    };
    for (args, passing) in [
        (&["--type", "session.*", "--type", "turn.end"][..], &[0, 5][..]),
        (&["--namespace", "session", "--namespace", "log"], &[0, 4, 5]),
        (&["--agent", "cursor"], &[5]),
        (&["--tool", "mcp__*"], &[3]),
        (&["--project", "/home/ada/work/*"], &[0, 1, 2, 5, 8]),
        (&["--project", "/srv/shop/**"], &[3, 4, 6]),
        (&["--min-risk", "high"], &[2]),
        (&["--no-duplicates"], &[0, 1, 2, 3, 4, 5, 6, 7]),
        (&["--session", "two"], &[3, 4, 6]),
        (&["--session", "two", "--tool", "Bash"], &[6]),
        (&["--tool", "Bash", "--min-risk", "low"], &[2, 6]),
        (&["--type", "session.*", "--exclude", "agent=cursor"], &[0]),
        (&["--tool", "*", "--exclude", "tool=bash", "--exclude", "tool=mcp__*"], &[]),
        (&["--session", "two", "--exclude", "tool=Bash", "--exclude", "agent=cursor"], &[3, 4, 6]),
        (&["--project", "/srv/shop/**", "--exclude", "session=two"], &[]),
        (&["--session", "two", "--sample", "0"], &[]),
        (&["--session", "two", "--sample", "1"], &[3, 4, 6]),
    ] {
        assert_eq!(shown(args), expected(passing), "{args:?}");
    }
    // By a sink's filter, as the daemon would ask it.
    for (name, _, passing) in FILTERS {
        assert_eq!(shown(&["--sink", name]), expected(passing), "{name}");
    }
    assert_eq!(shown(&["--sink", "both", "--min-risk", "low"]), [6]);
    let many = bed.hookring(&["tail", "--json", "-n", "1", "--tool", "Bash"]);
    assert_eq!(numbers(&String::from_utf8(many.stdout).expect("text")), [1], "the last of those");
    for (args, message) in [
        (&["--sink", "nobody"][..], "no sink nobody; there are: "),
        (&["--project", "app"], "it is relative"),
        (&["--tool", "a[b"], "a[b"),
        (&["--min-risk", "huge"], "low, medium, high, critical"),
        (&["--exclude", "tools=Bash"], "LIST is one of type, namespace"),
        (&["--exclude", "project=app"], "it is relative"),
        (&["--exclude", "tool=a[b"], "a[b"),
        (&["--sample", "2"], "from 0 to 1"),
    ] {
        let output = bed.hookring(&[&["tail"], args].concat());
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn tail_says_what_is_likely_to_match_nothing() {
    let bed = Bed::new();
    drop(bed.start());
    let said = |args: &[&str]| {
        let output = bed.hookring(&[&["tail"], args].concat());
        (output.status.success(), String::from_utf8(output.stderr).expect("text"))
    };
    for (args, message) in [
        (
            &["--namespace", "systm"][..],
            "--namespace systm: no namespace is known by this name; did you mean \"system\"?",
        ),
        (
            &["--agent", "claude"],
            "--agent claude: no agent is known by this name; did you mean \"claude-code\"?",
        ),
        (&["--type", "PreToolUse"], "whose type is \"tool.pre\""),
        (&["--exclude", "type=PreToolUse"], "--exclude type=PreToolUse: no event type is known"),
    ] {
        let (is_fine, text) = said(args);
        assert!(is_fine && text.starts_with("warning: ") && text.contains(message), "{text}");
    }
    let known = ["--namespace", "sys*", "--agent", "hookring", "--type", "daemon.start"];
    assert_eq!(said(&known), (true, String::new()));
    let (is_fine, text) = said(&["--sink", "nope"]);
    assert!(!is_fine && text.contains("has no sink nope; it has none at all"), "{text}");
}

#[test]
fn a_risk_is_seen_where_events_are_shown_and_counted() {
    let bed = Bed::new();
    let daemon = bed.start();
    for command in ["ls", "rm -rf /", "DB_PASSWORD=swordfish ls"] {
        let payload = json!({"hook_event_name": "PreToolUse", "session_id": "s", "cwd": "/srv", "tool_name": "Bash",
            "tool_use_id": command, "tool_input": {"command": command}});
        bed.emit(payload.to_string().as_bytes());
    }
    bed.wait_for_events(3);
    hookring_tests::wait_for("the figures", || (bed.status()["events"] == 3).then_some(()));
    let shown = |args: &[&str]| String::from_utf8(bed.hookring(args).stdout).expect("text");
    let tail = shown(&["tail", "--min-risk", "high"]);
    let events: Vec<_> = tail.lines().filter(|line| line.contains("PreToolUse")).collect();
    assert!(events.len() == 1 && events[0].contains("  critical  destructive."), "{tail}");
    assert!(events[0].ends_with("  Bash rm -rf /"), "{tail}");
    let status = bed.status();
    assert_eq!(status["risks"]["critical"], 1, "{}", status["risks"]);
    let redactions = status["counts"]["redactions"].as_u64().expect("a number");
    let by_rule = status["redactions_by_rule"].as_object().expect("rules");
    let counted: u64 = by_rule.values().filter_map(Value::as_u64).sum();
    assert!(redactions >= 1 && counted == redactions, "{by_rule:?}");
    let says = |text: String| {
        assert!(text.contains("risk since the start: 1 critical, 0 high, "), "{text}");
        assert!(text.contains(&format!("; {redactions} secret")), "{text}");
    };
    says(shown(&["status"]));
    assert_eq!(daemon.stop(), 0);
    says(shown(&["status"]));
}

#[test]
fn a_sample_has_whole_sessions_and_the_same_ones_in_each_sink() {
    let bed = Bed::new();
    let sink = |name: &str, share: &str| {
        format!("[sinks.{name}]\ntype = \"jsonl\"\n[sinks.{name}.filter]\nsample = {share}\n")
    };
    bed.configure(&[sink("a", "0.5"), sink("b", "0.5"), sink("more", "0.8")].concat());
    let daemon = bed.start();
    let sessions = 40;
    for round in 0..3 {
        for session in 0..sessions {
            let payload = json!({"n": session, "round": round, "hook_event_name": "Stop",
                "session_id": format!("session-{session}")});
            bed.emit(payload.to_string().as_bytes());
        }
    }
    bed.wait_for_events(3 * sessions);
    assert_eq!(daemon.stop(), 0);
    let taken = |name: &str| {
        let text = std::fs::read_to_string(bed.path().join(format!("sinks/{name}.jsonl")));
        numbers(&text.expect("the sink's file"))
    };
    let [a, b, more] = ["a", "b", "more"].map(taken);
    assert_eq!(a, b);
    let tail = bed.hookring(&["tail", "--json", "-n", "1000", "--sample", "0.5"]);
    assert_eq!(numbers(&String::from_utf8(tail.stdout).expect("text")), a);
    let sessions_of = |numbers: &[u64]| numbers.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(a.len(), 3 * sessions_of(&a).len(), "each with all of its events");
    assert!(sessions_of(&a).is_subset(&sessions_of(&more)), "a larger sample has the smaller one");
    // The names are fixed, and so is who is chosen.
    assert!((10..=30).contains(&sessions_of(&a).len()), "{}", sessions_of(&a).len());
    assert!(sessions_of(&more).len() > sessions_of(&a).len());
}

#[test]
fn a_filter_that_changes_holds_for_what_comes_then() {
    let bed = Bed::new();
    let filtered = |tool: &str| {
        format!("[sinks.file]\ntype = \"jsonl\"\n[sinks.file.filter]\ntools = [\"{tool}\"]\n")
    };
    bed.configure(&filtered("Bash"));
    let daemon = bed.start();
    let publish = |first: u64| {
        for (n, tool) in [(first, "Bash"), (first + 1, "Read")] {
            let payload = json!({"n": n, "hook_event_name": "PreToolUse", "tool_name": tool,
                "session_id": "s", "tool_use_id": n.to_string(), "tool_input": {}});
            bed.emit(payload.to_string().as_bytes());
        }
    };
    publish(0);
    wait_for_delivery(&bed, "file", 1);
    bed.wait_for_events(2);
    // With `daemon.start`.
    hookring_tests::wait_for("the other to be passed over", || {
        (sink(&bed, "file")?["filtered_events"].as_u64()? >= 2).then_some(())
    });
    bed.configure(&filtered("Read"));
    assert_eq!(bed.hookring(&["reload"]).status.code(), Some(0));
    publish(2);
    let text = || std::fs::read_to_string(bed.path().join("sinks/file.jsonl")).unwrap_or_default();
    hookring_tests::wait_for("the next", || (numbers(&text()).len() >= 2).then_some(()));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(numbers(&text()), [0, 3]);
}
