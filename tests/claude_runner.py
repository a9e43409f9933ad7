#!/usr/bin/env python3
"""Runs hooks as Claude Code documents it (https://code.claude.com/docs/en/hooks, autumn 2026).

    python3 tests/claude_runner.py --settings settings.json --session session.jsonl

plays a recorded session, one hook payload per line, through the `hooks` of a settings.json and
prints a JSON report: per event which handlers ran, their exit codes, and what Claude Code would
have made of them (blocked, hook errors, text put into the context, timeouts). It exits with 0
whatever the hooks do, and with 2 when it is called wrongly.

Handlers of the type `command` are run, in exec form (`args` given: no shell) and in shell form.
Others, those with an `if` rule and those with `async` are listed as left out. Matchers are
JavaScript regular expressions in Claude Code and Python ones here.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOOL_EVENTS = (
    "PreToolUse", "PermissionRequest", "PermissionDenied", "PostToolUse", "PostToolUseFailure",
)  # fmt: skip

# The payload's field that a matcher is tested against; events not named here have no matcher.
MATCHED_FIELD = {event: "tool_name" for event in TOOL_EVENTS} | {
    "SessionStart": "source",
    "Setup": "trigger",
    "UserPromptExpansion": "command_name",
    "Notification": "notification_type",
    "SubagentStart": "agent_type",
    "SubagentStop": "agent_type",
    "StopFailure": "error",
    "InstructionsLoaded": "load_reason",
    "ConfigChange": "source",
    "DirectoryAdded": "source",
    "FileChanged": "file_path",
    "PreCompact": "trigger",
    "PostCompact": "trigger",
    "PreModelSwitch": "to_model",
    "PostModelSwitch": "to_model",
    "Elicitation": "mcp_server_name",
    "ElicitationResult": "mcp_server_name",
    "SessionEnd": "reason",
}

# A matcher of these characters only is a list of exact names; any other is a regular expression.
EXACT = re.compile(r"[A-Za-z0-9_\- ,|]*")
EXACT_NARROW = re.compile(r"[A-Za-z0-9_|]*")
NARROW_EVENTS = ("FileChanged", "StopFailure")

# Events that exit code 2 blocks (or keeps going, where the event is an end).
BLOCKED_BY_EXIT_2 = (
    "UserPromptSubmit", "UserPromptExpansion", "PreToolUse", "PostToolBatch", "SubagentStop",
    "TaskCreated", "TaskCompleted", "Stop", "TeammateIdle", "ConfigChange", "PreCompact",
    "PreModelSwitch", "Elicitation", "ElicitationResult",
)  # fmt: skip
# Events that are blocked when the matching itself fails.
BLOCKED_BY_BAD_MATCHER = ("PreToolUse", "PermissionRequest")
# Events whose hooks' plain stdout goes into the model's context.
PLAIN_STDOUT_IS_CONTEXT = (
    "SessionStart", "UserPromptSubmit", "UserPromptExpansion", "PostModelSwitch",
)  # fmt: skip
ENV_FILE_EVENTS = ("SessionStart", "Setup", "CwdChanged", "FileChanged")

DEFAULT_TIMEOUT_S = 600.0
DEFAULT_TIMEOUTS_S = {
    "UserPromptSubmit": 30.0,
    "PreModelSwitch": 30.0,
    "PostModelSwitch": 30.0,
    "MessageDisplay": 10.0,
}
# All hooks of SessionEnd share this, unless one of them has a longer timeout, up to the limit.
SESSION_END_TIMEOUT_S = 1.5
SESSION_END_TIMEOUT_LIMIT_S = 60.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--settings", type=Path, required=True, help="a settings.json with `hooks`")
    parser.add_argument("--session", type=Path, required=True, help="one hook payload per line")
    parser.add_argument("--project-dir", type=Path, default=Path.cwd(), help="default: here")
    args = parser.parse_args()
    try:
        settings = json.loads(args.settings.read_bytes())
        session = [line for line in args.session.read_bytes().split(b"\n") if line.strip()]
        report = play(settings, session, args.project_dir.resolve())
    except (OSError, ValueError) as error:
        parser.error(str(error))
    json.dump(report, sys.stdout, indent=2)
    print()


def play(settings, session, project_dir):
    """Runs the hooks of `settings` for each payload (bytes) in turn; returns the report."""
    if not isinstance(settings, dict):
        raise ValueError("the settings are a JSON object")
    events = [run_event(settings, payload, project_dir) for payload in session]
    totals = {"events": len(events), "handlers": sum(len(event["handlers"]) for event in events)}
    totals["blocked"] = sum(event["blocked"] for event in events)
    for effect in ("hook_errors", "context_injected", "left_out", "timeouts"):
        totals[effect] = sum(len(event[effect]) for event in events)
    return {"totals": totals, "events": events}


def run_event(settings, payload, project_dir):
    """All matching handlers at once, with the payload's very bytes on stdin; one report entry."""
    fields = json.loads(payload)
    if not isinstance(fields, dict) or not isinstance(fields.get("hook_event_name"), str):
        raise ValueError("a payload is a JSON object with a hook_event_name")
    event = fields["hook_event_name"]
    report = {
        "event": event,
        "handlers": [],
        "blocked": False,
        "hook_errors": [],
        "context_injected": [],
        "left_out": [],
        "timeouts": [],
    }
    handlers = select(settings, fields, report)
    start = time.monotonic()
    if handlers:
        timeouts_s = timeouts(event, handlers)
        with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(len(handlers)) as pool:
            env = environment(fields, project_dir, Path(scratch))
            cwd = fields.get("cwd")
            cwd = cwd if isinstance(cwd, str) and Path(cwd).is_dir() else project_dir
            jobs = [
                pool.submit(run_handler, handler, payload, cwd, env, timeout_s)
                for handler, timeout_s in zip(handlers, timeouts_s)
            ]
            results = [job.result() for job in jobs]
        for result in results:
            interpret(event, result, report)
    report["duration_ms"] = round((time.monotonic() - start) * 1000, 3)
    return report


