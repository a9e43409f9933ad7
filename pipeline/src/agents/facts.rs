//! What a payload says, found by its agent's names for it.

use std::borrow::Cow;
use std::fmt;

use hookring_journal::model::{EventType, Operation};

use super::{Agent, tools};
use crate::document::{Kind, Mended, NodeId, Value};

/// The longest text that is taken over from a payload into an event's own fields, in bytes; what is
/// longer stays in the payload only.
const MAX_FIELD_BYTES: usize = 4096;

/// Makes [`Field`] and the number of its members.
macro_rules! fields {
    ($($field:ident)*) => {
        /// Something that agents say under different names.
        #[allow(missing_docs, reason = "the names are those of the event's fields")]
        #[derive(Copy, Clone, PartialEq, Eq, Debug)]
        pub enum Field {
            $($field),*
        }

        const FIELDS: usize = [$(Field::$field),*].len();
    };
}

fields! {
    Event Session Directory Version PromptId AgentId UserId Correlation Model PermissionMode
    ToolName ToolUseId ToolInput ToolOutput Error Duration ExitCode Success Interrupted
    AgentType Task TaskId ParentTaskId Status FilesModified
    Prompt Answer Message NotificationType Reason
    FilePath Command Url
}

/// What is known of one event.
pub struct Facts<'a> {
    pub(crate) agent: &'static Agent,
    /// The agent's own name of the event.
    pub(crate) event: Option<Cow<'a, str>>,
    pub(crate) kind: Option<EventType>,
    fields: [Option<Value<'a>>; FIELDS],
    /// Set where no member of the payload says it.
    pub(crate) tool_name: Option<Cow<'a, str>>,
    pub(crate) operation: Option<Operation>,
    /// The tool is one of an MCP server.
    pub(crate) is_of_a_server: bool,
    /// The call failed, or did not, whatever the event's name says.
    pub(crate) success: Option<bool>,
    /// What was not as it should be.
    pub(crate) warnings: Vec<Warning>,
}

/// A payload that is not as its agent's should be; the event is made as well as it can be.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    /// A field is not of the kind that it should be.
    WrongType(Field),
    /// A field is too long to be a member of the event; it is in the payload only.
    TooLong(Field),
    /// A field that belongs to such an event is not there.
    Missing(Field),
    /// The payload is not an object.
    NotAnObject,
    /// What the event is about is not in an object of the payload, where it should be.
    Inside,
    /// Nobody knows this event yet.
    UnknownEvent,
    /// The payload was no JSON until this was done to it.
    Mended(Mended),
    /// The same of a tool's input that is JSON in a string.
    MendedInput(Mended),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::WrongType(field) => write!(f, "{} is not of its type", field.name()),
            Warning::TooLong(field) => write!(
                f,
                "{} has more than {MAX_FIELD_BYTES} bytes and is in the payload only",
                field.name()
            ),
            Warning::Missing(field) => write!(f, "{} is missing", field.name()),
            Warning::NotAnObject => f.write_str("the payload is not an object"),
            Warning::Inside => f.write_str("what the event is about is not an object"),
            Warning::UnknownEvent => f.write_str("the event is not known"),
            Warning::Mended(mended) => write!(f, "the payload was mended: {mended}"),
            Warning::MendedInput(mended) => write!(f, "tool_parameters was mended: {mended}"),
        }
    }
}

impl Field {
    /// As messages have it, in the words of an event's members.
    fn name(self) -> &'static str {
        match self {
            Field::Event => "event",
            Field::Session => "session_id",
            Field::Directory => "working_directory",
            Field::PromptId => "prompt_id",
            Field::AgentId => "agent_id",
            Field::UserId => "user_id",
            Field::PermissionMode => "permission_mode",
            Field::ToolName => "tool_name",
            Field::ToolUseId => "tool_use_id",
            Field::ToolInput => "tool_parameters",
            Field::FilePath => "file_path",
            Field::Duration => "duration_ms",
            Field::ExitCode => "exit_code",
            Field::Success => "success",
            Field::AgentType => "agent_type",
            Field::Task => "task_description",
            Field::Status => "status",
            Field::TaskId => "task_id",
            Field::ParentTaskId => "parent_task_id",
            Field::Version => "source.version",
            Field::Model => "source.model",
            _ => "a field",
        }
    }
}

