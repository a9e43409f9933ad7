//! `hookring sink`: pauses, resumes, moves and forgets sinks, by files that the sink's worker looks at. So it
//! works with and without a daemon, and one process alone owns a cursor.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hookring_journal::{self as journal, OLDEST, Reader, Seq};
use hookring_sinks::{OffBy, Switch};

use super::Exit;
use super::sink_args::{PauseArgs, Position, ResetArgs, SinkCommand, SinkName};
use super::style::{GOOD, WARNING, printable};
use super::table::counted;
use crate::config::{Config, Env};
use crate::paths::Paths;
use crate::run::status::{SinkStatus, Status};

/// How long a command waits until the daemon has done what it was told. It looks four times a second and says
/// what it does each second; only a sink that is within a call takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// A sink is gone if the daemon's status was without it for so long: that is written each second.
const GONE_AFTER: Duration = Duration::from_secs(2);

/// Does what the command says.
///
/// # Errors
/// There is no such sink, or its files cannot be written.
pub fn sink(
    command: &SinkCommand,
    paths: &Paths,
    env: Env<'_>,
    out: &mut dyn Write,
) -> Result<Exit> {
    let known = Known::find(paths, env)?;
    match command {
        SinkCommand::Pause(args) => pause(args, &known, paths, out),
        SinkCommand::Resume(args) => resume(args, &known, paths, out),
        SinkCommand::Reset(args) => reset(args, &known, paths, out),
        SinkCommand::Forget(args) => forget(args, &known, paths, out),
    }
}

/// The sinks that there are.
pub(super) struct Known {
    names: BTreeSet<String>,
    /// A daemon runs.
    pub(super) is_running: bool,
}

impl Known {
    /// Those of the configuration, and those that the running daemon has.
    pub(super) fn find(paths: &Paths, env: Env<'_>) -> Result<Known> {
        let is_running = is_running(paths)?;
        let status = Status::read(&paths.status_file).ok().flatten().unwrap_or_default();
        let file = status.config.as_ref().map(std::path::PathBuf::from);
        let file = file.filter(|file| *file != paths.config_file && file.exists());
        let mut names = BTreeSet::new();
        match Config::load(file.as_deref(), paths, env) {
            Ok((config, _)) => names.extend(config.sinks.into_iter().map(|sink| sink.name)),
            // What the daemon has in force counts.
            Err(_) if is_running => {}
            Err(errors) => bail!("{}", errors.as_cause()),
        }
        if is_running {
            names.extend(status.sinks.into_iter().map(|sink| sink.name));
        }
        Ok(Known { names, is_running })
    }

    /// Refuses a name that no sink has.
    pub(super) fn require(&self, name: &str) -> Result<()> {
        if self.names.contains(name) {
            return Ok(());
        }
        let name = printable(name);
        if self.names.is_empty() {
            bail!("there is no sink {name}; none is configured");
        }
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        bail!("there is no sink {name}; there are {}", names.join(", "))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

/// Whether a daemon runs here.
pub(super) fn is_running(paths: &Paths) -> Result<bool> {
    let dir = &paths.journal;
    journal::is_in_use(dir)
        .with_context(|| format!("cannot ask for the lock of the journal in {}", dir.display()))
}

/// Whether a daemon runs that runs this sink: what is to be sent once more is in the hands of that alone.
pub(super) fn is_run(name: &str, paths: &Paths) -> Result<bool> {
    Ok(is_running(paths)? && status_of(name, paths).is_some())
}

/// Whether a sink that a daemon ran is gone from it, in the eyes of a command that waits for it.
#[derive(Default)]
pub(super) struct Gone {
    since: Option<Instant>,
}

impl Gone {
    /// Looks which of these sinks the running daemon has been without for so long that it is sure.
    pub(super) fn look<'a>(
        &mut self,
        mut sinks: impl Iterator<Item = &'a str>,
        paths: &Paths,
    ) -> Option<&'a str> {
        // One that cannot be read says nothing.
        let status = Status::read(&paths.status_file).ok().flatten()?;
        let gone = sinks.find(|name| status.sinks.iter().all(|sink| sink.name != *name));
        self.is_sure(gone.is_some(), Instant::now()).then_some(gone).flatten()
    }

