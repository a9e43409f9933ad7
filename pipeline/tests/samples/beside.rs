//! Payloads that real agents wrote, where they lie beside the project: properties that need no copy of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hookring_journal::model::EventType;
use hookring_pipeline::agents::AGENTS;
use serde_json::Value;

use crate::maker::{Made, Maker};
use crate::sample::Record;
use crate::schema;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/payloads");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("left out: {} is not there", folder.display());
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

fn record(payload: &str, agent: Option<&'static str>) -> Record {
    let payload = payload.as_bytes().to_vec();
    Record { agent, event: None, arguments: Vec::new(), after_ms: 5000, payload }
}

/// What each event must be, however its payload looks.
fn assert_sound(made: &Made, payload: &str) {
    schema::assert_valid(&made.event);
    assert_eq!(schema::unknown_members(&made.event), [""; 0], "{payload}");
    let event = made.event.get("event").and_then(Value::as_str);
    let kind = made.event["event_type"].as_str().expect("text");
    let is_known = EventType::ALL.iter().any(|known| known.name() == kind);
    let is_its_own = event.unwrap_or("unknown") == kind;
    assert!(is_known || is_its_own, "{kind}: {payload}");
    let is_unknown = made.warnings().contains(&"the event is not known");
    assert_eq!(is_unknown, event.is_some() && !is_known, "{payload}");
    assert_ne!(made.event["namespace"], "system", "{payload}");
}

#[test]
fn payloads_of_real_agents_are_understood() {
    let mut count = 0;
    let mut seen = BTreeMap::<(String, String), u32>::new();
    let mut warned = BTreeMap::<String, u32>::new();
    let (mut by_shape, mut by_name) = (Maker::new(), Maker::new());
    for path in files() {
        for payload in std::fs::read_to_string(&path).expect("a file").lines() {
            count += 1;
            let made = by_shape.make(&record(payload, None));
            assert_sound(&made, payload);
            let agent = made.event["source"]["agent"].as_str().unwrap_or("nobody").to_owned();
            let kind = made.event["event_type"].as_str().expect("text").to_owned();
            for warning in made.warnings() {
                assert!(is_due(warning, payload), "{warning}: {payload}");
                *warned.entry(format!("{agent} {kind}: {warning}")).or_default() += 1;
            }
            // Named on the command line, it is read in the same way.
            let known = AGENTS.iter().find(|known| known.name == agent);
            let named = by_name.make(&record(payload, known.map(|known| known.name)));
            assert_eq!(without_times(&made.event), without_times(&named.event));
            *seen.entry((agent, kind)).or_default() += 1;
        }
    }
    println!("{count} payloads");
    seen.iter().for_each(|((agent, kind), count)| println!("{count:5} {agent} {kind}"));
    warned.iter().for_each(|(warning, count)| println!("{count:5} {warning}"));
}

/// Whether a payload deserves a warning, judged without the adapters.
fn is_due(warning: &str, payload: &str) -> bool {
    let json: Value = serde_json::from_str(payload).expect("only JSON is warned of");
    let has = |names: &[&str]| names.iter().any(|name| payload.contains(&format!("\"{name}\"")));
    let top = |names: &[&str]| names.iter().find_map(|name| json.get(name));
    let events = ["hook_event_name", "hookEventName", "hookName", "event", "type"];
    match warning {
        "tool_name is missing" => !has(&["tool_name", "toolName"]),
        "tool_parameters is missing" => {
            !has(&["tool_input", "toolInput", "toolArgs", "parameters"])
        }
        "tool_parameters is not of its type" => {
            top(&["tool_input", "toolInput", "toolArgs"]).is_some_and(Value::is_string)
        }
        "source.model is not of its type" => json["model"].is_object(),
        "event is missing" => !has(&events),
        "the event is not known" => {
            let own = top(&events).and_then(Value::as_str).expect("a name");
            !AGENTS.iter().any(|agent| agent.events.iter().any(|(name, _)| *name == own))
        }
        _ => false,
    }
}

fn without_times(event: &Value) -> Value {
    let mut event = event.clone();
    event.as_object_mut().expect("an object").remove("timestamp");
    event
}

/// Whoever names another agent than the payload's gets an event all the same.
#[test]
fn payloads_under_each_agents_name_are_events() {
    let mut maker = Maker::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("a file");
        for payload in text.lines().filter(|payload| payload.len() < 4096) {
            for agent in AGENTS {
                maker.restart();
                let made = maker.make(&record(payload, Some(agent.name)));
                assert_sound(&made, payload);
                assert_eq!(made.event["source"]["agent"], agent.name);
                assert!(made.written.not_json.is_none() || agent.name != "git");
            }
        }
    }
}
