//! A real Prometheus scrapes a real daemon, and its own tool has nothing to say against what is served.
//! `tests/real.sh` installs both.

mod agents;
mod alerts;
mod boards;
mod server;

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use hookring_faults::{FaultServer, Reply};
use hookring_tests::{Bed, wait_for};
use serde_json::Value;

use server::{Prometheus, get, program, rules};

const PAYLOADS: [&str; 3] = [
    r#"{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"rm -rf /"}}"#,
    r#"{"session_id":"s","hook_event_name":"PostToolUse","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"rm -rf /"},"tool_response":{}}"#,
    r#"{"session_id":"s","hook_event_name":"Un \"known\\ \n","tool_name":"Bash"}"#,
];

/// A daemon that has seen some events, and where it serves its metrics.
fn served(bed: &Bed) -> (hookring_tests::Daemon, String) {
    bed.configure("[http]\nlisten = \"127.0.0.1:0\"\n[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    for payload in PAYLOADS {
        bed.emit_with(&["--agent", "claude-code"], payload.as_bytes());
    }
    bed.wait_for_events(PAYLOADS.len());
    (daemon, address(bed))
}

/// Where the daemon serves its metrics.
fn address(bed: &Bed) -> String {
    wait_for("an address", || {
        let http = &bed.status()["http"];
        http["error"].is_null().then_some(())?;
        Some(http["listen"].as_str()?.to_owned()).filter(|it| !it.ends_with(":0"))
    })
}

/// A sink that sends logs alone.
fn otlp(name: &str, server: &FaultServer) -> String {
    let endpoint = server.url("");
    format!(
        "[sinks.{name}]\ntype = \"otlp\"\nstart = \"oldest\"\nendpoint = \"{endpoint}\"\nencoding = \"json\"\n\
         signals = [\"logs\"]\n"
    )
}

/// What a receiver answers that took some records and will never take one.
fn part_rejected() -> Reply {
    let body = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#;
    Reply::with(200, &[("Content-Type", "application/json")], body)
}

#[test]
fn its_own_tool_has_nothing_to_say_against_the_text() {
    let bed = Bed::new();
    let (_daemon, address) = served(&bed);
    let text = get(&address, "/metrics", "").expect("the text");
    let mut checks = program("promtool");
    checks.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut checks = checks.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    checks.stdin.take().expect("its stdin").write_all(text.as_bytes()).expect("it reads");
    let output = checks.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn its_own_tool_has_nothing_to_say_against_the_rules() {
    let mut checks = program("promtool");
    let output = checks.args(["check", "rules"]).arg(rules()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn its_own_tool_shows_of_each_alert_that_it_fires() {
    let tests = rules().with_file_name("hookring_test.yml");
    let output = program("promtool").args(["test", "rules"]).arg(&tests).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    let (rules, tests) = (fs::read_to_string(rules()), fs::read_to_string(tests));
    let (rules, tests) = (rules.expect("the rules"), tests.expect("their tests"));
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<_> = alerts.collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(
            tests.contains(&format!("alertname=\"{alert}\"")),
            "nothing shows that {alert} fires"
        );
    }
}

#[test]
fn it_scrapes_a_daemon_and_finds_what_happened() {
    let bed = Bed::new();
    let (_daemon, address) = served(&bed);
    let prometheus = Prometheus::scraping(&bed, &address);
    for (query, value) in [
        ("up", 1.0),
        (r#"hookring_events_total{event_type="tool.pre",agent="claude-code"}"#, 1.0),
        (r#"hookring_events_total{event_type="Un \"known\\ \uFFFD"}"#, 1.0),
        ("sum(hookring_security_risk_total)", 2.0),
        (r#"hookring_sink_delivered_events_total{sink="file",type="jsonl"}"#, 3.0),
        (r#"sum(hookring_tool_duration_seconds_count{tool="Bash",outcome="success"})"#, 1.0),
        ("histogram_quantile(0.99, hookring_publish_to_journal_seconds_bucket) > bool 0", 1.0),
        ("hookring_ready", 1.0),
    ] {
        wait_for(query, || (prometheus.values(query) == [value]).then_some(()));
    }
    let rules = wait_for("all rules to be evaluated", || {
        let body = get(&prometheus.address, "/api/v1/rules", "")?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        let groups = answer["data"]["groups"].as_array()?.clone();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let rules: Vec<_> = rules.cloned().collect();
        let is_done = |rule: &Value| rule["health"] != "unknown";
        (!rules.is_empty() && rules.iter().all(is_done)).then_some(rules)
    });
    let wrong: Vec<_> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What happened here has this one fire, and no other.
    let fires = |rule: &&Value| rule["state"] == "firing";
    let firing: Vec<_> = rules.iter().filter(fires).map(|rule| &rule["name"]).collect();
    assert!(firing.iter().all(|name| **name == "HookringCriticalRisk"), "{firing:?}");
    let log = fs::read_to_string(bed.path().join("prometheus.log")).expect("its log");
    let complaints: Vec<_> = log.lines().filter(|line| line.contains("level=error")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}
