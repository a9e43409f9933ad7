//! `hookring dlq`: dead letters, which are events that a sink would not take. Sending them again is in
//! `dlq_retry.rs`.

use std::io::{self, BufRead, IsTerminal as _, Write};

use anyhow::{Context as _, Result, bail};
use hookring_sinks::dead_letters::DEAD_LETTERS_BYTES;
use hookring_sinks::{DeadLetters, Letter, LetterCount, sinks_with_letters};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::sink_args::{DlqCommand, DlqListArgs, DlqPurgeArgs, DlqShowArgs};
use super::sink_commands::{Known, is_run};
use super::style::{GOOD, WARNING, printable};
use super::table::{Align, Cell, Table, counted};
use super::{Exit, dlq_retry};
use crate::config::Env;
use crate::paths::Paths;

/// The longest reason in a list on a terminal, in characters; `show` has all of it.
const REASON_CHARS: usize = 60;

/// Does what the command says. `raw` is for JSON.
///
/// # Errors
/// There is no such letter or sink, no daemon to send it, or a file cannot be read or written.
pub fn dlq(
    command: &DlqCommand,
    paths: &Paths,
    env: Env<'_>,
    (out, raw): (&mut dyn Write, &mut dyn Write),
    err: &mut dyn Write,
) -> Result<Exit> {
    match command {
        DlqCommand::List(args) => list(args, paths, env, (out, raw), err),
        DlqCommand::Show(args) => show(args, paths, raw),
        DlqCommand::Retry(args) if args.json => dlq_retry::retry(args, paths, env, raw, err),
        DlqCommand::Retry(args) => dlq_retry::retry(args, paths, env, out, err),
        DlqCommand::Purge(args) => purge(args, paths, out, err),
    }
}

/// How many letters of a sink are kept.
pub(super) fn kept(sink: &str, paths: &Paths) -> Result<u64> {
    Ok(LetterCount::default().look(&letters(sink, paths), false)?)
}

fn letters(sink: &str, paths: &Paths) -> DeadLetters {
    DeadLetters::new(&paths.dead_letters, sink, DEAD_LETTERS_BYTES)
}

/// The sinks that are meant, by name, each with its letters.
pub(super) fn wanted(sink: Option<&str>, paths: &Paths) -> Result<Vec<(String, DeadLetters)>> {
    let found = sinks_with_letters(&paths.dead_letters)?;
    if let Some(name) = sink.filter(|name| !found.iter().any(|it| it == name)) {
        match &found[..] {
            [] => bail!("there are no dead letters"),
            some => bail!(
                "there are no dead letters of a sink {}; there are some of {}",
                printable(name),
                some.join(", ")
            ),
        }
    }
    let is_wanted = |name: &String| sink.is_none_or(|sink| sink == name);
    let names = found.into_iter().filter(is_wanted);
    Ok(names.map(|name| (name.clone(), letters(&name, paths))).collect())
}

/// The same, where a sink that has none is no error.
pub(super) fn wanted_calmly(
    sink: Option<&String>,
    paths: &Paths,
    env: Env<'_>,
) -> Result<Vec<(String, DeadLetters)>> {
    match sink {
        Some(sink) if !sinks_with_letters(&paths.dead_letters)?.contains(sink) => {
            Known::find(paths, env)?.require(sink)?;
            Ok(Vec::new())
        }
        sink => wanted(sink.map(String::as_str), paths),
    }
}

/// Whether a letter's event has this id or number.
pub(super) fn is(letter: &Letter<'_>, id: &str) -> bool {
    letter.event().is_some_and(|event| event.id == id || event.seq.to_string() == id)
}

