//! A daemon that serves its metrics, asked as Prometheus asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;

use hookring_tests::{Bed, wait_for};

const PRE: &str = r#"{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"rm -rf /"}}"#;
const FAIL: &str = r#"{"session_id":"s","hook_event_name":"PostToolUseFailure","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"rm -rf /"},"error":"Exit code 1"}"#;

/// Where it says that it listens.
fn address(bed: &Bed) -> String {
    wait_for("an address", || {
        let http = &bed.status()["http"];
        http["error"].is_null().then_some(())?;
        Some(http["listen"].as_str()?.to_owned()).filter(|it| !it.ends_with(":0"))
    })
}

/// The head and the body of an answer.
fn get(address: &str, path: &str, header: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    (head.to_owned(), body.to_owned())
}

/// Each sample by its name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

/// A metric with its type and labels, as a line of the documentation's table has them.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = fs::read_to_string(path).expect("the documentation");
    let (_, table) = text.split_once("<!-- families: begin -->").expect("the table");
    let (table, _) = table.split_once("<!-- families: end -->").expect("its end");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let labels = cells[3].split(", ").map(|label| label.trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels))
    };
    rows.map(row).collect()
}

#[test]
fn what_a_daemon_serves_is_what_is_documented_and_what_happened() {
    let bed = Bed::new();
    bed.configure("[http]\nlisten = \"127.0.0.1:0\"\n[sinks.file]\ntype = \"jsonl\"\n");
    let _daemon = bed.start();
    for payload in [PRE, FAIL] {
        bed.emit_with(&["--agent", "claude-code"], payload.as_bytes());
    }
    bed.emit_with(&["--agent", "claude-code"], b"no JSON");
    let address = address(&bed);
    let served = wait_for("the events in the metrics", || {
        let (head, body) = get(&address, "/metrics", "");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let delivered = r#"hookring_sink_delivered_events_total{sink="file",type="jsonl"}"#;
        (samples(&body).get(delivered) == Some(&3.0)).then_some(body)
    });
    let found = samples(&served);
    for (sample, value) in [
        (
            r#"hookring_events_total{event_type="tool.pre",namespace="hook",agent="claude-code"}"#,
            1.0,
        ),
        (
            r#"hookring_events_total{event_type="daemon.start",namespace="system",agent="hookring"}"#,
            1.0,
        ),
        (r#"hookring_hook_duration_seconds_count{event_type="tool.fail"}"#, 1.0),
        (r#"hookring_tool_duration_seconds_count{tool="Bash",outcome="failure"}"#, 1.0),
        (r#"hookring_errors_total{error_type="tool"}"#, 1.0),
        (r#"hookring_errors_total{error_type="payload"}"#, 1.0),
        (r#"hookring_security_risk_total{level="critical"}"#, 2.0),
        (r#"hookring_sink_state{sink="file",type="jsonl",state="running"}"#, 1.0),
        (r#"hookring_sink_breaker_state{sink="file",type="jsonl",state="closed"}"#, 1.0),
        ("hookring_publish_to_journal_seconds_count", 3.0),
        ("hookring_active_sessions", 1.0),
        ("hookring_ready", 1.0),
        ("hookring_journal_paused", 0.0),
    ] {
        assert_eq!(found.get(sample), Some(&value), "{sample}\n{served}");
    }
    for sample in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "hookring_journal_bytes",
        "hookring_journal_oldest_event_timestamp_seconds",
        r#"hookring_sink_attempts_total{sink="file",type="jsonl",outcome="accepted"}"#,
        r#"hookring_sink_batch_events{sink="file",type="jsonl"}"#,
    ] {
        assert!(found[sample] > 0.0, "{sample}");
    }
    assert!(found["hookring_journal_sync_duration_seconds_count"] > 0.0);
    let documented = documented();
    let types = served.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: BTreeMap<_, _> = types.collect();
    let expected = documented.iter().map(|(name, (kind, _))| (name.as_str(), kind.as_str()));
    assert_eq!(types, expected.collect());
    for sample in found.keys() {
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let ends = ["_bucket", "_sum", "_count"];
        let of_a_histogram = ends.iter().find_map(|end| name.strip_suffix(end));
        let name = of_a_histogram.filter(|name| documented.contains_key(*name)).unwrap_or(name);
        let labels = labels.split("=\"").filter_map(|part| part.rsplit(['"', ',']).next());
        let labels = labels.filter(|it| !matches!(*it, "" | "}" | "le")).map(str::to_owned);
        assert_eq!(labels.collect::<BTreeSet<_>>(), documented[name].1, "{sample}");
    }
}

#[test]
fn prometheus_gets_open_metrics_and_probes_their_answers() {
    let bed = Bed::new();
    bed.configure("[http]\nlisten = \"127.0.0.1:0\"\n");
    let _daemon = bed.start();
    let address = address(&bed);
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1\r\n";
    let (head, body) = get(&address, "/metrics", accept);
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(body.ends_with("\n# EOF\n"), "{body}");
    assert_eq!(get(&address, "/healthz", "").1, "ok\n");
    let ready = wait_for("readiness", || {
        let (head, body) = get(&address, "/readyz", "");
        head.starts_with("HTTP/1.1 200 ").then_some(body)
    });
    assert_eq!(ready, "{\"ready\":true,\"reasons\":[]}\n");
    let shown = bed.hookring(&["status"]);
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains(&format!("metrics: http://{address}/metrics")), "{shown}");
}

/// What a daemon serves once it has begun.
fn served(bed: &Bed) -> BTreeMap<String, f64> {
    let address = address(bed);
    wait_for("metrics", || {
        let (_, body) = get(&address, "/metrics", "");
        let samples = samples(&body);
        (samples.get("hookring_ready") == Some(&1.0)).then_some(samples)
    })
}

/// Whether a counter is 0 in a daemon that no hook has spoken to: it is not one of the three that outlive a daemon, nor
/// of what each daemon does by itself.
fn begins_at_0(sample: &str) -> bool {
    let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
    let kept = [
        "hookring_bus_dropped_events_total",
        "hookring_bus_unstored_events_total",
        "hookring_sink_lost_events_total",
    ];
    // The bed's sinks leave the daemon's own events out.
    let own = ["process_cpu_seconds_total", "hookring_sink_filtered_events_total"];
    name.ends_with("_total")
        && !kept.contains(&name)
        && !own.contains(&name)
        && !labels.contains("namespace=\"system\"")
}

#[test]
fn counters_begin_at_0_with_the_daemon_but_for_what_is_counted_without_one() {
    let bed = Bed::new();
    bed.configure(
        "[http]\nlisten = \"127.0.0.1:0\"\n[sinks.file]\ntype = \"jsonl\"\n\
         [bus]\nlanes = 1\nlane_bytes = \"16KiB\"\nspool_bytes = \"1MiB\"\n",
    );
    let counts = |samples: &BTreeMap<String, f64>| {
        let kind = |kind: &str| {
            let name =
                format!("hookring_bus_{kind}_events_total{{place=\"{}\"}}", bed.path().display());
            samples.get(&name).copied()
        };
        [kind("dropped"), kind("unstored")]
    };
    let daemon = bed.start();
    for payload in [PRE, FAIL, "no JSON"] {
        bed.emit_with(&["--agent", "claude-code"], payload.as_bytes());
    }
    crate::wait_for_delivery(&bed, "file", 3);
    let first = served(&bed);
    assert_eq!(counts(&first), [Some(0.0); 2]);
    assert_eq!(daemon.stop(), 0);

    // Three of these fit into the spool.
    let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(300_000));
    (0..5).for_each(|_| bed.emit(large.as_bytes()));
    let (spool, away) = (bed.path().join("spool"), bed.path().join("spool.away"));
    fs::rename(&spool, &away).expect("it is moved");
    symlink("/nowhere", &spool).expect("a link, which is no spool");
    bed.emit(large.as_bytes());
    fs::remove_file(&spool).expect("the link is removed");
    fs::rename(&away, &spool).expect("it is moved back");
    let daemon = bed.start();
    assert_eq!(bed.wait_for_events(6).len(), 6);
    let counted = [Some(3.0), Some(1.0)];
    wait_for("the counts", || (counts(&served(&bed)) == counted).then_some(()));
    assert_eq!(daemon.stop(), 0);

    let daemon = bed.start();
    let last = served(&bed);
    assert_eq!(counts(&last), counted, "another daemon, and the same ring");
    let zero = last.iter().filter(|(sample, _)| begins_at_0(sample));
    let not_zero: Vec<_> = zero.filter(|(_, value)| **value != 0.0).collect();
    assert!(not_zero.is_empty(), "{not_zero:?}");
    let was = first.iter().filter(|(sample, value)| begins_at_0(sample) && **value > 0.0);
    assert!(was.count() > 5, "{first:?}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_reload_begins_it_ends_it_and_moves_it() {
    let bed = Bed::new();
    bed.configure("");
    let _daemon = bed.start();
    assert!(bed.status()["http"].is_null());
    let reload = |toml: &str| {
        bed.configure(toml);
        let reloaded = bed.hookring(&["reload"]);
        assert!(reloaded.status.success(), "{}", String::from_utf8_lossy(&reloaded.stderr));
    };
    reload("[http]\nlisten = \"127.0.0.1:0\"\n");
    let first = address(&bed);
    assert_eq!(get(&first, "/healthz", "").1, "ok\n");
    let token = bed.path().join("token");
    fs::write(&token, "hunter2\n").expect("a file");
    reload(&format!(
        "[http]\nlisten = \"127.0.0.1:0\"\ntoken = {{ file = \"{}\" }}\n",
        token.display()
    ));
    let second = wait_for("another address", || {
        let now = address(&bed);
        (now != first).then_some(now)
    });
    assert!(get(&second, "/healthz", "").0.starts_with("HTTP/1.1 401 "));
    let shown = "Authorization: Bearer hunter2\r\n";
    assert_eq!(get(&second, "/healthz", shown).1, "ok\n");
    assert!(!get(&second, "/metrics", shown).1.contains("hunter2"));
    reload("");
    wait_for("its end", || bed.status()["http"].is_null().then_some(()));
    assert!(TcpStream::connect(&second).is_err());
}

#[test]
fn a_session_that_died_with_its_daemon_is_told_to_be_silent() {
    let bed = Bed::new();
    bed.configure("");
    let daemon = bed.start();
    bed.emit_with(&["--agent", "claude-code"], PRE.as_bytes());
    bed.wait_for_events(1);
    daemon.kill();
    // What it did while no daemon ran is known before it is said to be silent.
    bed.emit_with(&["--agent", "claude-code"], FAIL.as_bytes());
    bed.configure("[health]\nsession_silent = \"1s\"\n");
    let _daemon = bed.start();
    let told = wait_for("its silence", || {
        let events = bed.own_events().into_iter();
        let mut told = events.filter(|event| event["event_type"] == "session.silent");
        let first = told.next()?;
        assert!(told.next().is_none());
        Some(first["payload"].clone())
    });
    assert_eq!((&told["session_id"], &told["agent"]), (&"s".into(), &"claude-code".into()));
    assert_eq!(told["events"], 2);
    assert!(told["silent_s"].as_u64().is_some_and(|silent_s| silent_s >= 1), "{told}");
}
