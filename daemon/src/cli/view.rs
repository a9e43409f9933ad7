//! An event as people read it: one line with time, session, agent, event, and what it is about.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};

use anstyle::Style;
use hookring_journal::model::{Level, Namespace};
use hookring_pipeline::document::{self, Document, Kind};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rustix::termios::tcgetwinsize;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use unicode_width::UnicodeWidthStr as _;

use super::style::{ERROR, FAINT, GOOD, HEADING, WARNING, printable};
use super::table::fit;

/// The longest summary that is shown on a terminal, in characters.
const SUMMARY_CHARS: usize = 90;
/// The longest name of an event or an agent that is shown there, in characters; known ones are
/// shorter.
const NAME_CHARS: usize = 40;
/// The namespace of the daemon's own events.
const SYSTEM: &str = Namespace::System.name();
/// How much of a session's id is shown: `--session` takes as much.
pub(super) const SESSION_CHARS: usize = 8;

/// The members of a journal line that are shown. Strings that a reader of JSON refuses (lone
/// surrogates) make the line unreadable here; the journal still has it.
#[derive(Deserialize)]
struct Line<'a> {
    timestamp: Cow<'a, str>,
    event_type: Option<Cow<'a, str>>,
    namespace: Option<Cow<'a, str>>,
    event: Option<Cow<'a, str>>,
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<Source<'a>>,
    tool_name: Option<Cow<'a, str>>,
    command: Option<Cow<'a, str>>,
    file_path: Option<Cow<'a, str>>,
    error_message: Option<Cow<'a, str>>,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    arguments_base64: Vec<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    payload_text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload_base64: Option<&'a RawValue>,
    parse_error: Option<Cow<'a, str>>,
    #[serde(default)]
    truncated: bool,
    security_risk: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    risk: Vec<Finding<'a>>,
}

#[derive(Deserialize)]
struct Finding<'a> {
    #[serde(borrow)]
    rule: Option<Cow<'a, str>>,
    #[serde(borrow)]
    level: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    agent: Option<Cow<'a, str>>,
}

/// Shows events one after the other: their columns fit to what came before.
pub struct View {
    zone: TimeZone,
    /// Whether what is long is cut: on a terminal. In a pipe, nothing is lost.
    cuts: bool,
    /// How wide that is.
    columns: usize,
    /// The day of the last event.
    day: Option<Date>,
    agent_width: usize,
    event_width: usize,
}

impl View {
    /// Times are those of this zone.
    pub fn new(zone: TimeZone, cuts: bool) -> View {
        // As wide as what is usual, so that columns seldom move.
        View { zone, cuts, columns: usize::MAX, day: None, agent_width: 11, event_width: 18 }
    }

    /// For standard output: on a terminal, no line is longer than that is wide.
    pub fn of_stdout(zone: TimeZone) -> View {
        let mut view = View::new(zone, io::stdout().is_terminal());
        view.look_at_stdout();
        view
    }

    /// Its window may have another size now.
    pub fn look_at_stdout(&mut self) {
        let size = if self.cuts { tcgetwinsize(io::stdout()).ok() } else { None };
        let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        self.columns = columns.unwrap_or(usize::MAX);
    }

    /// One line for a person, with colours, each with a newline; control characters are escaped. The
    /// first event of a day has a line with the date above it.
    pub fn show(&mut self, line: &[u8]) -> String {
        let Ok(event) = serde_json::from_slice::<Line<'_>>(line) else {
            let text = "an event that cannot be shown here; it is in the journal";
            return format!("{WARNING}{}{WARNING:#}\n", fit(text, self.columns).0);
        };
        let (date, time) = self.date_and_time(&event.timestamp);
        let kind = event.event_type.as_deref();
        let name = event.event.as_deref().or(kind).unwrap_or("-");
        let session = event.session_id.as_deref().unwrap_or("-");
        let session: String = session.chars().take(SESSION_CHARS).collect();
        let agent = event.source.as_ref().and_then(|source| source.agent.as_deref());
        let about = self.about(&event);
        let colour = colour(name, kind.unwrap_or_default());
        let (level, level_colour, rule) = risk(&event).unwrap_or_default();
        let [name, agent, rule] =
            [name, agent.unwrap_or(""), rule].map(|name| self.shortened(name, NAME_CHARS));
        let [time, session, agent, name, rule, about] =
            [&*time, &session, &*agent, &*name, &*rule, &about].map(printable);
        self.agent_width = self.agent_width.max(agent.width());
        self.event_width = self.event_width.max(name.width());
        let columns = [
            (&*time, FAINT, 0),
            (&*session, FAINT, SESSION_CHARS),
            (&*agent, Style::new(), self.agent_width),
            (&*name, colour, self.event_width),
        ];
        // Few events have a risk: it stands before what they are about, and moves no column.
        let rest = [(level, level_colour), (&*rule, FAINT), (&*about, Style::new())];
        let rest = rest.into_iter().filter(|(text, _)| !text.is_empty());
        let columns: Vec<_> =
            columns.into_iter().chain(rest.map(|(text, style)| (text, style, 0))).collect();
        let last = columns.len() - 1;
        let (mut out, mut left) = (date, self.columns);
        for (column, (text, style, width)) in columns.iter().enumerate() {
            let (text, used) = fit(text, left);
            // No blanks behind the last one.
            let blanks = if column == last { 0 } else { width.saturating_sub(used) + 2 };
            left = left.saturating_sub(used + blanks);
            if left == 0 {
                out.push_str(&format!("{style}{text}{style:#}"));
                break;
            }
            out.push_str(&format!("{style}{text}{style:#}{:blanks$}", ""));
        }
        out.push('\n');
        out
    }

    /// The line for a new day, and the time of day.
    fn date_and_time(&mut self, timestamp: &str) -> (String, String) {
        let Ok(timestamp) = timestamp.parse::<Timestamp>() else {
            return (String::new(), timestamp.to_owned());
        };
        let time = timestamp.to_zoned(self.zone.clone());
        let date = if self.day.replace(time.date()) == Some(time.date()) {
            String::new()
        } else {
            let (date, _) = fit(&time.strftime("%A, %Y-%m-%d (UTC%:z)").to_string(), self.columns);
            format!("{HEADING}{date}{HEADING:#}\n")
        };
        (date, time.strftime("%H:%M:%S.%3f").to_string())
    }

    /// What the event is about: its arguments, and something of its payload.
    fn about(&self, event: &Line<'_>) -> String {
        let arguments = match &event.arguments_base64[..] {
            [] => event.arguments.join(" "),
            [_] => "1 argument that is no text".to_owned(),
            arguments => format!("{} arguments, not all text", arguments.len()),
        };
        let what = match (&event.parse_error, &event.payload_text, event.payload) {
            (Some(error), ..) => format!("not JSON: {error}"),
            (None, Some(text), _) => text.lines().next().unwrap_or_default().to_owned(),
            (None, None, Some(payload)) if event.namespace.as_deref() == Some(SYSTEM) => {
                all_of(payload.get())
            }
            (None, None, Some(payload)) => event.deed().unwrap_or_else(|| summary(payload.get())),
            (None, None, None) if event.payload_base64.is_some() => "not text".to_owned(),
            (None, None, None) => String::new(),
        };
        let parts = [arguments, what].map(|part| words(&part));
        let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(|it| &**it).collect();
        let cut = if event.truncated { " (cut)" } else { "" };
        format!("{}{cut}", self.shortened(&parts.join("  "), SUMMARY_CHARS)).trim_start().to_owned()
    }

    /// The beginning of a text that is too long, marked as such.
    fn shortened<'t>(&self, text: &'t str, chars: usize) -> Cow<'t, str> {
        match text.char_indices().nth(chars) {
            Some((end, _)) if self.cuts => Cow::Owned(format!("{}…", &text[..end])),
            _ => Cow::Borrowed(text),
        }
    }
}

