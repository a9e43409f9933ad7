//! The alerts that users take fire in a real Prometheus when what they tell of happens to a real daemon. They do so at
//! once here: what they wait for (`for`) is left out of the copy of the rules that is used, and `promtool` tests it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use hookring_faults::{FaultServer, Reply};
use hookring_tests::{Bed, wait_for};

use crate::server::{Prometheus, rules};

/// Of sinks that fail, in a journal that keeps little.
const OF_SINKS: [&str; 7] = [
    "HookringBreakerOpen",
    "HookringDeadLetters",
    "HookringDeadLettersGivenUp",
    "HookringSinkLosesEvents",
    "HookringSinkOff",
    "HookringSinkRejected",
    "HookringJournalRemoved",
];
/// Of hooks and agents, and of what a user does wrong.
const OF_HOOKS: [&str; 8] = [
    "HookringAgentSilent",
    "HookringConfigRefused",
    "HookringCriticalRisk",
    "HookringHooksOverLimit",
    "HookringHooksSlow",
    "HookringHooksSlowFast",
    "HookringNotReady",
    "HookringPlaceRefused",
];
/// Of what happens while no daemon runs.
const OF_A_GAP: [&str; 3] = ["HookringDown", "HookringEventsDamaged", "HookringEventsDropped"];
/// Of a disk that is full: where this user can mount one.
const OF_A_DISK: [&str; 3] =
    ["HookringJournalGivesUpEarly", "HookringJournalPaused", "HookringSpoolGrows"];
/// Shown by `promtool` alone, and why.
const NOT_HERE: [(&str, &str); 1] =
    [("HookringSinkBehind", "a sink must be behind for a quarter of an hour")];

const HTTP: &str = "[http]\nlisten = \"127.0.0.1:0\"\n";
const CRITICAL: &str = r#"{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"rm -rf /"}}"#;
/// What a hook's slow start costs: more than the objective of 10 ms.
const SLOW: Duration = Duration::from_millis(20);

#[test]
fn each_alert_is_shown_here_or_it_is_said_why_not() {
    let text = fs::read_to_string(rules()).expect("the rules");
    let alerts = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let here = [&OF_SINKS[..], &OF_HOOKS, &OF_A_GAP, &OF_A_DISK].concat();
    let known = here.into_iter().chain(NOT_HERE.map(|(alert, _)| alert));
    assert_eq!(known.collect::<BTreeSet<_>>(), alerts.collect::<BTreeSet<_>>());
}

#[test]
fn what_fails_at_sinks_fires() {
    let (bed, rejects, gone) = (Bed::new(), FaultServer::start(), FaultServer::start());
    let takes_a_part = FaultServer::start();
    takes_a_part.set(crate::part_rejected());
    rejects.set_rule(|_| Reply::status(400));
    gone.set_rule(|_| Reply::status(410));
    let sink = |name, url: &str| {
        format!(
            "[sinks.{name}]\ntype = \"webhook\"\nstart = \"oldest\"\nurl = \"{url}\"\ndead_letter_bytes = \"64KiB\"\n"
        )
    };
    let config = [
        HTTP,
        "[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64KiB\"\nhard_limit_bytes = \"256KiB\"\n\
         cache_bytes = \"64KiB\"\n[sinks.loses]\ntype = \"jsonl\"\n",
        &sink("down", "http://127.0.0.1:9/"),
        &sink("rejects", &rejects.url("/")),
        &sink("gone", &gone.url("/")),
        &crate::otlp("takes-a-part", &takes_a_part),
    ];
    bed.configure(&config.concat());
    // A file where the folder of the one that loses should be.
    fs::write(bed.path().join("sinks"), "").expect("a file");
    let _daemon = bed.start();
    let prometheus = watch(&bed, &crate::address(&bed));
    for n in 0..60 {
        bed.emit(large(n, 10_000).as_bytes());
        // In one batch they would be one segment.
        wait_for("its line", || (n % 5 != 4 || bed.status()["events"] == n + 1).then_some(()));
    }
    let (last, others) = OF_SINKS.split_last().expect("some");
    others.iter().for_each(|alert| fires(&prometheus, alert));
    fs::remove_dir_all(bed.path().join("journal")).expect("the removal");
    fires(&prometheus, last);
}

