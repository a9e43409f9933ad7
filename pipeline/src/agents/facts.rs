//! What a payload says, found by its agent's names for it.

use std::borrow::Cow;
use std::fmt;

use hookring_journal::model::{EventType, Operation};

use super::{Agent, tools};
use crate::document::{Kind, NodeId, Value};

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
    AgentType Task TaskId ParentTaskId Status ToolsUsed FilesModified
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
    /// A field that belongs to such an event is not there.
    Missing(Field),
    /// The payload is not an object.
    NotAnObject,
    /// Nobody knows this event yet.
    UnknownEvent,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::WrongType(field) => write!(f, "{} is not of its type", field.name()),
            Warning::Missing(field) => write!(f, "{} is missing", field.name()),
            Warning::NotAnObject => f.write_str("the payload is not an object"),
            Warning::UnknownEvent => f.write_str("the event is not known"),
        }
    }
}

impl Field {
    /// As messages have it, in the words of an event's members.
    fn name(self) -> &'static str {
        match self {
            Field::Session => "session_id",
            Field::Directory => "working_directory",
            Field::ToolName => "tool_name",
            Field::ToolInput => "tool_parameters",
            Field::Duration => "duration_ms",
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
            success: None,
            warnings: Vec::new(),
        }
    }

    /// Takes what the members of an object say that is not known yet; the first of several names for
    /// the same counts.
    pub(super) fn take(&mut self, object: Value<'a>, names: &[(&str, Field)]) {
        let mut ranks = [usize::MAX; FIELDS];
        for (key, value) in object.members() {
            let Some(at) = names.iter().position(|(name, _)| key.is_text(name)) else { continue };
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
        if self.operation.is_none() {
            self.operation = self.tool_name.as_deref().map(tools::operation);
        }
        if self.is_tool() && self.tool_name.is_none() {
            let there = self.get(Field::ToolName).is_some();
            let warning = if there { Warning::WrongType } else { Warning::Missing };
            self.warnings.push(warning(Field::ToolName));
        }
        for field in [Field::Session, Field::Directory] {
            if self.get(field).is_some_and(|value| !is_empty(value)) && self.text(field).is_none() {
                self.warnings.push(Warning::WrongType(field));
            }
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

/// An empty string or list.
fn is_empty(value: Value<'_>) -> bool {
    value.is_text("") || value.kind() == Kind::Array && value.elements().next().is_none()
}
