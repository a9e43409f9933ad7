//! `hookring replay`: has the running daemon send events to a sink once more, and shows how far it is.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hookring_journal::{self as journal, Filter, OLDEST};
use hookring_sinks::{Replay, ReplayEnd, ReplayFile, Switch};
use jiff::Timestamp;
use serde::Serialize;

use super::Exit;
use super::export_command::is_empty_range;
use super::held_up::{HeldUp, Watch};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::replay_range::{self, Range, Rest};
use super::session::HINT;
use super::sink_args::ReplayArgs;
use super::sink_commands::{Gone, Known, is_run, is_running, status_of};
use super::style::{FAINT, GOOD, WARNING, printable};
use super::table::{counted, human_duration};
use super::{require_journal, session};
use crate::config::Env;
use crate::paths::Paths;
use crate::run::status::{SinkStatus, since};

const POLL: Duration = Duration::from_millis(100);
/// How often a line says how far it is, where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a sink within a call may keep a replay from ending.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// Asks for a replay and follows it to its end.
///
/// # Errors
/// No daemon runs, there is no such sink, or another replay to it is under way.
pub fn replay(
    args: &ReplayArgs,
    paths: &Paths,
    env: Env<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    let known = Known::find(paths, env)?;
    let asked = Asked {
        name: &args.sink,
        file: ReplayFile::new(&paths.cursors, &args.sink),
        switch: Switch::new(&paths.cursors, &args.sink),
    };
    if args.stop {
        // Also to one that is not configured any more.
        if !journal::stored_cursors(&paths.cursors)?.iter().any(|(sink, _)| *sink == args.sink) {
            known.require(&args.sink)?;
        }
        return asked.stop(&known, paths, out);
    }
    if replay_range::is_missing(args, err)? {
        return Ok(Exit::Usage);
    }
    known.require(&args.sink)?;
    if !known.is_running {
        bail!("no daemon runs that could send anything; `hookring run` starts one");
    }
    if is_empty_range(args.since, args.until, err)? {
        return Ok(Exit::Usage);
    }
    if status_of(&args.sink, paths).is_none() {
        bail!("{} does not run: it is switched off in the configuration", args.sink);
    }
    require_journal(paths)?;
    let mut filter = Filter { since: args.since, until: args.until, session: None };
    if let Some(given) = &args.session {
        let found = session::find(given, &filter, paths)?;
        let none = || format!("{} is in the journal: {HINT}", session::none_of(given));
        filter.session = Some(found.with_context(none)?);
    }
    let range = Range::find(args, &filter, paths, err)?;
    let replay = Replay {
        id: uuid::Uuid::new_v4().to_string(),
        first: range.first,
        last: range.last,
        since: filter.since,
        until: filter.until,
        session: filter.session,
        speed: (!args.max).then_some(args.speed.unwrap_or(1.0)),
        ..Replay::default()
    };
    // One of earlier would end this.
    asked.switch.take_stop()?;
    asked.file.ask(&replay)?;
    let rest = Rest::new(&range, replay.speed, paths);
    asked.follow((&replay, rest), args, paths, out, err)
}

/// A replay to one sink.
struct Asked<'a> {
    name: &'a str,
    file: ReplayFile,
    switch: Switch,
}

