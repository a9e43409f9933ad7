//! Which spans become of which events.

use serde_json::json;

use super::super::spans::MAX_OPEN;
use super::*;
use crate::otlp::attributes::MAX_CONTENT_BYTES;

fn tool(name: &str, call: &str) -> serde_json::Value {
    json!({"tool_name": name, "tool_use_id": call, "correlation_id": call, "prompt_id": "p1"})
}

fn with(mut members: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    let more = more.as_object().expect("an object").clone();
    members.as_object_mut().expect("an object").extend(more);
    members
}

#[test]
fn a_prompt_is_a_trace_with_its_calls_below_it() {
    let mut script = Script::default();
    let prompt = json!({"prompt_id": "p1"});
    script
        .add(0, "session.start", json!({"source": {"agent": "claude-code", "model": "opus"}}))
        .add(1, "prompt.submit", prompt.clone())
        .add(2, "tool.pre", tool("Bash", "t1"))
        .add(
            3,
            "permission.request",
            json!({"correlation_id": "t1", "tool_name": "Bash", "prompt_id": "p1"}),
        )
        .add(
            5,
            "tool.post",
            with(tool("Bash", "t1"), json!({"success": true, "duration_ms": 2000})),
        )
        .add(6, "tool.pre", tool("mcp__db__query", "t2"))
        .add(
            7,
            "tool.fail",
            with(tool("mcp__db__query", "t2"), json!({"error_message": "it timed out"})),
        )
        .add(8, "notify", json!({"classification": "status"}))
        .add(9, "turn.end", prompt);
    let (spans, finished) = script.run();
    let expected = "\
invoke_agent claude-code 1-9 +notify@8
  execute_tool Bash 2-5 +permission.request@3
  execute_tool mcp__db__query 6-7 error=timeout
";
    assert_eq!(tree(&finished), expected);
    let root = &finished[2].span;
    for (name, value) in [
        (names::OPERATION, "invoke_agent"),
        (names::AGENT_NAME, "claude-code"),
        (names::CONVERSATION, "s"),
        (names::SESSION, "s"),
        (names::MODEL, "opus"),
    ] {
        assert_eq!(attribute(&root.attributes, name).as_deref(), Some(value), "{name}");
    }
    let query = &finished[1].span;
    for (name, value) in [
        (names::OPERATION, "execute_tool"),
        (names::TOOL_NAME, "mcp__db__query"),
        (names::TOOL_CALL_ID, "t2"),
        (names::MCP_METHOD, "tools/call"),
        (names::MCP_SERVER, "db"),
    ] {
        assert_eq!(attribute(&query.attributes, name).as_deref(), Some(value), "{name}");
    }
    // What went wrong is content.
    assert!(query.status.as_ref().is_some_and(|it| it.code == 2 && it.message.is_empty()));
    assert_eq!((spans.counts().finished, spans.counts().repaired), (3, 0));
}

