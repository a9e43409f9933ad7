//! What of a journal's line is needed: read in one go, borrowed from the line, and no further than it has to be.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use hookring_journal::{Line, Seq};
use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Text that is borrowed from the line where no escape stands in the way.
#[derive(Clone, Default, Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// One event. `docs/events.md` says what the members are.
#[derive(Default, Debug)]
pub(super) struct Event<'a> {
    pub(super) seq: Seq,
    /// Nanoseconds since 1970; 0 for what was before.
    pub(super) time_ns: u64,
    pub(super) id: Text<'a>,
    pub(super) event_type: Text<'a>,
    pub(super) namespace: Text<'a>,
    pub(super) host: Text<'a>,
    pub(super) event: Option<Text<'a>>,
    pub(super) source: Source<'a>,
    pub(super) elapsed_us: Option<u64>,
    pub(super) is_truncated: bool,
    pub(super) session_id: Option<Text<'a>>,
    pub(super) prompt_id: Option<Text<'a>>,
    pub(super) agent_id: Option<Text<'a>>,
    pub(super) user_id: Option<Text<'a>>,
    pub(super) correlation_id: Option<Text<'a>>,
    pub(super) working_directory: Option<Text<'a>>,
    pub(super) permission_mode: Option<Text<'a>>,
    pub(super) tool_name: Option<Text<'a>>,
    pub(super) tool_use_id: Option<Text<'a>>,
    pub(super) operation_type: Option<Text<'a>>,
    pub(super) duration_ms: Option<u64>,
    pub(super) exit_code: Option<i64>,
    pub(super) success: Option<bool>,
    pub(super) output_size: Option<u64>,
    pub(super) error_message: Option<Text<'a>>,
    pub(super) agent_type: Option<Text<'a>>,
    pub(super) status: Option<Text<'a>>,
    pub(super) task_id: Option<Text<'a>>,
    pub(super) parent_task_id: Option<Text<'a>>,
    pub(super) classification: Option<Text<'a>>,
    pub(super) duplicate_of: Option<Text<'a>>,
    pub(super) security_risk: Option<Text<'a>>,
    pub(super) risk: Vec<Finding<'a>>,
    /// How many secrets were taken out.
    pub(super) redactions: u64,
    pub(super) cut_bytes: Option<u64>,
    /// What people and tools said. `None` unless it is wanted.
    pub(super) content: Option<Content<'a>>,
    /// Of the daemon's own events.
    pub(super) own: Option<&'a RawValue>,
}

/// Who says it.
#[derive(Default, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    pub(super) agent: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) version: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
}

/// A rule that something broke.
#[derive(Debug, Deserialize)]
pub(super) struct Finding<'a> {
    #[serde(borrow)]
    pub(super) rule: Text<'a>,
    #[serde(borrow, default)]
    pub(super) evidence: Option<Text<'a>>,
}

/// What goes to another's machine only if that is asked for.
#[derive(Default, Debug)]
pub(super) struct Content<'a> {
    pub(super) file_path: Option<Text<'a>>,
    pub(super) command: Option<Text<'a>>,
    pub(super) tool_parameters: Option<&'a RawValue>,
    pub(super) task_description: Option<Text<'a>>,
    pub(super) payload: Option<&'a RawValue>,
    pub(super) payload_text: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Process {
    #[serde(default)]
    elapsed_us: u64,
}

/// The members that something is made of; those that can be long come last in a line.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Id,
    Timestamp,
    EventType,
    Namespace,
    Event,
    Source,
    Host,
    Process,
    Truncated,
    SessionId,
    PromptId,
    AgentId,
    UserId,
    CorrelationId,
    WorkingDirectory,
    PermissionMode,
    ToolName,
    ToolUseId,
    OperationType,
    FilePath,
    Command,
    ToolParameters,
    DurationMs,
    ExitCode,
    Success,
    OutputSize,
    ErrorMessage,
    AgentType,
    TaskDescription,
    Status,
    TaskId,
    ParentTaskId,
    Classification,
    DuplicateOf,
    SecurityRisk,
    Risk,
    Redactions,
    CutBytes,
    Payload,
    PayloadText,
    PayloadBase64,
    #[serde(other)]
    Other,
}

/// A line that is no event, which only damage can bring about.
#[derive(Debug, thiserror::Error)]
#[error("cannot read event {seq}")]
pub(super) struct UnreadableError {
    seq: Seq,
    source: serde_json::Error,
}