def select(settings, fields, report):
    """The handlers to run; those that this program cannot run, and bad matchers, are reported."""
    event, selected = fields["hook_event_name"], []
    if settings.get("disableAllHooks"):
        return selected
    for group in settings.get("hooks", {}).get(event, []):
        try:
            if not matches(event, group.get("matcher"), fields):
                continue
        except re.error as error:
            report["hook_errors"].append(f"bad matcher {group['matcher']!r}: {error}")
            report["blocked"] |= event in BLOCKED_BY_BAD_MATCHER
            continue
        for handler in group.get("hooks", []):
            if handler.get("type") != "command" or "if" in handler or handler.get("async"):
                report["left_out"].append(handler)
            elif handler not in selected:
                # The same handler registered twice runs once.
                selected.append(handler)
    return selected


def matches(event, matcher, fields):
    """Whether a group's matcher lets this payload through."""
    field = MATCHED_FIELD.get(event)
    if field is None or matcher in (None, "", "*"):
        return True
    value = str(fields.get(field, ""))
    if event == "FileChanged":
        value = os.path.basename(value)
    exact = EXACT_NARROW if event in NARROW_EVENTS else EXACT
    if exact.fullmatch(matcher):
        return value in [name.strip() for name in re.split(r"[|,]", matcher)]
    return re.search(matcher, value) is not None


def timeouts(event, handlers):
    """Seconds that each handler may take."""
    if event == "SessionEnd":
        own_ms = os.environ.get("CLAUDE_CODE_SESSIONEND_HOOKS_TIMEOUT_MS")
        longest_s = max(float(handler.get("timeout", 0)) for handler in handlers)
        shared_s = min(max(SESSION_END_TIMEOUT_S, longest_s), SESSION_END_TIMEOUT_LIMIT_S)
        return [float(own_ms) / 1000 if own_ms else shared_s] * len(handlers)
    default_s = DEFAULT_TIMEOUTS_S.get(event, DEFAULT_TIMEOUT_S)
    return [float(handler.get("timeout", default_s)) for handler in handlers]


def environment(fields, project_dir, scratch):
    """What a hook finds in its environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env["CLAUDECODE"] = "1"
    env["CLAUDE_CODE_CHILD_SESSION"] = "1"
    env["CLAUDE_CODE_SESSION_ID"] = str(fields.get("session_id", ""))
    env["CLAUDE_PROJECT_DIR"] = str(project_dir)
    effort = fields.get("effort")
    if isinstance(effort, dict) and "level" in effort:
        env["CLAUDE_EFFORT"] = str(effort["level"])
    if fields["hook_event_name"] in ENV_FILE_EVENTS:
        env["CLAUDE_ENV_FILE"] = str(scratch / "env")
    return env


def run_handler(handler, payload, cwd, env, timeout_s):
    """One process: its own session, no terminal, killed with all its children at the timeout."""
    command = handler["command"]
    argv = [command, *handler["args"]] if "args" in handler else ["sh", "-c", command]
    result = {"argv": argv, "exit_code": None, "timed_out": False, "duration_ms": 0.0}
    result |= {"stdout": b"", "stderr": b""}
    start = time.monotonic()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        result["stderr"] = f"could not run: {error}".encode()
        return result
    try:
        result["stdout"], result["stderr"] = process.communicate(payload, timeout_s)
        result["exit_code"] = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        result["timed_out"] = True
    result["duration_ms"] = round((time.monotonic() - start) * 1000, 3)
    return result


def interpret(event, result, report):
    """What Claude Code makes of a finished handler, added to the event's report."""
    code = result["exit_code"]
    stdout = result.pop("stdout").decode(errors="replace").strip()
    stderr = result.pop("stderr").decode(errors="replace").strip()
    report["handlers"].append(result)
    if result["timed_out"]:
        report["timeouts"].append(result["argv"])
        report["blocked"] |= event == "PreModelSwitch"
        return
    if code != 0:
        first_line = stderr.partition("\n")[0]
        blocks = code == 2 and event in BLOCKED_BY_EXIT_2
        report["blocked"] |= blocks
        if not blocks:
            report["hook_errors"].append(f"exit code {code}: {first_line}")
    if event == "WorktreeCreate":
        # A hook here does git's work: it fails unless stdout is the new tree's path.
        report["blocked"] |= code != 0 or not stdout
    elif stdout.startswith("{"):
        interpret_json(stdout, report)
    elif stdout and code == 0 and event in PLAIN_STDOUT_IS_CONTEXT:
        report["context_injected"].append(stdout)


def interpret_json(stdout, report):
    """JSON on stdout counts on every exit code."""
    try:
        output = json.loads(stdout)
    except ValueError as error:
        report["hook_errors"].append(f"stdout is not valid JSON: {error}")
        return
    own = output.get("hookSpecificOutput")
    own = own if isinstance(own, dict) else {}
    decision = own.get("decision")
    behavior = decision.get("behavior") if isinstance(decision, dict) else None
    report["blocked"] |= (
        output.get("continue") is False
        or output.get("decision") == "block"
        or own.get("permissionDecision") == "deny"
        or behavior == "deny"
    )
    for context in (output.get("additionalContext"), own.get("additionalContext")):
        if context:
            report["context_injected"].append(context)


if __name__ == "__main__":
    main()
