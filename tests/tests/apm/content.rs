//! What people, models and tools said, as the payloads have it, in the spans and records where it belongs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::inbox::{Inbox, text};

/// Compares each payload with what arrived of it.
///
/// # Panics
/// If anything is missing, or not the same.
pub(crate) fn assert_is_there(inbox: &Inbox, payloads: &[String]) {
    let spans = inbox.spans();
    let by = |name: &str| -> BTreeMap<&str, &Value> {
        let spans = spans.values().map(|(span, _)| span);
        spans.filter_map(|it| Some((it["attributes"][name].as_str()?, it))).collect()
    };
    let (prompts, calls) = (by("hookring.prompt_id"), by("gen_ai.tool.call.id"));
    let agents: BTreeMap<_, _> = spans
        .values()
        .filter_map(|(span, _)| {
            let is_agent = span["attributes"]["gen_ai.operation.name"] == "invoke_agent";
            let id = span["attributes"]["gen_ai.agent.id"].as_str()?;
            is_agent.then_some((id, span))
        })
        .collect();
    let mut compared = 0;
    for payload in payloads {
        let payload: Value = serde_json::from_str(payload).expect("JSON");
        let id = |name: &str| payload[name].as_str().expect("an id");
        compared += 1;
        match payload["hook_event_name"].as_str().expect("its name") {
            "UserPromptSubmit" => {
                let said = asked(&payload["prompt"]);
                assert_json(prompts[id("prompt_id")], "gen_ai.input.messages", &said);
            }
            "Stop" => {
                let said = answered(&payload["last_assistant_message"]);
                assert_json(prompts[id("prompt_id")], "gen_ai.output.messages", &said);
            }
            "SubagentStop" => {
                let said = answered(&payload["last_assistant_message"]);
                assert_json(agents[id("agent_id")], "gen_ai.output.messages", &said);
            }
            "PreToolUse" => {
                let call = calls[id("tool_use_id")];
                assert_json(call, "gen_ai.tool.call.arguments", &payload["tool_input"]);
                assert_is_command(call, &payload["tool_input"]);
            }
            "PostToolUse" => {
                let call = calls[id("tool_use_id")];
                assert_json(call, "gen_ai.tool.call.result", &payload["tool_response"]);
            }
            "PostToolUseFailure" => {
                let call = calls[id("tool_use_id")];
                assert_eq!(call["status"]["message"], payload["error"]);
            }
            _ => compared -= 1,
        }
    }
    assert!(compared > 2 * calls.len(), "{compared} of {} were compared", payloads.len());
    assert_payloads_are_there(inbox, payloads);
}

/// As `gen_ai.input.messages` has it.
fn asked(prompt: &Value) -> Value {
    assert!(prompt.is_string(), "{prompt}");
    json!([{ "role": "user", "parts": [{ "type": "text", "content": prompt }] }])
}

/// As `gen_ai.output.messages` has it.
fn answered(answer: &Value) -> Value {
    assert!(answer.is_string(), "{answer}");
    let parts = json!([{ "type": "text", "content": answer }]);
    json!([{ "role": "assistant", "parts": parts, "finish_reason": "stop" }])
}

/// Text stands there as it is, anything else as JSON.
fn assert_json(span: &Value, name: &str, expected: &Value) {
    let found = text(&span["attributes"], name);
    match expected {
        Value::String(expected) => assert_eq!(found, *expected, "{name}"),
        expected => {
            let found: Value = serde_json::from_str(&found).expect("JSON");
            assert_eq!(found, *expected, "{name}");
        }
    }
}

fn assert_is_command(call: &Value, input: &Value) {
    let file = input.get("file_path").or(input.get("path"));
    for (name, value) in [("hookring.command", input.get("command")), ("hookring.file_path", file)]
    {
        assert_eq!(call["attributes"].get(name), value, "{call}");
    }
}

/// Each record has its payload.
fn assert_payloads_are_there(inbox: &Inbox, payloads: &[String]) {
    let logs = inbox.logs();
    let mut found: Vec<_> = logs.values().map(|(record, _)| &record["attributes"]).collect();
    found.sort_by_key(|it| crate::inbox::number(it, "hookring.seq"));
    assert_eq!(found.len(), payloads.len());
    for (attributes, payload) in found.iter().zip(payloads) {
        let found = text(attributes, "hookring.payload");
        let found: Map<String, Value> = serde_json::from_str(&found).expect("JSON");
        assert_eq!(found, serde_json::from_str::<Map<_, _>>(payload).expect("JSON"));
    }
}
