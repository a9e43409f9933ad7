//! `hookring top`: the status, live in the terminal, until q or Ctrl-C.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr,
};

use super::Exit;
use super::attention::needs_attention;
use super::interrupt::Interrupt;
use super::sink_commands::is_running;
use super::style::is_coloured;
use super::top_view::{Rates, Screen, render};
use crate::paths::Paths;
use crate::run::status::Status;

/// As often as the daemon says something new.
const INTERVAL: Duration = Duration::from_secs(1);
/// For a terminal that does not say how large it is.
const USUAL: (u16, u16) = (80, 24);

/// An own screen without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Shows what happens, until somebody has seen enough.
///
/// # Errors
/// There is no terminal, or it cannot be written to.
pub fn top(paths: &Paths) -> Result<Exit> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        bail!("`hookring top` is for a terminal; `hookring status --json` is for programs");
    }
    if !is_in_foreground() {
        bail!(
            "`hookring top` needs the terminal, which another job has: start it in the foreground (with \
             `timeout --foreground`, say)"
        );
    }
    let interrupt = Interrupt::watch().context("cannot watch for signals")?;
    let terminal = Terminal::enter().context("cannot set up the terminal")?;
    let mut rates = Rates::default();
    let mut before: Option<(Status, Instant)> = None;
    while !interrupt.came() {
        if !is_in_foreground() {
            bail!("`hookring top` ends, since another job has the terminal now");
        }
        let looked_at = Instant::now();
        let is_running = is_running(paths)?;
        // One that cannot be read now may be there again in a second.
        let status = Status::read(&paths.status_file).ok().flatten().unwrap_or_default();
        if let Some((earlier, at)) = &before {
            rates.push(earlier, &status, looked_at.duration_since(*at).as_secs_f64());
        }
        let now = Timestamp::now();
        let problems = if is_running { needs_attention(&status, now) } else { Vec::new() };
        let lines = render(&status, &rates, (is_running, &problems), now, terminal.screen());
        terminal.draw(&lines).context("cannot write to the terminal")?;
        before = Some((status, looked_at));
        if terminal.wait_for_quit(looked_at + INTERVAL)? {
            break;
        }
    }
    Ok(Exit::Fine)
}

/// Whether the terminal is ours to change and to read. The kernel stops whoever does that from a job in the background,
/// and so holds up the signal that would end it.
fn is_in_foreground() -> bool {
    // A terminal that cannot say so, as one that is not of this session, stops nobody.
    tcgetpgrp(io::stdin()).map_or(true, |group| group == getpgrp())
}

/// The terminal, with keys unechoed and taken one by one; as it was, once this is dropped.
struct Terminal {
    before: Termios,
    is_coloured: bool,
    is_unicode: bool,
}

impl Terminal {
    fn enter() -> Result<Terminal> {
        let before = tcgetattr(io::stdin())?;
        let mut keys = before.clone();
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        keys.special_codes[SpecialCodeIndex::VMIN] = 1;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Whoever stops it by a key would find the terminal as it is here.
        keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &keys)?;
        // From here on, a failure puts it back.
        let terminal = Terminal {
            before,
            is_coloured: is_coloured(&io::stdout()),
            is_unicode: is_unicode(&|name| std::env::var(name).ok()),
        };
        let mut out = io::stdout().lock();
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(terminal)
    }

    fn screen(&self) -> Screen {
        let size = tcgetwinsize(io::stdout()).map(|size| (size.ws_col, size.ws_row));
        let (columns, lines) = size.ok().filter(|size| size.0 > 0 && size.1 > 0).unwrap_or(USUAL);
        Screen {
            columns: columns.into(),
            lines: lines.into(),
            is_coloured: self.is_coloured,
            is_unicode: self.is_unicode,
        }
    }

    /// All of it at once, so that nothing flickers.
    fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut frame = String::from("\x1b[H");
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }

    /// Waits until then, or for a key; whether that is one to quit.
    fn wait_for_quit(&self, until: Instant) -> Result<bool> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let stdin = io::stdin();
            let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut fds, Some(&Timespec::try_from(left)?)) {
                // Perhaps by the signal that ends it: looked at before the next frame.
                Err(Errno::INTR) => return Ok(false),
                Err(error) => return Err(error).context("cannot wait for a key"),
                Ok(0) => {}
                Ok(_) => {
                    // What was typed is for another job; it is told before the next frame.
                    if !is_in_foreground() {
                        return Ok(false);
                    }
                    let mut keys = [0; 64];
                    let read = stdin.lock().read(&mut keys).context("cannot read a key")?;
                    // A terminal that is gone is at its end.
                    if read == 0 || keys[..read].iter().any(|key| b"qQ\x03".contains(key)) {
                        return Ok(true);
                    }
                }
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !is_in_foreground() {
            return;
        }
        let mut out = io::stdout().lock();
        // There is nobody to tell if this fails: the terminal is gone.
        let _ = out.write_all(LEAVE.as_bytes());
        let _ = out.flush();
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// By the locale, the first of these variables that says something.
fn is_unicode(env: &dyn Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| env(name).filter(|it| !it.is_empty()));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_whether_there_are_more_characters_than_ascii() {
        let by = |set: &[(&str, &str)]| {
            is_unicode(&|name| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(by(&[("LANG", "en_GB.UTF-8")]) && by(&[("LC_ALL", "C.utf8"), ("LANG", "C")]));
        assert!(!by(&[]) && !by(&[("LANG", "C")]) && !by(&[("LC_ALL", "C"), ("LANG", "a.UTF-8")]));
    }
}
