//! Small numbers for the names that a hook says most often, so that its record needs no metadata.
//!
//! The numbers are part of the ring format: entries are only ever added at the end.

/// Agents; the code of a name is its place in this list. Code 0: not said, or said in the metadata.
pub const AGENTS: &[&str] = &[
    "",
    "claude-code",
    "codex",
    "gemini-cli",
    "cursor",
    "copilot",
    "windsurf",
    "cline",
    "droid",
    "kiro",
    "opencode",
    "amp",
    "git",
    "qwen-code",
    "vscode",
];

/// Event names as Claude Code says them; the code of a name is its place in this list.
/// Code 0: not said, or said in the metadata.
pub const EVENTS: &[&str] = &[
    "",
    "SessionStart",
    "Setup",
    "UserPromptSubmit",
    "UserPromptExpansion",
    "PreToolUse",
    "PermissionRequest",
    "PermissionDenied",
    "PostToolUse",
    "PostToolUseFailure",
    "PostToolBatch",
    "Notification",
    "MessageDisplay",
    "SubagentStart",
    "SubagentStop",
    "TaskCreated",
    "TaskCompleted",
    "Stop",
    "StopFailure",
    "TeammateIdle",
    "InstructionsLoaded",
    "ConfigChange",
    "CwdChanged",
    "DirectoryAdded",
    "FileChanged",
    "WorktreeCreate",
    "WorktreeRemove",
    "PreCompact",
    "PostCompact",
    "PreModelSwitch",
    "PostModelSwitch",
    "Elicitation",
    "ElicitationResult",
    "SessionEnd",
];

/// The code of a name in [`AGENTS`] or [`EVENTS`]; 0 where it has none.
pub fn code(names: &[&str], name: &[u8]) -> u16 {
    names.iter().position(|known| known.as_bytes() == name).unwrap_or(0) as u16
}

/// The name of a code; `None` for 0 and for codes of a later version.
pub fn name(names: &'static [&'static str], code: u16) -> Option<&'static str> {
    names.get(usize::from(code)).copied().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_inverse() {
        for names in [AGENTS, EVENTS] {
            for (at, known) in names.iter().enumerate().skip(1) {
                assert_eq!(code(names, known.as_bytes()), at as u16);
                assert_eq!(name(names, at as u16), Some(*known));
            }
            assert_eq!(code(names, b""), 0);
            assert_eq!(code(names, b"unheard of"), 0);
            assert_eq!(name(names, 0), None);
            assert_eq!(name(names, u16::MAX), None);
        }
    }

    #[test]
    fn published_codes_never_move() {
        assert_eq!(code(AGENTS, b"git"), 12);
        assert_eq!(code(EVENTS, b"PreToolUse"), 5);
        assert_eq!(code(EVENTS, b"SessionEnd"), 33);
    }
}
