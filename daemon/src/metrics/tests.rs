//! The text as a whole: what stands in it, and that it is what the format says.

use std::collections::BTreeSet;

use hookring_journal::model::EventType;
use hookring_pipeline::{Failure, Summary};
use jiff::Timestamp;

use super::*;
use crate::run::status::{PlaceStatus, SilentAgentStatus, SinkStatus};

fn call(tool: &'static str) -> Summary<'static> {
    Summary {
        kind: Some(EventType::ToolPost),
        event_type: "tool.post",
        namespace: "hook",
        agent: "claude-code",
        session: Some("s"),
        tool: Some(tool),
        duration_ms: Some(50),
        success: Some(true),
        elapsed_us: 700,
        ..Summary::default()
    }
}

fn status() -> Status {
    let place =
        PlaceStatus { path: "/run/\"x\"\n".to_owned(), lanes: 32, ..PlaceStatus::default() };
    let mut sink = SinkStatus {
        name: "file".to_owned(),
        kind: "jsonl".to_owned(),
        state: "running".to_owned(),
        breaker: "closed".to_owned(),
        lag_events: 3,
        oldest_undelivered_at: Some(Timestamp::UNIX_EPOCH),
        ..SinkStatus::default()
    };
    sink.attempts.insert("accepted".to_owned(), 7);
    sink.counts = [("rejected_spans".to_owned(), 5), ("late_ends".to_owned(), 0)].into();
    let mut status = Status { version: "1.2".to_owned(), ..Status::default() };
    status.redactions_by_rule.insert("aws-key".to_owned(), 2);
    status.health.watched_agents = vec!["claude-code".to_owned(), "codex".to_owned()];
    let silent = SilentAgentStatus { agent: "codex".to_owned(), ..SilentAgentStatus::default() };
    status.health.silent_agents.push(silent);
    (status.places, status.sinks) = (vec![place], vec![sink]);
    status
}

fn rendered() -> String {
    let metrics = Arc::new(Metrics::default());
    let mut events = EventMetrics::new(Arc::clone(&metrics));
    events.note(&call("Bash"));
    events.note(&Summary { success: Some(false), failure: Some(Failure::Tool), ..call("Bash") });
    events.note(&Summary { is_duplicate: true, failure: Some(Failure::Tool), ..call("Bash") });
    events.note(&Summary {
        event_type: "Later",
        kind: None,
        elapsed_us: 0,
        tool: None,
        ..call("")
    });
    // An agent that does not say how long a call took, and one whose first event is a denial.
    events.note(&Summary {
        elapsed_us: 0,
        duration_ms: None,
        agent: "windsurf",
        ..call("run_command")
    });
    events.note(&Summary { kind: Some(EventType::PermissionDenied), agent: "codex", ..call("") });
    metrics.set_rules(["aws-key", "github-token"].into_iter());
    metrics.note_journaled(60_000);
    metrics.note_sync(3_000_000);
    let (status, taken) = (status(), Instant::now());
    metrics.set_snapshot(Snapshot { status, taken, is_collecting: true });
    metrics.render()
}

#[test]
fn what_was_counted_is_there() {
    let text = rendered();
    for line in [
        r#"hookring_events_total{event_type="tool.post",namespace="hook",agent="claude-code"} 3"#,
        r#"hookring_events_total{event_type="Later",namespace="hook",agent="claude-code"} 1"#,
        r#"hookring_hook_duration_seconds_bucket{event_type="tool.post",le="0.0005"} 0"#,
        r#"hookring_hook_duration_seconds_bucket{event_type="tool.post",le="0.001"} 3"#,
        r#"hookring_hook_duration_seconds_sum{event_type="tool.post"} 0.0021"#,
        r#"hookring_tool_duration_seconds_bucket{tool="Bash",outcome="success",le="0.05"} 1"#,
        r#"hookring_tool_duration_seconds_count{tool="Bash",outcome="failure"} 1"#,
        r#"hookring_events_total{event_type="permission.denied",namespace="hook",agent="claude-code"} 0"#,
        r#"hookring_events_total{event_type="tool.fail",namespace="hook",agent="claude-code"} 0"#,
        r#"hookring_events_total{event_type="permission.denied",namespace="hook",agent="codex"} 1"#,
        r#"hookring_tool_calls_total{tool="Bash",outcome="success"} 1"#,
        r#"hookring_tool_calls_total{tool="Bash",outcome="failure"} 1"#,
        r#"hookring_tool_calls_total{tool="run_command",outcome="success"} 1"#,
        r#"hookring_tool_calls_total{tool="run_command",outcome="failure"} 0"#,
        r#"hookring_agent_silent{agent="codex"} 1"#,
        r#"hookring_agent_silent{agent="claude-code"} 0"#,
        r#"hookring_redactions_total{rule="github-token"} 0"#,
        r#"hookring_sink_attempts_total{sink="file",type="jsonl",outcome="gone"} 0"#,
        r#"hookring_errors_total{error_type="tool"} 1"#,
        r#"hookring_metric_labels_limited_total{label="tool"} 0"#,
        r#"hookring_publish_to_journal_seconds_bucket{le="0.0001"} 1"#,
        "hookring_publish_to_journal_seconds_count 1",
        "hookring_journal_sync_duration_seconds_sum 0.003",
        "hookring_ready 1",
        r#"hookring_build_info{version="1.2"} 1"#,
        r#"hookring_redactions_total{rule="aws-key"} 2"#,
        r#"hookring_bus_lanes{place="/run/\"x\"\n"} 32"#,
        r#"hookring_sink_lag_events{sink="file",type="jsonl"} 3"#,
        r#"hookring_sink_attempts_total{sink="file",type="jsonl",outcome="accepted"} 7"#,
        r#"hookring_sink_counts_total{sink="file",type="jsonl",count="rejected_spans"} 5"#,
        r#"hookring_sink_counts_total{sink="file",type="jsonl",count="late_ends"} 0"#,
        r#"hookring_sink_state{sink="file",type="jsonl",state="running"} 1"#,
        r#"hookring_sink_state{sink="file",type="jsonl",state="off"} 0"#,
        r#"hookring_sink_breaker_state{sink="file",type="jsonl",state="closed"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains(r#"seconds_count{tool="run_command""#), "nobody said how long it took");
    assert!(!text.contains(r#"event_type="Later",le"#), "no hook's process, and yet it took time");
}

#[test]
fn a_place_that_was_never_used_has_no_count_of_what_was_dropped_there() {
    let place = |refused: bool, dropped_events| PlaceStatus {
        path: format!("/{refused}-{dropped_events}"),
        refused: refused.then(|| "somebody else's".to_owned()),
        dropped_events,
        ..PlaceStatus::default()
    };
    let refused = Some("missing".to_owned());
    let missing = PlaceStatus { path: "/missing".to_owned(), refused, ..PlaceStatus::default() };
    let places = vec![place(true, 0), place(true, 5), place(false, 0), missing];
    let metrics = Metrics::default();
    let (status, taken) = (Status { places, ..Status::default() }, Instant::now());
    metrics.set_snapshot(Snapshot { status, taken, is_collecting: true });
    let text = metrics.render();
    assert!(text.contains("hookring_bus_usable{place=\"/true-5\"} 0\n"), "{text}");
    assert!(text.contains("hookring_bus_usable{place=\"/false-0\"} 1\n"), "{text}");
    assert!(!text.contains("hookring_bus_usable{place=\"/missing\"}"), "{text}");
    for family in ["dropped", "unstored"] {
        let begin = format!("hookring_bus_{family}_events_total{{");
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with(&begin)).collect();
        assert!(matches!(&lines[..], [a, b] if a.contains("true-5") && b.contains("false-0")));
    }
}

#[test]
fn every_family_is_written_once_with_its_own_labels_and_no_other_is() {
    let text = rendered();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let types: Vec<_> = types.collect();
    let mut expected: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    let set: BTreeSet<_> = types.iter().copied().collect();
    assert_eq!(set.len(), types.len(), "one is written twice");
    expected.sort_unstable();
    assert_eq!(set.into_iter().collect::<Vec<_>>(), expected);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split([' ', '{']).next().unwrap();
        let family = FAMILIES.iter().find(|it| {
            let rest = name.strip_prefix(it.name);
            rest.is_some_and(|rest| matches!(rest, "" | "_bucket" | "_sum" | "_count"))
        });
        let family = family.unwrap_or_else(|| panic!("{line} is of no family"));
        let is_of_counter = family.name.ends_with("_total");
        assert_eq!(family.kind == Kind::Counter, is_of_counter, "{}", family.name);
        for label in family.labels {
            assert!(line.contains(&format!("{label}=\"")), "{line} has no {label}");
        }
    }
}

#[test]
fn no_series_is_there_twice_whatever_events_are_called() {
    let metrics = Arc::new(Metrics::default());
    let mut events = EventMetrics::new(Arc::clone(&metrics));
    for name in ["tool.post", "tool.post\n", "tool.post\u{0}", "other", "unknown", "", "a\\", "a\""]
    {
        events.note(&Summary { event_type: "x", agent: name, tool: Some(name), ..call("") });
        events.note(&Summary { kind: None, event_type: name, ..call("Bash") });
    }
    for number in 0..2000 {
        let name = number.to_string();
        events.note(&Summary {
            kind: None,
            event_type: &name,
            agent: &name,
            tool: Some(&name),
            ..call("")
        });
    }
    let text = metrics.render();
    let names = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> = names.filter_map(|line| line.rsplit_once(' ')).map(|it| it.0).collect();
    let set: BTreeSet<_> = names.iter().collect();
    assert_eq!(set.len(), names.len());
    assert!(
        text.contains("hookring_metric_labels_limited_total{label=\"event_type\"} 17"),
        "{text}"
    );
}

#[test]
fn help_is_a_sentence_that_needs_no_escape() {
    for Family { name, help, .. } in FAMILIES {
        assert!(help.ends_with('.') && !help.contains(['\\', '\n', '|']), "{name}: {help}");
    }
}

#[test]
fn panels_go_by_the_variables_of_their_dashboard_where_their_figures_have_the_label() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/grafana");
    let mut applied = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let board: serde_json::Value = serde_json::from_str(&text).unwrap();
        let variables = board["templating"]["list"].as_array().unwrap().iter();
        let variables: Vec<_> = variables.map(|it| it["name"].as_str().unwrap()).collect();
        for panel in board["panels"].as_array().unwrap() {
            let title = &panel["title"];
            let query = panel["targets"][0]["expr"].as_str().unwrap();
            let is_asked = |family: &&&Family| {
                let ends = ["{", "_bucket{", "_count{"];
                ends.iter().any(|end| query.contains(&format!("{}{end}", family.name)))
            };
            let family = FAMILIES.iter().find(is_asked).unwrap_or_else(|| panic!("{title}"));
            assert!(query.contains("instance=~\"$instance\""), "{title}");
            for variable in variables.iter().filter(|it| ["agent", "sink"].contains(*it)) {
                if family.labels.contains(variable) {
                    let matcher = format!("{variable}=~\"${variable}\"");
                    assert!(query.contains(&matcher), "{title} leaves ${variable} out");
                    applied += 1;
                } else if *variable == "agent" {
                    let says = panel["description"].as_str().unwrap();
                    assert!(says.contains("Of all agents"), "{title} does not say so");
                }
            }
        }
    }
    assert!(applied > 10, "only {applied}");
}

/// `HOOKRING_UPDATE_DOCS=1` writes them.
#[test]
fn the_tables_of_the_documentation_are_the_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut limits = "| label | different values |\n|---|---|\n".to_owned();
    for (label, limit) in LIMITS {
        limits += &format!("| `{label}` | {limit} |\n");
    }
    let mut families = "| metric | type | labels | what it is |\n|---|---|---|---|\n".to_owned();
    for Family { name, kind, labels, help } in FAMILIES {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        families += &format!("| `{name}` | {} | {} | {help} |\n", kind.name(), labels.join(", "));
    }
    let mut expected = document.clone();
    for (name, table) in [("limits", limits), ("families", families)] {
        let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
        let (before, rest) = expected.split_once(&begin).expect("the table's begin");
        let (_, after) = rest.split_once(&end).expect("the table's end");
        expected = format!("{before}{begin}{table}{end}{after}");
    }
    if std::env::var_os("HOOKRING_UPDATE_DOCS").is_some() {
        return std::fs::write(path, expected).unwrap();
    }
    assert!(expected == document, "docs/metrics.md is stale: run with HOOKRING_UPDATE_DOCS=1");
    assert!(document.contains(&format!("at most {MAX_LABEL_BYTES} bytes")));
}