impl Asked<'_> {
    fn stop(&self, known: &Known, paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
        match self.file.read()?.filter(|replay| replay.end.is_none()) {
            Some(replay) if !is_run(self.name, paths)? => {
                // Nobody else would end it.
                self.file.remove()?;
                let at = replay.next.max(replay.first);
                writeln!(out, "{GOOD}stopped{GOOD:#}: {} was at event {at}", self.name)?;
            }
            Some(replay) => {
                self.switch.ask_stop()?;
                let at = replay.next.max(replay.first);
                writeln!(out, "{GOOD}stopping{GOOD:#}: {} is at event {at}", self.name)?;
            }
            None => {
                known.require(self.name)?;
                // One that ended while nobody followed it.
                self.file.remove()?;
                writeln!(out, "no replay to {} is under way", self.name)?;
            }
        }
        Ok(Exit::Fine)
    }

    fn follow(
        &self,
        (asked, mut rest): (&Replay, Option<Rest>),
        args: &ReplayArgs,
        paths: &Paths,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<Exit> {
        let (id, mut watch) = (&*asked.id, Watch::new(Timestamp::now()));
        let interrupt = Interrupt::watch_ctrl_c().context("cannot watch for signals")?;
        let mut progress = Progress::new(err);
        let mut stopped_at: Option<Instant> = None;
        let mut said_at: Option<Instant> = None;
        let mut gone = Gone::default();
        let ended = loop {
            let Some(now) = self.file.read()?.filter(|replay| replay.id == id) else {
                progress.clear();
                bail!("the replay was forgotten: its file is gone, or has another one");
            };
            if now.end.is_some() {
                break now;
            }
            let sink = status_of(self.name, paths);
            if let Some(ended) = sink.as_ref().and_then(|sink| unwritten_end(sink, id)) {
                break ended;
            }
            let done = now.sent_events + now.dead_letters;
            let held = sink.and_then(|sink| watch.look(&sink, done, Timestamp::now()));
            if let Some(held) = &held
                && let Some(news) = watch.news(self.name, held, Timestamp::now())
                && !args.json
            {
                progress.say(&format!("{WARNING}held up{WARNING:#}: {news}"))?;
            }
            if interrupt.came() && stopped_at.is_none() {
                self.switch.ask_stop()?;
                stopped_at = Some(Instant::now());
            }
            if stopped_at.is_some_and(|at| at.elapsed() > STOP_PATIENCE) {
                progress.clear();
                bail!("{} is within a call; the replay ends behind it", self.name);
            }
            if !is_running(paths)? {
                progress.clear();
                bail!(
                    "the daemon has ended, at event {}; its next start goes on with this, or `hookring replay \
                     --sink {} --stop` ends it",
                    now.next.max(now.first),
                    self.name
                );
            }
            if gone.look(std::iter::once(self.name), paths).is_some() {
                progress.clear();
                bail!(
                    "the daemon does not run {0} any more: put the sink back under that name and the replay goes on, \
                     or `hookring replay --sink {0} --stop` ends it",
                    self.name
                );
            }
            let mut line = || {
                let at = Timestamp::now();
                let rest = rest.as_mut().and_then(|rest| rest.of(&now, at));
                with_state(bar(&now, at, rest), held.as_ref())
            };
            if progress.is_shown() && !args.json {
                progress.show_text(&line());
            } else if said_at.is_none_or(|at| at.elapsed() >= LINE_INTERVAL) {
                said_at = Some(Instant::now());
                match args.json {
                    true => say_json(&now, asked, held.as_ref(), out)?,
                    false => {
                        writeln!(out, "{}", line())?;
                        out.flush()?;
                    }
                }
            }
            thread::sleep(POLL);
        };
        progress.clear();
        if args.json {
            say_json(&ended, asked, None, out)?;
        } else {
            self.conclude(&ended, out)?;
        }
        let exit = match ended.end {
            Some(ReplayEnd::Done) => Exit::Fine,
            _ => Exit::Failed,
        };
        self.file.remove()?;
        Ok(exit)
    }

    fn conclude(&self, ended: &Replay, out: &mut dyn Write) -> Result<()> {
        let sent = counted(ended.sent_events, "event");
        match ended.end {
            Some(ReplayEnd::Done) => writeln!(out, "{GOOD}done{GOOD:#}: {sent} sent again")?,
            Some(ReplayEnd::Stopped) => writeln!(
                out,
                "stopped: {sent} sent again, the next is {}; `{}` goes on there",
                ended.next,
                self.go_on(ended)
            )?,
            _ => {
                let why = ended.error.as_deref().unwrap_or("its log says why");
                writeln!(
                    out,
                    "{WARNING}ended{WARNING:#}: {} rejects what is sent again: {}; {sent} sent again, the next is {}",
                    self.name,
                    printable(why),
                    ended.next
                )?;
            }
        }
        if ended.dead_letters > 0 {
            let letters = counted(ended.dead_letters, "event");
            writeln!(out, "{letters} rejected: `hookring dlq list --sink {}`", self.name)?;
        }
        if ended.missing_events > 0 {
            let events = counted(ended.missing_events, "number");
            writeln!(out, "{FAINT}{events} not in the journal any more{FAINT:#}")?;
        }
        Ok(())
    }

    /// The command that goes on.
    fn go_on(&self, ended: &Replay) -> String {
        let mut command = format!("hookring replay --sink {} --from {}", self.name, ended.next);
        if let Some(since) = ended.since {
            command.push_str(&format!(" --since {since}"));
        }
        if let Some(until) = ended.until {
            command.push_str(&format!(" --until {until}"));
        }
        if let Some(session) = &ended.session {
            command.push_str(&format!(" --session {}", printable(session)));
        }
        match ended.speed {
            None => command.push_str(" --max"),
            Some(speed) if speed != 1.0 => command.push_str(&format!(" --speed {speed}")),
            Some(_) => {}
        }
        command
    }
}