impl<'a> Event<'a> {
    /// Reads a line. `has_content`: with what people and tools said; without it the payload is not even looked at.
    ///
    /// # Errors
    ///
    /// If it is no event.
    pub(super) fn read(line: &Line<'a>, has_content: bool) -> Result<Event<'a>, UnreadableError> {
        let mut event = Event { seq: line.seq, ..Event::default() };
        event.content = has_content.then(Content::default);
        let mut is_whole = false;
        let reader = Reader { event: &mut event, is_whole: &mut is_whole };
        let read = match has_content.then(|| std::str::from_utf8(line.bytes)) {
            // All of it is looked at: faster at once than text by text.
            Some(Ok(line)) => serde_json::Deserializer::from_str(line).deserialize_map(reader),
            _ => serde_json::Deserializer::from_slice(line.bytes).deserialize_map(reader),
        };
        match read {
            Err(source) if !is_whole => Err(UnreadableError { seq: line.seq, source }),
            _ => Ok(event),
        }
    }

    /// What one call of a tool has in all its events.
    pub(super) fn call(&self) -> Option<&str> {
        self.tool_use_id.as_deref().or(self.correlation_id.as_deref())
    }

    /// It may begin something that stays open.
    pub(super) fn is_beginning(&self) -> bool {
        matches!(&*self.event_type, "prompt.submit" | "tool.pre" | "agent.start")
    }

    /// Who works, if it is known.
    pub(super) fn agent(&self) -> Option<&str> {
        self.source.agent.as_deref()
    }
}

struct Reader<'r, 'a> {
    event: &'r mut Event<'a>,
    /// All that is wanted was read, though not all of the line.
    is_whole: &'r mut bool,
}

impl<'a> Visitor<'a> for Reader<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        let Reader { event, is_whole } = self;
        while let Some(name) = members.next_key()? {
            match name {
                Member::Payload | Member::PayloadText | Member::PayloadBase64
                    if event.content.is_none() && &*event.namespace != "system" =>
                {
                    *is_whole = !event.id.is_empty();
                    return Err(A::Error::custom("what follows is not looked at"));
                }
                name => event.take(name, &mut members)?,
            }
        }
        if event.id.is_empty() { Err(A::Error::missing_field("id")) } else { Ok(()) }
    }
}

