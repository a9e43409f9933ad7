//! `hookring dlq`: dead letters, which are events that a sink would not take.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hookring_sinks::dead_letters::DEAD_LETTERS_BYTES;
use hookring_sinks::{DeadLetters, Letter, LetterCount, Switch, sinks_with_letters};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Exit;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::sink_args::{DlqCommand, DlqListArgs, DlqPurgeArgs, DlqRetryArgs, DlqShowArgs};
use super::sink_commands::{Known, is_running, status_of};
use super::style::{FAINT, GOOD, WARNING, printable};
use super::table::{Align, Cell, Table, counted};
use crate::config::Env;
use crate::paths::Paths;

const POLL: Duration = Duration::from_millis(100);
/// The longest reason in a list, in characters; `show` has all of it.
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
        DlqCommand::Retry(args) => retry(args, paths, env, out, err),
        DlqCommand::Purge(args) => purge(args, paths, out, err),
    }
}

/// How many letters of a sink are kept.
pub(super) fn kept(sink: &str, paths: &Paths) -> u64 {
    LetterCount::default().look(&letters(sink, paths))
}

fn letters(sink: &str, paths: &Paths) -> DeadLetters {
    DeadLetters::new(&paths.dead_letters, sink, DEAD_LETTERS_BYTES)
}

