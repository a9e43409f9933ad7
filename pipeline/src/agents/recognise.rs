//! Tells by its shape whose payload it is.

use std::borrow::Cow;

use super::{AGENTS, Agent};
use crate::document::Value;

/// What adapters look at to recognise their own.
pub(crate) struct Top<'a> {
    root: Value<'a>,
    /// The event's name, in whichever member it was found.
    event: Option<Cow<'a, str>>,
    /// Where the transcript is, with slashes on Windows, too.
    transcript: Option<Cow<'a, str>>,
}

/// Whose payload it is, if it can be told.
pub(crate) fn recognise(root: Value<'_>) -> Option<&'static Agent> {
    let top = Top::of(root);
    AGENTS.iter().copied().find(|agent| (agent.recognises)(&top))
}

impl<'a> Top<'a> {
    fn of(root: Value<'a>) -> Top<'a> {
        let text = |key| root.get(key).and_then(Value::as_str);
        let event = text("hook_event_name").or_else(|| text("hookEventName"));
        let transcript = text("transcript_path").or_else(|| text("transcriptPath"));
        let with_slashes = |path: Cow<'a, str>| match path.contains('\\') {
            true => Cow::Owned(path.replace('\\', "/")),
            false => path,
        };
        Top { root, event, transcript: transcript.map(with_slashes) }
    }

    /// A member of this name is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.root.get(key).is_some()
    }

    /// The string in a member.
    pub(super) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.root.get(key).and_then(Value::as_str)
    }

    /// The agent's name for the event is one of these, or begins like that.
    pub(super) fn is_event(&self, names: &[&str]) -> bool {
        self.event.as_deref().is_some_and(|event| names.contains(&event))
    }

    /// The event's name begins with a lower-case letter, as Cursor's and Kiro's do.
    pub(super) fn is_lower_camel(&self) -> bool {
        let first = self.event.as_deref().and_then(|event| event.chars().next());
        first.is_some_and(char::is_lowercase)
    }

    /// The transcript lies below this folder.
    pub(super) fn transcript_in(&self, folder: &str) -> bool {
        self.transcript.as_deref().is_some_and(|path| path.contains(folder))
    }

    /// The name of the tool is one of these.
    pub(super) fn is_tool(&self, names: &[&str]) -> bool {
        let name = self.text("tool_name");
        name.is_some_and(|name| names.contains(&&*name))
    }
}

#[cfg(test)]
mod tests {
    use crate::agents::testing::seen;

    #[test]
    fn names_that_several_agents_use_are_told_apart_by_what_is_beside_them() {
        for (payload, agent) in [
            (r#"{"hook_event_name":"Stop","session_id":"s"}"#, "claude-code"),
            (r#"{"hook_event_name":"Stop","turn_id":"t","model":"m"}"#, "codex"),
            (r#"{"hook_event_name":"Stop","transcript_path":"/h/.factory/x.jsonl"}"#, "droid"),
            (r#"{"hook_event_name":"Stop","transcript_path":"/h/.copilot/x.jsonl"}"#, "copilot"),
            (r#"{"hook_event_name":"Stop","thread_id":"T-1"}"#, "amp"),
            (r#"{"hook_event_name":"Stop","harness_name":"opencode"}"#, "opencode"),
            (r#"{"hook_event_name":"stop","cwd":"/d"}"#, "kiro"),
            (r#"{"hook_event_name":"stop","conversation_id":"c"}"#, "cursor"),
            (r#"{"hook_event_name":"SessionEnd","transcript_path":"/h/.gemini/x"}"#, "gemini-cli"),
            (r#"{"hookName":"PreToolUse"}"#, "cline"),
            (r#"{"agent_action_name":"pre_read_code","cursor_version":"1"}"#, "windsurf"),
            (r#"{"sessionId":"s","timestamp":1}"#, "copilot"),
            (r#"{"hook_event_name":"Stop","hookEventName":7}"#, "copilot"),
            (r#"{"hook_event_name":"Later"}"#, ""),
            ("{}", ""),
        ] {
            assert_eq!(seen(payload).0, agent, "{payload}");
        }
    }

    #[test]
    fn folders_are_the_same_on_windows() {
        for (folder, agent) in
            [(".gemini", "gemini-cli"), (".codex", "codex"), (".factory", "droid")]
        {
            let path = format!(r"C:\\Users\\ada\\{folder}\\x.jsonl");
            let payload =
                format!(r#"{{"hook_event_name":"SessionStart","transcript_path":"{path}"}}"#);
            assert_eq!(seen(&payload), (agent, "session.start"));
        }
    }
}
