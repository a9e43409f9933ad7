//! The sink itself: starts the program when it is needed, and anew after each problem with it.

use std::time::Duration;

use hookring_journal::Batch;

use super::child::Child;
use super::config::ExecConfig;
use super::problem::Problem;
use super::session::{Limits, Session};
use super::voice::{Voice, printable};
use crate::secret::SecretError;
use crate::sink::{Outcome, Sink, SinkError};

/// A program that has had nothing to do for so long is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// So much of a program's last line is in an error, in bytes.
const MAX_LAST_BYTES: usize = 200;

/// Why a program does not work now.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is no process.
    #[error("cannot start {program}")]
    Start {
        /// The first word of the command.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// One of its variables cannot be read.
    #[error("cannot start {program}")]
    Variables {
        /// The first word of the command.
        program: String,
        /// Which, and why.
        source: SecretError,
    },
    /// There is one, and something is wrong with it.
    #[error("cannot {action} {program}{}", last.as_ref().map(|it| format!(", whose last words are `{it}`")).unwrap_or_default())]
    Call {
        /// What it was to do.
        action: &'static str,
        /// The first word of the command.
        program: String,
        /// The last line of its stderr, if there was one since it was looked at last.
        last: Option<String>,
        /// What is wrong.
        source: Problem,
    },
}

/// Gives each batch to a program, whose answer says what became of it.
///
/// The program is started by [`Sink::open`] and runs until the sink is dropped. One that does not answer in
/// time, ends, or says what is no answer is ended with all of its process group; the batch has failed, and
/// the next call starts it anew. Nothing that it does can block the caller for longer than
/// [`ExecConfig::timeout`] and some seconds.
pub struct ExecSink {
    name: String,
    config: ExecConfig,
    voice: Voice,
    session: Option<Session>,
    /// Of the last process that was started.
    limits: Limits,
    ping_interval: Duration,
}

impl ExecSink {
    /// Starts nothing yet: [`Sink::open`] does. `name` is the sink's in the configuration.
    pub fn new(name: &str, config: ExecConfig) -> ExecSink {
        ExecSink {
            name: name.to_owned(),
            voice: Voice::new(name),
            config,
            session: None,
            limits: Limits::NONE,
            ping_interval: PING_INTERVAL,
        }
    }

    #[cfg(test)]
    pub(super) fn ping_at_once(&mut self) {
        self.ping_interval = Duration::ZERO;
    }

    fn program(&self) -> String {
        let program = self.config.command.first().map_or("", String::as_str);
        printable(program.as_bytes(), MAX_LAST_BYTES)
    }

    fn start(&mut self) -> Result<Session, ExecError> {
        self.voice.take_last();
        let variables = self.config.environment();
        let variables =
            variables.map_err(|source| ExecError::Variables { program: self.program(), source })?;
        let child = Child::start(&self.config, variables)
            .map_err(|source| ExecError::Start { program: self.program(), source })?;
        let mut session = Session::new(child, &self.config);
        match session.introduce(&self.name, &mut self.voice) {
            Ok(()) => {
                self.limits = session.limits();
                Ok(session)
            }
            Err(problem) => {
                let problem = session.end_after(problem, &mut self.voice);
                Err(self.error("begin to talk to", problem))
            }
        }
    }

    /// Out of `self` meanwhile: after a panic there is no half-read answer.
    fn take_session(&mut self) -> Result<Session, ExecError> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => self.start(),
        }
    }

    fn send(&mut self, batch: &Batch, replay: bool) -> Result<Outcome, ExecError> {
        let mut session = self.take_session()?;
        match session.deliver(batch, replay, &mut self.voice) {
            Ok(outcome @ Outcome::Gone { .. }) => {
                session.end(&mut self.voice);
                Ok(outcome)
            }
            Ok(outcome) => {
                self.session = Some(session);
                Ok(outcome)
            }
            Err(problem) => {
                let problem = session.end_after(problem, &mut self.voice);
                Err(self.error("deliver to", problem))
            }
        }
    }

    fn error(&mut self, action: &'static str, source: Problem) -> ExecError {
        let last = self.voice.take_last();
        let last = last.map(|last| printable(last.as_bytes(), MAX_LAST_BYTES));
        ExecError::Call { action, program: self.program(), last, source }
    }

    fn hand_over(&mut self, batch: &Batch, replay: bool) -> Outcome {
        self.send(batch, replay).unwrap_or_else(Outcome::failed)
    }
}

impl Sink for ExecSink {
    fn open(&mut self) -> Result<(), SinkError> {
        self.session = Some(self.take_session()?);
        Ok(())
    }

    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.hand_over(batch, false)
    }

    fn replay(&mut self, batch: &Batch) -> Outcome {
        self.hand_over(batch, true)
    }

    fn fits(&self, batch: &Batch) -> usize {
        self.limits.fitting(batch)
    }

    fn idle(&mut self) -> Result<(), SinkError> {
        let Some(mut session) = self.session.take() else { return Ok(()) };
        match session.tend(self.ping_interval, &mut self.voice) {
            Ok(()) => {
                self.session = Some(session);
                Ok(())
            }
            Err(problem) => {
                let problem = session.end_after(problem, &mut self.voice);
                Err(self.error("go on with", problem).into())
            }
        }
    }
}

impl Drop for ExecSink {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.end(&mut self.voice);
        }
    }
}