#[test]
fn what_agents_and_users_do_fires() {
    let bed = Bed::new();
    let health = "[health]\nhook_p99 = \"1ms\"\nagent_silent = \"1s\"\n";
    bed.configure(&format!("{HTTP}{health}"));
    let daemon = bed.start();
    let prometheus = watch(&bed, &crate::address(&bed));
    // A count rises from the first time on that it is seen.
    emit_slowly(&bed);
    has(&prometheus, "hookring_hook_duration_seconds_count{event_type=\"tool.pre\"} > 0");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| emit_slowly(&bed)));
        }
    });
    bed.configure(&format!("{HTTP}{health}[bus]\nlnes = 3\n"));
    daemon.signal("HUP");
    let set_mode = |mode| fs::set_permissions(bed.path(), fs::Permissions::from_mode(mode));
    set_mode(0o755).expect("its mode");
    OF_HOOKS.iter().for_each(|alert| fires(&prometheus, alert));
    set_mode(0o700).expect("its mode");
}

#[test]
fn what_happens_while_no_daemon_runs_fires_when_one_does() {
    let bed = Bed::new();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("its address").to_string();
    drop(free);
    bed.configure(&format!(
        "[http]\nlisten = \"{address}\"\n[bus]\nlanes = 1\nlane_bytes = \"16KiB\"\nspool_bytes = \"1MiB\"\n"
    ));
    let daemon = bed.start();
    let prometheus = watch(&bed, &crate::address(&bed));
    has(&prometheus, "hookring_bus_dropped_events_total == 0");
    assert_eq!(daemon.stop(), 0);
    (0..40).for_each(|n| bed.emit(large(n, 60_000).as_bytes()));
    let entry = spooled(&bed.path().join("spool"));
    let mut bytes = fs::read(&entry).expect("an entry");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&entry, bytes).expect("damage");
    fires(&prometheus, OF_A_GAP[0]);
    let _daemon = bed.start_again();
    OF_A_GAP.iter().for_each(|alert| fires(&prometheus, alert));
}

#[test]
fn a_full_disk_fires() {
    let Some(bed) = Bed::with_tmpfs("journal", "size=1m,mode=0700") else { return };
    let journal = "[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n";
    bed.configure(&format!("{HTTP}{journal}[sinks.s]\ntype = \"jsonl\"\n"));
    let _daemon = bed.start();
    let prometheus = watch(&bed, &crate::address(&bed));
    has(&prometheus, "hookring_journal_sacrificed_events_total == 0");
    for n in 0..80 {
        bed.emit(large(n, 30_000).as_bytes());
        // What waits is written at once, for which the disk has room if it is not too much.
        wait_for("room", || (n % 8 != 7 || bed.status()["events"] == n + 1).then_some(()));
    }
    fires(&prometheus, OF_A_DISK[0]);
    let path = bed.path().join("journal/filler");
    let mut filler = fs::File::create(path).expect("the filler");
    for size in [65536, 4096, 1] {
        while filler.write_all(&vec![0x55; size]).is_ok() {}
    }
    // More than the alert lets pass, and so many that two scrapes see them grow.
    for n in 0..60 {
        bed.emit(large(n, 300_000).as_bytes());
    }
    fires(&prometheus, OF_A_DISK[1]);
    has(&prometheus, "hookring_bus_spool_bytes > 10485760");
    for n in 0..10 {
        bed.emit(large(n, 300_000).as_bytes());
    }
    fires(&prometheus, OF_A_DISK[2]);
}

/// A Prometheus whose alerts wait for nothing.
fn watch(bed: &Bed, address: &str) -> Prometheus {
    let text = fs::read_to_string(rules()).expect("the rules");
    let waits =
        |line: &&str| !line.trim().starts_with("for:") && !line.trim().starts_with("interval:");
    let text: Vec<_> = text.lines().filter(waits).collect();
    let copy = bed.path().join("rules.yml");
    fs::write(&copy, text.join("\n")).expect("a copy of the rules");
    Prometheus::going_by(bed, address, &copy)
}

/// It does, or did a moment ago.
fn fires(prometheus: &Prometheus, alert: &str) {
    let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
    has(prometheus, &format!("count_over_time({firing}[10m])"));
}

fn has(prometheus: &Prometheus, query: &str) {
    wait_for(query, || (!prometheus.values(query).is_empty()).then_some(()));
}

fn large(n: u64, bytes: usize) -> String {
    format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(bytes))
}

/// A hook whose agent takes its time to say what it is about.
fn emit_slowly(bed: &Bed) {
    let mut hook = bed.command("hookring-emit");
    let mut child = hook
        .args(["--agent", "claude-code"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the hook starts");
    thread::sleep(SLOW);
    let mut stdin = child.stdin.take().expect("its stdin");
    stdin.write_all(CRITICAL.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("its end").success());
}

/// An event in the spool.
fn spooled(spool: &Path) -> PathBuf {
    let entries = fs::read_dir(spool).expect("the spool").map(|entry| entry.expect("one").path());
    let large = |path: &PathBuf| fs::metadata(path).is_ok_and(|it| it.len() > 60_000);
    entries.filter(|path| !path.ends_with("usage")).find(large).expect("an event")
}
