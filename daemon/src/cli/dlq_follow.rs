//! Dead letters that are being sent again: how far that is, what holds it up, and what it came to, by what the
//! daemon's status says.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hookring_sinks::{DeadLetters, Switch};
use jiff::Timestamp;
use serde::Serialize;

use super::Exit;
use super::held_up::{HeldUp, Watch};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::sink_commands::{Gone, is_running};
use super::style::{FAINT, GOOD, WARNING};
use super::table::counted;
use crate::paths::Paths;
use crate::run::status::{RetryStatus, SinkStatus, Status};

const POLL: Duration = Duration::from_millis(100);
/// How often a line says how far it is, where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How long the daemon may take to say how one ended, of which it says something each second.
const SAY_PATIENCE: Duration = Duration::from_secs(10);
/// How long a sink within a call may keep one from ending.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// What was asked of one sink.
pub(super) struct Asked {
    name: String,
    letters: DeadLetters,
    switch: Switch,
    count: u64,
    asked_at: Timestamp,
    watch: Watch,
    /// As the daemon said last.
    progress: RetryStatus,
    held_up: Option<HeldUp>,
    /// Its file is gone, and the daemon has not said what it came to.
    gone_at: Option<Instant>,
    has_ended: bool,
}

impl Asked {
    /// So many letters, asked for at this time by the wall clock.
    pub(super) fn new(
        name: String,
        letters: DeadLetters,
        switch: Switch,
        count: u64,
        asked_at: Timestamp,
    ) -> Asked {
        let progress = RetryStatus { left: count, ..RetryStatus::default() };
        let (watch, held_up, gone_at) = (Watch::new(asked_at), None, None);
        Asked {
            name,
            letters,
            switch,
            count,
            asked_at,
            watch,
            progress,
            held_up,
            gone_at,
            has_ended: false,
        }
    }

    /// Takes over what the daemon says of its sink.
    fn look(&mut self, sink: &SinkStatus, now: Timestamp) {
        let ended =
            sink.last_retry.as_ref().filter(|it| it.at.is_some_and(|at| at > self.asked_at));
        if let Some(ended) = ended {
            self.progress.clone_from(&ended.letters);
            (self.has_ended, self.held_up) = (true, None);
            return;
        }
        if let Some(retry) = &sink.retry {
            self.progress.clone_from(retry);
        }
        let done = self.progress.taken + self.progress.refused;
        self.held_up = self.watch.look(sink, done, now);
    }

    /// Whether it is over and nobody says how.
    fn is_lost(&mut self) -> bool {
        if self.letters.is_retrying() {
            self.gone_at = None;
            return false;
        }
        self.gone_at.get_or_insert_with(Instant::now).elapsed() > SAY_PATIENCE
    }

    fn conclude(&self, out: &mut dyn Write) -> Result<()> {
        let RetryStatus { left, taken, refused } = self.progress;
        let (how, colour) = match (left, refused) {
            (0, 0) => ("done", GOOD),
            (0, _) => ("done", WARNING),
            _ => ("stopped", WARNING),
        };
        let earlier = self.count.saturating_sub(left + taken + refused);
        let earlier = match earlier {
            0 => String::new(),
            letters => format!(", {letters} with the daemon before"),
        };
        writeln!(
            out,
            "{colour}{how}{colour:#}: {}: {}: {taken} taken, {refused} refused, {left} not sent{earlier}",
            self.name,
            counted(self.count, "letter"),
        )?;
        Ok(out.flush()?)
    }

    fn say_json(&self, out: &mut dyn Write) -> Result<()> {
        let RetryStatus { left, taken, refused } = self.progress;
        let look = Look {
            sink: &self.name,
            letters: self.count,
            taken,
            refused,
            not_sent: left,
            held_up: self.held_up.as_ref().map(|held| &*held.state),
            reason: self.held_up.as_ref().and_then(|held| held.reason.as_deref()),
            ended: self.has_ended,
        };
        writeln!(out, "{}", serde_json::to_string(&look)?)?;
        Ok(out.flush()?)
    }
}

/// One look at one sink, for programs.
#[derive(Serialize)]
struct Look<'a> {
    sink: &'a str,
    letters: u64,
    taken: u64,
    refused: u64,
    not_sent: u64,
    held_up: Option<&'a str>,
    reason: Option<&'a str>,
    ended: bool,
}

