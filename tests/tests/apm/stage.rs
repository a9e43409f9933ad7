//! The play: the session of `hookring demo`, through real hooks and a real daemon with an otlp sink.

use std::fs;
use std::path::Path;

use hookring_tests::{Bed, wait_for};
use serde_json::Value;

/// How many events the daemon has in its hands when it is killed.
const BETWEEN_DEATHS: usize = 11;

/// The payloads of the session.
pub(crate) fn session() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let text = fs::read_to_string(root.join("daemon/demo/session.jsonl")).expect("the session");
    text.lines().map(str::to_owned).collect()
}

/// A place with a sink that sends all signals there, with the settings that it has by itself and some more.
pub(crate) fn sending_to(url: &str, more: &str) -> Bed {
    let bed = Bed::new();
    bed.configure(&format!(
        "[sinks.apm]\ntype = \"otlp\"\nstart = \"oldest\"\nendpoint = \"{url}\"\n\
         metrics_interval = \"1s\"\n{more}\n"
    ));
    bed
}

pub(crate) fn emit(bed: &Bed, payloads: &[String]) {
    for payload in payloads {
        bed.emit_with(&["--agent", "claude-code"], payload.as_bytes());
    }
}

/// A hook of each sample of each agent. Returns how many these were.
pub(crate) fn emit_every_sample(bed: &Bed) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipeline/tests/samples");
    let files = fs::read_dir(folder).expect("samples").map(|it| it.expect("a file").path());
    let mut files: Vec<_> =
        files.filter(|it| it.extension().is_some_and(|it| it == "jsonl")).collect();
    files.sort();
    assert!(files.len() >= 12, "{files:?}");
    let mut emitted = 0;
    for path in files {
        let agent = path.file_stem().expect("a name").to_str().expect("text");
        for line in fs::read_to_string(&path).expect("samples").lines() {
            emit_sample(bed, agent, &serde_json::from_str(line).expect("JSON"));
            emitted += 1;
        }
    }
    emitted
}

fn emit_sample(bed: &Bed, agent: &str, sample: &Value) {
    let mut args = vec!["--agent", agent];
    if let Some(event) = sample["event"].as_str() {
        args.extend(["--event", event]);
    }
    let more = sample["arguments"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !more.is_empty() {
        args.push("--");
    }
    args.extend(more.iter().map(|it| it.as_str().expect("text")));
    let payload = match (&sample["payload"], sample["text"].as_str()) {
        (Value::Null, text) => text.unwrap_or_default().to_owned(),
        (payload, _) => payload.to_string(),
    };
    bed.emit_with(&args, payload.as_bytes());
}

/// Plays the session with a daemon that is killed in the midst of it, again and again. Nobody runs in the end.
pub(crate) fn play_with_deaths(bed: &Bed) {
    let payloads = session();
    let mut emitted = 0;
    for part in payloads.chunks(BETWEEN_DEATHS) {
        let daemon = bed.start();
        emit(bed, part);
        emitted += part.len();
        bed.wait_for_events(emitted);
        daemon.kill();
    }
}

/// Waits until the sink has nothing left to send, and this daemon's has delivered so many events at least.
///
/// # Panics
/// If a receiver did not take all of it.
pub(crate) fn wait_until_delivered(bed: &Bed, least: usize) {
    let sink = wait_for("everything to be delivered", || {
        let sink = bed.status()["sinks"][0].clone();
        let is_known = sink["type"] == "otlp" && sink["state"] == "running";
        let delivered = sink["delivered_events"].as_u64()?;
        (is_known && sink["lag_events"] == 0 && delivered >= least as u64).then_some(sink)
    });
    for count in ["dead_letters", "lost_events", "rejected_events"] {
        let count = &sink[count];
        assert!(count.is_null() || *count == 0, "{sink}");
    }
    let counts = sink["counts"].as_object().expect("counts");
    let bad = counts
        .iter()
        .filter(|(name, _)| ["rejected", "failed"].iter().any(|word| name.starts_with(word)));
    assert!(bad.clone().all(|(_, count)| *count == 0), "{sink}");
    assert!(bad.count() > 0, "{sink}");
}
