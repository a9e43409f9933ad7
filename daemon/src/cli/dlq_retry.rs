//! `hookring dlq retry`: has the running daemon send dead letters again. Following that is in [`super::dlq_follow`].

use std::io::Write;

use anyhow::{Result, bail};
use hookring_sinks::{DeadLetters, Letter, Switch};
use jiff::Timestamp;

use super::Exit;
use super::dlq_commands::{is, wanted, wanted_calmly};
use super::dlq_follow::{Asked, follow};
use super::sink_args::DlqRetryArgs;
use super::sink_commands::{Known, is_run, is_running, status_of};
use super::style::{GOOD, WARNING};
use super::table::counted;
use crate::config::Env;
use crate::paths::Paths;

/// Sends them again through the daemon and follows that, or ends it. `out` is as it is for JSON.
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
    if args.stop {
        return stop(&wanted_calmly(args.which.sink.as_ref(), paths, env)?, paths, out);
    }
    if !is_running(paths)? {
        bail!("no daemon runs that could send them; `hookring run` starts one");
    }
    let sinks = match args.which.all {
        true => wanted_calmly(args.which.sink.as_ref(), paths, env)?,
        false => wanted(args.which.sink.as_deref(), paths)?,
    };
    let known = Known::find(paths, env)?;
    let (mut asked, mut is_any_left_out) = (Vec::new(), false);
    for (name, letters) in sinks {
        let switch = Switch::new(&paths.cursors, &name);
        let status = status_of(&name, paths);
        if let Some(state) =
            status.as_ref().map(|it| &*it.state).filter(|it| matches!(*it, "paused" | "off"))
        {
            is_any_left_out = true;
            writeln!(err, "{WARNING}{name} is {state}{WARNING:#}: left out until it is resumed")?;
            continue;
        }
        if status.is_none() {
            if args.which.sink.is_some() {
                known.require(&name)?;
                bail!("{name} does not run: it is switched off in the configuration");
            }
            is_any_left_out = true;
            writeln!(err, "{WARNING}left out{WARNING:#}: {name}, which the daemon does not run")?;
            continue;
        }
        // Once it is sure that nothing else is under way.
        let mut asked_at = None;
        let is_wanted = |letter: &Letter<'_>| {
            asked_at.get_or_insert_with(Timestamp::now);
            args.which.all || args.which.ids.iter().any(|id| is(letter, id))
        };
        switch.take_stop()?;
        let count = letters.ask_retry(is_wanted)?;
        if let Some(asked_at) = asked_at.filter(|_| count > 0) {
            asked.push(Asked::new(name, letters, switch, count, asked_at));
        }
    }
    if asked.is_empty() && args.which.all && !is_any_left_out {
        if !args.json {
            writeln!(out, "there are no dead letters")?;
        }
        return Ok(Exit::Fine);
    } else if asked.is_empty() {
        bail!(
            "there is no such dead letter that could be sent now; `hookring dlq list` has what there is"
        );
    }
    follow(&mut asked, args.json, paths, out, err)
}

/// Ends what is under way. Letters of a sink that no daemon runs are put back here.
fn stop(sinks: &[(String, DeadLetters)], paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
    let mut is_any = false;
    for (name, letters) in sinks.iter().filter(|(_, letters)| letters.is_retrying()) {
        is_any = true;
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
    if !is_any {
        writeln!(out, "no dead letters are being sent again")?;
    }
    Ok(Exit::Fine)
}
