//! Where a secret may be in a payload: wrapped in other texts, at some depth, in the payloads of agents.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use crate::chance::Chance;

/// The ways in which a text is wrapped.
pub(crate) const WRAPPINGS: &[&str] = &[
    "whole",
    "prose",
    "key",
    "json",
    "json in json",
    "shell",
    "heredoc",
    "base64",
    "base64 line",
    "base64url",
    "base64 of json",
    "percent",
    "escaped",
    "escaped json",
    "log",
    "code",
    "numbered lines",
    "json lines",
    "list",
    "hex escapes",
    "octal escapes",
    "coloured lines",
    "bordered lines",
    "found lines",
    "base64 of Latin-1",
    "base64 of UTF-16",
];

/// A value that holds `text` in one of the ways. (Escapes are only made in the line: see `line`.)
pub(crate) fn wrap(wrapping: &str, text: &str, chance: &mut Chance) -> Value {
    let inner = || json!({"status": 200, "data": {"items": [{"note": text}]}}).to_string();
    let shell = format!("cd /srv/app && {text} ; make all");
    match wrapping {
        "whole" | "escaped" => json!(text),
        "prose" => json!(format!("Please use this one: {text}, and tell me what happens.")),
        "key" => json!({text: 1, "other": [true]}),
        "json" | "escaped json" => json!(inner()),
        "json in json" => {
            json!(json!({"level": "info", "body": json!({"raw": inner()}).to_string()}).to_string())
        }
        "shell" => json!(shell),
        "heredoc" => json!(format!("cat > .env <<'EOF'\nPORT=80\n{text}\nEOF")),
        "base64" => json!(format!("echo {} | base64 -d", BASE64_STANDARD.encode(&shell))),
        "base64 line" => json!(format!("first\n{}\r\nlast", BASE64_STANDARD.encode(text))),
        "base64url" => json!(BASE64_URL_SAFE_NO_PAD.encode(text)),
        "base64 of json" => json!({"payload": BASE64_STANDARD.encode(inner())}),
        "percent" => json!(format!(
            "https://host.test/cb?state=1&data={}&n=2",
            percent(text, chance.below(2) == 0)
        )),
        "log" => json!(log(text, chance)),
        "code" => json!(format!("fn main() {{\n    // was: {text}\n    run();\n}}\n")),
        "numbered lines" => {
            json!(format!("     1\u{2192}# settings\n     2\u{2192}{text}\n     3\u{2192}\n"))
        }
        "json lines" => json!(format!("{{\"n\":1}}\n{}\n{{\"n\":3}}", json!({"line": text}))),
        "list" => json!(["first", text, "last"]),
        "hex escapes" => {
            json!(format!("printf '{}'", numbers(text, |byte| format!("\\x{byte:02x}"))))
        }
        "octal escapes" => {
            json!(format!("printf '{}'", numbers(text, |byte| format!("\\{byte:03o}"))))
        }
        "coloured lines" => json!(lines(text, |_| "\u{1b}[38;5;231m".to_owned())),
        "bordered lines" => json!(lines(text, |at| format!("{at:4} \u{2502} "))),
        "found lines" => json!(lines(text, |at| format!("conf/app.env-{at}-"))),
        "base64 of Latin-1" => {
            let shell = [b"# \xe9crit \xe0 la main\n", text.as_bytes(), b" # caf\xe9"].concat();
            json!({"content": BASE64_STANDARD.encode(shell)})
        }
        "base64 of UTF-16" => {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            json!({"content": BASE64_STANDARD.encode(units.flat_map(u16::to_le_bytes).collect::<Vec<_>>())})
        }
        other => panic!("no such wrapping: {other}"),
    }
}

/// The payload as its line; some wrappings write the secret's characters as escapes.
pub(crate) fn line(wrapping: &str, payload: &Value, secret: &str) -> String {
    let line = payload.to_string();
    let written = |text: &str| Value::from(text).to_string().trim_matches('"').to_owned();
    let escapes = |backslash: &str| -> String {
        secret.encode_utf16().map(|unit| format!("{backslash}u{unit:04X}")).collect()
    };
    match wrapping {
        "escaped" => line.replace(&written(secret), &escapes("\\")),
        "escaped json" => line.replace(&written(&written(secret)), &escapes("\\\\")),
        _ => line,
    }
}