#[test]
fn content_comes_only_if_it_is_asked_for() {
    let mut script = Script::default();
    let secret = "xyzzy";
    let call = with(
        tool("Bash", "t1"),
        json!({
            "command": secret,
            "file_path": secret,
            "tool_parameters": {"command": secret},
            "error_message": secret,
            "risk": [{"rule": "r", "level": "low", "evidence": secret}],
            "task_description": secret,
            "payload": {"prompt": secret, "tool_response": {"stdout": secret}, "last_assistant_message": secret},
        }),
    );
    script
        .add(1, "prompt.submit", json!({"payload": {"prompt": secret}}))
        .add(2, "tool.pre", call.clone())
        .add(3, "tool.fail", call)
        .add(4, "agent.start", json!({"agent_id": "a", "task_description": secret}))
        .add(
            5,
            "agent.stop",
            json!({"agent_id": "a", "payload": {"last_assistant_message": secret}}),
        )
        .add(6, "turn.end", json!({"payload": {"last_assistant_message": secret}}));
    let (_, finished) = script.run();
    assert!(!format!("{finished:?}").contains(secret));
    let (_, finished) = run(&script.events(true));
    let of = |at: usize, name| attribute(&finished[at].span.attributes, name).unwrap_or_default();
    assert_eq!(of(0, names::COMMAND), secret);
    assert_eq!(of(0, names::TOOL_ARGUMENTS), r#"{"command":"xyzzy"}"#);
    assert_eq!(of(0, names::TOOL_RESULT), r#"{"stdout":"xyzzy"}"#);
    assert_eq!(of(0, names::RISK_EVIDENCE), secret);
    assert_eq!(finished[0].span.status.as_ref().map(|it| &*it.message), Some(secret));
    assert!(of(1, names::OUTPUT_MESSAGES).contains(secret));
    let root = finished.last().expect("a root");
    for name in [names::INPUT_MESSAGES, names::OUTPUT_MESSAGES] {
        let text = attribute(&root.span.attributes, name).expect(name);
        assert!(text.contains(secret), "{name}: {text}");
    }
}

#[test]
fn prompts_of_one_id_are_one_list_of_messages_as_far_as_there_is_room() {
    let mut script = Script::default();
    for (at, prompt) in ["one", "two", &"x".repeat(MAX_CONTENT_BYTES)].into_iter().enumerate() {
        let prompt = json!({"prompt_id": "p", "payload": {"prompt": prompt}});
        script.add(at as u64, "prompt.submit", prompt);
    }
    script.add(5, "turn.end", json!({"prompt_id": "p"}));
    let (spans, finished) = run(&script.events(true));
    let attributes = &finished.last().expect("a root").span.attributes;
    assert_eq!(attributes.iter().filter(|it| it.key == names::INPUT_MESSAGES).count(), 1);
    let text = attribute(attributes, names::INPUT_MESSAGES).expect("messages");
    let messages: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let words = |at: usize| &messages[at]["parts"][0]["content"];
    assert_eq!((words(0), words(1), &messages[2]), (&json!("one"), &json!("two"), &json!(null)));
    assert_eq!(spans.counts().cut, 1);
}

#[test]
fn subagents_are_nested() {
    let mut script = Script::default();
    let prompt = json!({"prompt_id": "p1"});
    let of_agent = |value| with(value, json!({"agent_id": "a1", "agent_type": "Explore"}));
    script
        .add(1, "prompt.submit", prompt.clone())
        .add(2, "tool.pre", tool("Task", "t1"))
        .add(3, "agent.start", of_agent(prompt.clone()))
        .add(4, "tool.pre", of_agent(tool("Grep", "t2")))
        .add(5, "tool.post", of_agent(tool("Grep", "t2")))
        .add(6, "agent.stop", of_agent(prompt.clone()))
        .add(7, "tool.post", tool("Task", "t1"))
        .add(8, "turn.end", prompt);
    let expected = "\
invoke_agent claude-code 1-8
  execute_tool Task 2-7
    invoke_agent Explore 3-6
      execute_tool Grep 4-5
";
    assert_eq!(script.tree(), expected);
}

/// It is not known which of two calls began a subagent.
#[test]
fn a_subagent_hangs_below_the_prompt_if_its_call_is_not_clear() {
    let mut script = Script::default();
    script
        .add(1, "prompt.submit", json!({"prompt_id": "p1"}))
        .add(2, "tool.pre", tool("Task", "t1"))
        .add(2, "tool.pre", tool("Task", "t2"))
        .add(3, "agent.start", json!({"agent_id": "a1", "prompt_id": "p1"}))
        .add(4, "agent.stop", json!({"agent_id": "a1", "prompt_id": "p1"}))
        .add(5, "session.end", json!({}));
    let tree = script.tree();
    assert!(tree.contains("\n  invoke_agent 3-4\n"), "{tree}");
}

#[test]
fn an_end_without_a_beginning_has_its_duration() {
    let mut script = Script::default();
    script
        .add(10, "prompt.submit", json!({"prompt_id": "p1"}))
        .add(20, "tool.post", with(tool("Read", "t1"), json!({"duration_ms": 5000})))
        .add(21, "tool.post", tool("Read", "t2"))
        .add(22, "agent.stop", json!({"agent_id": "a", "prompt_id": "p1"}))
        .add(30, "turn.end", json!({"prompt_id": "p1"}));
    let expected = "\
invoke_agent claude-code 10-30
  execute_tool Read 15-20 repaired=no_begin
  execute_tool Read 21-21 repaired=no_begin
  invoke_agent 22-22 repaired=no_begin
";
    assert_eq!(script.tree(), expected);
    assert_eq!(script.run().0.counts().repaired, 3);
}

#[test]
fn two_calls_with_one_id_are_two_spans() {
    let mut script = Script::default();
    script
        .add(1, "prompt.submit", json!({"prompt_id": "p1"}))
        .add(2, "tool.pre", tool("Bash", "t1"))
        .add(3, "tool.post", tool("Bash", "t1"))
        .add(4, "tool.pre", tool("Bash", "t1"))
        .add(5, "tool.pre", tool("Bash", "t1"))
        .add(6, "tool.post", tool("Bash", "t1"))
        .add(7, "tool.post", tool("Bash", "t1"))
        .add(8, "turn.end", json!({"prompt_id": "p1"}));
    let expected = "\
invoke_agent claude-code 1-8
  execute_tool Bash 2-3
  execute_tool Bash 4-6 repaired=same_id
  execute_tool Bash 5-7 repaired=same_id
";
    assert_eq!(script.tree(), expected);
}

#[test]
fn an_end_that_is_told_twice_makes_no_second_span() {
    let mut script = Script::default();
    script
        .add(1, "prompt.submit", json!({"prompt_id": "p1"}))
        .add(2, "tool.pre", tool("Bash", "t1"))
        .add(2, "tool.pre", with(tool("Bash", "t1"), json!({"duplicate_of": "e2"})))
        .add(3, "tool.post", tool("Bash", "t1"))
        .add(4, "tool.post", with(tool("Bash", "t1"), json!({"duplicate_of": "e4"})))
        .add(5, "tool.post", tool("Bash", "t1"))
        .add(6, "turn.end", json!({"prompt_id": "p1"}))
        .add(7, "turn.end", json!({"prompt_id": "p1"}))
        .add(8, "tool.post", tool("Bash", "t1"));
    assert_eq!(script.tree(), "invoke_agent claude-code 1-6\n  execute_tool Bash 2-3\n");
    let (spans, _) = script.run();
    assert_eq!((spans.counts().late, spans.counts().repaired), (3, 0));
}

#[test]
fn what_comes_after_the_end_of_its_prompt_hangs_below_it() {
    let mut script = Script::default();
    script
        .add(1, "prompt.submit", json!({"prompt_id": "p1"}))
        .add(2, "turn.end", json!({"prompt_id": "p1"}))
        .add(3, "tool.pre", tool("Bash", "t1"))
        .add(4, "tool.post", tool("Bash", "t1"));
    assert_eq!(script.tree(), "invoke_agent claude-code 1-2\n  execute_tool Bash 3-4\n");
}

#[test]
fn what_belongs_to_no_prompt_has_a_trace_of_its_session() {
    let mut script = Script::default();
    let call = |id: &str| json!({"tool_name": "Bash", "tool_use_id": id});
    script
        .add(1, "tool.pre", call("t1"))
        .add(2, "tool.post", call("t1"))
        .add(3, "prompt.submit", json!({}))
        .add(4, "tool.pre", call("t2"))
        .add(5, "tool.post", call("t2"))
        .add(6, "turn.end", json!({}))
        .add(7, "tool.pre", call("t3"))
        .add(8, "tool.post", call("t3"))
        .add(9, "session.end", json!({}));
    let expected = "\
invoke_agent claude-code 1-2
  execute_tool Bash 1-2
invoke_agent claude-code 3-6
  execute_tool Bash 4-5
invoke_agent claude-code 7-9
  execute_tool Bash 7-8
";
    assert_eq!(script.tree(), expected);
    let (_, finished) = script.run();
    let traces: std::collections::BTreeSet<_> =
        finished.iter().map(|it| it.span.trace_id.clone()).collect();
    assert_eq!(traces.len(), 2);
}

#[test]
fn a_new_prompt_ends_the_one_before() {
    let mut script = Script::default();
    script
        .add(1, "prompt.submit", json!({"prompt_id": "p1"}))
        .add(2, "tool.pre", tool("Bash", "t1"))
        .add(9, "prompt.submit", json!({"prompt_id": "p2"}))
        .add(10, "turn.end", json!({"prompt_id": "p2"}))
        .add(11, "session.end", json!({}));
    let expected = "\
invoke_agent claude-code 1-2 unfinished=true
  execute_tool Bash 2-11 unfinished=true
invoke_agent claude-code 9-10
";
    assert_eq!(script.tree(), expected);
    assert_eq!(script.run().0.counts().unfinished, 2);
}

#[test]
fn a_session_that_is_silent_for_too_long_has_ended_when_another_speaks() {
    let mut script = Script::default();
    let hour_s = TIMEOUT.as_secs();
    let other = json!({"session_id": null, "namespace": "system", "source": {"agent": "hookring"}});
    script
        .add(1, "prompt.submit", json!({"prompt_id": "p1"}))
        .add(2, "tool.pre", tool("Bash", "t1"))
        .add(2 + hour_s, "daemon.start", other.clone());
    assert_eq!(script.tree(), "");
    script.add(3 + hour_s, "daemon.start", other);
    let expected = "\
invoke_agent claude-code 1-2 unfinished=true
  execute_tool Bash 2-2 unfinished=true
";
    assert_eq!(script.tree(), expected);
}

#[test]
fn a_clock_that_jumps_back_makes_no_span_that_ends_before_it_begins() {
    let mut script = Script::default();
    script
        .add(10, "prompt.submit", json!({"prompt_id": "p1"}))
        .add(20, "tool.pre", tool("Bash", "t1"))
        .add(5, "tool.post", tool("Bash", "t1"))
        .add(6, "turn.end", json!({"prompt_id": "p1"}));
    let expected = "\
invoke_agent claude-code 10-10 repaired=clock
  execute_tool Bash 20-20 repaired=clock
";
    assert_eq!(script.tree(), expected);
}

#[test]
fn a_call_that_is_not_allowed_has_ended() {
    let mut script = Script::default();
    script
        .add(1, "prompt.submit", json!({"prompt_id": "p1"}))
        .add(2, "tool.pre", tool("Bash", "t1"))
        .add(3, "permission.denied", tool("Bash", "t1"))
        .add(4, "turn.end", json!({"prompt_id": "p1"}));
    let expected = "\
invoke_agent claude-code 1-4
  execute_tool Bash 2-3 error=denied +permission.denied@3
";
    assert_eq!(script.tree(), expected);
}

#[test]
fn git_and_the_daemon_have_no_spans() {
    let mut script = Script::default();
    script
        .add(1, "tool.pre", json!({"source": {"agent": "git"}, "tool_name": "x"}))
        .add(2, "tool.pre", json!({"namespace": "system", "tool_name": "x"}))
        .add(3, "tool.pre", json!({"session_id": null, "tool_name": "x"}))
        .add(4, "session.end", json!({}));
    assert_eq!(script.tree(), "");
}

#[test]
fn too_many_open_spans_end_the_oldest() {
    let mut script = Script::default();
    for at in 0..MAX_OPEN + 10 {
        script.add(1, "tool.pre", tool("Bash", &format!("t{at}")));
    }
    let (spans, finished) = script.run();
    // The root was the oldest of all.
    assert_eq!(finished.len(), 11);
    assert_eq!((spans.counts().evicted, spans.counts().unfinished), (11, 11));
}

#[test]
fn too_many_sessions_end_the_quietest() {
    let mut script = Script::default();
    for at in 0..super::super::spans::MAX_SESSIONS + 3 {
        script.add(1, "prompt.submit", json!({"session_id": format!("s{at}")}));
    }
    let (spans, finished) = script.run();
    assert_eq!((finished.len(), spans.counts().evicted), (3, 3));
}
