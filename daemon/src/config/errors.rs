//! What is wrong with a configuration, shown as a compiler would: every error at once, each with its
//! place, the line itself and a suggestion.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::Warning;
use crate::cli::style::{ERROR, GUIDE, HEADING, printable};

/// The most errors that are kept; how many more there were is said.
pub const MAX_PROBLEMS: usize = 100;

/// The most characters of a line that are shown.
const MAX_SHOWN_CHARS: usize = 120;

/// Everything that is wrong with a configuration. `Display` gives plain text;
/// [`ConfigErrors::styled`] gives colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file.
    pub file: PathBuf,
    /// The errors in the file's order, at most [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many more there were.
    pub left_out: usize,
    /// What may go wrong later, as far as it could be told. `Display` leaves it out.
    pub warnings: Vec<Warning>,
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's full path, such as `sinks.audit.path`; for bad syntax, as far as it can be told.
    /// None if it is about the file as a whole.
    pub key: Option<String>,
    /// What is wrong. Never quotes a value: it may have come from the environment.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where. None if it is about the file as a whole.
    pub place: Option<Place>,
}

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line as it is shown: fit for a terminal, cut around the place if it is long.
    pub source: String,
    /// What of it to underline, in columns of a terminal from 0.
    pub underline: Range<usize>,
}

impl ConfigErrors {
    /// An error about the file as a whole.
    pub(super) fn about_file(file: &Path, message: String, help: String) -> Self {
        let problem = Problem { key: None, message, help: Some(help), place: None };
        Self { file: file.to_owned(), problems: vec![problem], left_out: 0, warnings: Vec::new() }
    }

    /// The same text for an error that these are the cause of, and which says itself that it is one.
    pub fn as_cause(&self) -> String {
        let text = self.to_string();
        let text = text.trim_end();
        text.strip_prefix("error: ").unwrap_or(text).to_owned()
    }

    /// The same text with colours, to be written to an `anstream`, which takes them out where they
    /// would not be seen.
    pub fn styled(&self) -> impl fmt::Display + '_ {
        Rendering { errors: self, coloured: true }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rendering { errors: self, coloured: false }.fmt(f)
    }
}

impl std::error::Error for ConfigErrors {}

impl Place {
    /// The place of `span`, of which the part in its first line counts. Both ends are cut to the
    /// text and to whole characters.
    pub(super) fn new(text: &str, span: Range<usize>) -> Self {
        // An error at the very end is shown where the text ends, not in the empty line after it.
        let at = text.floor_char_boundary(span.start.min(text.trim_end().len()));
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let line_end = line_start + line.len();
        let start = at.min(line_end);
        let end = text.ceil_char_boundary(span.end.clamp(start, line_end));
        let before = text[line_start..start].chars().count();
        let marked = text[start..end].chars().count();
        let (source, underline) = excerpt(line, before, marked);
        let line = text[..line_start].matches('\n').count() + 1;
        Self { line, column: before + 1, source, underline }
    }
}

/// The part of a line that is shown, and the columns of the `marked` characters after the first
/// `before`.
fn excerpt(line: &str, before: usize, marked: usize) -> (String, Range<usize>) {
    let is_long = line.chars().nth(MAX_SHOWN_CHARS).is_some();
    let skip = if is_long { before.saturating_sub(MAX_SHOWN_CHARS / 2) } else { 0 };
    let (before, left) = (before - skip, MAX_SHOWN_CHARS);
    let part = |from: usize, count: usize| -> String {
        let part: String = line.chars().skip(skip + from).take(count).collect();
        printable(&part.replace('\t', "    ")).into_owned()
    };
    let marked = marked.min(left.saturating_sub(before));
    let lead = if skip > 0 { "…" } else { "" };
    let tail = if line.chars().nth(skip + left).is_some() { "…" } else { "" };
    let prefix = format!("{lead}{}", part(0, before));
    let middle = part(before, marked);
    let rest = part(before + marked, left.saturating_sub(before + marked));
    let start = prefix.width();
    let end = start + middle.width().max(1);
    (format!("{prefix}{middle}{rest}{tail}"), start..end)
}

/// The errors, ready to be written.
struct Rendering<'a> {
    errors: &'a ConfigErrors,
    coloured: bool,
}

impl fmt::Display for Rendering<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.errors.problems.iter().filter_map(|problem| problem.place.as_ref());
        let gutter = lines.map(|place| place.line.to_string().len()).max().unwrap_or(1);
        for (index, problem) in self.errors.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            self.problem(f, problem, gutter)?;
        }
        if self.errors.left_out > 0 {
            let error = self.style(ERROR);
            let count = self.errors.left_out;
            writeln!(f, "\n{error}error{error:#}: and {count} more, which are not shown")?;
        }
        Ok(())
    }
}

impl Rendering<'_> {
    fn problem(&self, f: &mut fmt::Formatter<'_>, it: &Problem, gutter: usize) -> fmt::Result {
        let (error, bold, guide) = (self.style(ERROR), self.style(HEADING), self.style(GUIDE));
        let key = it.key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default();
        let (key, message) = (printable(&key), printable(&it.message));
        writeln!(f, "{error}error{error:#}{bold}: {key}{message}{bold:#}")?;
        let file = self.errors.file.to_string_lossy();
        write!(f, "{:gutter$}{guide}-->{guide:#} {}", "", printable(&file))?;
        match &it.place {
            Some(Place { line, column, source, underline }) => {
                let (space, width) = (underline.start, underline.len());
                writeln!(f, ":{line}:{column}")?;
                writeln!(f, "{:gutter$} {guide}|{guide:#}", "")?;
                writeln!(f, "{guide}{line:>gutter$} |{guide:#} {source}")?;
                write!(f, "{:gutter$} {guide}|{guide:#} {:space$}", "", "")?;
                writeln!(f, "{error}{:^<width$}{error:#}", "")?;
            }
            None => writeln!(f)?,
        }
        match &it.help {
            Some(help) => {
                let help = printable(help);
                writeln!(f, "{:gutter$} {guide}={guide:#} {bold}help{bold:#}: {help}", "")
            }
            None => Ok(()),
        }
    }

    fn style(&self, style: Style) -> Style {
        if self.coloured { style } else { Style::new() }
    }
}
