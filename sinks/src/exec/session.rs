//! A conversation with one process: requests, their answers, and what else it says meanwhile.

use std::time::{Duration, Instant};

use hookring_journal::Batch;
use serde::Deserialize;
use serde_json::json;
use tracing::Level;

use super::answer::{
    BadAnswer, INVALID_PARAMS, INVALID_REQUEST, Incoming, METHOD_NOT_FOUND, PARSE_ERROR, RpcError,
    cut, outcome,
};
use super::child::Child;
use super::config::ExecConfig;
use super::encode;
use super::problem::Problem;
use super::voice::Voice;
use crate::sink::{Answer, Outcome};

/// How often it is looked whether a process that says nothing has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the answer to `shutdown` may take.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);
/// The most questions of its own that it may have during one call.
const MAX_QUESTIONS: usize = 64;

/// The conversation with a process that has said that it is ready.
pub(super) struct Session {
    child: Child,
    last_id: u64,
    timeout: Duration,
    limits: Limits,
    /// A ping without an answer yet, and when that is due.
    ping: Option<(u64, Instant)>,
    /// The end of the last call or ping.
    quiet_since: Instant,
    /// Questions since then.
    questions: usize,
}

/// What a process wants at most in one batch.
#[derive(Copy, Clone)]
pub(super) struct Limits {
    events: usize,
    bytes: usize,
}

/// The answer to a request.
struct Reply {
    id: u64,
    result: Result<String, RpcError>,
}

/// The result of `initialize`.
#[derive(Deserialize)]
struct Introduction {
    protocol: Option<u64>,
    name: Option<String>,
    version: Option<String>,
    max_events: Option<u64>,
    max_bytes: Option<u64>,
}

impl Session {
    /// With a process to which nothing was said yet.
    pub(super) fn new(child: Child, config: &ExecConfig) -> Session {
        Session {
            child,
            last_id: 0,
            timeout: config.timeout,
            limits: Limits::NONE,
            ping: None,
            quiet_since: Instant::now(),
            questions: 0,
        }
    }

    /// Says hello.
    pub(super) fn introduce(&mut self, sink: &str, voice: &mut Voice) -> Result<(), Problem> {
        let id = self.next_id();
        let result = self.call(id, &encode::initialize(id, sink), self.timeout, voice)?;
        let bad = |error: serde_json::Error| BadAnswer(cut(&error.to_string()));
        if !result.trim_ascii_start().starts_with('{') {
            return Err(BadAnswer("it is no object".to_owned()).into());
        }
        let it: Introduction = serde_json::from_str(&result).map_err(bad)?;
        if let Some(protocol) = it.protocol.filter(|protocol| *protocol != encode::PROTOCOL) {
            return Err(Problem::Protocol(protocol));
        }
        let limit = |name: &str, value: Option<u64>| match value {
            Some(0) => Err(BadAnswer(format!("`{name}` is 0"))),
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
            None => Ok(usize::MAX),
        };
        self.limits = Limits {
            events: limit("max_events", it.max_events)?,
            bytes: limit("max_bytes", it.max_bytes)?,
        };
        if let Some(name) = it.name {
            let version = it.version.unwrap_or_default();
            tracing::info!("sink {sink}: its program is {} {}", cut(&name), cut(&version));
        }
        Ok(())
    }

    /// What the process has said that it takes at once.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Hands over a batch, or as much of it as the process takes at once: one that was started anew may take
    /// less than the one that was asked.
    pub(super) fn deliver(
        &mut self,
        batch: &Batch,
        replay: bool,
        voice: &mut Voice,
    ) -> Result<Outcome, Problem> {
        let (part, rest) = batch.split(self.limits.fitting(batch));
        let id = self.next_id();
        let request = encode::deliver(id, &part, replay);
        let result = match self.call(id, &request, self.timeout, voice) {
            Ok(result) => result,
            Err(Problem::Answer(error)) => return Ok(refusal(error)),
            Err(problem) => return Err(problem),
        };
        match outcome(&result, part.len())? {
            Outcome::Accepted if rest.is_some() => Ok(Outcome::Each {
                answers: vec![Answer::Accepted; part.len()],
                error: "it was started anew and takes less at once; the rest was not sent yet"
                    .into(),
            }),
            outcome => Ok(outcome),
        }
    }

    /// Looks after a process that has nothing to do: reads what it says, and asks it whether it is there once
    /// it was quiet for `ping_interval`. Waits for nothing.
    pub(super) fn tend(
        &mut self,
        ping_interval: Duration,
        voice: &mut Voice,
    ) -> Result<(), Problem> {
        let now = Instant::now();
        // Before the look, so that what it said before it ended is read.
        let has_ended = self.child.has_ended();
        self.child.begin_call();
        self.child.catch_up(voice)?;
        if let Some(reply) = self.next_reply(None, voice)? {
            return Err(Problem::NotAsked(reply.id));
        }
        if self.child.is_silent() || has_ended {
            return Err(Problem::ClosedOutput);
        }
        match self.ping {
            Some((_, due)) if now >= due => Err(Problem::TimedOut(self.timeout)),
            None if now.duration_since(self.quiet_since) >= ping_interval => {
                let id = self.next_id();
                self.child.send(&encode::request(id, "ping", &json!({})));
                self.ping = Some((id, now + self.timeout));
                self.child.catch_up(voice)
            }
            _ => Ok(()),
        }
    }

