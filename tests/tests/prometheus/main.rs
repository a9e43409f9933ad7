//! A real Prometheus scrapes a real daemon, and its own tool has nothing to say against what is served.
//! `tests/real.sh` installs both.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hookring_tests::{Bed, wait_for};
use serde_json::Value;

const PAYLOADS: [&str; 3] = [
    r#"{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"rm -rf /"}}"#,
    r#"{"session_id":"s","hook_event_name":"PostToolUse","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"rm -rf /"},"tool_response":{}}"#,
    r#"{"session_id":"s","hook_event_name":"Un \"known\\ \n","tool_name":"Bash"}"#,
];

/// One of its programs, where `tests/real.sh` put them.
fn program(name: &str) -> Command {
    let dir = std::env::var_os("HOOKRING_TEST_REAL_DIR");
    let dir = PathBuf::from(dir.expect("tests/real.sh says where it installed Prometheus"));
    Command::new(dir.join("prometheus/usr/bin").join(name))
}

/// The rules that users take.
fn rules() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/hookring.rules.yml"))
}

/// Killed when dropped.
struct Prometheus {
    child: Child,
    address: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// One that scrapes each second and goes by our rules, with its files in the bed.
    fn scraping(bed: &Bed, target: &str) -> Prometheus {
        let path = |name: &str| bed.path().join(name);
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [\"{}\"]\nscrape_configs:\n  - job_name: hookring\n    static_configs:\n      \
             - targets: [\"{target}\"]\n",
            rules().display()
        );
        fs::write(path("prometheus.yml"), config).expect("its configuration");
        // It takes no port 0. Whoever takes this one meanwhile has it end, and the test fail with its log.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("its address").to_string();
        drop(free);
        let child = program("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(File::create(path("prometheus.log")).expect("its log"))
            .spawn()
            .expect("it starts");
        Prometheus { child, address }
    }

    /// The values of a query's series; none while it cannot be asked.
    fn values(&self, query: &str) -> Vec<f64> {
        let escape = |byte: u8| format!("%{byte:02X}");
        let query: String = query.bytes().map(escape).collect();
        let Some(body) = get(&self.address, &format!("/api/v1/query?query={query}"), "") else {
            return Vec::new();
        };
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        series.iter().filter_map(value).collect()
    }
}

/// The body of an answer.
fn get(address: &str, path: &str, header: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// A daemon that has seen some events, and where it serves its metrics.
fn served(bed: &Bed) -> (hookring_tests::Daemon, String) {
    bed.configure("[http]\nlisten = \"127.0.0.1:0\"\n[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    for payload in PAYLOADS {
        bed.emit_with(&["--agent", "claude-code"], payload.as_bytes());
    }
    bed.wait_for_events(PAYLOADS.len());
    let address = wait_for("an address", || {
        let http = &bed.status()["http"];
        http["error"].is_null().then_some(())?;
        Some(http["listen"].as_str()?.to_owned()).filter(|it| !it.ends_with(":0"))
    });
    (daemon, address)
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
