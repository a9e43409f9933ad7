//! What a tool's event is about, as far as the payload says it.

use std::borrow::Cow;

use hookring_journal::model::EventType;
use hookring_journal::text::push_json_string;

use crate::agents::{Facts, Field};
use crate::document::{Kind, Value};

/// A longer text, array or object in a tool's parameters is cut; it is in the payload, whole. In bytes.
const MAX_PARAMETER_BYTES: usize = 512;
/// More parameters than this are left out.
const MAX_PARAMETERS: usize = 32;
/// A longer path is none that a system takes (Linux: `PATH_MAX`). In bytes.
const MAX_PATH_BYTES: usize = 4096;
/// The longest error message, in bytes.
const MAX_ERROR_BYTES: usize = 1024;

/// What a tool was asked to do, and what came of it.
pub(crate) struct Deed<'a> {
    /// What the tool was given: of the payload, or of the JSON in a string there.
    pub(crate) input: Option<Value<'a>>,
    pub(crate) command: Option<Cow<'a, str>>,
    pub(crate) file_path: Option<Cow<'a, str>>,
    pub(crate) url: Option<Cow<'a, str>>,
    output: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

impl<'a> Deed<'a> {
    /// `nested` is the JSON that the tool's input held as a string.
    pub(crate) fn of(facts: &Facts<'a>, nested: Option<Value<'a>>) -> Deed<'a> {
        let input = nested.or_else(|| facts.get(Field::ToolInput));
        let in_input = |keys: &[&str]| {
            let input = input?;
            keys.iter().find_map(|key| input.get(key).and_then(Value::as_str))
        };
        let said = |field, keys: &[&str]| facts.text(field).or_else(|| in_input(keys));
        Deed {
            input,
            command: command(facts, input),
            file_path: said(Field::FilePath, PATHS).filter(|path| path.len() <= MAX_PATH_BYTES),
            url: said(Field::Url, &["url", "uri"]),
            output: facts.get(Field::ToolOutput),
            error: facts.get(Field::Error).or_else(|| facts.get(Field::ToolOutput)?.get("error")),
        }
    }

    /// Whether the call did what it was to do; `None` before it was made.
    pub(crate) fn success(&self, facts: &Facts<'a>) -> Option<bool> {
        let told = || {
            let output = self.output?;
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
            let output = self.output?;
            let names = ["exit_code", "exitCode", "returnCode", "code"];
            names.iter().find_map(|name| output.get(name).and_then(Value::as_i64))
        };
        let in_error = || {
            let error = self.error_text()?;
            let digits = error.strip_prefix("Exit code ")?;
            digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
        };
        let told = facts.get(Field::ExitCode).and_then(Value::as_i64);
        told.or_else(in_output).or_else(in_error)
    }

    /// What went wrong, cut to a line's worth.
    pub(crate) fn error_message(&self) -> Option<String> {
        let text = self.error_text()?;
        let kept = &text[..text.floor_char_boundary(MAX_ERROR_BYTES)];
        (!kept.is_empty()).then(|| kept.to_owned())
    }

    fn error_text(&self) -> Option<Cow<'a, str>> {
        let error = self.error?;
        error.as_str().or_else(|| error.get("message").and_then(Value::as_str))
    }

    /// How many bytes of JSON the tool's answer takes.
    pub(crate) fn output_bytes(&self) -> Option<u64> {
        self.output.map(|output| output.original_bytes() as u64)
    }
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

/// Where tools are given a command.
const COMMANDS: &[&str] = &["command", "command_line", "commandLine", "cmd", "script"];

/// A command as one would type it. It may be longer than other texts.
fn command<'a>(facts: &Facts<'a>, input: Option<Value<'a>>) -> Option<Cow<'a, str>> {
    let in_input = || COMMANDS.iter().find_map(|key| input?.get(key));
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

/// Writes what a tool was given, its long values cut.
pub(crate) fn write_parameters(input: Value<'_>, out: &mut Vec<u8>) {
    let is_object = input.kind() == Kind::Object;
    if !is_object || input.original_bytes() <= MAX_PARAMETER_BYTES {
        return write_short(input, out);
    }
    let mut separator = b'{';
    for (key, value) in input.members().take(MAX_PARAMETERS) {
        out.push(separator);
        separator = b',';
        write_short(key, out);
        out.push(b':');
        write_short(value, out);
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