/// Waits until all of it is over, and says of each sink what that came to.
pub(super) fn follow(
    asked: &mut [Asked],
    is_json: bool,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    let interrupt = Interrupt::watch_ctrl_c().context("cannot watch for signals")?;
    let mut progress = Progress::new(err);
    let (mut said_at, mut stopped_at) = (Instant::now(), None::<Instant>);
    let mut gone = Gone::default();
    loop {
        let is_over = !is_running(paths)?;
        look(asked, is_json, paths, &mut progress, out)?;
        if asked.iter().all(|it| it.has_ended) {
            break;
        }
        if interrupt.came() && stopped_at.is_none() {
            stopped_at = Some(Instant::now());
            progress.say("stopping: what was not sent stays a dead letter")?;
            asked.iter().filter(|it| !it.has_ended).try_for_each(|it| it.switch.ask_stop())?;
        }
        let give_up = |progress: &mut Progress<'_>, text: String| {
            progress.clear();
            Err(anyhow::Error::msg(text))
        };
        if is_over {
            let text = "the daemon has ended; its next start goes on with what is left";
            return give_up(&mut progress, text.to_owned());
        }
        let open = asked.iter().filter(|it| !it.has_ended);
        if let Some(name) = gone.look(open.map(|it| &*it.name), paths) {
            return give_up(&mut progress, without(name));
        }
        let mut open = asked.iter_mut().filter(|it| !it.has_ended);
        if let Some(name) = open.find_map(|it| it.is_lost().then(|| it.name.clone())) {
            return give_up(&mut progress, unsaid(&name));
        }
        if stopped_at.is_some_and(|at| at.elapsed() > STOP_PATIENCE) {
            let open: Vec<_> =
                asked.iter().filter(|it| !it.has_ended).map(|it| &*it.name).collect();
            progress.clear();
            bail!("{} is within a call; what is left ends behind it", open.join(", "));
        }
        if progress.is_shown() && !is_json {
            progress.show_text(&how_far(asked));
        } else if said_at.elapsed() >= LINE_INTERVAL {
            said_at = Instant::now();
            match is_json {
                true => asked.iter().filter(|it| !it.has_ended).try_for_each(|it| it.say_json(out)),
                false => Ok(writeln!(out, "{}", how_far(asked)).and_then(|()| out.flush())?),
            }?;
        }
        thread::sleep(POLL);
    }
    progress.clear();
    let is_refused = asked.iter().any(|it| it.progress.refused > 0);
    if is_refused && !is_json {
        writeln!(out, "{FAINT}`hookring dlq list` says why it was refused{FAINT:#}")?;
    }
    let is_left = asked.iter().any(|it| it.progress.left > 0);
    Ok(if is_refused || is_left { Exit::Failed } else { Exit::Fine })
}

/// Looks at all that go on; says what holds one up, and what one came to.
fn look(
    asked: &mut [Asked],
    is_json: bool,
    paths: &Paths,
    progress: &mut Progress<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    // One that cannot be read says nothing.
    let Some(status) = Status::read(&paths.status_file).ok().flatten() else { return Ok(()) };
    let now = Timestamp::now();
    for it in asked.iter_mut().filter(|it| !it.has_ended) {
        let Some(sink) = status.sinks.iter().find(|sink| sink.name == it.name) else { continue };
        it.look(sink, now);
        if it.has_ended {
            progress.clear();
            if is_json { it.say_json(out) } else { it.conclude(out) }?;
        } else if let Some(held) = &it.held_up
            && let Some(news) = it.watch.news(&it.name, held, now)
            && !is_json
        {
            progress.say(&format!("{WARNING}held up{WARNING:#}: {news}"))?;
        }
    }
    Ok(())
}

/// A line for all of them.
fn how_far(asked: &[Asked]) -> String {
    let sum = |of: fn(&Asked) -> u64| asked.iter().map(of).sum::<u64>();
    let (letters, left) = (sum(|it| it.count), sum(|it| it.progress.left));
    format!(
        "{} of {} done: {} taken, {} refused",
        letters.saturating_sub(left),
        counted(letters, "letter"),
        sum(|it| it.progress.taken),
        sum(|it| it.progress.refused)
    )
}

fn without(name: &str) -> String {
    format!(
        "the daemon does not run {name} any more, so what is left of its letters waits: put the sink back under that \
         name and it goes on, or `hookring dlq retry --sink {name} --stop` makes them dead letters as before, which \
         can be listed and purged"
    )
}

fn unsaid(name: &str) -> String {
    format!(
        "letters of {name} are not being sent again any more, and the daemon does not say what that came to: its log \
         does, and `hookring dlq list --sink {name}` has what is left"
    )
}