/// The level of an event that is worth a look, its colour, and the first rule that says so.
fn risk<'e>(event: &'e Line<'_>) -> Option<(&'static str, Style, &'e str)> {
    let word = event.security_risk.as_deref()?;
    let level = Level::from_name(word).filter(|level| *level >= Level::Medium)?;
    let says_so = |finding: &&Finding<'_>| finding.level.as_deref() == Some(word);
    let finding = event.risk.iter().find(says_so).or_else(|| event.risk.first());
    let rule = finding.and_then(|finding| finding.rule.as_deref()).unwrap_or_default();
    let colour = if level >= Level::High { ERROR } else { WARNING };
    Some((level.name(), colour, rule))
}

/// The text with single blanks, in one line.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// By the agent's own name of the event, and by its type.
fn colour(name: &str, kind: &str) -> Style {
    let name = name.to_ascii_lowercase();
    let has = |part: &str| name.contains(part) || kind.contains(part);
    match () {
        () if has("fail") || has("error") || has("denied") || kind == "daemon.gap" => ERROR,
        () if has("permission") || has("notification") || kind == "notify" => WARNING,
        () if matches!(kind, "sink.state" | "session.silent" | "hooks.slow" | "agent.silent") => {
            WARNING
        }
        () if has("session") || has("stop") || kind == "turn.end" => HEADING,
        () if kind == "daemon.start" => HEADING,
        () if has("prompt") || has("agent") => GOOD,
        () => Style::new(),
    }
}

impl Line<'_> {
    /// What a tool did, by the names that are the same for all agents.
    fn deed(&self) -> Option<String> {
        let about = self.command.as_deref().or(self.file_path.as_deref())?;
        let parts = [self.tool_name.as_deref(), Some(about), self.error_message.as_deref()];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

/// Everything that one of the daemon's own events says, in its order: that is short.
fn all_of(payload: &str) -> String {
    let mut document = Document::default();
    // What cannot be parsed says nothing here.
    let Ok(()) = document.parse(payload.as_bytes()) else { return String::new() };
    let text = |value: document::Value<'_>| match value.as_str() {
        Some(text) => text.into_owned(),
        None => {
            let mut json = Vec::new();
            value.write_to(&mut json);
            String::from_utf8_lossy(&json).into_owned()
        }
    };
    let members = document.root().map(document::Value::members).into_iter().flatten();
    let said = members.map(|(name, value)| {
        let texts: Vec<_> = match value.kind() {
            Kind::Array => value.elements().map(text).collect(),
            _ => vec![text(value)],
        };
        format!("{} {}", text(name), texts.join(", "))
    });
    said.collect::<Vec<_>>().join("; ")
}

/// What an event is about, from the members that agents use for it.
fn summary(payload: &str) -> String {
    let Ok(payload) = serde_json::from_str::<Value>(payload) else { return String::new() };
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let mut parts = Vec::new();
    parts.extend(["tool_name", "toolName", "tool"].iter().find_map(|name| text(&payload, name)));
    let input = ["tool_input", "toolArgs", "tool_info"].iter().find_map(|name| payload.get(name));
    let about = ["command", "command_line", "file_path", "pattern", "url", "query", "description"];
    parts.extend(input.and_then(|input| about.iter().find_map(|name| text(input, name))));
    if parts.is_empty() {
        let said = [
            "prompt",
            "message",
            "task_subject",
            "error",
            "agent_type",
            "file_path",
            "trigger",
            "source",
            "reason",
        ];
        parts.extend(said.iter().find_map(|name| text(&payload, name)));
    } else {
        parts.extend(text(&payload, "error"));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests;