/// How it ended, if the daemon could not write that: its status has it then.
fn unwritten_end(sink: &SinkStatus, id: &str) -> Option<Replay> {
    let replay = sink.replay.as_ref()?;
    (replay.id == id && replay.end.is_some()).then(|| replay.clone())
}

/// A line for people.
fn bar(replay: &Replay, now: Timestamp, rest: Option<Duration>) -> String {
    const WIDTH: usize = 24;
    let first = replay.first.max(OLDEST + 1);
    let last = replay.last.max(first);
    let total = (last - first).saturating_add(1);
    let done = replay.next.max(first).saturating_sub(first).min(total);
    let part = done as f64 / total as f64;
    let filled = (part * WIDTH as f64) as usize;
    let blank = WIDTH - filled;
    let at = replay.next.max(first);
    let at = if at <= last { format!("at event {at}, ") } else { String::new() };
    let next = replay.next_at.map(|at| since(now, at)).filter(|wait| !wait.is_zero());
    let next = next.map(|wait| format!(", the next in {}", human_duration(wait)));
    let rest = rest.filter(|rest| !rest.is_zero());
    let rest = rest.map(|rest| format!(", about {} to go", human_duration(rest)));
    format!(
        "[{}{}] {} % of {}, {at}{} sent{}{}",
        "#".repeat(filled),
        ".".repeat(blank),
        (part * 100.0) as u64,
        Replay { first, last, ..Replay::default() }.range(),
        replay.sent_events,
        next.unwrap_or_default(),
        rest.unwrap_or_default()
    )
}

fn with_state(bar: String, held: Option<&HeldUp>) -> String {
    match held {
        Some(held) => format!("{bar}, {}", held.state_in_words(Timestamp::now())),
        None => bar,
    }
}

/// One look, for programs.
#[derive(Serialize)]
struct Look<'a> {
    #[serde(flatten)]
    replay: Replay,
    /// What holds its sink up, if anything does.
    held_up: Option<&'a str>,
    reason: Option<&'a str>,
}

/// The range is as it was asked for in each look: the daemon leaves out what comes by itself, once it begins.
fn say_json(
    now: &Replay,
    asked: &Replay,
    held: Option<&HeldUp>,
    out: &mut dyn Write,
) -> Result<()> {
    let (first, last) = (asked.first, asked.last);
    let replay = Replay { first, last, next: now.next.max(first), ..now.clone() };
    let (held_up, reason) = (held.map(|it| &*it.state), held.and_then(|it| it.reason.as_deref()));
    writeln!(out, "{}", serde_json::to_string(&Look { replay, held_up, reason })?)?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    #[test]
    fn a_bar_says_how_far_it_is_whatever_stands_in_the_file() {
        let replay = Replay { first: 1, last: 100, next: 51, sent_events: 20, ..Replay::default() };
        let half = "[############............] 50 % of events 1 to 100, at event 51, 20 sent";
        assert_eq!(bar(&replay, at(0), None), half);
        let one = Replay { first: 5, last: 5, next: 6, sent_events: 1, ..Replay::default() };
        assert_eq!(bar(&one, at(0), None), "[########################] 100 % of event 5, 1 sent");
        let waiting = Replay { next_at: Some(at(90)), ..replay.clone() };
        assert_eq!(bar(&waiting, at(0), None), format!("{half}, the next in 1m 30s"));
        assert_eq!(bar(&waiting, at(100), Some(Duration::ZERO)), half);
        let rest = Some(Duration::from_secs(7800));
        assert_eq!(
            bar(&waiting, at(0), rest),
            format!("{half}, the next in 1m 30s, about 2h 10m to go")
        );
        for (first, last, next) in [(0, 0, 0), (5, 3, 9), (7, 9, u64::MAX), (1, u64::MAX - 1, 3)] {
            let bar = bar(&Replay { first, last, next, ..replay.clone() }, at(0), None);
            assert!(bar.starts_with('['), "{bar}");
        }
    }

    #[test]
    fn the_command_that_goes_on_names_what_was_asked_for() {
        let dir = std::path::Path::new("/nowhere");
        let asked =
            Asked { name: "s", file: ReplayFile::new(dir, "s"), switch: Switch::new(dir, "s") };
        let replay = Replay { next: 7, speed: Some(1.0), ..Replay::default() };
        assert_eq!(asked.go_on(&replay), "hookring replay --sink s --from 7");
        let session = Some("3f1c".to_owned());
        let since = Some(at(-1));
        let replay = Replay { speed: None, session, since, until: Some(at(0)), ..replay };
        assert_eq!(
            asked.go_on(&replay),
            "hookring replay --sink s --from 7 --since 2027-01-15T07:59:59Z --until \
             2027-01-15T08:00:00Z --session 3f1c --max"
        );
    }
}