/// Reads a payload with its agent's names. `event` is what the command line said.
pub(crate) fn read<'a>(
    agent: &'static Agent,
    root: Value<'a>,
    event: Option<&'a str>,
) -> Facts<'a> {
    let mut facts = Facts::without_payload(agent, None);
    if root.kind() == Kind::Object {
        agent.fields.iter().for_each(|names| facts.take(root, names));
    } else {
        facts.warnings.push(Warning::NotAnObject);
    }
    facts.event = event.map(Cow::Borrowed).or_else(|| facts.text(Field::Event));
    facts.kind = facts.event.as_deref().and_then(|event| agent.event_type(event));
    (agent.refine)(root, &mut facts);
    facts.settle();
    facts
}

impl<'a> Facts<'a> {
    /// What is known of an event that has no payload, or none that can be read.
    pub(crate) fn without_payload(agent: &'static Agent, event: Option<&'a str>) -> Facts<'a> {
        Facts {
            agent,
            event: event.map(Cow::Borrowed),
            kind: event.and_then(|event| agent.event_type(event)),
            fields: [None; FIELDS],
            tool_name: None,
            operation: None,
            is_of_a_server: false,
            success: None,
            warnings: Vec::new(),
        }
    }

    /// Takes what the members of an object say that is not known yet; the first of several names for
    /// the same counts.
    pub(super) fn take(&mut self, object: Value<'a>, names: &[(&str, Field)]) {
        let mut ranks = [usize::MAX; FIELDS];
        for (key, value) in object.members() {
            let Some(key) = key.as_str() else { continue };
            let Some(at) = names.iter().position(|(name, _)| **name == *key) else { continue };
            let field = names[at].1 as usize;
            // What says nothing gives way to another name.
            let rank = if is_empty(value) { at + names.len() } else { at };
            let is_ours = ranks[field] != usize::MAX || self.fields[field].is_none_or(is_empty);
            // Of members of one name the last counts, as in most parsers.
            if is_ours && rank <= ranks[field] && value.kind() != Kind::Null {
                (self.fields[field], ranks[field]) = (Some(value), rank);
            }
        }
    }

    /// The value of a field.
    pub fn get(&self, field: Field) -> Option<Value<'a>> {
        self.fields[field as usize]
    }

    /// Whether a value is one of the fields.
    pub(crate) fn knows(&self, id: NodeId) -> bool {
        self.fields.iter().flatten().any(|value| value.id() == id)
    }

    pub(super) fn set(&mut self, field: Field, value: Option<Value<'a>>) {
        if value.is_some() {
            self.fields[field as usize] = value;
        }
    }

    /// A field's text; of an array, its first element's. Numbers are texts, too. Not if it is empty or
    /// longer than `MAX_FIELD_BYTES`.
    pub fn text(&self, field: Field) -> Option<Cow<'a, str>> {
        let value = self.get(field)?;
        let value = value.elements().next().unwrap_or(value);
        let text = match value.kind() {
            Kind::Number => value.as_number()?.into(),
            _ => value.as_str()?,
        };
        (!text.is_empty() && text.len() <= MAX_FIELD_BYTES).then_some(text)
    }

    /// How long the agent says that it took, in ms.
    pub(crate) fn duration_ms(&self) -> Option<u64> {
        self.get(Field::Duration).and_then(duration_ms)
    }

    /// Whether a field is this text.
    pub(super) fn is(&self, field: Field, text: &str) -> bool {
        self.get(field).is_some_and(|value| value.is_text(text))
    }

    /// Names the tool and what it does where no member says it, and looks at what must be there.
    fn settle(&mut self) {
        if self.event.is_some() && self.kind.is_none() {
            self.warnings.push(Warning::UnknownEvent);
        }
        if self.tool_name.is_none() {
            self.tool_name = self.text(Field::ToolName);
        }
        let name = self.tool_name.as_deref();
        let of_a_server =
            name.and_then(tools::of_a_server).or(name.filter(|_| self.is_of_a_server));
        self.is_of_a_server |= of_a_server.is_some();
        if self.operation.is_none() {
            let of_a_server = of_a_server.map(tools::servers_operation);
            self.operation = of_a_server.or_else(|| name.map(tools::operation));
        }
        self.look_at_types();
        self.look_for_what_is_missing();
    }

    fn look_at_types(&mut self) {
        let is_wrong = |(field, fits): &(Field, Fits)| {
            let value = self.get(*field).filter(|value| !is_empty(*value))?;
            // What a task is may well take more words than an event has for it.
            let is_too_long = is_text(value) && *field != Field::Task && is_long(value);
            let wrong = (!fits(value)).then_some(Warning::WrongType(*field));
            wrong.or(is_too_long.then_some(Warning::TooLong(*field)))
        };
        let wrong: Vec<_> = TYPES.iter().filter_map(is_wrong).collect();
        self.warnings.extend(wrong);
    }

    fn look_for_what_is_missing(&mut self) {
        let is_about_a_tool = self.is_tool() && self.kind != Some(EventType::PermissionRequest);
        if is_about_a_tool && self.tool_name.is_none() && self.get(Field::ToolName).is_none() {
            self.warnings.push(Warning::Missing(Field::ToolName));
        }
        let what = [Field::ToolInput, Field::Command, Field::FilePath, Field::Url];
        let says_nothing = what.iter().all(|field| self.get(*field).is_none());
        if self.kind == Some(EventType::ToolPre) && says_nothing {
            self.warnings.push(Warning::Missing(Field::ToolInput));
        }
        let is_known = !self.agent.events.is_empty() && !self.agent.name.is_empty();
        if is_known
            && self.kind.is_none()
            && self.get(Field::Event).is_none()
            && self.event.is_none()
        {
            self.warnings.push(Warning::Missing(Field::Event));
        }
    }

    /// The event is about one use of a tool.
    pub(crate) fn is_tool(&self) -> bool {
        matches!(
            self.kind,
            Some(
                EventType::ToolPre
                    | EventType::ToolPost
                    | EventType::ToolFail
                    | EventType::PermissionRequest
                    | EventType::PermissionDenied
            )
        )
    }
}

