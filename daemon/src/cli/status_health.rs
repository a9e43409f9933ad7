//! Sessions, hooks and agents, and where metrics are served: parts of `hookring status`.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;

use super::style::{FAINT, printable};
use super::table::human_duration;
use crate::run::status::{HealthStatus, HttpStatus, Status, since};

pub(super) fn show_http(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    match &status.http {
        Some(HttpStatus { listen, tls, error: None }) => {
            let scheme = if *tls { "https" } else { "http" };
            writeln!(out, "{FAINT}metrics: {scheme}://{}/metrics{FAINT:#}", printable(listen))
        }
        // One that does not listen needs attention.
        _ => Ok(()),
    }
}

pub(super) fn show_sessions(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let HealthStatus { active_sessions, silent_sessions, .. } = status.health;
    if active_sessions + silent_sessions == 0 {
        return Ok(());
    }
    write!(out, "sessions: {active_sessions} active")?;
    if silent_sessions > 0 {
        write!(out, ", {silent_sessions} went silent without an end since the start")?;
    }
    writeln!(out)
}

/// What somebody should do something about.
pub(super) fn problems(status: &Status, now: Timestamp) -> Vec<String> {
    let http = status.http.as_ref().and_then(|http| http.error.as_ref());
    let http = http.map(|error| format!("metrics are not served: {error}; it is tried again"));
    let slow = status.health.slow_hooks.map(|slow| {
        let [p99, limit] = [slow.p99_us, slow.limit_us].map(|us| human_duration(Duration::from_micros(us)));
        format!(
            "hooks are slow: 99 of 100 took up to {p99} in the last minutes ({} of them), and health.hook_p99 is \
             {limit}; the machine is short of CPU or memory, say",
            slow.hooks
        )
    });
    let silent = status.health.silent_agents.iter().map(|silent| {
        let ago = human_duration(since(silent.last_event_at, now));
        let agent = &silent.agent;
        format!(
            "{agent} has sent no event for {ago}; if it is in use, look whether its hooks are still configured"
        )
    });
    http.into_iter().chain(slow).chain(silent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::status::{SilentAgentStatus, SlowHooksStatus};

    fn shown(status: &Status) -> String {
        let mut out = Vec::new();
        show_http(status, &mut out).unwrap();
        show_sessions(status, &mut out).unwrap();
        anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string()
    }

    #[test]
    fn it_says_where_metrics_are_and_how_many_sessions_there_are() {
        let mut status = Status::default();
        assert_eq!(shown(&status), "");
        let listen = "127.0.0.1:9477".to_owned();
        status.http = Some(HttpStatus { listen, tls: false, error: None });
        status.health.active_sessions = 2;
        assert_eq!(shown(&status), "metrics: http://127.0.0.1:9477/metrics\nsessions: 2 active\n");
        status.health.silent_sessions = 1;
        assert!(
            shown(&status).ends_with("2 active, 1 went silent without an end since the start\n")
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_what_helps() {
        let (mut status, now) = (Status::default(), Timestamp::now());
        assert!(problems(&status, now).is_empty());
        let error = Some("cannot listen on 127.0.0.1:9477: in use".to_owned());
        status.http = Some(HttpStatus { error, ..HttpStatus::default() });
        let slow = SlowHooksStatus { p99_us: 61_000, limit_us: 50_000, hooks: 200 };
        status.health.slow_hooks = Some(slow);
        let silent = SilentAgentStatus { agent: "codex".to_owned(), last_event_at: now };
        status.health.silent_agents.push(silent);
        let problems = problems(&status, now);
        assert_eq!(problems.len(), 3, "{problems:?}");
        for (problem, said) in problems.iter().zip(["in use; it is", "61.0 ms", "codex has sent"]) {
            assert!(problem.contains(said), "{problem}");
        }
    }
}