    fn is_sure(&mut self, is_gone: bool, now: Instant) -> bool {
        if !is_gone {
            self.since = None;
            return false;
        }
        now.saturating_duration_since(*self.since.get_or_insert(now)) >= GONE_AFTER
    }
}

/// What the running daemon says of a sink now.
pub(super) fn status_of(name: &str, paths: &Paths) -> Option<SinkStatus> {
    let status = Status::read(&paths.status_file).ok().flatten()?;
    status.sinks.into_iter().find(|sink| sink.name == name)
}

/// Waits until something is so; `false`: not in time, or the daemon has ended.
fn wait_until(paths: &Paths, mut is_so: impl FnMut() -> bool) -> Result<bool> {
    let begin = Instant::now();
    loop {
        if is_so() {
            return Ok(true);
        }
        if begin.elapsed() > PATIENCE || !is_running(paths)? {
            return Ok(false);
        }
        thread::sleep(POLL);
    }
}

fn pause(args: &PauseArgs, known: &Known, paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
    let name = &args.name;
    known.require(name)?;
    let switch = Switch::new(&paths.cursors, name);
    if switch.is_off()?.is_some_and(|off| off.by == OffBy::Place) {
        writeln!(out, "{name} is off already: `hookring status` says why")?;
        return Ok(Exit::Fine);
    }
    switch.off(OffBy::Person, args.reason.trim())?;
    let is_off = |sink: SinkStatus| matches!(&*sink.state, "paused" | "off");
    if !known.is_running {
        writeln!(out, "{GOOD}paused{GOOD:#}: {name}, once a daemon runs")?;
    } else if wait_until(paths, || status_of(name, paths).is_none_or(is_off))? {
        writeln!(out, "{GOOD}paused{GOOD:#}: {name}; what comes waits in the journal")?;
    } else {
        writeln!(
            out,
            "{WARNING}not yet{WARNING:#}: {name} pauses behind the batch that it is sending"
        )?;
    }
    Ok(Exit::Fine)
}

fn resume(args: &SinkName, known: &Known, paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
    let name = &args.name;
    known.require(name)?;
    let switch = Switch::new(&paths.cursors, name);
    let was_off = switch.on()?;
    if !known.is_running {
        if was_off {
            writeln!(out, "{GOOD}resumed{GOOD:#}: {name} goes on once a daemon runs")?;
        } else {
            writeln!(out, "{name} was not paused, and no daemon runs: `hookring run` starts one")?;
        }
        return Ok(Exit::Fine);
    }
    if !was_off {
        switch.ask_try_now()?;
        if status_of(name, paths).is_some_and(|sink| sink.state != "running") {
            writeln!(out, "{GOOD}resumed{GOOD:#}: {name} is tried now")?;
        } else {
            writeln!(out, "{name} was not paused, and does not wait")?;
        }
        return Ok(Exit::Fine);
    }
    let is_on = |sink: SinkStatus| !matches!(&*sink.state, "paused" | "off");
    if wait_until(paths, || status_of(name, paths).is_none_or(is_on))? {
        writeln!(out, "{GOOD}resumed{GOOD:#}: {name}")?;
        return Ok(Exit::Fine);
    }
    // It was tried, perhaps, and the place said the same again.
    match switch.is_off()?.filter(|off| off.by == OffBy::Place) {
        Some(off) => bail!("{name} is off again: {}", printable(&off.reason)),
        None => writeln!(
            out,
            "{WARNING}not yet{WARNING:#}: {name} goes on as soon as the daemon looks"
        )?,
    }
    Ok(Exit::Fine)
}