fn list(
    args: &DlqListArgs,
    paths: &Paths,
    env: Env<'_>,
    (out, raw): (&mut dyn Write, &mut dyn Write),
    err: &mut dyn Write,
) -> Result<Exit> {
    use Align::{Left, Right};
    let sinks = wanted_calmly(args.sink.as_ref(), paths, env)?;
    let titles = [
        ("SINK", Left),
        ("EVENT", Right),
        ("TYPE", Left),
        ("LAST", Left),
        ("STATUS", Right),
        ("ATTEMPTS", Right),
        ("REASON", Left),
    ];
    let (mut table, mut count, mut bad_lines) = (Table::with_titles(titles), 0_u64, 0);
    let mut written = Ok(());
    let is_terminal = io::stdout().is_terminal();
    for (name, letters) in sinks {
        let is_run = is_run(&name, paths)?;
        bad_lines += letters.each(|letter, is_retried| {
            count += 1;
            if args.json {
                let line =
                    serde_json::to_string(&Shown::of(letter, is_retried)).unwrap_or_default();
                written =
                    std::mem::replace(&mut written, Ok(())).and_then(|()| writeln!(raw, "{line}"));
            } else {
                table.row(row(letter, is_retried.then_some(is_run), is_terminal));
            }
        })?;
    }
    written?;
    if !args.json {
        match count {
            0 => writeln!(out, "there are no dead letters")?,
            _ => write!(out, "{table}")?,
        }
    }
    if bad_lines > 0 {
        let lines = counted(bad_lines, "line");
        writeln!(
            err,
            "{WARNING}{lines} cannot be read{WARNING:#}; `hookring dlq purge --all` removes them, too"
        )?;
    }
    Ok(Exit::Fine)
}

/// A letter for programs: its event as it stands there, no number rounded and no member moved.
#[derive(Serialize)]
struct Shown<'a> {
    sink: &'a str,
    at: Timestamp,
    status: Option<u16>,
    reason: &'a str,
    attempts: u32,
    retrying: bool,
    event: &'a RawValue,
}

impl<'a> Shown<'a> {
    fn of(letter: &'a Letter<'a>, retrying: bool) -> Shown<'a> {
        let Letter { sink, at, status, reason, attempts, event } = letter;
        let (at, status, attempts) = (*at, *status, *attempts);
        Shown { sink, at, status, reason, attempts, retrying, event }
    }
}

/// The same for people. `is_run` of one that is to be sent again: there is who sends it.
fn row(letter: &Letter<'_>, is_run: Option<bool>, is_terminal: bool) -> [Cell; 7] {
    let event = letter.event();
    let kind = event.as_ref().and_then(|it| it.event_type.clone()).unwrap_or_default();
    let again = match is_run {
        Some(true) => "is being sent again; ",
        Some(false) => "waits for its sink to be sent again; ",
        None => "",
    };
    let reason = format!("{again}{}", letter.reason);
    // A program wants all of it.
    let cut = match reason.char_indices().nth(REASON_CHARS) {
        Some((end, _)) if is_terminal => format!("{}…", &reason[..end]),
        _ => reason,
    };
    [
        Cell::from(&letter.sink),
        Cell::from(event.map_or_else(|| "?".to_owned(), |it| it.seq.to_string())),
        Cell::from(kind),
        Cell::from(format!("{:.0}", letter.at)),
        Cell::from(letter.status.map(|status| status.to_string()).unwrap_or_default()),
        Cell::from(letter.attempts),
        Cell::from(cut),
    ]
}

fn show(args: &DlqShowArgs, paths: &Paths, raw: &mut dyn Write) -> Result<Exit> {
    let (mut found, mut written) = (0, Ok(()));
    for (_, letters) in wanted(args.sink.as_deref(), paths)? {
        letters.each(|letter, is_retried| {
            if !is(letter, &args.id) {
                return;
            }
            found += 1;
            let shown = Shown::of(letter, is_retried);
            let text = serde_json::to_string_pretty(&shown).unwrap_or_default();
            // JSON escapes what steers a terminal, but for the characters of C1.
            let text: Vec<_> = text.lines().map(printable).collect();
            written = std::mem::replace(&mut written, Ok(()))
                .and_then(|()| writeln!(raw, "{}", text.join("\n")));
        })?;
    }
    written?;
    if found == 0 {
        bail!(
            "there is no dead letter of event {}; `hookring dlq list` has the numbers",
            printable(&args.id)
        );
    }
    Ok(Exit::Fine)
}

