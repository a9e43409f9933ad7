//! `hookring dlq retry`: has the running daemon send dead letters again, and follows that to its end.

use std::collections::BTreeSet;
use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hookring_sinks::{DeadLetters, Letter, Switch};

use super::Exit;
use super::dlq_commands::{is, wanted};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::sink_args::DlqRetryArgs;
use super::sink_commands::{Gone, Known, is_run, is_running, status_of};
use super::style::{FAINT, GOOD, WARNING};
use super::table::counted;
use crate::config::Env;
use crate::paths::Paths;

const POLL: Duration = Duration::from_millis(100);

/// Sends them again through the daemon and follows that, or ends it.
///
/// # Errors
/// There is no such letter or sink, no daemon to send it, or a file cannot be read or written.
pub(super) fn retry(
    args: &DlqRetryArgs,
    paths: &Paths,
    env: Env<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    let sinks = if args.stop || is_running(paths)? {
        wanted(args.sink.as_deref(), paths)?
    } else {
        bail!("no daemon runs that could send them; `hookring run` starts one");
    };
    if args.stop {
        return stop(&sinks, paths, out);
    }
    let known = Known::find(paths, env)?;
    let mut asked = Vec::new();
    for (name, letters) in sinks {
        let switch = Switch::new(&paths.cursors, &name);
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
    if asked.is_empty() {
        bail!(
            "there is no such dead letter that could be sent now; `hookring dlq list` has what there is"
        );
    }
    follow(&asked, paths, out, err)
}

/// Ends what is under way. Letters of a sink that no daemon runs are put back here.
fn stop(sinks: &[(String, DeadLetters)], paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
    for (name, letters) in sinks.iter().filter(|(_, letters)| letters.is_retrying()) {
        if is_run(name, paths)? {
            Switch::new(&paths.cursors, name).ask_stop()?;
            writeln!(out, "{GOOD}stopping{GOOD:#}: {name}; what was not sent stays a dead letter")?;
            continue;
        }
        let given_up = letters.end_retry(None)?.given_up;
        writeln!(out, "{GOOD}stopped{GOOD:#}: {name}; what was not sent is a dead letter again")?;
        if given_up > 0 {
            let letters = counted(given_up, "older dead letter");
            writeln!(out, "{WARNING}{letters} given up{WARNING:#} for want of room")?;
        }
    }
    Ok(Exit::Fine)
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
    let mut gone = Gone::default();
    while asked.iter().any(|it| it.letters.is_retrying()) {
        if interrupt.came() && !is_stopped {
            is_stopped = true;
            asked.iter().try_for_each(|it| it.switch.ask_stop())?;
        }
        if !is_running(paths)? {
            progress.clear();
            bail!("the daemon has ended; its next start goes on with what is left");
        }
        let retrying = asked.iter().filter(|it| it.letters.is_retrying());
        if let Some(name) = gone.look(retrying.map(|it| &*it.name), paths) {
            progress.clear();
            bail!(without(name));
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

fn without(name: &str) -> String {
    format!(
        "the daemon does not run {name} any more, so what is left of its letters waits: put the sink back under that \
         name and it goes on, or `hookring dlq retry --sink {name} --stop` makes them dead letters as before, which \
         can be listed and purged"
    )
}
