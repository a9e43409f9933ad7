//! What the TOML parser has to say, in our words, and what of the rest can be believed beside it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::reader::Fault;

/// The parser's errors as ours.
pub(super) fn faults(errors: &[toml::de::Error]) -> Vec<Fault> {
    let fault = |error: &toml::de::Error| {
        let (message, help) = reworded(error.message());
        Fault {
            key: String::new(),
            span: error.span().unwrap_or_default(),
            message: message.to_owned(),
            help: Some(help.to_owned()),
            missing: false,
        }
    };
    errors.iter().map(fault).collect()
}

/// The text as the parser can read it to its end, and the errors of what was taken out of it: behind
/// a key that has no `=`, it gives up. Every byte that is left stands at its place.
pub(super) fn readable(text: &str) -> (Cow<'_, str>, Vec<Fault>) {
    let (_, errors) = toml::de::DeTable::parse_recoverable(text);
    let mut found = faults(&errors);
    let broken: BTreeSet<usize> =
        found.iter().filter(|it| it.message == NO_VALUE).map(|it| line_start(text, it)).collect();
    if broken.is_empty() {
        return (Cow::Borrowed(text), Vec::new());
    }
    let mut readable = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if broken.contains(&readable.len()) {
            let content = line.trim_end_matches(['\r', '\n']);
            readable.push_str(&" ".repeat(content.len()));
            readable.push_str(&line[content.len()..]);
        } else {
            readable.push_str(line);
        }
    }
    found.retain(|it| broken.contains(&line_start(text, it)));
    (Cow::Owned(readable), found)
}

/// Where the line of an error begins.
fn line_start(text: &str, fault: &Fault) -> usize {
    // An error at the end of the text is about its last line.
    let at = text.floor_char_boundary(fault.span.start.min(text.trim_end().len()));
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Leaves out that a key has no value where the same line has another error: the parser lost its way
/// there.
pub(super) fn drop_echoes(text: &str, faults: &mut Vec<Fault>) {
    let line = |fault: &Fault| line_start(text, fault);
    let lines: Vec<usize> = faults.iter().filter(|it| it.message != NO_VALUE).map(line).collect();
    faults.retain(|it| it.message != NO_VALUE || !lines.contains(&line(it)));
}

const NO_VALUE: &str = "the key has no value";

/// Leaves out of `found` what may only be there because the parser had to guess: what is said to be
/// missing, what touches a line with a syntax error, and what follows a broken `[header]`.
pub(super) fn keep_believable(text: &str, syntax: &[Fault], found: &mut Vec<Fault>) {
    if syntax.is_empty() {
        return;
    }
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let line = |at: usize| starts.partition_point(|start| *start <= at) - 1;
    let lines = |span: &Range<usize>| line(span.start)..=line(span.end.max(span.start));
    // An error at the end of the text is about what its last words began.
    let end = text.trim_end().len();
    let bad: BTreeSet<usize> = syntax.iter().map(|it| line(it.span.start.min(end))).collect();
    let is_header =
        |line: &usize| text[starts[*line]..].trim_start_matches([' ', '\t']).starts_with('[');
    let headers: Vec<usize> = (0..starts.len()).filter(is_header).collect();
    found.retain(|fault| {
        let lines = lines(&fault.span);
        let above = headers.partition_point(|header| header <= lines.start());
        let is_below_bad_header = above > 0 && bad.contains(&headers[above - 1]);
        !fault.missing && !is_below_bad_header && bad.range(lines).next().is_none()
    });
}

/// The full path of the key on the line of `at`, as far as the text shows it.
pub(super) fn key_at(text: &str, at: usize) -> String {
    let at = text.floor_char_boundary(at.min(text.trim_end().len()));
    let line_end = text[at..].find('\n').map_or(text.len(), |length| at + length);
    let mut lines = text[..line_end].lines().rev();
    let is_name = |name: &&str| {
        let fits = |char: char| char.is_ascii_alphanumeric() || "_-.\"' ".contains(char);
        !name.is_empty() && name.chars().all(fits)
    };
    let line = lines.next().unwrap_or_default().trim();
    let header = |line: &str| {
        let name = line.trim().strip_prefix('[')?.trim_start_matches('[');
        Some(name.split([']', '#']).next().unwrap_or_default().trim().to_owned())
    };
    if let Some(name) = header(line) {
        return name;
    }
    let section = lines.find_map(header).unwrap_or_default();
    let key = line.split_once('=').map(|(key, _)| key.trim()).filter(is_name).unwrap_or_default();
    let dot = if section.is_empty() || key.is_empty() { "" } else { "." };
    format!("{section}{dot}{key}")
}

/// What the parser says most often, in words for somebody who meant to write something else than it
/// guessed, and a suggestion. What is not known here stays as it is.
fn reworded(message: &str) -> (&str, &'static str) {
    const QUOTES: &str = "write a number, `true`, `false`, or a string in double quotes";
    const ESCAPE: &str = "a backslash in double quotes begins an escape, and this is none";
    const PLAIN: &str = "write `\\\\` for a backslash, or put the string in single quotes";
    const KNOWN: [(&str, &str, &str); 19] = [
        ("string values must be quoted", "the value is missing or not in quotes", QUOTES),
        ("invalid float, expected `inf`", "the value is not in quotes", QUOTES),
        ("invalid float, expected `nan`", "the value is not in quotes", QUOTES),
        ("duplicate key", "duplicate key", "remove one of the two"),
        (
            "unclosed table",
            "the header is not closed",
            "end it with `]`; a name with spaces or other signs stands in quotes",
        ),
        ("unclosed array table", "the header is not closed", "end it with `]]`"),
        ("unclosed array", "the array is not closed", "end it with `]`"),
        ("key with no value", NO_VALUE, "write `key = value`"),
        (
            "invalid unquoted key",
            "a key is followed by `=`",
            "write `key = value`; a comment begins with `#`",
        ),
        ("invalid literal string, expected `'`", "the string is not closed", "end it with `'`"),
        ("invalid boolean", "this is not a value", "write `true` or `false`, in small letters"),
        ("missing escaped value", ESCAPE, PLAIN),
        ("too few unicode value digits", ESCAPE, PLAIN),
        ("unclosed inline table", "the table is not closed", "end it with `}`"),
        ("extra `=`", "there is one `=` too many", "write `key = value`"),
        (
            "invalid key-value pair",
            "this is not a line of TOML",
            "a line is `[table]` or `key = value`, or begins with `#`",
        ),
        ("invalid basic string, expected `\"`", "the string is not closed", "end it with `\"`"),
        (
            "unexpected key or value, expected newline",
            "the line should end here",
            "begin a new line, or a comment with `#`",
        ),
        ("missing table open", "the header is not opened", "a line `[name]` begins a table"),
    ];
    let known = KNOWN.iter().find(|(begin, _, _)| message.starts_with(begin));
    known.map_or((message, "see https://toml.io for the notation"), |it| (it.1, it.2))
}
