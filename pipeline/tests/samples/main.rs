//! What becomes of agents' payloads: the project's own samples, one at least for each event in the table of
//! `docs/events.md`, held in snapshots; the same samples damaged; and those that real agents wrote, where
//! they lie beside the project.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hookring_pipeline::agents::{AGENTS, Agent};
use serde_json::Value;

mod beside;
mod damaged;
mod maker;
mod sample;
mod schema;

use maker::Maker;
use sample::Sample;

#[test]
fn every_event_of_every_agent_has_a_sample() {
    let (mut maker, mut missing) = (Maker::new(), Vec::new());
    for agent in AGENTS {
        maker.restart();
        let samples = Sample::all(agent);
        let events = samples.iter().map(|sample| maker.make(&sample.received(Some(agent.name))));
        let seen: BTreeSet<_> = events
            .filter_map(|made| made.event.get("event")?.as_str().map(str::to_owned))
            .collect();
        let names = agent.events.iter().map(|(name, _)| *name);
        missing.extend(names.filter(|name| !seen.contains(*name)).map(|name| (agent.name, name)));
    }
    assert!(missing.is_empty(), "add samples in pipeline/tests/samples: {missing:?}");
}

#[test]
fn events_of_samples_are_as_reviewed() {
    let mut maker = Maker::new();
    for agent in AGENTS {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(agent.name, events(agent, &mut maker));
        });
    }
}

/// All events of an agent's samples, as one daemon would make them.
fn events(agent: &Agent, maker: &mut Maker) -> String {
    maker.restart();
    let mut text = String::new();
    for sample in Sample::all(agent) {
        let by_name = sample.is_named.then_some(agent.name);
        let made = maker.make(&sample.received(by_name));
        schema::assert_valid(&made.event);
        assert_eq!(made.event["source"]["agent"], agent.name, "{made:?}");
        let note = sample.note.as_deref().map_or_else(String::new, |note| format!(" ({note})"));
        writeln!(text, "--- {}{note}", maker.count()).unwrap();
        for (name, value) in made.members() {
            let is_as_given = name == "payload" && value == sample.payload_text().trim();
            let value = if is_as_given { "as given" } else { value };
            if !SAME.contains(&name) {
                writeln!(text, "{name:18} {value}").unwrap();
            }
        }
    }
    text
}

/// What is the same in each event: `Maker` sees to it.
const SAME: &[&str] =
    &["seq", "from", "version", "id", "timestamp", "monotonic_ns", "host", "process"];

/// Whoever says `--agent` gets the same event as whoever leaves it to the payload's shape.
#[test]
fn the_shape_tells_the_agent_that_the_command_line_would_name() {
    let (mut by_shape, mut by_name) = (Maker::new(), Maker::new());
    for agent in AGENTS {
        by_shape.restart();
        by_name.restart();
        for sample in Sample::all(agent).iter().filter(|sample| !sample.is_named) {
            let shape = by_shape.make(&sample.received(None));
            let name = by_name.make(&sample.received(Some(agent.name)));
            assert_eq!(shape.event, name.event, "{}", agent.name);
        }
    }
}

#[test]
fn samples_have_the_types_of_the_table_or_say_why_not() {
    let mut maker = Maker::new();
    for agent in AGENTS {
        maker.restart();
        for sample in Sample::all(agent) {
            let made = maker.make(&sample.received(Some(agent.name)));
            let Some(own) = made.event.get("event").and_then(Value::as_str) else { continue };
            let Some(kind) = agent.event_type(own) else {
                assert_eq!(made.event["event_type"], own);
                continue;
            };
            let found = made.event["event_type"].as_str().unwrap();
            let refined = [
                ("tool.post", "tool.fail"),
                ("notify", "permission.request"),
                ("session.start", "agent.start"),
                ("turn.end", "turn.fail"),
            ];
            let is_refined = refined.contains(&(kind.name(), found));
            assert!(found == kind.name() || is_refined, "{}: {own} is {found}", agent.name);
        }
    }
}

/// What may come in the same version is valid, and what may not is refused.
#[test]
fn the_schema_takes_new_words_and_members_and_refuses_null_and_another_version() {
    let mut maker = Maker::new();
    let payload = br#"{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"rm -rf /"}}"#;
    let record = sample::Record {
        agent: Some("claude-code"),
        event: None,
        arguments: Vec::new(),
        after_ms: 0,
        payload: payload.to_vec(),
    };
    let event = maker.make(&record).event;
    schema::assert_valid(&event);
    assert_eq!(event["risk"][0]["level"], "critical");
    let with = |pointer: &str, value: Value| {
        let mut changed = event.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[name] = value;
        schema::validate(&changed)
    };
    let words = ["/event_type", "/namespace", "/operation_type", "/security_risk", "/risk/0/level"];
    let others = ["/source/agent", "/source/later", "/later"];
    for pointer in words.into_iter().chain(others) {
        assert_eq!(with(pointer, "a-later-word".into()), Ok(()), "{pointer}");
    }
    let members = event.as_object().unwrap().keys().filter(|name| *name != "payload");
    for name in members.filter(|name| *name != "tool_parameters") {
        assert!(with(&format!("/{name}"), Value::Null).is_err(), "{name}");
    }
    for name in ["crc", "monotonic_ns", "duration_ms", "files_modified", "arguments", "exit_code"] {
        assert!(with(&format!("/{name}"), Value::Null).is_err(), "{name}");
    }
    for version in [1, 3] {
        assert!(with("/version", version.into()).is_err(), "{version}");
    }
    for name in ["version", "id", "timestamp", "event_type", "namespace", "host", "seq", "from"] {
        let mut changed = event.clone();
        changed.as_object_mut().unwrap().remove(name).unwrap();
        let may_lack = ["seq", "from"].contains(&name);
        assert_eq!(schema::validate(&changed).is_ok(), may_lack, "{name}");
    }
}
