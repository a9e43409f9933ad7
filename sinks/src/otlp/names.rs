//! The names of attributes: those of OpenTelemetry's semantic conventions where there are any, else our own.
//!
//! Sources: the conventions for generative AI (agent spans, tool execution, MCP) in the repository
//! `open-telemetry/semantic-conventions-genai`, and the registries of `session`, `log`, `user`, `process`, `error`.

pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const INVOKE_AGENT: &str = "invoke_agent";
pub(super) const EXECUTE_TOOL: &str = "execute_tool";
pub(super) const AGENT_NAME: &str = "gen_ai.agent.name";
pub(super) const AGENT_ID: &str = "gen_ai.agent.id";
pub(super) const CONVERSATION: &str = "gen_ai.conversation.id";
pub(super) const MODEL: &str = "gen_ai.request.model";
pub(super) const TOOL_NAME: &str = "gen_ai.tool.name";
pub(super) const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
pub(super) const TOOL_TYPE: &str = "gen_ai.tool.type";
pub(super) const TOOL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
pub(super) const TOOL_RESULT: &str = "gen_ai.tool.call.result";
pub(super) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
pub(super) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
pub(super) const MCP_METHOD: &str = "mcp.method.name";
pub(super) const SESSION: &str = "session.id";
pub(super) const USER: &str = "user.id";
pub(super) const RECORD_UID: &str = "log.record.uid";
pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const EXIT_CODE: &str = "process.exit.code";
pub(super) const DIRECTORY: &str = "process.working_directory";
pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const SERVICE_VERSION: &str = "service.version";
pub(super) const SERVICE_INSTANCE: &str = "service.instance.id";
pub(super) const HOST_NAME: &str = "host.name";

pub(super) const UNFINISHED: &str = "hookring.unfinished";
pub(super) const REPAIRED: &str = "hookring.repaired";
pub(super) const REPLAY: &str = "hookring.replay";
pub(super) const SEQ: &str = "hookring.seq";
pub(super) const NAMESPACE: &str = "hookring.namespace";
pub(super) const EVENT: &str = "hookring.event";
pub(super) const OPERATION_TYPE: &str = "hookring.operation_type";
pub(super) const PERMISSION_MODE: &str = "hookring.permission_mode";
pub(super) const CORRELATION: &str = "hookring.correlation_id";
pub(super) const PROMPT: &str = "hookring.prompt_id";
pub(super) const DURATION_MS: &str = "hookring.duration_ms";
pub(super) const SUCCESS: &str = "hookring.success";
pub(super) const OUTPUT_SIZE: &str = "hookring.output_size";
pub(super) const AGENT_TYPE: &str = "hookring.agent_type";
pub(super) const STATUS: &str = "hookring.status";
pub(super) const TASK: &str = "hookring.task_id";
pub(super) const PARENT_TASK: &str = "hookring.parent_task_id";
pub(super) const CLASSIFICATION: &str = "hookring.classification";
pub(super) const DUPLICATE_OF: &str = "hookring.duplicate_of";
pub(super) const SECURITY_RISK: &str = "hookring.security_risk";
pub(super) const RISK_RULES: &str = "hookring.risk.rules";
pub(super) const RISK_EVIDENCE: &str = "hookring.risk.evidence";
pub(super) const REDACTIONS: &str = "hookring.redactions";
pub(super) const CUT_BYTES: &str = "hookring.cut_bytes";
pub(super) const TRUNCATED: &str = "hookring.truncated";
pub(super) const HOOK_US: &str = "hookring.hook.elapsed_us";
pub(super) const MCP_SERVER: &str = "hookring.mcp.server";
pub(super) const COMMAND: &str = "hookring.command";
pub(super) const FILE: &str = "hookring.file_path";
pub(super) const ERROR_MESSAGE: &str = "hookring.error_message";
pub(super) const TASK_DESCRIPTION: &str = "hookring.task_description";
pub(super) const PAYLOAD: &str = "hookring.payload";
