"""Who may read the metrics, that they keep nobody waiting, and what the health loop tells of."""

from mutants import Equivalent, Mutation, Tests

GUARD = "daemon/src/http/guard.rs"
SERVE = "daemon/src/http/serve.rs"
EVENTS = "daemon/src/metrics/events.rs"
SERIES = "daemon/src/metrics/series.rs"
LABELS = "daemon/src/metrics/labels.rs"
SESSIONS = "daemon/src/run/health/sessions.rs"
SILENCE = "daemon/src/run/health/silence.rs"
PAST = "daemon/src/run/health/past.rs"
HOOKS = "daemon/src/run/health/hooks.rs"
CONFIG = "daemon/src/config/http.rs"


def daemon(*names: str) -> Tests:
    """Unit tests of the daemon."""
    command = ("cargo", "test", "--package", "hookring", "--lib")
    return Tests((*command, "--", *names), ((*command, "--no-run"),))


MUTATIONS = [
    Mutation(
        "a browser's page reads the metrics through a name of its own",
        GUARD,
        "if self.is_local && !is_local_name(uri, headers) {",
        "if false {",
        daemon("only_this_machines_own_names", "names_that_somebody_else_made"),
    ),
    Mutation(
        "the beginning of the token is enough",
        GUARD,
        "shown.ct_eq(token.as_bytes()).into()",
        "token.as_bytes().starts_with(shown)",
        daemon("without_the_token_nothing_is_answered"),
    ),
    Mutation(
        "everybody reads the metrics on every address",
        CONFIG,
        "if !is_local && !has_token && !has_ca && section.is_known(\"listen\") {",
        "if false {",
        daemon("who_could_be_read_by_anybody"),
    ),
    Mutation(
        "a series that is new while somebody reads the list is never listed",
        SERIES,
        "Err(TryLockError::WouldBlock) => return,",
        "Err(TryLockError::WouldBlock) => return self.unlisted.clear(),",
        daemon("whoever_reads_the_list_keeps_nobody_waiting"),
    ),
    Mutation(
        "labels have as many values as a stranger likes",
        LABELS,
        "if self.texts.len() > self.limit {",
        "if false {",
        daemon("past_the_limit_values_are_other"),
    ),
    Mutation(
        "a session that ended is told to be silent",
        SESSIONS,
        "            self.known.remove(&key);\n            if !self.is_past_known",
        "            if !self.is_past_known",
        daemon("one_that_ended_is_not_silent"),
    ),
    Mutation(
        "a silent agent is told of each second",
        SILENCE,
        "                agent.is_silent = is_silent;\n",
        "",
        daemon("an_agent_that_used_to_send_events"),
    ),
    Mutation(
        "whatever stands at the journal's end is read",
        PAST,
        "if bytes > limits.bytes {",
        "if false {",
        daemon("no_more_bytes_are_read_than_the_limit"),
    ),
    Mutation(
        "as many sessions of the past are kept as there were",
        PAST,
        "if self.sessions.len() >= MAX_SESSIONS && ",
        "if false && ",
        daemon("sessions_and_agents_beyond_their_limits"),
    ),
    Mutation(
        "what was dropped at a place that is refused seems to be nothing",
        "daemon/src/metrics/status.rs",
        "place.refused.is_none() || place.dropped_events > 0",
        "true",
        daemon("a_place_that_was_never_used_has_no_count"),
    ),
    Mutation(
        "an agent stays silent whatever its limit is now",
        SILENCE,
        "if is_silent != agent.is_silent {",
        "if is_silent && !agent.is_silent {",
        daemon("a_limit_that_is_raised_or_switched_off"),
    ),
    Mutation(
        "an agent that is not used any more is missed for ever",
        SILENCE,
        "let is_forgotten = silent > limit.saturating_add(FORGET);",
        "let is_forgotten = false;",
        daemon("an_agent_that_stays_silent_is_forgotten"),
    ),
    Mutation(
        "a call is not counted if nobody says how long it took",
        EVENTS,
        "matches!(it.kind, Some(EventType::ToolPost | EventType::ToolFail))",
        "it.duration_ms.is_some()",
        daemon("what_was_counted_is_there"),
    ),
    Mutation(
        "the first denial makes its series",
        EVENTS,
        "for first in BEGIN_WITH_0 {",
        "for first in [] as [EventType; 0] {",
        daemon("what_was_counted_is_there"),
    ),
    Mutation(
        "who holds all connections keeps everybody else's open as well",
        SERVE,
        "oldest.abort();",
        "",
        daemon("where_every_place_is_taken"),
    ),
    Mutation(
        "many requests are answered on one connection",
        SERVE,
        ".keep_alive(false)",
        ".keep_alive(true)",
        daemon("a_connection_is_for_one_request"),
    ),
    Mutation(
        "who reads no answer is waited for",
        SERVE,
        "timeout(limits.connection, answer(",
        "timeout(Duration::from_secs(3600), answer(",
        daemon("whoever_does_not_read_or_write"),
    ),
    Mutation(
        "a daemon is ready whose hooks have no place",
        "daemon/src/metrics/ready.rs",
        "[hangs, stands, paused, rotation, places]",
        "[hangs, stands, paused, rotation, places.filter(|_| false)]",
        daemon("hooks_need_one_place"),
    ),
    Mutation(
        "a section that is gone is no change",
        "daemon/src/config/changes.rs",
        "if find(now, &section.path).is_none() {",
        "if false {",
        daemon("a_reload_names_what_it_changes"),
    ),
    Mutation(
        "hooks are fine as soon as they are below the limit",
        HOOKS,
        "p99_us <= us(limit) && now.since(self.slow_at) >= WINDOW * WINDOWS as u32",
        "p99_us <= us(limit)",
        daemon("hooks_about_the_limit"),
    ),
]

EQUIVALENT: list[Equivalent] = []
