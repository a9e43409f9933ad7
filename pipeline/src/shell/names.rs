//! What a program is called.

/// A program's name as rules have it: without folder, `.exe` and version (`python3.12` is `python`).
pub fn program_name(path: &str) -> &str {
    let name = match memchr::memrchr2(b'/', b'\\', path.as_bytes()) {
        Some(at) => &path[at + 1..],
        None => path,
    };
    let name = match name.len().checked_sub(4) {
        Some(at) if name.as_bytes()[at..].eq_ignore_ascii_case(b".exe") => &name[..at],
        _ => name,
    };
    if !name.ends_with(|last: char| last.is_ascii_digit()) {
        return name;
    }
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    match stem {
        "python" | "pip" | "perl" | "ruby" | "php" | "lua" | "node" | "bash" | "ksh" => stem,
        _ => name,
    }
}

/// Whether it is a shell that takes POSIX code.
pub(super) fn is_shell(name: &str) -> bool {
    matches!(name, "sh" | "bash" | "zsh" | "dash" | "ksh" | "ash" | "mksh" | "fish" | "rbash")
}

/// Whether it runs the code of another language.
pub(super) fn is_interpreter(name: &str) -> bool {
    matches!(
        name,
        "python"
            | "perl"
            | "ruby"
            | "node"
            | "nodejs"
            | "deno"
            | "bun"
            | "php"
            | "lua"
            | "awk"
            | "gawk"
            | "mawk"
            | "osascript"
    )
}
