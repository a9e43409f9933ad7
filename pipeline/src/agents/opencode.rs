//! OpenCode (and Kilo): what a plug-in in its process hands to the hook command.

use hookring_journal::model::EventType as Type;

use super::{Agent, Facts, Field, Names, Warning, claude_code};
use crate::document::{Kind, Value};

pub(super) const AGENT: Agent = Agent {
    name: "opencode",
    title: "OpenCode",
    events: EVENTS,
    fields: &[
        &[("event", Field::Event), ("type", Field::Event), ("hook", Field::Event)],
        INSIDE,
        claude_code::FIELDS,
    ],
    recognises: |top| {
        let is_named = top.text("harness_name").is_some_and(|name| name == "opencode");
        let event = ["event", "type", "hook"].into_iter().find_map(|name| top.text(name));
        let begins = ["session.", "tool.execute.", "message."];
        // Names with a dot are nobody else's.
        let is_own = |event: &str| {
            begins.iter().any(|begin| event.starts_with(begin))
                || event.contains('.') && EVENTS.iter().any(|(name, _)| *name == event)
        };
        let is_event = event.is_some_and(|event| is_own(&event));
        is_named || is_event || top.has("sessionID")
    },
    refine,
};

const EVENTS: &[(&str, Type)] = &[
    ("session.created", Type::SessionStart),
    ("session.deleted", Type::SessionEnd),
    ("session.idle", Type::TurnEnd),
    ("session.error", Type::TurnFail),
    ("session.compacted", Type::CompactPost),
    ("experimental.session.compacting", Type::CompactPre),
    ("chat.message", Type::PromptSubmit),
    ("tool.execute.before", Type::ToolPre),
    ("tool.execute.after", Type::ToolPost),
    ("permission.ask", Type::PermissionRequest),
    ("permission.asked", Type::PermissionRequest),
    ("message.updated", Type::MessageResponse),
    ("message.part.updated", Type::MessageDisplay),
    ("file.edited", Type::FileChange),
    ("file.watcher.updated", Type::FileChange),
    ("todo.updated", Type::TaskCreated),
    ("tui.toast.show", Type::Notify),
    ("SessionStart", Type::SessionStart),
    ("UserPromptSubmit", Type::PromptSubmit),
    ("PreToolUse", Type::ToolPre),
    ("PostToolUse", Type::ToolPost),
    ("PermissionRequest", Type::PermissionRequest),
    ("Stop", Type::TurnEnd),
    ("SessionError", Type::TurnFail),
];

const INSIDE: Names = &[
    ("sessionID", Field::Session),
    ("callID", Field::ToolUseId),
    ("modelID", Field::Model),
    ("tool", Field::ToolName),
    ("args", Field::ToolInput),
    ("output", Field::ToolOutput),
    ("directory", Field::Directory),
    ("worktree", Field::Directory),
    ("error", Field::Error),
    ("file", Field::FilePath),
    ("version", Field::Version),
];

/// Plug-ins get two objects, `input` and `output`; events have `properties`, with `info` in it.
fn refine<'a>(root: Value<'a>, facts: &mut Facts<'a>) {
    for part in ["input", "output", "properties"] {
        let Some(part) = root.get(part).filter(|part| part.kind() != Kind::Null) else { continue };
        if part.kind() != Kind::Object {
            facts.warnings.push(Warning::Inside);
        }
        facts.take(part, INSIDE);
        for inside in ["info", "part"].into_iter().filter_map(|name| part.get(name)) {
            facts.take(inside, INSIDE);
        }
        if let Some(info) = part.get("info") {
            facts.take(info, &[("id", Field::Session)]);
        }
        facts.set(Field::Model, part.path(&["model", "modelID"]));
    }
    match facts.kind {
        // A session that another one made is a subagent.
        Some(Type::SessionStart) if root.path(&["properties", "info", "parentID"]).is_some() => {
            facts.kind = Some(Type::AgentStart);
            facts.set(Field::AgentId, facts.get(Field::Session));
        }
        Some(Type::PermissionRequest) => permission(root, facts),
        // Its name says whether the user stopped it.
        Some(Type::TurnFail) => {
            facts.set(Field::Reason, facts.get(Field::Error).and_then(|error| error.get("name")));
        }
        _ => {}
    }
}

/// A permission's `type` is the tool; in later versions that is `permission`, and `tool` an object.
fn permission<'a>(root: Value<'a>, facts: &mut Facts<'a>) {
    for part in ["input", "properties"].into_iter().filter_map(|part| root.get(part)) {
        facts.set(Field::ToolName, part.get("permission").or_else(|| part.get("type")));
        facts.set(Field::ToolUseId, part.path(&["tool", "callID"]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::testing::{read_as, seen};

    #[test]
    fn a_session_of_another_is_a_subagent() {
        let session = |more: &str| {
            format!(r#"{{"type":"session.created","properties":{{"info":{{"id":"s"{more}}}}}}}"#)
        };
        assert_eq!(seen(&session("")), ("opencode", "session.start"));
        let child = session(r#","parentID":"p""#);
        assert_eq!(seen(&child), ("opencode", "agent.start"));
        read_as(None, &child, |facts| {
            let ids = [Field::Session, Field::AgentId].map(|field| facts.text(field));
            assert_eq!(ids.each_ref().map(Option::as_deref), [Some("s"), Some("s")]);
        });
    }

    #[test]
    fn a_permission_names_its_tool_in_both_versions() {
        for payload in [
            r#"{"hook":"permission.ask","input":{"type":"bash","callID":"c","sessionID":"s"}}"#,
            r#"{"type":"permission.asked","properties":{"permission":"bash","tool":{"callID":"c"},"sessionID":"s"}}"#,
        ] {
            assert_eq!(seen(payload), ("opencode", "permission.request"));
            read_as(None, payload, |facts| {
                assert_eq!(facts.tool_name.as_deref(), Some("bash"));
                assert_eq!(facts.text(Field::ToolUseId).as_deref(), Some("c"));
                assert_eq!(facts.warnings, []);
            });
        }
    }

    #[test]
    fn what_is_said_inside_a_part_is_found() {
        let payload = r#"{"hook":"tool.execute.before","input":{"tool":"edit","sessionID":"s","callID":"c"},
            "output":{"args":{"filePath":"/f"}}}"#;
        read_as(None, payload, |facts| {
            assert_eq!(facts.kind, Some(Type::ToolPre));
            let input = facts.get(Field::ToolInput).expect("an input");
            assert!(input.get("filePath").is_some_and(|path| path.is_text("/f")));
        });
        let text = r#"{"type":"session.idle","properties":"text"}"#;
        read_as(None, text, |facts| assert_eq!(facts.warnings, [Warning::Inside]));
    }
}