fn reset(args: &ResetArgs, known: &Known, paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
    let name = &args.name;
    known.require(name)?;
    let last = journal::last_seq(&paths.journal).context("cannot read the end of the journal")?;
    let to: Seq = match args.to {
        Position::Oldest => OLDEST,
        Position::Now => last + 1,
        Position::Seq(seq) if seq <= last + 1 => seq,
        Position::Seq(seq) => bail!(
            "the journal ends with event {last}, so {seq} is nowhere yet; `--to now` is behind its end"
        ),
    };
    let oldest = Reader::open(&paths.journal, OLDEST)
        .context("cannot read the begin of the journal")?
        .position()
        .max(1);
    let switch = Switch::new(&paths.cursors, name);
    switch.ask_reset(to)?;
    let place = place(to, oldest);
    let is_waiting = || !known.is_running || status_of(name, paths).is_none();
    let is_done = || switch.wants_reset().is_ok_and(|wants| wants.is_none());
    if !is_waiting() && wait_until(paths, is_done)? {
        let place = place.trim_end_matches(',');
        writeln!(out, "{GOOD}reset{GOOD:#}: {name} goes on with {place}")?;
    } else {
        writeln!(out, "{GOOD}noted{GOOD:#}: {name} goes on with {place} once the daemon runs it")?;
    }
    Ok(Exit::Fine)
}

/// Where a sink goes that is told to go to a number.
fn place(to: Seq, oldest: Seq) -> String {
    match to {
        OLDEST => "the oldest event of the journal".to_owned(),
        gone if gone < oldest => {
            let numbers = match oldest - gone {
                1 => format!("event {gone} is"),
                events => format!("the {events} events {gone} to {} are", oldest - 1),
            };
            format!("event {oldest}, the oldest of the journal, since {numbers} gone from it,")
        }
        seq => format!("event {seq}"),
    }
}

fn forget(args: &SinkName, known: &Known, paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
    let name = &args.name;
    if known.contains(name) {
        bail!(
            "{name} is configured; take it out of the configuration first, or see `hookring sink reset --help`"
        );
    }
    let cursors = journal::stored_cursors(&paths.cursors)?;
    if !cursors.iter().any(|(sink, _)| sink == name) {
        let others: Vec<_> =
            cursors.into_iter().map(|it| it.0).filter(|it| !known.contains(it)).collect();
        match &others[..] {
            [] => bail!("there is no cursor of {}, nor any other without a sink", printable(name)),
            some => bail!(
                "there is no cursor of {}; without a sink are {}",
                printable(name),
                some.join(", ")
            ),
        }
    }
    for suffix in ["cursor", "off", "reset", "try", "stop", "replay"] {
        let path = paths.cursors.join(format!("{name}.{suffix}"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    // A running daemon knows by its configuration that there is no such sink.
    if !known.is_running {
        let file = &paths.status_file;
        let forgotten = Status::forget_sink(file, name);
        forgotten.with_context(|| format!("cannot take {name} out of {}", file.display()))?;
    }
    writeln!(out, "{GOOD}forgotten{GOOD:#}: the cursor of {name}")?;
    let letters = super::dlq_commands::kept(name, paths)?;
    if letters > 0 {
        let letters = counted(letters, "dead letter");
        writeln!(
            out,
            "its {letters} stay: `hookring dlq purge --sink {name} --all` gives them up"
        )?;
    }
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_sink_really_goes_is_said() {
        for (to, expected) in [
            (OLDEST, "the oldest event of the journal"),
            (41, "event 41"),
            (40, "event 40"),
            (39, "event 40, the oldest of the journal, since event 39 is gone from it,"),
            (
                1,
                "event 40, the oldest of the journal, since the 39 events 1 to 39 are gone from it,",
            ),
        ] {
            assert_eq!(place(to, 40), expected);
        }
    }

    #[test]
    fn a_sink_is_gone_that_was_away_for_a_while_without_a_break() {
        let (mut gone, start) = (Gone::default(), Instant::now());
        let mut look = |is_gone, ms| gone.is_sure(is_gone, start + Duration::from_millis(ms));
        assert!(!look(true, 0) && !look(true, 1900) && !look(false, 1950));
        assert!(!look(true, 2000) && !look(true, 3999) && look(true, 4000));
    }
}