fn purge(
    args: &DlqPurgeArgs,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    let sinks = wanted(args.which.sink.as_deref(), paths)?;
    let is_meant =
        |letter: &Letter<'_>| args.which.all || args.which.ids.iter().any(|id| is(letter, id));
    let (mut count, mut sent_again) = (0, Vec::new());
    let mut meant = Vec::new();
    for (name, letters) in sinks {
        let is_run = is_run(&name, paths)?;
        let mut is_sent = false;
        let bad_lines = letters.each(|letter, is_retried| {
            let is_left = is_retried && is_run && is_meant(letter);
            is_sent |= is_left;
            count += u64::from(!is_left && is_meant(letter));
        })?;
        count += if args.which.all { bad_lines } else { 0 };
        sent_again.extend(is_sent.then(|| name.clone()));
        meant.push((letters, !is_run));
    }
    for name in &sent_again {
        writeln!(
            err,
            "{WARNING}left out{WARNING:#}: letters of {name} that are being sent again; \
             `hookring dlq retry --sink {name} --stop` ends that"
        )?;
    }
    if count == 0 && sent_again.is_empty() {
        bail!("there is no such dead letter; `hookring dlq list` has what there is");
    } else if count == 0 {
        bail!("no other dead letter is meant");
    }
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !args.yes && !confirmed(count, is_terminal, &mut io::stdin().lock(), err)? {
        return Ok(Exit::Failed);
    }
    let mut removed = 0;
    for (letters, with_retried) in &meant {
        removed +=
            letters.purge(*with_retried, |letter| letter.map_or(args.which.all, is_meant))?;
    }
    writeln!(out, "{GOOD}removed{GOOD:#}: {}", counted(removed, "dead letter"))?;
    Ok(Exit::Fine)
}

/// Asks on a terminal; elsewhere nobody could answer.
fn confirmed(
    count: u64,
    is_terminal: bool,
    input: &mut dyn BufRead,
    err: &mut dyn Write,
) -> Result<bool> {
    let letters = counted(count, "dead letter");
    if !is_terminal {
        bail!("{letters} would be gone for good; say so with --yes");
    }
    write!(err, "Remove {letters} for good? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer).context("cannot read the answer")?;
    let is_yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !is_yes {
        writeln!(err, "nothing is removed")?;
    }
    Ok(is_yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_on_a_terminal_alone() {
        let reason = "x".repeat(REASON_CHARS + 1);
        let line = format!(
            "{{\"sink\":\"s\",\"at\":\"2026-01-02T03:04:05Z\",\"status\":422,\"reason\":\"{reason}\",\
             \"attempts\":1,\"event\":{{\"seq\":1,\"id\":\"a\"}}}}"
        );
        let letter = Letter::parse(line.as_bytes()).expect("a letter");
        let shown = |is_terminal| {
            let mut table = Table::with_titles([("", Align::Left); 7]);
            table.row(row(&letter, None, is_terminal));
            table.to_string()
        };
        assert!(shown(false).contains(&reason));
        assert!(!shown(true).contains(&reason) && shown(true).contains("x…"));
    }

    #[test]
    fn only_a_clear_yes_on_a_terminal_removes_anything() {
        let asked = |count, is_terminal, input: &str| {
            let mut err = Vec::new();
            let answer = confirmed(count, is_terminal, &mut input.as_bytes(), &mut err);
            (answer.map_err(|error| error.to_string()), String::from_utf8(err).expect("text"))
        };
        let question = "Remove 2 dead letters for good? [y/N] ";
        for yes in ["y\n", "Y\n", "yes\n", " y \n"] {
            assert_eq!(asked(2, true, yes), (Ok(true), question.to_owned()), "{yes:?}");
        }
        for no in ["\n", "", "n\n", "no\n", "yess\n", "\ny\n"] {
            let said = format!("{question}nothing is removed\n");
            assert_eq!(asked(2, true, no), (Ok(false), said), "{no:?}");
        }
        let refused = "1 dead letter would be gone for good; say so with --yes".to_owned();
        assert_eq!(asked(1, false, "y\n"), (Err(refused), String::new()));
    }
}
