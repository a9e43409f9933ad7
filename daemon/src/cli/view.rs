//! An event as people read it: one line with time, session, agent, event, and what it is about.

use std::borrow::Cow;

use anstyle::Style;
use hookring_journal::model::{Level, Namespace};
use hookring_pipeline::document::{self, Document, Kind};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use unicode_width::UnicodeWidthStr as _;

use super::style::{ERROR, FAINT, GOOD, HEADING, WARNING, printable};

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
    /// The day of the last event.
    day: Option<Date>,
    agent_width: usize,
    event_width: usize,
}

impl View {
    /// Times are those of this zone.
    pub fn new(zone: TimeZone, cuts: bool) -> View {
        // As wide as what is usual, so that columns seldom move.
        View { zone, cuts, day: None, agent_width: 11, event_width: 18 }
    }

    /// One line for a person, with colours, each with a newline; control characters are escaped. The
    /// first event of a day has a line with the date above it.
    pub fn show(&mut self, line: &[u8]) -> String {
        let Ok(event) = serde_json::from_slice::<Line<'_>>(line) else {
            return format!(
                "{WARNING}an event that cannot be shown here; it is in the journal{WARNING:#}\n"
            );
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
        let mut out = date;
        for (column, (text, style, width)) in columns.iter().enumerate() {
            // No blanks behind the last one.
            let blanks = if column == last { 0 } else { width.saturating_sub(text.width()) + 2 };
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
            format!("{HEADING}{}{HEADING:#}\n", time.strftime("%A, %Y-%m-%d (UTC%:z)"))
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
mod tests {
    use super::*;

    const DATE: &str = "Saturday, 2026-11-21 (UTC+00:00)\n";

    fn plain_by(view: &mut View, line: &str) -> String {
        anstream::adapter::strip_str(&view.show(line.as_bytes())).to_string()
    }

    /// What is shown below the date.
    fn plain(line: &str, cuts: bool) -> String {
        let shown = plain_by(&mut View::new(TimeZone::UTC, cuts), line);
        shown.strip_prefix(DATE).unwrap_or(&shown).to_owned()
    }

    fn line(time: &str, rest: &str) -> String {
        format!(r#"{{"timestamp":"{time}",{rest}}}"#)
    }

    #[test]
    fn an_event_is_one_harmless_line() {
        let line = r#"{"timestamp":"2026-11-21T05:10:11.123456789Z","source":{"agent":"claude-code"},"session_id":"0123456789","event":"PreToolUse","payload":{"tool_name":"Bash","tool_input":{"command":"printf '\u001b[31m'\nls"}}}"#;
        assert_eq!(
            plain(line, true),
            "05:10:11.123  01234567  claude-code  PreToolUse          Bash printf '\\u{1b}[31m' ls\n"
        );
    }

    #[test]
    fn an_event_without_a_name_of_its_own_has_its_type() {
        let shown = |rest: &str| plain(&line("2026-11-21T05:10:11.123Z", rest), true);
        assert!(shown(r#""event_type":"daemon.start""#).ends_with("  daemon.start\n"));
        let named = shown(r#""event_type":"turn.end","event":"Stop""#);
        assert!(named.ends_with("  Stop\n"), "{named}");
    }

    #[test]
    fn what_the_daemon_says_of_itself_is_shown_in_full() {
        let rest = r#""event_type":"sink.state","namespace":"system","source":{"agent":"hookring"},"payload":{"sink":"file","state":"retrying","before":"running","error":"no\u001b[2J room","changes":["a","b"],"count":3}"#;
        let shown = plain(&line("2026-11-21T05:10:11.123Z", rest), false);
        let about = "sink file; state retrying; before running; error no\\u{1b}[2J room; changes a, b; count 3\n";
        assert!(shown.ends_with(&format!("  hookring     sink.state          {about}")), "{shown}");
    }

    #[test]
    fn the_type_has_its_colour_under_any_name() {
        for (name, kind, expected) in [
            ("afterAnything", "tool.fail", ERROR),
            ("Notification", "notify", WARNING),
            ("agentSpeaks", "permission.request", WARNING),
            ("Stop", "turn.end", HEADING),
            ("done", "turn.end", HEADING),
            ("before_model", "prompt.submit", GOOD),
            ("PostToolUseFailure", "", ERROR),
            ("PreToolUse", "tool.pre", Style::new()),
            ("daemon.start", "daemon.start", HEADING),
            ("daemon.stop", "daemon.stop", HEADING),
            ("daemon.gap", "daemon.gap", ERROR),
            ("daemon.reload", "daemon.reload", Style::new()),
            ("sink.state", "sink.state", WARNING),
        ] {
            assert_eq!(colour(name, kind), expected, "{name} {kind}");
        }
    }

    #[test]
    fn an_event_with_a_risk_says_which_and_by_what_rule_and_moves_no_column() {
        let show = |view: &mut View, risk: &str| {
            let rest = format!(
                r#""source":{{"agent":"claude-code"}},"session_id":"s","event":"PreToolUse",{risk}"payload":{{"tool_name":"Bash"}}"#
            );
            view.show(line("2026-11-21T05:10:11.123Z", &rest).as_bytes())
        };
        let begin = format!("05:10:11.123  s{}  claude-code  PreToolUse          ", " ".repeat(7));
        for (risk, expected, colour) in [
            ("", "Bash\n", None),
            (r#""security_risk":"low","risk":[{"rule":"a.b","level":"low"}],"#, "Bash\n", None),
            (
                r#""security_risk":"medium","risk":[{"rule":"a.b","level":"medium"}],"#,
                "medium  a.b  Bash\n",
                Some(WARNING),
            ),
            (
                r#""security_risk":"critical","risk":[{"rule":"a.b","level":"low"},{"rule":"c\u001b","level":"critical"}],"#,
                "critical  c\\u{1b}  Bash\n",
                Some(ERROR),
            ),
            (r#""security_risk":"high","#, "high  Bash\n", Some(ERROR)),
            (r#""security_risk":"unheard of","#, "Bash\n", None),
        ] {
            let mut view = View::new(TimeZone::UTC, true);
            let shown = show(&mut view, risk);
            let plain = anstream::adapter::strip_str(&shown).to_string();
            assert_eq!(plain, format!("{DATE}{begin}{expected}"), "{risk}");
            if let Some(colour) = colour {
                let word = expected.split(' ').next().unwrap();
                assert!(shown.contains(&format!("{colour}{word}{colour:#}")), "{shown:?}");
            }
        }
    }

    #[test]
    fn times_are_those_of_the_zone_and_a_new_day_says_its_date() {
        let mut view = View::new(TimeZone::fixed(jiff::tz::offset(2)), false);
        let mut show = |time| plain_by(&mut view, &line(time, r#""event":"Stop""#));
        let shown = [
            show("2026-11-20T21:59:59.999Z"),
            show("2026-11-20T22:00:00.000Z"),
            show("2026-11-21T21:00:00.000Z"),
        ];
        let blanks = " ".repeat(20);
        assert_eq!(
            shown,
            [
                format!("Friday, 2026-11-20 (UTC+02:00)\n23:59:59.999  -{blanks}  Stop\n"),
                format!("Saturday, 2026-11-21 (UTC+02:00)\n00:00:00.000  -{blanks}  Stop\n"),
                format!("23:00:00.000  -{blanks}  Stop\n"),
            ]
        );
    }

    #[test]
    fn no_name_fills_the_terminal_and_a_pipe_gets_all_of_it() {
        let long = "n".repeat(5000);
        let line = format!(
            r#"{{"timestamp":"2026-11-21T05:10:11.123456789Z","source":{{"agent":"{long}"}},"event":"{long}","payload":{{"prompt":"{long}"}}}}"#
        );
        assert!(plain(&line, true).chars().count() < 250);
        let piped = plain(&line, false);
        assert!(piped.chars().count() > 15_000 && !piped.contains('…'));
    }

    #[test]
    fn columns_fit_long_and_wide_names() {
        let mut view = View::new(TimeZone::UTC, true);
        let mut column = |agent: &str, session: &str| {
            let rest = format!(
                r#""source":{{"agent":"{agent}"}},"session_id":"{session}","event":"Stop","payload":{{"reason":"why"}}"#
            );
            let shown = plain_by(&mut view, &line("2026-11-21T05:10:11.123Z", &rest));
            shown.trim_start_matches(DATE).split("Stop").next().unwrap().width()
        };
        assert_eq!(column("a-rather-long-agent", "s"), 45);
        assert_eq!(column("世界", "会会会会"), 45);
        assert_eq!(column("b", ""), 45);
    }

    #[test]
    fn what_is_not_json_says_so() {
        let line = r#"{"timestamp":"2026-11-21T05:10:11.123456789Z","payload_text":"x","parse_error":"expected a value at byte 0"}"#;
        assert!(plain(line, true).ends_with("not JSON: expected a value at byte 0\n"));
    }

    #[test]
    fn arguments_and_the_first_line_of_a_text_are_shown() {
        let about =
            |rest: &str| plain(&line("2026-11-21T05:10:11.123Z", rest), true).trim_end().to_owned();
        let rest = r#""arguments":["origin","url"],"payload_text":"refs/a  1\nrefs/b 2\n""#;
        assert!(about(rest).ends_with("origin url  refs/a 1"), "{}", about(rest));
        assert!(about(r#""arguments":["1","0"],"truncated":true"#).ends_with("1 0 (cut)"));
        let rest = r#""arguments_base64":["/w=="],"payload_base64":"/w==""#;
        assert!(about(rest).ends_with("1 argument that is no text  not text"));
    }

    #[test]
    fn a_time_that_is_none_is_shown_harmless() {
        let shown = plain(r#"{"timestamp":"now\u001b[2J","event":"Stop"}"#, true);
        assert!(shown.starts_with("now\\u{1b}[2J  "), "{shown}");
    }

    #[test]
    fn a_line_that_serde_refuses_is_said_to_be_there() {
        assert!(plain(r#"{"timestamp":"\udc9d"}"#, true).contains("cannot be shown"));
    }
}
