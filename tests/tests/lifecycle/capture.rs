//! `[capture]`: what people and agents write to each other, and what tools answer, is left out where the
//! configuration says so, from the next reload on.

use hookring_tests::{Bed, wait_for};
use serde_json::{Value, json};

/// In prompts and answers of agents.
const SAID: &str = "saidword";
/// In what tools answer.
const ANSWERED: &str = "answerword";
/// In what nobody knows the meaning of.
const UNKNOWN: &str = "unknownword";
/// In what is always kept.
const KEPT: &str = "keptword";

/// Payloads of several agents, and in each which of the words.
fn payloads() -> Vec<Value> {
    vec![
        json!({"hook_event_name": "UserPromptSubmit", "session_id": KEPT, "prompt": SAID}),
        json!({"hook_event_name": "Stop", "session_id": KEPT, "last_assistant_message": SAID}),
        json!({"hook_event_name": "PreToolUse", "session_id": KEPT, "tool_name": "Agent", "tool_use_id": "1",
            "tool_input": {"prompt": SAID, "description": SAID, "subagent_type": KEPT}}),
        json!({"hook_event_name": "TaskCreated", "session_id": KEPT, "task_id": "1", "task_subject": SAID,
            "task_description": SAID}),
        json!({"hook_event_name": "PostToolUse", "session_id": "s", "tool_name": "Bash", "tool_use_id": "2",
            "tool_input": {"command": KEPT}, "tool_response": {"stdout": ANSWERED}, "later": [UNKNOWN]}),
        json!({"hook_event_name": "PostToolUseFailure", "session_id": "s", "tool_name": "Bash",
            "tool_use_id": "3", "tool_input": {"command": KEPT}, "error": format!("Exit code 2\n{ANSWERED}")}),
        json!({"hook_event_name": "StopFailure", "session_id": KEPT, "error": ANSWERED}),
        json!({"agent_action_name": "post_run_command", "trajectory_id": KEPT,
            "tool_info": {"command_line": KEPT, "stdout": ANSWERED}}),
        json!({"agent_action_name": "post_mcp_tool_use", "trajectory_id": "t", "tool_info": {
            "mcp_tool_name": "find", "mcp_tool_arguments": {"q": KEPT}, "mcp_result": ANSWERED}}),
        json!({"hookName": "PostToolUse", "taskId": "1", "postToolUse": {"toolName": "execute_command",
            "parameters": {"command": KEPT}, "result": ANSWERED, "success": false}}),
        json!({"sessionId": KEPT, "timestamp": 1, "toolName": "task",
            "toolArgs": json!({"prompt": SAID, "agent": "x"}).to_string()}),
        json!({"hook": "tool.execute.after", "input": {"tool": "bash", "sessionID": "s", "callID": "4",
            "args": {"command": KEPT}}, "output": {"title": "x", "output": ANSWERED}}),
        json!({"hook_event_name": "NobodyKnows", "session_id": KEPT, "anything": UNKNOWN}),
        json!([UNKNOWN]),
    ]
}

const TEXT: &str = "not JSON: unknownword";

/// Which of the words can be seen in an event, its payload included.
fn seen(event: &Value) -> [bool; 4] {
    let line = event.to_string();
    [SAID, ANSWERED, UNKNOWN, KEPT].map(|word| line.contains(word))
}

/// Sends all of it, and looks at what is journaled of each.
fn publish(bed: &Bed) -> Vec<(String, Value)> {
    let before = bed.lines().len();
    let mut given: Vec<_> = payloads().iter().map(Value::to_string).collect();
    given.push(TEXT.to_owned());
    given.iter().for_each(|payload| bed.emit(payload.as_bytes()));
    let argument =
        json!({"type": "agent-turn-complete", "last-assistant-message": SAID}).to_string();
    bed.emit_with(&["--", &argument, KEPT], b"{}");
    given.push(argument + KEPT);
    let hooks_events = |bed: &Bed| {
        let events = bed.events().into_iter().skip(before);
        events.filter(|event| event["from"] != "daemon").collect::<Vec<_>>()
    };
    wait_for("all events", || (hooks_events(bed).len() >= given.len()).then_some(()));
    given.into_iter().zip(hooks_events(bed)).collect()
}

/// Reloads: what is published from now on is made by the new configuration.
fn capture(bed: &Bed, prompts: bool, tool_output: bool) {
    bed.configure(&format!("[capture]\nprompts = {prompts}\ntool_output = {tool_output}\n"));
    assert_eq!(bed.hookring(&["reload"]).status.code(), Some(0));
}

#[test]
fn what_is_not_to_be_kept_is_left_out_from_the_next_reload_on() {
    let bed = Bed::new();
    let daemon = bed.start();
    for (payload, event) in publish(&bed) {
        let given = [SAID, ANSWERED, UNKNOWN, KEPT].map(|word| payload.contains(word));
        assert_eq!(seen(&event), given, "all is kept: {event}");
    }
    for (prompts, tool_output) in [(false, true), (true, false), (false, false), (true, true)] {
        capture(&bed, prompts, tool_output);
        for (payload, event) in publish(&bed) {
            let has = |word: &str| payload.contains(word);
            let is_all = prompts && tool_output;
            let [said, answered, unknown, kept] = seen(&event);
            assert!(prompts || !said, "{event}");
            assert!(tool_output || !answered, "{event}");
            assert!(is_all || !unknown, "{event}");
            assert!(kept || !has(KEPT), "{event}");
            assert!(
                !is_all || (said, answered, unknown) == (has(SAID), has(ANSWERED), has(UNKNOWN))
            );
            let is_missing =
                has(SAID) && !said || has(ANSWERED) && !answered || has(UNKNOWN) && !unknown;
            let says_so = event.to_string().contains("[not kept: ");
            assert!(says_so || !is_missing, "it says so: {event}");
            assert!(!says_so || !is_all, "{event}");
            assert!(event.get("parse_error").is_none() || payload == TEXT);
        }
    }
    // What a line says besides is there whatever is kept.
    capture(&bed, false, false);
    let (_, failed) = publish(&bed).swap_remove(5);
    assert_eq!(
        [&failed["event_type"], &failed["exit_code"], &failed["success"], &failed["tool_use_id"]],
        [&json!("tool.fail"), &json!(2), &json!(false), &json!("3")]
    );
    assert_eq!(failed.get("error_message"), None);
    assert_eq!(daemon.stop(), 0);
}