/// A payload of an agent around a value, at some depth in it.
pub(crate) fn payload(value: Value, chance: &mut Chance) -> Value {
    let value = (0..chance.below(4)).fold(value, |value, level| match level % 2 {
        0 => json!({"content": value, "n": level}),
        _ => json!([{"type": "text"}, value]),
    });
    let session = chance.fill("{g1}");
    let id = chance.fill("toolu_01{w22}");
    let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let common = json!({
        "session_id": session, "transcript_path": format!("/home/user/.claude/projects/-srv-app/{session}.jsonl"),
        "cwd": "/srv/app", "permission_mode": "default",
    });
    let own = match chance.below(10) {
        0 => {
            json!({"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_use_id": id, "tool_input": {"command": text(), "description": "Run it"}})
        }
        1 => {
            json!({"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_use_id": id, "tool_input": {"command": "make"}, "tool_response": {"stdout": value, "stderr": "", "interrupted": false}})
        }
        2 => {
            json!({"hook_event_name": "PostToolUse", "tool_name": "Read", "tool_response": {"type": "text", "file": {"filePath": "/srv/app/.env", "content": text(), "numLines": 9}}})
        }
        3 => {
            json!({"hook_event_name": "PostToolUse", "tool_name": "Edit", "tool_response": {"originalFile": text(), "structuredPatch": [{"lines": [" a", "-b"]}]}})
        }
        4 => json!({"hook_event_name": "UserPromptSubmit", "prompt": text()}),
        5 => {
            json!({"type": "agent-turn-complete", "turn-id": session, "input-messages": [text()], "last-assistant-message": "Done."})
        }
        6 => {
            json!({"hook_event_name": "beforeShellExecution", "conversation_id": session, "generation_id": id, "command": text(), "workspace_roots": ["/srv/app"]})
        }
        7 => {
            json!({"hook_event_name": "afterMCPExecution", "tool_name": "query", "tool_input": json!({"q": value}).to_string(), "result_json": json!({"content": [{"type": "text", "text": "ok"}]}).to_string()})
        }
        8 => {
            json!({"hook_event_name": "AfterTool", "tool_name": "run_shell_command", "tool_response": {"llmContent": value, "returnDisplay": "ok"}, "timestamp": "2026-10-01T10:00:00Z"})
        }
        _ => {
            json!({"hookName": "postToolUse", "toolName": "bash", "toolArgs": json!({"command": text()}).to_string(), "toolResult": {"resultType": "success", "textResultForLlm": "ok"}})
        }
    };
    let mut all = common;
    if let (Some(all), Value::Object(own)) = (all.as_object_mut(), own) {
        all.extend(own);
    }
    all
}

/// Each byte of ASCII as the number that it has, but for line breaks.
fn numbers(text: &str, number: impl Fn(u8) -> String) -> String {
    let written = |char: char| match u8::try_from(char).ok().filter(u8::is_ascii) {
        Some(byte) if byte != b'\n' => number(byte),
        _ => char.to_string(),
    };
    text.chars().map(written).collect()
}

/// As a tool shows lines, with something before each.
fn lines(text: &str, before: impl Fn(usize) -> String) -> String {
    let all = ["# settings"].into_iter().chain(text.split('\n')).chain(["# end"]);
    all.enumerate().map(|(at, line)| format!("{}{line}\n", before(at + 1))).collect()
}

fn percent(text: &str, whole: bool) -> String {
    let plain = |byte: &u8| !whole && (byte.is_ascii_alphanumeric() || b"-._~".contains(byte));
    text.bytes()
        .map(
            |byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") },
        )
        .collect()
}

fn log(text: &str, chance: &mut Chance) -> String {
    let line = |chance: &mut Chance| {
        chance.fill("2026-10-01T10:00:{d2}Z INFO [{h8}] request {g1} took {d2} ms\n")
    };
    let before: String = (0..chance.below(20)).map(|_| line(chance)).collect();
    format!("{before}2026-10-01T10:01:00Z ERROR failed: {text}\n{}", line(chance))
}
