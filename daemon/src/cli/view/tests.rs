//! Lines of events as people see them.

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

#[test]
fn no_line_is_wider_than_its_terminal_and_nothing_is_cut_in_a_pipe() {
    let text = "世界 ".repeat(100);
    let line = line("2026-01-02T03:04:05.678Z", &format!(r#""payload":{{"prompt":"{text}"}}"#));
    for columns in [1, 7, 20, 21, 40, 41, 80] {
        let mut view = View::new(TimeZone::UTC, true);
        view.columns = columns;
        let shown = plain_by(&mut view, &line);
        assert!(shown.lines().all(|line| line.width() <= columns), "{columns}: {shown}");
        assert_eq!(shown.lines().count(), 2, "the date, and the event");
        assert!(columns < 80 || shown.ends_with("~\n"), "{shown}");
    }
    let mut view = View::new(TimeZone::UTC, false);
    view.look_at_stdout();
    assert!(plain_by(&mut view, &line).contains(text.trim_end()));
}
