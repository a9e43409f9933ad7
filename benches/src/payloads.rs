//! Payloads as agents send them, at the sizes that benches ask for, and such as nobody would send.

const SESSION: &str = include_str!("../../daemon/demo/session.jsonl");
/// Text as it stands in files: a program's, with quotes and line breaks.
const TEXT: &str = include_str!("args.rs");
/// The payloads that are used: near 1.5 KB.
const PAYLOAD_BYTES: std::ops::RangeInclusive<usize> = 1200..=1800;

/// Payloads of a recorded session, and how long they are on average.
pub fn payloads() -> (Vec<&'static [u8]>, usize) {
    let lines = SESSION.lines().map(str::as_bytes);
    let payloads: Vec<_> = lines.filter(|line| PAYLOAD_BYTES.contains(&line.len())).collect();
    let mean = payloads.iter().map(|payload| payload.len()).sum::<usize>() / payloads.len();
    (payloads, mean)
}

/// A payload of each agent, in which `{text}` stands for what a file holds, or a tool answers.
const AGENTS: &[(&str, &str)] = &[
    (
        "claude-code",
        r#"{"session_id":"0b0f5a3e-4f6e-4d0e-9c55-3f4f6f1f9a11","transcript_path":"/home/ada/.claude/projects/-home-ada-app/0b0f5a3e-4f6e-4d0e-9c55-3f4f6f1f9a11.jsonl","cwd":"/home/ada/app","permission_mode":"default","hook_event_name":"PostToolUse","tool_name":"Read","tool_use_id":"toolu_019A2Coi45fmnY87tPSrR9oM","tool_input":{"file_path":"/home/ada/app/src/args.rs"},"tool_response":{"type":"text","file":{"filePath":"/home/ada/app/src/args.rs","content":"{text}","numLines":40,"startLine":1,"totalLines":65}}}"#,
    ),
    (
        "codex",
        r#"{"session_id":"01997c5e-2a1b-7c3d-8e4f-5a6b7c8d9e0f","turn_id":"3","transcript_path":"/home/ada/.codex/sessions/2026/10/01/rollout.jsonl","cwd":"/home/ada/app","hook_event_name":"PostToolUse","model":"gpt-5","permission_mode":"default","tool_name":"Bash","tool_use_id":"call_9f1","tool_input":{"command":"cat src/args.rs"},"tool_response":"{text}"}"#,
    ),
    (
        "gemini-cli",
        r#"{"session_id":"6f1c","transcript_path":"/home/ada/.gemini/tmp/chat.json","cwd":"/home/ada/app","hook_event_name":"AfterTool","timestamp":"2026-10-01T10:00:00Z","tool_name":"run_shell_command","tool_input":{"command":"cargo test --workspace 2>&1 | tail -40"},"tool_response":{"llmContent":"{text}","returnDisplay":"done","error":null}}"#,
    ),
    (
        "cursor",
        r#"{"conversation_id":"c1f0","generation_id":"g7","model":"auto","hook_event_name":"afterShellExecution","cursor_version":"2.1.0","workspace_roots":["/home/ada/app"],"user_email":"ada@host.test","command":"git log --oneline | head","output":"{text}","duration":120}"#,
    ),
    (
        "copilot",
        r#"{"sessionId":"5c1","timestamp":1760000000000,"cwd":"/home/ada/app","toolName":"bash","toolArgs":"{\"command\":\"npm run build\",\"description\":\"Build it\"}","toolResult":{"resultType":"success","textResultForLlm":"{text}"}}"#,
    ),
    (
        "windsurf",
        r#"{"agent_action_name":"post_run_command","trajectory_id":"t1","execution_id":"e4","timestamp":"2026-10-01T10:00:00Z","tool_info":{"command_line":"make all","cwd":"/home/ada/app","output":"{text}"}}"#,
    ),
    (
        "cline",
        r#"{"clineVersion":"3.36.0","hookName":"PostToolUse","timestamp":"1760000000000","taskId":"1760000000001","workspaceRoots":["/home/ada/app"],"userId":"u1","postToolUse":{"toolName":"read_file","parameters":{"path":"src/args.rs"},"result":"{text}","success":true,"executionTimeMs":14}}"#,
    ),
    (
        "droid",
        r#"{"session_id":"d1","transcript_path":"/home/ada/.factory/projects/d1.jsonl","cwd":"/home/ada/app","permission_mode":"off","hook_event_name":"PostToolUse","tool_name":"Execute","tool_input":{"command":"git status --short && cargo check"},"tool_response":"{text}"}"#,
    ),
    (
        "kiro",
        r#"{"hook_event_name":"postToolUse","cwd":"/home/ada/app","session_id":"k1","tool_name":"execute_bash","tool_input":{"command":"cargo check"},"tool_response":{"success":true,"result":["{text}"]}}"#,
    ),
    (
        "amp",
        r#"{"event":"tool.result","thread_id":"T-5f1","cwd":"/home/ada/app","tool":"Bash","toolUseID":"tu1","input":{"cmd":"make"},"result":"{text}"}"#,
    ),
    (
        "opencode",
        r#"{"type":"tool.execute.after","properties":{"sessionID":"ses_1","callID":"call_2","tool":"edit","directory":"/home/ada/app","args":{"filePath":"/home/ada/app/src/args.rs","oldString":"a","newString":"b"},"output":{"title":"edit","output":"{text}","metadata":{}}}}"#,
    ),
];

