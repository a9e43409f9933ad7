//! Events as log records: one for each.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::framed::Request;
use super::{Encoding, Resources};
use crate::otlp::attributes::Attributes;
use crate::otlp::event::{Content, Event};
use crate::otlp::failures::error_type;
use crate::otlp::names;
use crate::otlp::origin::{Origin, Origins};
use crate::otlp::spans::{self, Context};

/// Room for the attributes that most events have.
const USUAL_ATTRIBUTES: usize = 24;

/// Writes the request with the records of these events into `out`. Returns how many texts were cut, and attributes
/// left out.
///
/// # Errors
///
/// As [`Encoding::write`].
pub(in crate::otlp) fn write(
    events: &[(Event<'_>, Context)],
    is_replay: bool,
    resources: &Resources,
    encoding: Encoding,
    out: &mut Vec<u8>,
) -> Result<u64, serde_json::Error> {
    let mut known = Origins::default();
    let mut origins: Vec<Arc<Origin>> = Vec::new();
    let group_of = events.iter().map(|(event, _)| {
        let origin = known.of(event);
        // The last one is the likeliest.
        let at = origins.iter().rposition(|it| Arc::ptr_eq(it, &origin) || *it == origin);
        at.unwrap_or_else(|| {
            origins.push(origin);
            origins.len() - 1
        })
    });
    let group_of: Vec<usize> = group_of.collect();
    let mut cut = 0;
    let mut request = Request::new(encoding, out);
    for (group, origin) in origins.iter().enumerate() {
        let of_group = events.iter().zip(&group_of).filter(|(_, at)| **at == group);
        let records =
            of_group.map(|((event, context), _)| record(event, *context, is_replay, &mut cut));
        request.add(resources.of(origin), records)?;
    }
    request.end();
    Ok(cut)
}

fn record(event: &Event<'_>, context: Context, is_replay: bool, cut: &mut u64) -> LogRecord {
    let own = Own::of(event);
    let (severity, severity_text) = severity(event, &own);
    let mut to = Attributes::with_capacity(USUAL_ATTRIBUTES);
    attributes(&mut to, event);
    if is_replay {
        to.truth(names::REPLAY, true);
    }
    *cut += to.cut + u64::from(to.dropped);
    LogRecord {
        time_unix_nano: event.time_ns,
        // The same whenever it is sent.
        observed_time_unix_nano: event.time_ns,
        severity_number: severity.into(),
        severity_text: severity_text.to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(body(event, &own))) }),
        attributes: to.list,
        dropped_attributes_count: to.dropped,
        trace_id: context.trace.map(|it| it.0.to_vec()).unwrap_or_default(),
        span_id: context.span.map(|it| it.0.to_vec()).unwrap_or_default(),
        event_name: event.event_type.to_string(),
        ..LogRecord::default()
    }
}

/// What of the daemon's own events tells how bad they are.
#[derive(Default, Deserialize)]
struct Own {
    #[serde(default)]
    cause: Option<String>,
    #[serde(default)]
    agent: Option<String>,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    sink: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    result: Option<String>,
}

impl Own {
    fn of(event: &Event<'_>) -> Own {
        let payload = event.own.map(RawValue::get);
        payload.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default()
    }
}

/// The table of `docs/sinks/otlp.md`.
fn severity(event: &Event<'_>, own: &Own) -> (SeverityNumber, &'static str) {
    let risk = event.security_risk.as_deref();
    let is_failed = matches!(&*event.event_type, "tool.fail" | "turn.fail");
    if is_failed || event.success == Some(false) || risk == Some("critical") {
        return (SeverityNumber::Error, "ERROR");
    }
    let is_own_trouble = &*event.event_type == "daemon.gap"
        || matches!(own.state.as_deref(), Some("retrying" | "off" | "silent" | "slow"))
        || &*event.event_type == "session.silent"
        || own.result.as_deref() == Some("refused");
    let is_told = event.classification.as_deref() == Some("error");
    let is_denied = &*event.event_type == "permission.denied";
    if is_own_trouble || is_told || is_denied || risk == Some("high") {
        return (SeverityNumber::Warn, "WARN");
    }
    let is_chatter = matches!(
        &*event.event_type,
        "message.display"
            | "message.response"
            | "message.thought"
            | "model.request"
            | "model.response"
            | "tool.select"
            | "tool.batch"
            | "git.other"
    );
    if is_chatter || event.duplicate_of.is_some() {
        return (SeverityNumber::Debug, "DEBUG");
    }
    (SeverityNumber::Info, "INFO")
}

