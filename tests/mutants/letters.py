"""What is sent once more: that its files may fail, and nothing is lost, doubled or sent without end."""

from mutants import Equivalent, Mutation, sinks

AGAIN = "sinks/src/pump/again.rs"
RESEND = "sinks/src/pump/resend.rs"
LETTERS = "sinks/src/dead_letters.rs"
RETRY = "sinks/src/dead_letters/retry.rs"
ROWS = "sinks/src/dead_letters/rows.rs"

MUTATIONS = [
    Mutation(
        "how a replay ended is forgotten if it cannot be written",
        AGAIN,
        "                    self.tell(&job.replay);\n                    return Err(error.into());",
        "                    self.again = None;\n                    return Err(error.into());",
        sinks("a_replay_whose_end_cannot_be_written_is_over_all_the_same"),
    ),
    Mutation(
        "a file of ours that fails is the sink's failure",
        AGAIN,
        "        self.held.is_failing = true;\n",
        "        self.held.is_failing = true;\n        self.delivery.failed(now);\n",
        sinks("a_replay_whose_end_cannot_be_written_is_over_all_the_same"),
    ),
    Mutation(
        "a letter that was taken and could not be marked is sent again",
        RESEND,
        "        if job.is_refused.is_some() {",
        "        if false {",
        sinks("a_letter_that_was_taken_and_cannot_be_marked_is_not_sent_again"),
    ),
    Mutation(
        "letters are put back that are there",
        RETRY,
        "                rest.remove(&row.key()?);\n                Ok(())",
        "                let _ = row;\n                Ok(())",
        sinks("what_was_put_back_is_not_put_back_again"),
    ),
    Mutation(
        "letters are written anew though none is taken out",
        LETTERS,
        "            } else if gone > 0 {\n",
        "            } else {\n",
        sinks("what_begins_again_writes_nothing_that_was_written"),
    ),
    Mutation(
        "a line that is too long is held in memory",
        ROWS,
        "                self.line = Vec::new();\n",
        "                self.line.extend_from_slice(part);\n",
        sinks("a_line_that_is_too_long_is_passed_over_and_copied_all_the_same"),
    ),
    Mutation(
        "what has no event that could be sent is taken for a letter",
        "sinks/src/dead_letters/letter.rs",
        "        is_whole.then_some(letter)",
        "        (is_whole || true).then_some(letter)",
        sinks("what_has_no_event_that_could_be_sent_is_counted_and_never_multiplied"),
    ),
    Mutation(
        "a letter that waits to be sent again counts twice",
        "sinks/src/dead_letters/count.rs",
        "self.copies = self.lines().saturating_sub(listed);",
        "self.copies = 0;",
        sinks("they_are_counted_whoever_changes_them"),
    ),
    Mutation(
        "a new sink that was told where to go is said to begin elsewhere",
        "sinks/src/pump.rs",
        "if !is_new || !switch.wants_reset()",
        "if true || !switch.wants_reset()",
        sinks("a_new_sink_that_was_told_where_to_go"),
    ),
]

EQUIVALENT: list[Equivalent] = []