    /// Asks it to end. What it answers does not matter: it is ended in any case.
    pub(super) fn end(mut self, voice: &mut Voice) {
        let id = self.next_id();
        let request = encode::request(id, "shutdown", &json!({}));
        if let Err(problem) = self.call(id, &request, SHUTDOWN_LIMIT.min(self.timeout), voice) {
            tracing::debug!("a program did not answer `shutdown`: {problem}");
        }
        self.child.end_gently(voice);
    }

    /// Ends it after a problem; the problem, or what was behind it.
    pub(super) fn end_after(mut self, problem: Problem, voice: &mut Voice) -> Problem {
        // So that whoever wrote the program can find out.
        if let Problem::Malformed(malformed) = &problem {
            self.child.send(&encode::error("null", malformed.code(), &malformed.to_string()));
            let _ = self.child.exchange(Instant::now(), voice);
        }
        self.child.end_after(problem, voice)
    }

    /// Sends a request and waits for its answer.
    fn call(
        &mut self,
        id: u64,
        request: &[u8],
        timeout: Duration,
        voice: &mut Voice,
    ) -> Result<String, Problem> {
        let deadline = Instant::now() + timeout;
        let mut has_ended = false;
        self.questions = 0;
        self.child.begin_call();
        let end = self.child.send(request);
        loop {
            if let Some(reply) = self.next_reply(Some(id), voice)? {
                if reply.id != id {
                    return Err(Problem::NotAsked(reply.id));
                }
                if !self.child.is_written_to(end) {
                    return Err(Problem::TooEarly);
                }
                self.quiet_since = Instant::now();
                return reply.result.map_err(Problem::Answer);
            }
            let now = Instant::now();
            if self.child.is_silent() || has_ended {
                return Err(Problem::ClosedOutput);
            }
            if now >= deadline {
                return Err(Problem::TimedOut(timeout));
            }
            // What it started may still hold the pipes when it has ended.
            if !self.child.exchange(deadline.min(now + LOOK_INTERVAL), voice)? {
                has_ended = self.child.has_ended();
                self.child.catch_up(voice)?;
            }
        }
    }

    /// The next answer among what came, but for that to a ping. Whatever else came is dealt with.
    fn next_reply(
        &mut self,
        waiting: Option<u64>,
        voice: &mut Voice,
    ) -> Result<Option<Reply>, Problem> {
        while let Some(line) = self.child.lines.next_line()? {
            if line.trim_ascii().is_empty() {
                continue;
            }
            match Incoming::read(&line)? {
                Incoming::Answer(id, _) if self.ping.is_some_and(|(ping, _)| ping == id) => {
                    (self.ping, self.quiet_since) = (None, Instant::now());
                }
                Incoming::Answer(id, result) => {
                    return Ok(Some(Reply { id, result: result.map(str::to_owned) }));
                }
                Incoming::Complaint(error) => match waiting {
                    Some(id) => return Ok(Some(Reply { id, result: Err(error) })),
                    None => return Err(Problem::Unprovoked(error)),
                },
                Incoming::Request(id, method) => self.decline(id, &method)?,
                Incoming::Notification(method, params) => note(&method, params, voice),
            }
        }
        Ok(None)
    }

    /// There is nothing that a program could ask for.
    fn decline(&mut self, id: &str, method: &str) -> Result<(), Problem> {
        self.questions += 1;
        if self.questions > MAX_QUESTIONS {
            return Err(Problem::Asks(self.questions));
        }
        let message = format!("hookring has no method `{}`", cut(method));
        self.child.send(&encode::error(&cut(id), METHOD_NOT_FOUND, &message));
        Ok(())
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Limits {
    /// All of it.
    pub(super) const NONE: Limits = Limits { events: usize::MAX, bytes: usize::MAX };

    /// How many of a batch's events are within the limits; one at least.
    pub(super) fn fitting(self, batch: &Batch) -> usize {
        let mut bytes = 0_usize;
        let fits = |line: &hookring_journal::Line<'_>| {
            bytes += line.bytes.len();
            bytes <= self.bytes
        };
        batch.lines().take(self.events).take_while(fits).count().max(1)
    }
}

/// What an error in answer to a batch means.
fn refusal(error: RpcError) -> Outcome {
    match error.code {
        // Something in it is not as the program can take it.
        PARSE_ERROR | INVALID_REQUEST | INVALID_PARAMS => {
            Outcome::Rejected { status: None, error: Problem::Answer(error).into() }
        }
        METHOD_NOT_FOUND => Outcome::Refused { error: Problem::Answer(error).into() },
        _ => Outcome::failed(Problem::Answer(error)),
    }
}

/// `log` is the one notification that there is.
fn note(method: &str, params: Option<&str>, voice: &mut Voice) {
    #[derive(Deserialize)]
    struct Log {
        level: Option<String>,
        message: String,
    }
    let log = params.filter(|_| method == "log").map(serde_json::from_str::<Log>);
    let (level, message) = match log {
        Some(Ok(log)) => (log.level, log.message),
        _ => (Some("debug".to_owned()), format!("(the notification `{}`)", cut(method))),
    };
    let level = match level.as_deref() {
        Some("error") => Level::ERROR,
        Some("warn") => Level::WARN,
        Some("debug") => Level::DEBUG,
        _ => Level::INFO,
    };
    voice.tell(level, &message, Instant::now());
}