/// What happened, in few words and without anything that people or tools said.
fn body(event: &Event<'_>, own: &Own) -> String {
    // The only state that a session is told to have.
    let silent = (&*event.event_type == "session.silent").then_some("silent");
    let words = [
        event.tool_name.as_deref(),
        event.agent_type.as_deref(),
        own.agent.as_deref(),
        own.session_id.as_deref(),
        own.cause.as_deref(),
        own.sink.as_deref(),
        own.state.as_deref().or(own.result.as_deref()).or(silent),
    ];
    let mut body = event.event_type.to_string();
    for word in words.into_iter().flatten() {
        body.push(' ');
        body.push_str(&word[..word.floor_char_boundary(MAX_WORD_BYTES)]);
    }
    body
}

/// A longer word in a body is cut, in bytes.
const MAX_WORD_BYTES: usize = 128;

fn attributes(to: &mut Attributes, event: &Event<'_>) {
    to.text(names::RECORD_UID, &event.id);
    to.count(names::SEQ, Some(event.seq));
    to.some(names::NAMESPACE, Some(&*event.namespace).filter(|it| !it.is_empty()));
    to.some(names::EVENT, event.event.as_deref());
    spans::session(to, event);
    to.some(names::PROMPT, event.prompt_id.as_deref());
    to.some(names::USER, event.user_id.as_deref());
    to.some(names::AGENT_NAME, event.agent());
    to.some(names::AGENT_ID, event.agent_id.as_deref());
    to.some(names::AGENT_TYPE, event.agent_type.as_deref());
    to.some(names::MODEL, event.source.model.as_deref());
    to.some(names::DIRECTORY, event.working_directory.as_deref());
    to.some(names::PERMISSION_MODE, event.permission_mode.as_deref());
    tool(to, event);
    to.some(names::STATUS, event.status.as_deref());
    to.some(names::CLASSIFICATION, event.classification.as_deref());
    to.some(names::TASK, event.task_id.as_deref());
    to.some(names::PARENT_TASK, event.parent_task_id.as_deref());
    to.some(names::DUPLICATE_OF, event.duplicate_of.as_deref());
    spans::risk(to, event);
    to.count(names::REDACTIONS, Some(event.redactions).filter(|it| *it > 0));
    to.count(names::CUT_BYTES, event.cut_bytes);
    if event.is_truncated {
        to.truth(names::TRUNCATED, true);
    }
    to.count(names::HOOK_US, event.elapsed_us);
    if let Some(payload) = event.own {
        own(to, payload, event.content.is_some());
    }
    if let Some(content) = &event.content {
        said(to, event, content);
    }
}

/// Of what the daemon says, `error` and `what` can have the words of others in them: of a server that repeats what it
/// was sent.
fn own(to: &mut Attributes, payload: &RawValue, has_content: bool) {
    if has_content {
        return to.content(names::PAYLOAD, payload.get());
    }
    let members: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_str(payload.get());
    if let Ok(mut members) = members {
        members.retain(|name, _| name != "error" && name != "what");
        to.content(names::PAYLOAD, &serde_json::Value::Object(members).to_string());
    }
}

fn tool(to: &mut Attributes, event: &Event<'_>) {
    let failed = match &*event.event_type {
        "tool.fail" => Some("tool_error"),
        "tool.post" if event.success == Some(false) => Some("tool_error"),
        "turn.fail" => Some("turn_error"),
        "permission.denied" => Some("denied"),
        _ => None,
    };
    if let Some(otherwise) = failed {
        to.text(names::ERROR_TYPE, &error_type(event, otherwise));
    }
    let Some(name) = event.tool_name.as_deref() else { return };
    to.text(names::TOOL_NAME, name);
    to.some(names::TOOL_CALL_ID, event.tool_use_id.as_deref());
    if event.tool_use_id.is_none() {
        to.some(names::CORRELATION, event.correlation_id.as_deref());
    }
    to.some(names::MCP_SERVER, spans::mcp(name).filter(|it| !it.is_empty()));
    to.some(names::OPERATION_TYPE, event.operation_type.as_deref());
    to.count(names::DURATION_MS, event.duration_ms);
    if let Some(code) = event.exit_code {
        to.number(names::EXIT_CODE, code);
    }
    if let Some(success) = event.success {
        to.truth(names::SUCCESS, success);
    }
    to.count(names::OUTPUT_SIZE, event.output_size);
}

fn said(to: &mut Attributes, event: &Event<'_>, content: &Content<'_>) {
    let texts = [
        (names::COMMAND, content.command.as_deref()),
        (names::FILE, content.file_path.as_deref()),
        (names::TOOL_ARGUMENTS, content.tool_parameters.map(RawValue::get)),
        (names::ERROR_MESSAGE, event.error_message.as_deref()),
        (names::TASK_DESCRIPTION, content.task_description.as_deref()),
        (names::PAYLOAD, content.payload.map(RawValue::get)),
        (names::PAYLOAD, content.payload_text.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            to.content(name, text);
        }
    }
}
