//! Code of other languages that stands in a command: calls that run commands, remove files or read
//! them, found by reading the code's names and strings.

use super::script::{CommandId, Ids, Script, Span, Via, Word};
use super::{Dialect, Flags};

/// How far a call's strings are looked for.
const MAX_CALL_BYTES: usize = 512;

/// Strings that are taken as one call's words.
const MAX_STRINGS: usize = 24;

#[derive(Copy, Clone, PartialEq, Eq)]
enum Call {
    /// Runs its one string as a shell would, or its strings as words.
    Run,
    /// Removes what it names, and all in it.
    RemoveAll,
    Remove,
    Read,
}

impl Script {
    /// Notes the commands that the code of a command leads to.
    pub(super) fn read_code(&mut self, id: CommandId, code: Span, has_backticks: bool) {
        let mut at = code.begin as usize;
        let end = code.end as usize;
        while at < end {
            let bytes = self.buffer.as_bytes();
            match bytes[at] {
                b'`' if has_backticks => {
                    let inside = string_at(bytes, at, end);
                    self.read_derived(id, inside, Via::CODE, Dialect::Posix);
                    at = inside.end as usize + 1;
                }
                b'\'' | b'"' | b'`' => at = string_at(bytes, at, end).end as usize + 1,
                b'#' => at = line_end(bytes, at, end),
                b'/' if bytes[at..end].starts_with(b"//") => at = line_end(bytes, at, end),
                byte if is_name(byte) => {
                    let length = bytes[at..end].iter().take_while(|it| is_name(**it)).count();
                    let name = &self.buffer[at..at + length];
                    let call = call(name);
                    at += length;
                    if let Some(call) = call {
                        self.read_call(id, call, at, end);
                    }
                }
                _ => at += 1,
            }
        }
    }

    fn read_call(&mut self, id: CommandId, call: Call, at: usize, end: usize) {
        let end = self.buffer.floor_char_boundary(end.min(at + MAX_CALL_BYTES));
        let strings = strings_in_call(self.buffer.as_bytes(), at, end);
        let program: &[&str] = match call {
            Call::Run => &[],
            Call::RemoveAll => &["rm", "-r", "-f"],
            Call::Remove => &["rm"],
            Call::Read => &["cat"],
        };
        match &strings[..] {
            [] => {}
            [string] if call == Call::Run => {
                self.read_derived(id, *string, Via::CODE, Dialect::Posix);
            }
            strings => {
                let begin = self.words.len() as u32;
                for part in program {
                    if let Some(span) = self.store(part) {
                        // What is shown of it is the call's own text.
                        self.words.push(Word { value: span, ..Word::plain(strings[0]) });
                    }
                }
                for string in strings {
                    let is_tilde = self.text(*string).starts_with('~');
                    let flags = if is_tilde { Flags::TILDE } else { Flags::QUOTED };
                    self.words.push(Word { flags, ..Word::plain(*string) });
                }
                let words = Ids { begin, end: self.words.len() as u32 };
                self.add(id, words, Ids::default(), Via::CODE);
            }
        }
    }
}

/// What a call of this name does.
fn call(name: &str) -> Option<Call> {
    let last = name.rsplit('.').next().unwrap_or(name);
    Some(match last {
        "system" | "popen" | "Popen" | "check_call" | "check_output" | "getoutput" | "exec"
        | "execSync" | "spawn" | "spawnSync" | "execFile" | "execFileSync" | "execvp" | "execv"
        | "shell_exec" | "script" | "passthru" | "proc_open" | "run" | "call" | "Command" => {
            Call::Run
        }
        "rmtree"
        | "rm_rf"
        | "rm_r"
        | "rmSync"
        | "rmdirSync"
        | "removeSync"
        | "remove_tree"
        | "remove_entry_secure"
        | "remove_dir_all" => Call::RemoveAll,
        "unlink" | "unlinkSync" | "os.remove" => Call::Remove,
        "remove" if name.starts_with("os.") => Call::Remove,
        "open" | "readFileSync" | "readFile" | "read_text" | "Path" | "file_get_contents" => {
            Call::Read
        }
        _ => return None,
    })
}

/// The strings between a call's parentheses, or right behind its name.
fn strings_in_call(bytes: &[u8], begin: usize, end: usize) -> Vec<Span> {
    let mut strings = Vec::new();
    let mut open = 0;
    let mut at = begin;
    while at < end && strings.len() < MAX_STRINGS {
        match bytes[at] {
            b'(' | b'[' => open += 1,
            b')' | b']' => {
                open -= 1;
                if open <= 0 {
                    break;
                }
            }
            b'\'' | b'"' | b'`' => {
                let string = string_at(bytes, at, end);
                strings.push(string);
                at = string.end as usize;
                if open == 0 {
                    break;
                }
            }
            b' ' => {}
            _ if open == 0 => break,
            _ => {}
        }
        at += 1;
    }
    strings
}

/// What stands between the quote at this place and the next one like it.
fn string_at(bytes: &[u8], at: usize, end: usize) -> Span {
    let quote = bytes[at];
    let mut behind = at + 1;
    while behind < end && bytes[behind] != quote {
        behind += if bytes[behind] == b'\\' { 2 } else { 1 };
    }
    let behind = behind.min(end);
    Span { begin: (at + 1).min(behind) as u32, end: behind as u32 }
}

fn line_end(bytes: &[u8], at: usize, end: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..end]).map_or(end, |newline| at + newline)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}
