//! What a tool's event is about, as far as the payload says it.

use std::borrow::Cow;

use hookring_journal::model::{EventType, Operation};
use hookring_journal::text::push_json_string;

use crate::agents::{Facts, Field};
use crate::document::{Kind, NodeId, Value};
use crate::keep::marker;

mod server;

/// A longer text, array or object in a tool's parameters is cut; it is in the payload, whole. In bytes.
const MAX_PARAMETER_BYTES: usize = 512;
/// More parameters than this are left out.
const MAX_PARAMETERS: usize = 32;
/// A longer path is none that a system takes (Linux: `PATH_MAX`). In bytes.
const MAX_PATH_BYTES: usize = 4096;
/// More files of one call are left out.
pub(crate) const MAX_FILES: usize = 64;
/// A longer command is cut where it is shown, in bytes.
const MAX_COMMAND_BYTES: usize = 4096;
/// The longest error message, in bytes.
const MAX_ERROR_BYTES: usize = 1024;

/// What a tool was asked to do, and what came of it.
pub(crate) struct Deed<'a> {
    /// What the tool was given: of the payload, or of the JSON in a string there.
    pub(crate) input: Option<Value<'a>>,
    pub(crate) command: Option<Cow<'a, str>>,
    pub(crate) file_path: Option<Cow<'a, str>>,
    /// What a patch is for besides, or what the agent says that it wrote.
    pub(crate) more_files: Vec<Cow<'a, str>>,
    pub(crate) url: Option<Cow<'a, str>>,
    /// What a server's tool is to ask a database.
    pub(crate) statements: Option<Cow<'a, str>>,
    output: Option<Value<'a>>,
    /// That, or what it holds as a string.
    answer: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

impl<'a> Deed<'a> {
    /// `nested` and `answer` are the JSON that the tool's input and output held as strings.
    pub(crate) fn of(
        facts: &Facts<'a>,
        (nested, answer): (Option<Value<'a>>, Option<Value<'a>>),
    ) -> Deed<'a> {
        let input = nested.or_else(|| facts.get(Field::ToolInput));
        let in_input = |keys: &[&str]| {
            let input = input?;
            keys.iter().find_map(|key| input.get(key).and_then(Value::as_str))
        };
        let said = |field, keys: &[&str]| facts.text(field).or_else(|| in_input(keys));
        let output = facts.get(Field::ToolOutput);
        let answer = answer.or(output);
        let error = facts.get(Field::Error).or_else(|| answer?.get("error"));
        let file_path = said(Field::FilePath, PATHS).filter(|path| path.len() <= MAX_PATH_BYTES);
        let mut deed = Deed {
            input,
            command: command(facts, input),
            file_path,
            more_files: Vec::new(),
            url: said(Field::Url, &["url", "uri"]),
            statements: None,
            output,
            answer,
            error: error.filter(|error| error.kind() != Kind::Null),
        };
        if let Some(input) = input.filter(|_| facts.is_of_a_server) {
            deed.take_files(server::files(input));
            deed.statements = server::statements(facts.tool_name.as_deref(), input);
        }
        // A search reads the files that it is for.
        if facts.operation == Some(Operation::Read) {
            let names = in_input(&["glob", "include", "include_pattern", "includePattern"]);
            deed.more_files.extend(
                names.and_then(|names| {
                    searched(deed.file_path.as_deref().unwrap_or_default(), &names)
                }),
            );
        }
        if facts.operation == Some(Operation::Write) && deed.file_path.is_none() {
            let mut files = written(facts, input).into_iter();
            deed.file_path = files.next();
            deed.more_files = files.collect();
        }
        deed
    }

    /// Takes what a server's tool is given for its files.
    fn take_files(&mut self, mut files: Vec<Cow<'a, str>>) {
        let own = self.file_path.take();
        let own = own.map(|path| server::of_a_uri(&path).map_or(path, Cow::Owned));
        let first = own.or_else(|| files.first().cloned());
        files.retain(|path| Some(path) != first.as_ref());
        (self.file_path, self.more_files) = (first, files);
    }

    /// The command, its end cut off if it is long.
    pub(crate) fn shown_command(&self) -> Option<Cow<'_, str>> {
        let command = self.command.as_deref()?;
        let end = command.floor_char_boundary(MAX_COMMAND_BYTES.min(command.len()));
        Some(match end < command.len() {
            true => format!("{}[cut: {} bytes]", &command[..end], command.len()).into(),
            false => command.into(),
        })
    }

    /// All files that it is about.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.file_path.as_deref().into_iter().chain(self.more_files.iter().map(|path| &**path))
    }

    /// Whether the call is over and wrote its files.
    pub(crate) fn has_written(&self, facts: &Facts<'a>) -> bool {
        facts.operation == Some(Operation::Write) && self.success(facts) == Some(true)
    }

    /// The same, of more files than `file_path` can name.
    pub(crate) fn wrote_several(&self, facts: &Facts<'a>) -> bool {
        !self.more_files.is_empty() && self.has_written(facts)
    }

    /// Whether the call did what it was to do; `None` before it was made.
    pub(crate) fn success(&self, facts: &Facts<'a>) -> Option<bool> {
        let told = || {
            let output = self.answer?;
            let failed = output.get("is_error").or_else(|| output.get("isError"));
            let interrupted = output.get("interrupted").and_then(Value::as_bool);
            let success = output.get("success").and_then(Value::as_bool);
            let failed = failed.and_then(Value::as_bool).or(interrupted.filter(|is| *is));
            success.or(failed.map(|failed| !failed))
        };
        match facts.kind? {
            EventType::ToolFail => Some(false),
            EventType::ToolPost => {
                let code = self.exit_code(facts).map(|code| code == 0);
                facts.success.or_else(told).or(code).or(Some(self.error.is_none()))
            }
            _ => None,
        }
    }

    /// The number with which a command ended.
    pub(crate) fn exit_code(&self, facts: &Facts<'a>) -> Option<i64> {
        let in_output = || {
            let output = self.answer?;
            let names = ["exit_code", "exitCode", "returnCode", "code"];
            let beside =
                ["exit_code", "exit"].into_iter().map(|name| output.path(&["metadata", name]));
            let all = names.iter().map(|name| output.get(name)).chain(beside);
            all.flatten().find_map(Value::as_i64)
        };
        let in_error = || {
            let error = error_text(self.error?)?;
            let begins = ["Exit code ", "Command exited with non-zero status code "];
            let digits = begins.iter().find_map(|begin| error.strip_prefix(begin))?;
            digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
        };
        let told = facts.get(Field::ExitCode).and_then(Value::as_i64);
        told.or_else(in_output).or_else(in_error)
    }

    /// What went wrong, cut to a line's worth.
    pub(crate) fn error_message(&self) -> Option<String> {
        self.error.and_then(error_message)
    }

    /// How many bytes of JSON the tool's answer takes.
    pub(crate) fn output_bytes(&self) -> Option<u64> {
        self.output.map(|output| output.original_bytes() as u64)
    }
}

