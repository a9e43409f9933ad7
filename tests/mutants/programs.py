"""What is believed of a sink's program, what it inherits, and that nothing of it stays."""

from mutants import Equivalent, Mutation, sinks, system

CHILD = "sinks/src/exec/child.rs"
SESSION = "sinks/src/exec/session.rs"
ANSWER = "sinks/src/exec/answer.rs"
LINES = "sinks/src/exec/lines.rs"
COMMAND = "sinks/src/secret/command.rs"
WORKER = "sinks/src/pump/worker.rs"
PUMP = "sinks/src/pump.rs"
SUPERVISOR = "daemon/src/run/supervisor.rs"

LIES = sinks("exec::tests::lies::")
ENDING = sinks("exec::tests::ending::")
SECRETS = sinks("secret::tests::")
HANGING = system("lifecycle", "exec::a_program_that_hangs_goes_with_its_daemon_too")

MUTATIONS = [
    Mutation(
        "an answer is believed before its request was written",
        SESSION,
        "if !self.child.is_written_to(end) {",
        "if end == 0 {",
        LIES,
    ),
    Mutation(
        "an answer to another request is believed",
        SESSION,
        "if reply.id != id {",
        "if reply.id == 0 {",
        LIES,
        is_quick=True,
    ),
    Mutation(
        "an answer to nothing is passed over",
        SESSION,
        "            return Err(Problem::NotAsked(reply.id));\n        }\n        if self.child.is_silent() || has_ended",
        "        }\n        if self.child.is_silent() || has_ended",
        ENDING,
    ),
    Mutation(
        "fewer outcomes than events are enough",
        ANSWER,
        "found if found == self.events => Ok(judged),",
        "found if found <= self.events => Ok(judged),",
        LIES,
    ),
    Mutation(
        "a line may have any length",
        LINES,
        "if self.seen - self.start > MAX_LINE_BYTES {",
        "if self.seen < self.start {",
        sinks("exec::lines::"),
    ),
    Mutation(
        "a program that has ended is waited for while something holds its pipes",
        SESSION,
        "has_ended = self.child.has_ended();\n                self.child.catch_up",
        "self.child.catch_up",
        LIES,
    ),
    Mutation(
        "a program may say as much as it likes until its time is over",
        CHILD,
        "if self.said_bytes > MAX_SAID_BYTES {",
        "if self.said_bytes == 0 {",
        LIES,
    ),
    Mutation(
        "a command for a secret may write as much as it likes until its time is over",
        COMMAND,
        "    if bytes.len() > MAX_SECRET_BYTES {\n        return Ok(bytes);\n    }\n",
        "    if bytes.len() > MAX_SECRET_BYTES {\n        running.wait_until(deadline).map_err(failed)?;\n    }\n",
        SECRETS,
    ),
    Mutation(
        "what a command for a secret leaves in its group stays",
        COMMAND,
        "        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);\n",
        "        let _ = self.process.kill();\n",
        SECRETS,
    ),
    Mutation(
        "a sink whose cursor somebody removed begins with the next event",
        PUMP,
        "Start::Now if !self.had_cursor =>",
        "Start::Now =>",
        sinks("pump::begin_tests::"),
        is_quick=True,
    ),
    Mutation(
        "a program gets the daemon's whole environment",
        CHILD,
        "command.env_clear().envs(",
        "command.envs(",
        ENDING,
    ),
    Mutation(
        "a program inherits what somebody left open",
        CHILD,
        "        close_others_on_exec();\n",
        "",
        ENDING,
    ),
    Mutation(
        "what a program started stays when it ends",
        CHILD,
        "        self.signal(Signal::KILL);\n        if !self.wait(",
        "        if !self.wait(",
        ENDING,
    ),
    Mutation(
        "a program that hangs outlives a killed daemon",
        CHILD,
        "            set_parent_process_death_signal(Some(Signal::KILL))?;\n",
        "            set_parent_process_death_signal(None)?;\n",
        HANGING,
    ),
    Mutation(
        "what a program that hangs has started outlives a stopped daemon",
        SUPERVISOR,
        "        hookring_sinks::kill_all();\n",
        "",
        HANGING,
    ),
    Mutation(
        "a program that dies while nothing happens is not noticed",
        WORKER,
        "                self.idle()?;\n",
        "",
        ENDING,
    ),
]

EQUIVALENT: list[Equivalent] = []
