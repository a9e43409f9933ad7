"""Tests of claude_runner.py: python3 -m unittest discover -s tests -p '*_test.py'"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
import claude_runner  # noqa: E402

RUNNER = Path(claude_runner.__file__)


def python(code, **more):
    """A handler in exec form that runs Python code."""
    return {"type": "command", "command": sys.executable, "args": ["-c", code], **more}


def shell(command, **more):
    return {"type": "command", "command": command, **more}


def run(event, *handlers, matcher=None, **fields):
    """The report on one event, for which `handlers` are registered in one group."""
    group = {"hooks": list(handlers)} | ({} if matcher is None else {"matcher": matcher})
    payload = json.dumps({"session_id": "s", "hook_event_name": event, **fields}).encode()
    report = claude_runner.play({"hooks": {event: [group]}}, [payload], Path.cwd())
    return report["events"][0]


def matches(event, matcher, **fields):
    return claude_runner.matches(event, matcher, fields)


class Matchers(unittest.TestCase):
    def test_empty_star_and_absent_match_all(self):
        for matcher in (None, "", "*"):
            self.assertTrue(matches("PreToolUse", matcher, tool_name="Bash"), matcher)

    def test_plain_names_are_exact_and_split_on_bar_and_comma(self):
        self.assertTrue(matches("PreToolUse", "Edit|Write, Bash", tool_name="Bash"))
        self.assertFalse(matches("PreToolUse", "Edit", tool_name="NotebookEdit"))
        self.assertFalse(matches("PreToolUse", "mcp__memory", tool_name="mcp__memory__read"))

    def test_other_characters_make_an_unanchored_regular_expression(self):
        self.assertTrue(matches("PreToolUse", "mcp__memory__.*", tool_name="mcp__memory__read"))
        self.assertTrue(matches("PreToolUse", "Edit.*", tool_name="NotebookEdit"))

    def test_each_event_has_its_own_field(self):
        self.assertTrue(matches("SessionStart", "compact", source="compact"))
        self.assertFalse(matches("SessionEnd", "clear", reason="other"))
        self.assertTrue(matches("FileChanged", "Cargo_lock", file_path="/a/Cargo_lock"))

    def test_events_without_a_matcher_ignore_it(self):
        self.assertTrue(matches("UserPromptSubmit", "Bash", prompt="hello"))

    def test_a_bad_matcher_blocks_a_tool_call_and_is_an_error_elsewhere(self):
        blocked = run("PreToolUse", shell("true"), matcher="(", tool_name="Bash")
        self.assertTrue(blocked["blocked"])
        error = run("PostToolUse", shell("true"), matcher="(", tool_name="Bash")
        self.assertFalse(error["blocked"])
        self.assertEqual(len(error["hook_errors"]), 1)
        self.assertEqual(error["handlers"], [])


class Processes(unittest.TestCase):
    def test_exec_form_has_no_shell(self):
        code = "import sys; sys.exit(sys.argv[1] != '$HOME; exit 3')"
        handler = python(code)
        handler["args"].append("$HOME; exit 3")
        self.assertEqual(run("Stop", handler)["handlers"][0]["exit_code"], 0)

    def test_shell_form_has_one(self):
        report = run("Notification", shell("exit $((1 + 2))"))
        self.assertEqual(report["handlers"][0]["exit_code"], 3)

    def test_stdin_is_the_payloads_very_bytes(self):
        payload = '{"hook_event_name": "SessionStart",  "n": 1e400, "s": "\\ud800"}'.encode()
        dump = python("import sys; print(sys.stdin.buffer.read().hex())")
        settings = {"hooks": {"SessionStart": [{"hooks": [dump]}]}}
        report = claude_runner.play(settings, [payload], Path.cwd())
        self.assertEqual(report["events"][0]["context_injected"], [payload.hex()])

    def test_own_session_documented_environment_and_cwd(self):
        code = (
            "import json, os; env = os.environ; print('seen', json.dumps(["
            "os.getsid(0) == os.getpid(), os.getcwd(), env['CLAUDECODE'],"
            "env['CLAUDE_PROJECT_DIR'], env['CLAUDE_CODE_SESSION_ID'], env['CLAUDE_EFFORT'],"
            "'CLAUDE_ENV_FILE' in env, 'OTEL_SDK_DISABLED' in env]))"
        )
        otel = mock.patch.dict(os.environ, OTEL_SDK_DISABLED="1")
        with otel, tempfile.TemporaryDirectory() as folder:
            cwd = os.path.realpath(folder)
            report = run("SessionStart", python(code), cwd=cwd, effort={"level": "high"})
        seen = json.loads(report["context_injected"][0].removeprefix("seen "))
        here = str(Path.cwd())
        self.assertEqual(seen, [True, cwd, "1", here, "s", "high", True, False])

    def test_handlers_run_in_parallel_and_duplicates_once(self):
        with tempfile.TemporaryDirectory() as folder:
            # Each waits for the other's file, so one after the other would run into the timeout.
            wait = "touch {}; while ! [ -e {} ]; do sleep 0.01; done"
            one = shell(wait.format(f"{folder}/one", f"{folder}/two"), timeout=30)
            two = shell(wait.format(f"{folder}/two", f"{folder}/one"), timeout=30)
            report = run("Stop", one, two, one)
        self.assertEqual([handler["exit_code"] for handler in report["handlers"]], [0, 0])

    def test_a_timeout_kills_and_blocks_nothing(self):
        report = run("PreToolUse", shell("echo '{\"continue\":false}'; sleep 600", timeout=0.2))
        self.assertEqual(len(report["timeouts"]), 1)
        self.assertFalse(report["blocked"])
        self.assertIsNone(report["handlers"][0]["exit_code"])

    def test_session_end_hooks_share_a_short_time(self):
        handlers = [shell("true"), shell("false")]
        self.assertEqual(claude_runner.timeouts("SessionEnd", handlers), [1.5, 1.5])
        handlers.append(shell("true", timeout=90))
        self.assertEqual(claude_runner.timeouts("SessionEnd", handlers), [60.0] * 3)
        self.assertEqual(claude_runner.timeouts("Stop", handlers), [600.0, 600.0, 90.0])

    def test_a_missing_program_is_a_hook_error(self):
        missing = {"type": "command", "command": "/nonexistent/hook", "args": []}
        report = run("PreToolUse", missing)
        self.assertFalse(report["blocked"])
        self.assertIn("could not run", report["hook_errors"][0])


class Results(unittest.TestCase):
    def test_exit_2_blocks_only_where_the_event_can_block(self):
        handler = shell("echo no >&2; exit 2")
        self.assertTrue(run("PreToolUse", handler)["blocked"])
        after = run("PostToolUse", handler)
        self.assertFalse(after["blocked"])
        self.assertEqual(after["hook_errors"], ["exit code 2: no"])

    def test_other_codes_are_a_hook_error_with_the_first_line(self):
        report = run("PreToolUse", shell("printf 'first\\nsecond' >&2; exit 7"))
        self.assertFalse(report["blocked"])
        self.assertEqual(report["hook_errors"], ["exit code 7: first"])

    def test_plain_stdout_goes_into_the_context_of_four_events_only(self):
        for event in ("SessionStart", "UserPromptSubmit", "UserPromptExpansion", "PostModelSwitch"):
            self.assertEqual(run(event, shell("echo hi"))["context_injected"], ["hi"], event)
        self.assertEqual(run("PostToolUse", shell("echo hi"))["context_injected"], [])
        self.assertEqual(run("SessionStart", shell("echo hi; exit 1"))["context_injected"], [])

    def test_json_decides_on_every_exit_code(self):
        deny = '{"hookSpecificOutput":{"permissionDecision":"deny","additionalContext":"why"}}'
        report = run("PreToolUse", shell(f"echo '{deny}'; exit 1"))
        self.assertTrue(report["blocked"])
        self.assertEqual(report["context_injected"], ["why"])
        self.assertEqual(len(report["hook_errors"]), 1)

    def test_invalid_json_is_an_error(self):
        report = run("SessionStart", shell("echo '{nope'"))
        self.assertIn("not valid JSON", report["hook_errors"][0])
        self.assertEqual(report["context_injected"], [])

    def test_an_observer_of_worktree_creation_breaks_it(self):
        self.assertTrue(run("WorktreeCreate", shell("true"))["blocked"])
        self.assertFalse(run("WorktreeCreate", shell("echo /tmp/tree"))["blocked"])

    def test_what_cannot_be_run_here_is_listed(self):
        http = {"type": "http", "url": "http://127.0.0.1/"}
        report = run("Stop", http, shell("true", **{"async": True}), shell("true", **{"if": "x"}))
        self.assertEqual(len(report["left_out"]), 3)
        self.assertEqual(report["handlers"], [])


class CommandLine(unittest.TestCase):
    def test_a_session_gives_a_report_and_misuse_gives_2(self):
        with tempfile.TemporaryDirectory() as folder:
            settings, session = Path(folder, "settings.json"), Path(folder, "session.jsonl")
            settings.write_text(json.dumps({"hooks": {"Stop": [{"hooks": [shell("exit 2")]}]}}))
            session.write_text('{"hook_event_name":"Stop"}\n{"hook_event_name":"NeverHeardOf"}\n')
            called = [sys.executable, RUNNER, "--settings", settings, "--session"]
            played = subprocess.run([*called, session], capture_output=True)
            misused = subprocess.run([*called, Path(folder, "missing")], capture_output=True)
        self.assertEqual(played.returncode, 0, played.stderr)
        totals = json.loads(played.stdout)["totals"]
        self.assertEqual((totals["events"], totals["handlers"], totals["blocked"]), (2, 1, 1))
        self.assertEqual(misused.returncode, 2)
        self.assertIn(b"missing", misused.stderr)


if __name__ == "__main__":
    unittest.main()
