//! The members of an event's line, as whoever reads the journal finds them.
//!
//! This type is the documented shape of an event: the JSON Schema is made from it, filters read it,
//! and a test sees that what the pipeline writes is what stands here. `docs/events.md` has the rule for
//! how it may change.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{Level, Namespace, Operation};

/// Text that is borrowed from the line where no escape stands in the way.
type Text<'a> = Cow<'a, str>;

/// One event of a coding agent, or of hookring itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "hookring event"))]
#[serde(rename = "Event")]
pub struct Fields<'a> {
    /// CRC-32C of the rest of the line, eight hex digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub crc: Option<Text<'a>>,
    /// The event's number in this journal: it only rises, and none is given twice.
    pub seq: u64,
    /// Where it was before: a lane of a ring, an entry of a spool, or the daemon.
    pub from: Text<'a>,
    /// The version of this shape.
    pub version: u64,
    /// A UUID, made when the hook published it. It never changes: whoever gets an event twice knows it by this.
    pub id: Text<'a>,
    /// When it was published: RFC 3339 in UTC, with nanoseconds.
    pub timestamp: Text<'a>,
    /// When it was published, by the machine's own clock: nanoseconds since its start, suspend included.
    /// Missing where that clock was another (an earlier boot, another time namespace).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub monotonic_ns: Option<u64>,
    /// What happened, in words that are the same for all agents; the agent's own name where nobody
    /// knows it yet, `unknown` where there is no name.
    pub event_type: Text<'a>,
    /// What part of an agent's life it is about.
    pub namespace: Namespace,
    /// The agent's own name for the event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub event: Option<Text<'a>>,
    /// Who says it: the agent, with its version and its model.
    #[serde(skip_serializing_if = "Option::is_none", default, borrow)]
    pub source: Option<Source<'a>>,
    /// The machine's name.
    pub host: Text<'a>,
    /// The process that published it: the hook, not its agent; of the daemon's own events, the daemon.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub process: Option<Process>,
    /// Something was beyond a limit and is not there.
    #[serde(skip_serializing_if = "is_false", default)]
    pub truncated: bool,
    /// The agent's session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<Text<'a>>,
    /// The prompt, or turn, that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt_id: Option<Text<'a>>,
    /// The subagent that it is about; missing for the main one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_id: Option<Text<'a>>,
    /// Who works with the agent, where the agent says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_id: Option<Text<'a>>,
    /// The same in all events of one tool's call: the agent's id of the call, or, where it has none, the
    /// `id` of the event that began it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub correlation_id: Option<Text<'a>>,
    /// Where the agent works.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub working_directory: Option<Text<'a>>,
    /// The same where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub working_directory_base64: Option<Text<'a>>,
    /// What the agent may do without asking, in its own words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub permission_mode: Option<Text<'a>>,
    /// The tool, in the agent's words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tool_name: Option<Text<'a>>,
    /// The agent's id of this call.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tool_use_id: Option<Text<'a>>,
    /// What the tool does to the world.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub operation_type: Option<Operation>,
    /// The file that it is about, as the agent names it; of a patch, the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_path: Option<Text<'a>>,
    /// The command that it runs, as one would type it, without secrets, cut if it is long.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<Text<'a>>,
    /// What the tool was given, without secrets, long values cut.
    #[serde(skip_serializing_if = "Option::is_none", default, borrow)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Value>"))]
    pub tool_parameters: Option<&'a RawValue>,
    /// How long the call took, in milliseconds: as the agent says it, or from the event that began it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_ms: Option<u64>,
    /// The number with which a command ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit_code: Option<i64>,
    /// Whether the call did what it was to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub success: Option<bool>,
    /// How many bytes of JSON the tool's answer took.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output_size: Option<u64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_message: Option<Text<'a>>,
    /// What kind of subagent or teammate it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_type: Option<Text<'a>>,
    /// What a task or subagent is to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task_description: Option<Text<'a>>,
    /// How something ended, in the agent's words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<Text<'a>>,
    /// The agent's id of a task.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task_id: Option<Text<'a>>,
    /// The task that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent_task_id: Option<Text<'a>>,
    /// The tools that an agent used in a turn, or a subagent in its life.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tools_used: Option<Vec<Text<'a>>>,
    /// The files that it wrote with them, as it names them. Of a call: those that a patch wrote, if they are more
    /// than one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub files_modified: Option<Vec<Text<'a>>>,
    /// What a notification wants (`input_wanted`, `error`, `status`), or why something ended (`user`,
    /// `error`, `completion`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub classification: Option<Text<'a>>,
    /// The `id` of the event that told the same before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duplicate_of: Option<Text<'a>>,
    /// How much harm it can do: the highest level of `risk`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub security_risk: Option<Level>,
    /// The rules that say so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub risk: Option<Vec<Finding<'a>>>,
    /// How many secrets were taken out, by rule.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub redactions: Option<BTreeMap<Text<'a>, u64>>,
    /// How many bytes of long texts were cut from the payload.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cut_bytes: Option<u64>,
    /// What was not as the agent's payloads should be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub normalise_warnings: Option<Vec<Text<'a>>>,
    /// What the hook was given besides the payload.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub arguments: Option<Vec<Text<'a>>>,
    /// The same where one of them is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub arguments_base64: Option<Vec<Text<'a>>>,
    /// What the agent handed to the hook, without secrets, if it is JSON, `null` included.
    #[serde(skip_serializing_if = "Option::is_none", default, borrow, deserialize_with = "some")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Value>"))]
    pub payload: Option<&'a RawValue>,
    /// The same if it is text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payload_text: Option<Text<'a>>,
    /// The same if it is neither.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payload_base64: Option<Text<'a>>,
    /// Why it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parse_error: Option<Text<'a>>,
}

