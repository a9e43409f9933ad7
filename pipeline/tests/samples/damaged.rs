//! Samples with members missing, of another type, or too many: an event is made all the same, and says what
//! was not as it should be.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hookring_pipeline::agents::{AGENTS, Agent};
use serde_json::{Value, json};

use crate::maker::{Made, Maker};
use crate::sample::{Record, Sample};
use crate::schema;

/// What stands in a member's place, and how the snapshot calls it.
fn replacements() -> [(&'static str, Option<Value>); 7] {
    [
        ("removed", None),
        ("null", Some(Value::Null)),
        ("true", Some(json!(true))),
        ("number", Some(json!(7))),
        ("text", Some(json!("not what belongs here"))),
        ("list", Some(json!([["not what belongs here"], 7, {}]))),
        ("object", Some(json!({"not": {"what": ["belongs", "here"]}}))),
    ]
}

/// The paths of all members, at most two levels deep.
fn places(payload: &Value) -> Vec<Vec<String>> {
    let mut places = Vec::new();
    for (key, value) in payload.as_object().into_iter().flatten() {
        places.push(vec![key.clone()]);
        for inner in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
            places.push(vec![key.clone(), inner.clone()]);
        }
    }
    places
}

fn damage(payload: &Value, place: &[String], replacement: Option<&Value>) -> Value {
    let mut damaged = payload.clone();
    let (last, before) = place.split_last().expect("a name");
    let inside = before.iter().fold(&mut damaged, |value, key| &mut value[key]);
    let inside = inside.as_object_mut().expect("an object");
    match replacement {
        Some(value) => inside.insert(last.clone(), value.clone()),
        None => inside.remove(last),
    };
    damaged
}

fn make(maker: &mut Maker, sample: &Sample, agent: &Agent, payload: &Value) -> Made {
    maker.restart();
    let record = sample.received(Some(agent.name));
    let made = maker.make(&Record { payload: payload.to_string().into_bytes(), ..record });
    schema::assert_valid(&made.event);
    assert_eq!(made.event["payload"], *payload);
    made
}

#[test]
fn damaged_samples_are_events_that_say_so() {
    let mut maker = Maker::new();
    for agent in AGENTS {
        let mut text = String::new();
        let mut seen = BTreeSet::new();
        for sample in Sample::all(agent) {
            let Ok(payload) = serde_json::from_str::<Value>(sample.payload_text()) else {
                continue;
            };
            let whole = make(&mut maker, &sample, agent, &payload);
            let name = whole.event.get("event").unwrap_or(&whole.event["event_type"]).clone();
            let kept = whole.warnings().join("; ");
            // One of each event says it all.
            if !seen.insert(name.to_string()) {
                continue;
            }
            writeln!(text, "--- {} {kept}", name.as_str().expect("text")).unwrap();
            for place in places(&payload) {
                let mut told = Vec::new();
                for (how, replacement) in replacements() {
                    let damaged = damage(&payload, &place, replacement.as_ref());
                    let made = make(&mut maker, &sample, agent, &damaged);
                    let new: Vec<_> =
                        made.warnings().into_iter().filter(|it| !kept.contains(it)).collect();
                    if !new.is_empty() {
                        told.push((how, new.join(", ")));
                    }
                }
                for warning in distinct(&told) {
                    let hows: Vec<_> =
                        told.iter().filter(|(_, it)| it == warning).map(|(how, _)| *how).collect();
                    writeln!(text, "{:24} {warning} ({})", place.join("."), hows.join(", "))
                        .unwrap();
                }
            }
        }
        let name = format!("{}-damaged", agent.name);
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, text);
        });
    }
}

fn distinct<'a>(told: &'a [(&str, String)]) -> Vec<&'a String> {
    let mut all: Vec<_> = told.iter().map(|(_, warning)| warning).collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn what_is_not_known_is_no_fault() {
    let mut maker = Maker::new();
    for agent in AGENTS {
        for sample in Sample::all(agent) {
            let Ok(mut payload) = serde_json::from_str::<Value>(sample.payload_text()) else {
                continue;
            };
            let before = make(&mut maker, &sample, agent, &payload);
            payload["of another year"] = json!([{"anything": [null, 1.5]}, "x"]);
            let after = make(&mut maker, &sample, agent, &payload);
            assert_eq!(before.warnings(), after.warnings());
            assert_eq!(before.event["event_type"], after.event["event_type"]);
        }
    }
}

#[test]
fn a_payload_that_is_no_object_is_an_event_of_its_agent() {
    let mut maker = Maker::new();
    for agent in AGENTS {
        for payload in ["null", "7", "\"text\"", "[]", "[{\"hook_event_name\":\"Stop\"}]", "true"] {
            maker.restart();
            let payload = payload.as_bytes().to_vec();
            let (event, arguments) = (Some(agent.events[0].0.to_owned()), Vec::new());
            let agent_name = Some(agent.name);
            let made =
                maker.make(&Record { agent: agent_name, event, arguments, after_ms: 1, payload });
            assert_eq!(made.warnings(), ["the payload is not an object"]);
            assert_eq!(made.event["event_type"], agent.events[0].1.name());
        }
    }
}