/// The sinks that are meant, by name, each with its letters.
fn wanted(sink: Option<&str>, paths: &Paths) -> Result<Vec<(String, DeadLetters)>> {
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

/// Whether a letter's event has this id or number.
fn is(letter: &Letter<'_>, id: &str) -> bool {
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
    let sinks = match &args.sink {
        Some(sink) if !sinks_with_letters(&paths.dead_letters)?.contains(sink) => {
            Known::find(paths, env)?.require(sink)?;
            Vec::new()
        }
        sink => wanted(sink.as_deref(), paths)?,
    };
    let titles = [
        ("SINK", Left),
        ("EVENT", Right),
        ("TYPE", Left),
        ("SINCE", Left),
        ("STATUS", Right),
        ("ATTEMPTS", Right),
        ("REASON", Left),
    ];
    let (mut table, mut count, mut bad_lines) = (Table::with_titles(titles), 0_u64, 0);
    let mut written = Ok(());
    for (_, letters) in sinks {
        bad_lines += letters.each(|letter, is_retried| {
            count += 1;
            if args.json {
                let line =
                    serde_json::to_string(&Shown::of(letter, is_retried)).unwrap_or_default();
                written =
                    std::mem::replace(&mut written, Ok(())).and_then(|()| writeln!(raw, "{line}"));
            } else {
                table.row(row(letter, is_retried));
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

/// The same for people.
fn row(letter: &Letter<'_>, is_retried: bool) -> [Cell; 7] {
    let event = letter.event();
    let kind = event.as_ref().and_then(|it| it.event_type.clone()).unwrap_or_default();
    let again = if is_retried { "is being sent again; " } else { "" };
    let reason = format!("{again}{}", letter.reason);
    let cut = match reason.char_indices().nth(REASON_CHARS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason,
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

fn retry(
    args: &DlqRetryArgs,
    paths: &Paths,
    env: Env<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    if !is_running(paths)? {
        bail!("no daemon runs that could send them; `hookring run` starts one");
    }
    let known = Known::find(paths, env)?;
    let sinks = wanted(args.sink.as_deref(), paths)?;
    let mut asked = Vec::new();
    for (name, letters) in sinks {
        let switch = Switch::new(&paths.cursors, &name);
        if args.stop {
            if letters.is_retrying() {
                switch.ask_stop()?;
                writeln!(
                    out,
                    "{GOOD}stopping{GOOD:#}: {name}; what was not sent stays a dead letter"
                )?;
            }
            continue;
        }
        let status = status_of(&name, paths);
        if let Some(state) =
            status.as_ref().map(|it| &*it.state).filter(|it| matches!(*it, "paused" | "off"))
        {
            writeln!(err, "{WARNING}{name} is {state}{WARNING:#}: left out until it is resumed")?;
            continue;
        }
        if status.is_none() {
            if args.sink.is_some() {
                known.require(&name)?;
                bail!("{name} does not run: it is switched off in the configuration");
            }
            writeln!(err, "{WARNING}left out{WARNING:#}: {name}, which the daemon does not run")?;
            continue;
        }
        let mut ids = BTreeSet::new();
        let is_wanted = |letter: &Letter<'_>| {
            let is_wanted = args.all || args.ids.iter().any(|id| is(letter, id));
            if is_wanted {
                ids.extend(letter.event().map(|event| event.id.into_owned()));
            }
            is_wanted
        };
        switch.take_stop()?;
        let count = letters.ask_retry(is_wanted)?;
        if count > 0 {
            asked.push(Asked { name, letters, switch, ids, count });
        }
    }
    if args.stop {
        return Ok(Exit::Fine);
    }
    if asked.is_empty() {
        bail!(
            "there is no such dead letter that could be sent now; `hookring dlq list` has what there is"
        );
    }
    follow(&asked, paths, out, err)
}

/// What was asked of one sink.
struct Asked {
    name: String,
    letters: DeadLetters,
    switch: Switch,
    /// Of the events.
    ids: BTreeSet<String>,
    count: u64,
}

/// Waits until all of it is over.
fn follow(
    asked: &[Asked],
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    let interrupt = Interrupt::watch().context("cannot watch for signals")?;
    let total: u64 = asked.iter().map(|it| it.count).sum();
    let mut progress = Progress::new(err);
    let mut is_stopped = false;
    while asked.iter().any(|it| it.letters.is_retrying()) {
        if interrupt.came() && !is_stopped {
            is_stopped = true;
            asked.iter().try_for_each(|it| it.switch.ask_stop())?;
        }
        if !is_running(paths)? {
            progress.clear();
            bail!("the daemon has ended; its next start goes on with what is left");
        }
        let left: u64 = asked
            .iter()
            .filter_map(|it| status_of(&it.name, paths)?.retry)
            .map(|retry| retry.left)
            .sum();
        progress.show_text(&format!("{} of {total} sent", total.saturating_sub(left)));
        thread::sleep(POLL);
    }
    progress.clear();
    let mut exit = Exit::Fine;
    for Asked { name, letters, ids, count, .. } in asked {
        let mut left = BTreeSet::new();
        letters.each(|letter, _| {
            let id = letter.event().map(|event| event.id.into_owned());
            left.extend(id.filter(|id| ids.contains(id)));
        })?;
        let (left, ids) = (left.len() as u64, ids.len() as u64);
        writeln!(out, "{name}: {} sent again, {} taken, {left} left", count, ids - left)?;
        if left > 0 {
            exit = Exit::Failed;
        }
    }
    if exit == Exit::Failed {
        writeln!(out, "{FAINT}`hookring dlq list` says why{FAINT:#}")?;
    }
    Ok(exit)
}

fn purge(
    args: &DlqPurgeArgs,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    let sinks = wanted(args.sink.as_deref(), paths)?;
    let is_meant = |letter: &Letter<'_>| args.all || args.ids.iter().any(|id| is(letter, id));
    let mut count = 0;
    for (_, letters) in &sinks {
        let bad_lines = letters.each(|letter, is_retried| {
            count += u64::from(!is_retried && is_meant(letter));
        })?;
        count += if args.all { bad_lines } else { 0 };
    }
    if count == 0 {
        bail!("there is no such dead letter; `hookring dlq list` has what there is");
    }
    if !args.yes && !confirmed(count, err)? {
        return Ok(Exit::Failed);
    }
    let mut removed = 0;
    for (_, letters) in &sinks {
        removed += letters.purge(|letter| letter.map_or(args.all, is_meant))?;
    }
    writeln!(out, "{GOOD}removed{GOOD:#}: {}", counted(removed, "dead letter"))?;
    Ok(Exit::Fine)
}

/// Asks on a terminal; elsewhere nobody could answer.
fn confirmed(count: u64, err: &mut dyn Write) -> Result<bool> {
    let letters = counted(count, "dead letter");
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        bail!("{letters} would be gone for good; say so with --yes");
    }
    write!(err, "Remove {letters} for good? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    let is_yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !is_yes {
        writeln!(err, "nothing is removed")?;
    }
    Ok(is_yes)
}