/// What went wrong, cut to a line's worth.
pub(crate) fn error_message(error: Value<'_>) -> Option<String> {
    let text = error_text(error)?;
    let kept = &text[..text.floor_char_boundary(MAX_ERROR_BYTES)];
    (!kept.is_empty()).then(|| kept.to_owned())
}

fn error_text(error: Value<'_>) -> Option<Cow<'_, str>> {
    let inside = [&["message"][..], &["stderr"], &["data", "message"]];
    let inside = || inside.iter().find_map(|path| error.path(path).and_then(Value::as_str));
    error.as_str().or_else(inside)
}

/// Where tools are given a path.
const PATHS: &[&str] = &[
    "file_path",
    "filePath",
    "notebook_path",
    "absolute_path",
    "target_file",
    "path",
    "file",
    "filename",
    "filepath",
];

/// The files that the agent says were written, else those that a patch is for.
fn written<'a>(facts: &Facts<'a>, input: Option<Value<'a>>) -> Vec<Cow<'a, str>> {
    let is_path = |path: &Cow<'_, str>| !path.is_empty() && path.len() <= MAX_PATH_BYTES;
    if let Some(list) = facts.get(Field::FilesModified) {
        let paths = list.elements().filter_map(Value::as_str);
        return paths.filter(is_path).take(MAX_FILES).collect();
    }
    let names = ["command", "patch", "input", "patchText", "patch_text"];
    let inside = names.iter().find_map(|name| input?.get(name).and_then(Value::as_str));
    let Some(patch) = inside.or_else(|| input?.as_str()) else { return Vec::new() };
    let begins = ["*** Update File: ", "*** Add File: ", "*** Delete File: ", "*** Move to: "];
    let lines = patch.lines().filter_map(|line| begins.iter().find_map(|it| line.strip_prefix(it)));
    let paths = lines.map(|path| Cow::Owned(path.trim().to_owned()));
    paths.filter(is_path).take(MAX_FILES).collect()
}

/// The file that all files whose names are so have as theirs, if they have one: `**/.env` in `/srv` is `/srv/.env`.
fn searched<'a>(folder: &str, names: &str) -> Option<Cow<'a, str>> {
    let name = names.rsplit('/').next().filter(|name| !name.is_empty())?;
    let is_one = !name.contains(['*', '?', '[', '{']);
    let path = match folder {
        "" => name.to_owned(),
        _ => format!("{}/{name}", folder.trim_end_matches('/')),
    };
    (is_one && path.len() <= MAX_PATH_BYTES).then_some(Cow::Owned(path))
}

/// Where tools are given a command.
const COMMANDS: &[&str] = &["command", "command_line", "commandLine", "cmd", "script"];

/// A command as one would type it. It may be longer than other texts.
fn command<'a>(facts: &Facts<'a>, input: Option<Value<'a>>) -> Option<Cow<'a, str>> {
    // Tools for files have what they are to do there (`create`), or a patch.
    let is_of_files = matches!(facts.operation, Some(Operation::Read | Operation::Write));
    let is_file_tool = is_of_files && !facts.is_of_a_server;
    let in_input = || COMMANDS.iter().find_map(|key| input?.get(key)).filter(|_| !is_file_tool);
    let command = facts.get(Field::Command).or_else(in_input)?;
    if command.kind() != Kind::Array {
        return command.as_str();
    }
    // Codex gives its words.
    let mut typed = String::new();
    for word in command.elements().filter_map(Value::as_str) {
        typed.push_str(if typed.is_empty() { "" } else { " " });
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_./=:@%+,".contains(letter);
        if !word.is_empty() && word.chars().all(is_plain) {
            typed.push_str(&word);
        } else {
            typed.push_str(&format!("'{}'", word.replace('\'', r"'\''")));
        }
    }
    Some(Cow::Owned(typed))
}

/// Writes what a tool was given, its long values cut, without what it answered (`answers`) and with marks in
/// the place of what is not kept (`withheld`).
pub(crate) fn write_parameters(
    input: Value<'_>,
    answers: &[Option<NodeId>],
    withheld: &[NodeId],
    out: &mut Vec<u8>,
) {
    let is_answer = |value: Value<'_>| answers.contains(&Some(value.id()));
    let is_as_given = withheld.is_empty() && !input.members().any(|(_, value)| is_answer(value));
    let is_short = input.original_bytes() <= MAX_PARAMETER_BYTES;
    if input.kind() != Kind::Object || is_short && is_as_given {
        return write_short(input, out);
    }
    let given = input.members().filter(|(_, value)| !is_answer(*value));
    let mut separator = b'{';
    for (key, value) in given.take(MAX_PARAMETERS) {
        out.push(separator);
        separator = b',';
        write_short(key, out);
        out.push(b':');
        if withheld.contains(&value.id()) {
            push_json_string(out, &marker(value.original_bytes()));
        } else {
            write_short(value, out);
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

/// Writes a value, or the beginning of a long text, or how long an array or object is.
fn write_short(value: Value<'_>, out: &mut Vec<u8>) {
    let begin = out.len();
    value.write_to(out);
    let bytes = out.len() - begin;
    if bytes <= MAX_PARAMETER_BYTES {
        return;
    }
    out.truncate(begin);
    let text = value.as_str();
    let kept = text
        .as_deref()
        .map_or("", |text| &text[..text.floor_char_boundary(MAX_PARAMETER_BYTES / 2)]);
    push_json_string(out, &format!("{kept}[cut: {bytes} bytes]"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::Agent;
    use crate::document::Document;

    fn look<T>(payload: &str, look: impl FnOnce(&Deed<'_>, &Facts<'_>) -> T) -> T {
        let mut document = Document::default();
        document.parse(payload.as_bytes()).expect("JSON");
        let agent = Agent::named("claude-code").expect("an agent");
        let facts = crate::agents::read(agent, document.root().expect("a value"), None);
        look(&Deed::of(&facts, (None, None)), &facts)
    }

    fn call(event: &str, tool: &str, members: &str) -> String {
        format!(r#"{{"hook_event_name":"{event}","tool_name":"{tool}",{members}}}"#)
    }

    #[test]
    fn a_patch_names_its_files_and_is_no_command() {
        let patch = r"*** Begin Patch\n*** Update File: a.rs\n rm -rf /\n*** Move to: b.rs\n*** Add File: /c\n*** End Patch";
        for input in [format!(r#"{{"command":"{patch}"}}"#), format!(r#""{patch}""#)] {
            let payload = call("PreToolUse", "apply_patch", &format!(r#""tool_input":{input}"#));
            look(&payload, |deed, _| {
                assert_eq!(deed.files().collect::<Vec<_>>(), ["a.rs", "b.rs", "/c"]);
                assert_eq!(deed.command, None);
            });
        }
        let many = (0..200).map(|n| format!(r"*** Add File: {n}\n")).collect::<String>();
        let payload =
            call("PreToolUse", "apply_patch", &format!(r#""tool_input":{{"patch":"{many}"}}"#));
        assert_eq!(look(&payload, |deed, _| deed.files().count()), MAX_FILES);
    }

    #[test]
    fn a_search_is_about_the_files_that_it_reads() {
        for (input, files) in [
            (r#"{"pattern":"KEY","path":"/srv/","glob":"**/.env"}"#, &["/srv/", "/srv/.env"][..]),
            (r#"{"pattern":"KEY","include":".env"}"#, &[".env"]),
            (r#"{"pattern":"KEY","glob":"*.rs"}"#, &[]),
        ] {
            let payload = call("PreToolUse", "Grep", &format!(r#""tool_input":{input}"#));
            look(&payload, |deed, _| {
                assert_eq!(deed.files().collect::<Vec<_>>(), files, "{input}");
            });
        }
    }

    #[test]
    fn a_command_is_one_of_a_tool_that_runs_some() {
        for (tool, command) in [("Bash", Some("create")), ("fs_write", None), ("view", None)] {
            let payload =
                call("PreToolUse", tool, r#""tool_input":{"command":"create","path":"/p"}"#);
            look(&payload, |deed, _| assert_eq!(deed.command.as_deref(), command));
        }
        let words = r#""tool_input":{"command":["sh","-c","echo a b"]}"#;
        look(&call("PreToolUse", "shell", words), |deed, _| {
            assert_eq!(deed.command.as_deref(), Some("sh -c 'echo a b'"));
        });
    }

    #[test]
    fn what_a_servers_tool_is_given_may_be_files_and_a_command() {
        let input = r#""tool_input":{"source":"/a","destination":"/b","command":"ls"}"#;
        look(&call("PreToolUse", "mcp__fs__move_file", input), |deed, facts| {
            assert_eq!(deed.files().collect::<Vec<_>>(), ["/a", "/b"]);
            assert_eq!(deed.command.as_deref(), Some("ls"));
            assert_eq!(facts.operation, Some(Operation::Write));
        });
        let uri = r#""tool_input":{"source":"/a","path":"file:///c"}"#;
        look(&call("PreToolUse", "mcp__fs__read_file", uri), |deed, _| {
            assert_eq!(deed.files().collect::<Vec<_>>(), ["/c", "/a"]);
        });
        look(&call("PreToolUse", "Other", uri), |deed, _| assert_eq!(deed.files().count(), 1));
    }

    #[test]
    fn whether_it_succeeded_is_read_from_what_says_so() {
        for (members, code, success) in [
            (r#""tool_response":{"stdout":""}"#, None, true),
            (r#""tool_response":{"error":null}"#, None, true),
            (r#""tool_response":{"error":"no"}"#, None, false),
            (r#""tool_response":{"is_error":true}"#, None, false),
            (r#""tool_response":{"interrupted":true}"#, None, false),
            (r#""tool_response":{"exitCode":3}"#, Some(3), false),
            (r#""tool_response":{"metadata":{"exit":0}}"#, Some(0), true),
            (r#""tool_response":{"success":true,"exit_code":1}"#, Some(1), true),
            (r#""tool_response":"text""#, None, true),
        ] {
            look(&call("PostToolUse", "Bash", members), |deed, facts| {
                assert_eq!(deed.exit_code(facts), code, "{members}");
                assert_eq!(deed.success(facts), Some(success), "{members}");
            });
        }
        let failed =
            call("PostToolUseFailure", "Bash", r#""error":"Exit code 127\nsh: x: not found""#);
        look(&failed, |deed, facts| {
            assert_eq!((deed.exit_code(facts), deed.success(facts)), (Some(127), Some(false)));
        });
    }

    #[test]
    fn parameters_have_no_answers() {
        let mut document = Document::default();
        document.parse(br#"{"a":1,"b":"answer"}"#).expect("JSON");
        let root = document.root().expect("a value");
        let answer = root.get("b").map(Value::id);
        let mut out = Vec::new();
        write_parameters(root, &[answer, None], &[], &mut out);
        assert_eq!(out, br#"{"a":1}"#);
        out.clear();
        write_parameters(root, &[answer, root.get("a").map(Value::id)], &[], &mut out);
        assert_eq!(out, b"{}");
        out.clear();
        let withheld: Vec<_> = answer.into_iter().collect();
        write_parameters(root, &[], &withheld, &mut out);
        assert_eq!(out, br#"{"a":1,"b":"[not kept: 8 bytes]"}"#);
    }
}
