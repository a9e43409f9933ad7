//! Tells by its shape whose payload it is.

use std::borrow::Cow;

use super::{AGENTS, Agent};
use crate::document::Value;

/// What adapters look at to recognise their own.
pub(crate) struct Top<'a> {
    root: Value<'a>,
    /// The event's name, in whichever member it was found.
    event: Option<Cow<'a, str>>,
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
        Top { root, event, transcript: text("transcript_path").or_else(|| text("transcriptPath")) }
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