/// What each agent sends, of about so many bytes.
pub fn of_agents(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let filled = |template: &str| {
        let text = escaped(TEXT, bytes.saturating_sub(template.len()));
        template.replacen("{text}", &text, 1).into_bytes()
    };
    AGENTS.iter().map(|(agent, template)| (*agent, filled(template))).collect()
}

/// What a payload may hold a lot of.
pub const CONTENTS: [&str; 5] =
    ["text", "JSON in JSON", "base64", "small values", "noise in base64"];

/// What Claude Code sends of a tool that answered with about so many bytes of one of [`CONTENTS`].
///
/// # Panics
///
/// If it is none of them.
pub fn with_content(content: &str, bytes: usize) -> Vec<u8> {
    let answer = match content {
        "text" => format!("\"{}\"", escaped(TEXT, bytes)),
        "JSON in JSON" => {
            let file =
                format!(r#"{{"path":"a.rs","content":"{}"}}"#, escaped(TEXT, bytes * 9 / 10));
            format!("\"{}\"", json_characters(&file))
        }
        "base64" => format!("\"{}\"", base64(repeated(TEXT, bytes / 4 * 3).as_bytes())),
        "noise in base64" => {
            let mut state = 1_u64;
            let mut noise = || {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                (state >> 56) as u8
            };
            let noise: Vec<u8> = (0..bytes / 4 * 3).map(|_| noise()).collect();
            format!("\"{}\"", base64(&noise))
        }
        "small values" => {
            let value = |at: usize| format!(r#"{{"id":{at},"name":"n{at}","ok":true}}"#);
            format!("[{}]", (0..bytes / 33).map(value).collect::<Vec<_>>().join(","))
        }
        other => panic!("no such content: {other}"),
    };
    around(&answer)
}

/// Texts that take as long as possible, each by what is repeated in it: what looks like names, keys,
/// escapes and encodings at every place.
pub const HOSTILE: [&str; 16] = [
    "token=",
    "-key://",
    "client_secret -",
    "password: ",
    "curl ",
    "kty\"",
    "https://a",
    "-----BEGIN ",
    "eyJhbGciOi.eyJ",
    "sk-a",
    "%2525",
    "\\\\\\\"",
    "\\u0041",
    "aGVsbG8gd29ybGQgaGVsbG8g ",
    "{\"a\":1}\n",
    "Authorization: Basic aGVsbG86d29ybGQgaGVsbG8gMQ\n",
];

/// What Claude Code sends of a tool that answered with about so many bytes of one of [`HOSTILE`].
pub fn hostile(unit: &str, bytes: usize) -> Vec<u8> {
    around(&format!("\"{}\"", json_characters(&repeated(unit, bytes))))
}

fn around(answer: &str) -> Vec<u8> {
    format!(
        r#"{{"session_id":"s","cwd":"/home/ada/app","hook_event_name":"PostToolUse","tool_name":"Edit","tool_use_id":"t","tool_input":{{"file_path":"/home/ada/app/a.rs","old_string":"a","new_string":"b"}},"tool_response":{answer}}}"#
    )
    .into_bytes()
}

fn repeated(text: &str, bytes: usize) -> String {
    let mut text = text.repeat(bytes / text.len() + 1);
    text.truncate(text.floor_char_boundary(bytes));
    text
}

/// As much of a text, again and again, as takes so many bytes in a JSON string.
fn escaped(text: &str, bytes: usize) -> String {
    let mut text = json_characters(&repeated(text, bytes));
    // Cut where no escape is cut in two.
    let end = (0..=bytes.min(text.len())).rev().find(|end| !text[..*end].ends_with('\\'));
    text.truncate(end.unwrap_or(0));
    text
}

fn json_characters(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len() / 3 * 4);
    // (What is left over is left out.)
    for three in bytes.chunks_exact(3) {
        let word = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        out.extend([18, 12, 6, 0].map(|shift| char::from(DIGITS[(word >> shift) as usize & 63])));
    }
    out
}