impl<'a> Event<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: Member, members: &mut A) -> Result<(), A::Error> {
        match name {
            Member::Id => self.id = members.next_value()?,
            Member::Timestamp => self.time_ns = time_ns(&members.next_value::<Text<'a>>()?),
            Member::EventType => self.event_type = members.next_value()?,
            Member::Namespace => self.namespace = members.next_value()?,
            Member::Event => self.event = members.next_value()?,
            Member::Source => self.source = members.next_value()?,
            Member::Host => self.host = members.next_value()?,
            Member::Process => self.elapsed_us = Some(members.next_value::<Process>()?.elapsed_us),
            Member::Truncated => self.is_truncated = members.next_value()?,
            Member::SessionId => self.session_id = members.next_value()?,
            Member::PromptId => self.prompt_id = members.next_value()?,
            Member::AgentId => self.agent_id = members.next_value()?,
            Member::UserId => self.user_id = members.next_value()?,
            Member::CorrelationId => self.correlation_id = members.next_value()?,
            Member::WorkingDirectory => self.working_directory = members.next_value()?,
            Member::PermissionMode => self.permission_mode = members.next_value()?,
            Member::ToolName => self.tool_name = members.next_value()?,
            Member::ToolUseId => self.tool_use_id = members.next_value()?,
            Member::OperationType => self.operation_type = members.next_value()?,
            Member::DurationMs => self.duration_ms = members.next_value()?,
            Member::ExitCode => self.exit_code = members.next_value()?,
            Member::Success => self.success = members.next_value()?,
            Member::OutputSize => self.output_size = members.next_value()?,
            Member::ErrorMessage => self.error_message = members.next_value()?,
            Member::AgentType => self.agent_type = members.next_value()?,
            Member::Status => self.status = members.next_value()?,
            Member::TaskId => self.task_id = members.next_value()?,
            Member::ParentTaskId => self.parent_task_id = members.next_value()?,
            Member::Classification => self.classification = members.next_value()?,
            Member::DuplicateOf => self.duplicate_of = members.next_value()?,
            Member::SecurityRisk => self.security_risk = members.next_value()?,
            Member::Risk => self.risk = members.next_value()?,
            Member::Redactions => self.redactions = members.next_value::<Counts>()?.0,
            Member::CutBytes => self.cut_bytes = members.next_value()?,
            other => return self.take_content(other, members),
        }
        Ok(())
    }

    fn take_content<A: MapAccess<'a>>(
        &mut self,
        name: Member,
        members: &mut A,
    ) -> Result<(), A::Error> {
        let is_own = &*self.namespace == "system";
        match (name, &mut self.content) {
            (Member::Payload, _) if is_own => self.own = Some(members.next_value()?),
            (Member::Payload, Some(it)) => it.payload = Some(members.next_value()?),
            (Member::PayloadText, Some(it)) => it.payload_text = members.next_value()?,
            (Member::FilePath, Some(it)) => it.file_path = members.next_value()?,
            (Member::Command, Some(it)) => it.command = members.next_value()?,
            (Member::ToolParameters, Some(it)) => it.tool_parameters = Some(members.next_value()?),
            (Member::TaskDescription, Some(it)) => it.task_description = members.next_value()?,
            _ => drop(members.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

/// Nanoseconds since 1970. What is no time, or was before, is 0, which OTLP has for "unknown".
fn time_ns(timestamp: &str) -> u64 {
    let ns = timestamp.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_nanosecond);
    u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
}

/// The sum of an object's numbers.
struct Counts(u64);

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Counts, D::Error> {
        struct Sum;

        impl<'de> Visitor<'de> for Sum {
            type Value = Counts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("counts by rule")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut rules: A) -> Result<Counts, A::Error> {
                let mut sum = 0_u64;
                while let Some((IgnoredAny, count)) = rules.next_entry::<IgnoredAny, u64>()? {
                    sum = sum.saturating_add(count);
                }
                Ok(Counts(sum))
            }
        }

        from.deserialize_map(Sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"crc":"00000000","seq":                   7,"from":"daemon","version":2,"id":"e7","timestamp":"2026-11-21T06:55:26.613242181Z","event_type":"tool.pre","namespace":"hook","source":{"agent":"a\u00e9","model":"m"},"host":"h","process":{"pid":1,"elapsed_us":10},"session_id":"s","tool_name":"Bash","tool_use_id":"t","command":"ls -l","risk":[{"rule":"r","level":"low","evidence":"e"}],"redactions":{"a":2,"b":3},"another":[1],"payload":{"x":"y"}}"#;

    fn line(text: &str) -> Line<'_> {
        Line { seq: 7, bytes: text.as_bytes() }
    }

    #[test]
    fn an_event_is_read_without_its_content() {
        let line = line(LINE);
        let event = Event::read(&line, false).expect("an event");
        assert_eq!((event.seq, event.time_ns), (7, 1_795_244_126_613_242_181));
        assert_eq!((&*event.id, &*event.event_type, &*event.host), ("e7", "tool.pre", "h"));
        assert_eq!((event.agent(), event.source.model.as_deref()), (Some("aé"), Some("m")));
        assert_eq!((event.call(), event.elapsed_us, event.redactions), (Some("t"), Some(10), 5));
        assert_eq!(&*event.risk[0].rule, "r");
        assert!(event.content.is_none() && event.own.is_none());
    }

    #[test]
    fn the_payload_is_not_looked_at_unless_it_is_wanted() {
        let broken = LINE.replace(r#"{"x":"y"}}"#, "{");
        assert!(Event::read(&line(&broken), false).is_ok());
        assert!(Event::read(&line(&broken), true).is_err());
    }

    #[test]
    fn content_is_read_if_it_is_wanted() {
        let line = line(LINE);
        let content = Event::read(&line, true).expect("an event").content.expect("its content");
        assert_eq!(content.command.as_deref(), Some("ls -l"));
        assert_eq!(content.payload.map(RawValue::get), Some(r#"{"x":"y"}"#));
    }

    #[test]
    fn what_the_daemon_says_is_no_content() {
        let own = LINE.replace(r#""hook""#, r#""system""#);
        let line = line(&own);
        let event = Event::read(&line, false).expect("an event");
        assert_eq!(event.own.map(RawValue::get), Some(r#"{"x":"y"}"#));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for text in ["", "{}", "[]", r#"{"payload":1}"#, r#"{"id":7}"#] {
            let error = Event::read(&line(text), false).expect_err(text);
            assert_eq!(error.to_string(), "cannot read event 7");
        }
    }

    #[test]
    fn times_that_are_none_are_0() {
        assert_eq!(time_ns("1969-12-31T23:59:59Z"), 0);
        assert_eq!(time_ns("yesterday"), 0);
        assert_eq!(time_ns("1970-01-01T00:00:00.000000001Z"), 1);
    }
}
