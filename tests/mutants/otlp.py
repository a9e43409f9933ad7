"""The otlp sink: that spans are valid, and the same whatever is sent again."""

from mutants import Equivalent, Mutation, sinks

SIGNALS = "sinks/src/otlp/signals.rs"
SESSION = "sinks/src/otlp/spans/session.rs"
TURN = "sinks/src/otlp/spans/turn.rs"
BELONGING = "sinks/src/otlp/spans/belonging.rs"
OPEN = "sinks/src/otlp/spans/open.rs"
SPANS = "sinks/src/otlp/spans.rs"

MUTATIONS = [
    Mutation(
        "a server's words leave without content",
        "sinks/src/otlp/encode/logs.rs",
        """        members.retain(|name, _| name != "error" && name != "what");\n""",
        "        members.retain(|name, _| !name.is_empty());\n",
        sinks("what_the_daemon_says_is_in_its_records"),
    ),
    Mutation(
        "every answer is one that came to its end",
        "sinks/src/otlp/content.rs",
        """    let reason = if is_failed { "error" } else { "stop" };\n""",
        """    let reason = if is_failed { "stop" } else { "stop" };\n""",
        sinks("what_was_said_is_found"),
    ),
    Mutation(
        "the frame of log records has the length of the records alone",
        "sinks/src/otlp/encode/framed.rs",
        "    let scope_bytes = scope.encoded_len() + (out.len() - begin);\n",
        "    let scope_bytes = out.len() - begin;\n",
        sinks("it_is_the_request_that_the_protocols_library_writes"),
    ),
    Mutation(
        "a part of what was accepted sets that back",
        SIGNALS,
        "                    *through = batch.last().max(*through);\n",
        "                    *through = batch.last();\n",
        sinks("what_one_signal_has_is_not_sent_again_because_another_failed"),
    ),
    Mutation(
        "a batch that begins before what was done finds no spans",
        SIGNALS,
        "        if batch.first() <= self.memory(is_replay).done {\n",
        "        if false {\n",
        sinks("a_batch_that_begins_before_what_was_done_begins_anew"),
    ),
    Mutation(
        "what is counted falls when a worker goes back",
        SIGNALS,
        "            self.forgotten = self.counts().0;\n",
        "            self.forgotten = Counts::default();\n",
        sinks("a_batch_that_begins_before_what_was_done_begins_anew"),
    ),
    Mutation(
        "a reload begins anew what only one kind of sink counts",
        "sinks/src/stats.rs",
        "                Some((_, its)) => *its += count,\n",
        "                Some(_) => {}\n",
        sinks("a_worker_counts_on_from_the_one_before"),
    ),
    Mutation(
        "what a sink counts is shown once it has risen",
        "sinks/src/pump/worker.rs",
        "        // What it counts is there with 0 before it rises.\n        self.note_more();\n",
        "",
        sinks("what_a_sink_counts_is_shown_before_it_was_sent_anything"),
    ),
    Mutation(
        "what is shown again stands for what is sent next",
        "sinks/src/pump/recall.rs",
        "                let (before, _) = batch.split(events);\n",
        "                let before = batch.only(|line| line.seq < next);\n",
        sinks("after_a_reset_it_sees_what_is_before_that"),
        is_quick=True,
    ),
    Mutation(
        "a jump is not told to the sink",
        "sinks/src/pump/worker.rs",
        "        (self.next, self.recalled) = (next, false);\n",
        "        self.next = next;\n",
        sinks("after_a_reset_it_sees_what_is_before_that"),
    ),
    Mutation(
        "an event is applied again when it is sent again",
        SPANS,
        "        if event.seq <= self.applied {\n",
        "        if event.seq < self.applied {\n",
        sinks("batches_and_retries_change_nothing"),
    ),
    Mutation(
        "an end that is told twice makes a second span",
        TURN,
        "        if let Some(place) = self.ended(Kind::Tool, call) {\n",
        "        if let Some(place) = self.ended(Kind::Tool, call).filter(|_| false) {\n",
        sinks("an_end_that_is_told_twice_makes_no_second_span"),
    ),
    Mutation(
        "a prompt ends the calls of the one before",
        SESSION,
        "rposition(|it| it.kind == Kind::Root && *it.key != *key)",
        "rposition(|it| *it.key != *key)",
        sinks("a_call_goes_on_while_the_next_prompt_waits"),
    ),
    Mutation(
        "a call that has its subagent is taken for that of another",
        BELONGING,
        "is_one = |it: &Open| it.begins_agents && is_wanted(it);",
        "is_one = |it: &Open| it.begins_agents && (is_wanted(it) || true);",
        sinks("subagents_of_subagents_are_nested"),
    ),
    Mutation(
        "what belongs to no prompt has the root that it had before",
        TURN,
        "self.book.begin(trace, Kind::Root, &self.event.id, self.event)",
        "self.book.begin(trace, Kind::Root, \"\", self.event)",
        sinks("what_belongs_to_no_prompt_has_another_root_after_each_end_whoever_counts"),
    ),
    Mutation(
        "the end of a prompt that was lost leaves what is below it without a root",
        TURN,
        "                let at = self.begin_root(&key, self.start_ns());\n                self.end_at(at, \"turn_error\")\n",
        "                self.context()\n",
        sinks("the_end_of_a_prompt_that_was_lost_makes_its_root"),
    ),
    Mutation(
        "a call begins before its parent",
        OPEN,
        "            self.start_ns = below.start_ns;\n",
        "",
        sinks("what_begins_before_its_parent_by_its_clock_is_moved_and_keeps_its_length"),
    ),
    Mutation(
        "sessions of two agents are one",
        SPANS,
        "event.agent().unwrap_or_default()));",
        "\"\"));",
        sinks("two_agents_may_call_their_sessions_alike"),
    ),
    Mutation(
        "a span ends before it began",
        OPEN,
        "        self.end_ns = end_ns.max(self.start_ns);\n",
        "        self.end_ns = end_ns;\n",
        sinks("spans_are_valid"),
    ),
    Mutation(
        "what people said goes along",
        "sinks/src/otlp/event.rs",
        "        event.content = has_content.then(Content::default);\n",
        "        event.content = (has_content || true).then(Content::default);\n",
        sinks("content_comes_only_if_it_is_asked_for"),
    ),
    Mutation(
        "an answer that is none of OTLP is taken for one",
        "sinks/src/otlp/answer.rs",
        "        (Err(_), Some(b'<')) => return Err(AnswerError::Html),\n",
        "        (Err(_), Some(b'<')) => (0, String::new()),\n",
        sinks("what_is_no_answer_of_otlp_is_none"),
    ),
    Mutation(
        "what has no address of its own goes where the environment says",
        "sinks/src/otlp/given.rs",
        "        if !is_env {\n",
        "        if false {\n",
        sinks("what_is_wrong_is_told_with_a_way_out"),
    ),
    Mutation(
        "what is said for all signals goes before what is said for one",
        "sinks/src/otlp/environment.rs",
        "        names.into_iter().find_map(",
        "        names.into_iter().rev().find_map(",
        sinks("each_signal_listens_to_variables_of_its_own"),
    ),
    Mutation(
        "the environment's headers go before the configuration's",
        "sinks/src/otlp/environment.rs",
        "            } else if !said.iter().any(|it| it.0.eq_ignore_ascii_case(&name)) {\n",
        "            } else {\n",
        sinks("what_a_person_says_goes_first"),
    ),
    Mutation(
        "metrics hold events up for as long as a request may take",
        "sinks/src/otlp/config.rs",
        "(timeout / METRICS_SHARE).max(METRICS_LEAST_TIMEOUT).min(timeout)",
        "timeout",
        sinks("a_place_that_is_slow_with_metrics_holds_events_up_for_less"),
    ),
    Mutation(
        "a last word may take as long as any request",
        "sinks/src/otlp/post.rs",
        "            post = post.config().timeout_global(Some(limit)).build();\n",
        "            let _ = limit;\n",
        sinks("the_last_ones_keep_to_their_time"),
    ),
    Mutation(
        "a place that wants to be left alone is told a last word",
        "sinks/src/pump/last.rs",
        " && self.delivery.waits(now).is_none();",
        ";",
        sinks("who_is_off_fails_or_wants_to_be_left_alone"),
    ),
    Mutation(
        "a place that refuses events is sent metrics all the same",
        "sinks/src/otlp/metrics.rs",
        "        !self.holds_metrics\n",
        "        true\n",
        sinks("a_place_that_takes_no_events_is_sent_no_metrics"),
    ),
    Mutation(
        "a warning takes the place of why a sink fails",
        "sinks/src/pump/shared.rs",
        "        match state.failure.clone() {\n",
        "        match None::<String> {\n",
        sinks("why_a_sink_fails_is_shown_whatever_else_it_says"),
    ),
    Mutation(
        "more is counted as rejected than was sent",
        "sinks/src/otlp/post.rs",
        "taken.rejected.min(items)",
        "taken.rejected",
        sinks("no_more_is_counted_as_rejected_than_was_sent"),
    ),
]

EQUIVALENT: list[Equivalent] = []