/// Who says something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source<'a> {
    /// The agent, as `--agent` has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<Text<'a>>,
    /// Its version, where it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<Text<'a>>,
    /// The model, where it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<Text<'a>>,
}

/// A publishing process.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Microseconds from its start to publication.
    pub elapsed_us: u32,
}

/// A rule that something broke.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding<'a> {
    /// The rule.
    pub rule: Text<'a>,
    /// How much harm that can do.
    pub level: Level,
    /// What it was found in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<Text<'a>>,
}

fn is_false(truth: &bool) -> bool {
    !truth
}

/// A member that is there, also if it is `null`, which would be no member otherwise.
fn some<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// The JSON Schema of an event's line, with the payloads of the daemon's own events.
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    use crate::model::EventType;
    use crate::system::{
        AgentSilent, DaemonGap, DaemonReload, DaemonStart, DaemonStop, HooksSlow, SessionSilent,
        SinkChange,
    };

    let mut generator = schemars::SchemaGenerator::default();
    let own = [
        (EventType::DaemonStart, generator.subschema_for::<DaemonStart>()),
        (EventType::DaemonStop, generator.subschema_for::<DaemonStop>()),
        (EventType::DaemonReload, generator.subschema_for::<DaemonReload>()),
        (EventType::DaemonGap, generator.subschema_for::<DaemonGap>()),
        (EventType::SinkState, generator.subschema_for::<SinkChange>()),
        (EventType::SessionSilent, generator.subschema_for::<SessionSilent>()),
        (EventType::HooksSlow, generator.subschema_for::<HooksSlow>()),
        (EventType::AgentSilent, generator.subschema_for::<AgentSilent>()),
    ];
    let mut schema: serde_json::Value = generator.into_root_schema_for::<Fields<'_>>().into();
    let payloads = own.map(|(kind, payload)| {
        let is_it = serde_json::json!({
            "properties": {
                "event_type": {"const": kind.name()},
                "namespace": {"const": kind.namespace().name()},
            },
        });
        let then = serde_json::json!({"properties": {"payload": payload}, "required": ["payload"]});
        serde_json::json!({"if": is_it, "then": then})
    });
    schema["allOf"] = payloads.into();
    crate::schema::fit(&mut schema);
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_null_is_one() {
        let begin = r#"{"seq":1,"from":"daemon","version":2,"id":"i","timestamp":"t","event_type":"e","namespace":"hook","host":"h""#;
        for (end, payload) in [(r#","payload":null}"#, Some("null")), ("}", None)] {
            let line = format!("{begin}{end}");
            let fields: Fields<'_> = serde_json::from_str(&line).unwrap();
            assert_eq!(fields.payload.map(RawValue::get), payload);
            assert_eq!(serde_json::to_string(&fields).unwrap(), line);
        }
    }
}