/// Whether a value is of the type that its field should have.
type Fits = fn(Value<'_>) -> bool;

/// What fields must be to become an event's members.
const TYPES: &[(Field, Fits)] = &[
    (Field::Event, is_string),
    (Field::Session, is_string),
    (Field::Directory, is_string),
    (Field::Version, is_text),
    (Field::PromptId, is_text),
    (Field::AgentId, is_text),
    (Field::UserId, is_text),
    (Field::Model, is_string),
    (Field::PermissionMode, is_string),
    (Field::ToolName, is_string),
    (Field::ToolUseId, is_string),
    (Field::FilePath, is_string),
    (Field::AgentType, is_text),
    (Field::Task, is_text),
    (Field::TaskId, is_text),
    (Field::ParentTaskId, is_text),
    (Field::Status, is_text),
    (Field::ToolInput, is_input),
    (Field::Duration, |value| duration_ms(value).is_some()),
    (Field::ExitCode, |value| value.as_i64().is_some()),
    (Field::Success, |value| value.as_bool().is_some()),
];

/// Some agents have numbers for ids.
fn is_text(value: Value<'_>) -> bool {
    is_string(value) || first(value).kind() == Kind::Number
}

fn is_string(value: Value<'_>) -> bool {
    matches!(first(value).kind(), Kind::String | Kind::EscapedString)
}

/// Of a list, the first counts: a workspace's folders.
fn first(value: Value<'_>) -> Value<'_> {
    value.elements().next().unwrap_or(value)
}

fn is_long(value: Value<'_>) -> bool {
    let value = first(value);
    // (Quotes are no part of it.)
    value.original_bytes() > MAX_FIELD_BYTES
        && value.as_str().is_none_or(|text| text.len() > MAX_FIELD_BYTES)
}

/// What most readers of JSON take for a whole number.
const MAX_DURATION_MS: f64 = 9_007_199_254_740_991.0;

fn duration_ms(value: Value<'_>) -> Option<u64> {
    let ms = value.as_f64().filter(|ms| (0.0..=MAX_DURATION_MS).contains(ms))?;
    Some(ms.round() as u64)
}

fn is_input(value: Value<'_>) -> bool {
    match value.kind() {
        // Cursor's edits are a list.
        Kind::Object | Kind::Array => true,
        // JSON in a string, or a patch.
        _ => value.as_str().is_some_and(|text| text.trim_start().starts_with(['{', '*'])),
    }
}

/// An empty string or list.
fn is_empty(value: Value<'_>) -> bool {
    value.is_text("") || value.kind() == Kind::Array && value.elements().next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::testing::read_as;

    fn warnings(payload: &str) -> Vec<String> {
        read_as(Some("claude-code"), payload, |facts| {
            facts.warnings.iter().map(Warning::to_string).collect()
        })
    }

    #[test]
    fn what_is_not_of_its_type_is_said_and_what_is_none_is_not() {
        let call = |members: &str| {
            let begin = r#"{"hook_event_name":"PreToolUse","tool_name":"T","tool_input":{},"#;
            warnings(&format!("{begin}{members}}}"))
        };
        assert_eq!(call(r#""session_id":"s","duration_ms":1.5,"prompt_id":7"#), [""; 0]);
        assert_eq!(call(r#""session_id":"a\\b\u00e4","cwd":"C:\\d""#), [""; 0], "escapes are text");
        assert_eq!(call(r#""session_id":null,"agent_id":"","cwd":[]"#), [""; 0]);
        assert_eq!(call(r#""session_id":{}"#), ["session_id is not of its type"]);
        assert_eq!(call(r#""cwd":[{}]"#), ["working_directory is not of its type"]);
        assert_eq!(call(r#""duration_ms":-1"#), ["duration_ms is not of its type"]);
        assert_eq!(call(r#""duration_ms":"1""#), ["duration_ms is not of its type"]);
        let long = "s".repeat(MAX_FIELD_BYTES + 1);
        let told = ["session_id has more than 4096 bytes and is in the payload only"];
        assert_eq!(call(&format!(r#""session_id":"{long}""#)), told);
        assert_eq!(call(&format!(r#""session_id":"{}""#, &long[1..])), [""; 0]);
        assert_eq!(call(&format!(r#""task_description":"{long}""#)), [""; 0]);
        for (member, name) in [
            ("session_id", "session_id"),
            ("cwd", "working_directory"),
            ("tool_use_id", "tool_use_id"),
        ] {
            assert_eq!(call(&format!(r#""{member}":5"#)), [format!("{name} is not of its type")]);
        }
        for number in ["1e400", "18446744073709551616", "9007199254740992"] {
            let told = ["duration_ms is not of its type"];
            assert_eq!(call(&format!(r#""duration_ms":{number}"#)), told);
        }
        let names = r#"{"hook_event_name":5,"tool_name":6}"#;
        let told =
            ["the event is not known", "event is not of its type", "tool_name is not of its type"];
        assert_eq!(warnings(names), told);
    }

    #[test]
    fn inputs_are_objects_or_hold_one() {
        for (input, is_right) in [
            ("{}", true),
            (r#""{\"command\":\"ls\"}""#, true),
            (r#""*** Begin Patch""#, true),
            (r#""ls""#, false),
            ("7", false),
        ] {
            let payload = format!(
                r#"{{"hook_event_name":"PreToolUse","tool_name":"T","tool_input":{input}}}"#
            );
            assert_eq!(warnings(&payload).is_empty(), is_right, "{payload}");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(warnings("[]"), ["the payload is not an object", "event is missing"]);
        assert_eq!(warnings(r#"{"session_id":"s"}"#), ["event is missing"]);
        assert_eq!(warnings(r#"{"hook_event_name":"Later"}"#), ["the event is not known"]);
        let nothing = r#"{"hook_event_name":"PreToolUse"}"#;
        assert_eq!(warnings(nothing), ["tool_name is missing", "tool_parameters is missing"]);
        assert_eq!(warnings(r#"{"hook_event_name":"PermissionRequest"}"#), [""; 0]);
    }
}
