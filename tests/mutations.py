#!/usr/bin/env python3
"""Breaks the code on purpose, one change at a time, and sees that a test fails for each.

    tests/mutations.py              all of them: half an hour, more on a busy machine
    tests/mutations.py --quick      a handful
    tests/mutations.py --only NAME  those with NAME in their names; may stand several times
    tests/mutations.py --list       what there is, and what is left out and why

The changes stand in `tests/mutants`. They are made in a copy of the tree, in a temporary folder; what
is built goes to `target/mutations`, so that the next run has less to build. Every test command is run
once on the unchanged copy before: what fails there catches nothing. Exits 1 if a mutation survives,
does not build, or no longer applies. Standard library only.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mutants import (
    Equivalent,
    Mutation,
    Tests,
    directories,
    durability,
    letters,
    metrics,
    orderings,
    otlp,
    pipeline,
    producer,
    programs,
    reader,
    spool,
    stores,
)

ROOT = Path(__file__).resolve().parent.parent
# A test that takes longer hangs, which is a way to notice. A build may take what it takes.
TEST_LIMIT_S = 240

GROUPS = [
    orderings,
    stores,
    reader,
    spool,
    producer,
    durability,
    letters,
    directories,
    otlp,
    pipeline,
    programs,
    metrics,
]
MUTATIONS: list[Mutation] = [mutation for group in GROUPS for mutation in group.MUTATIONS]
EQUIVALENT: list[Equivalent] = [it for group in GROUPS for it in group.EQUIVALENT]

FAILED = re.compile(r"^test (\S+)(?: - .*)? \.\.\. FAILED$", re.MULTILINE)
FAILED_LATER = re.compile(r"^    (\S+)$", re.MULTILINE)
RAN = re.compile(r"^test result: .*? (\d+) passed; (\d+) failed", re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="say what there is and end")
    parser.add_argument("--quick", action="store_true", help="a handful")
    parser.add_argument("--only", action="append", metavar="NAME", help="those with NAME in their names")
    options = parser.parse_args()
    chosen = [it for it in MUTATIONS if it.is_quick or not options.quick]
    if options.only:
        chosen = [it for it in chosen if any(name in it.name for name in options.only)]
    if options.list:
        return list_all(chosen)
    if not chosen:
        parser.error("no mutation has such a name")
    return run_all(chosen)


def list_all(chosen: list[Mutation]) -> int:
    for mutation in chosen:
        print(f"{mutation.name}\n    {mutation.path}: {mutation.tests}")
    print(f"\n{len(chosen)} mutations. Not run, since no test notices, and why:")
    for equivalent in EQUIVALENT:
        print(f"{equivalent.name}\n    {equivalent.path}: {equivalent.why}")
    return 0


def fault_of(mutation: Mutation | Equivalent, root: Path = ROOT) -> str | None:
    """Why a mutation cannot be made any more."""
    path = root / mutation.path
    if not path.is_file():
        return "its file is gone"
    times = path.read_text().count(mutation.old)
    return None if times == 1 else f"its text stands there {times} times"


def run_all(chosen: list[Mutation]) -> int:
    # Told to end, it still ends what it started and removes the copy.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="hookring-mutations-") as folder:
        bench = Bench(Path(folder))
        outcomes: dict[str, str] = {}
        sound: dict[Tests, str | None] = {}
        for at, tests in enumerate(dict.fromkeys(it.tests for it in chosen), 1):
            say(f"unchanged {at}: {tests}")
            sound[tests] = bench.baseline(tests)
        for at, mutation in enumerate(chosen, 1):
            begin = time.monotonic()
            fault = fault_of(mutation) or sound[mutation.tests]
            outcome = f"{NOT_CAUGHT}{fault}" if fault else bench.attempt(mutation)
            outcomes[mutation.name] = outcome
            took_s = time.monotonic() - begin
            say(f"{at}/{len(chosen)} {mutation.name}: {outcome} ({took_s:.0f} s)")
    return report(outcomes)


NOT_CAUGHT = "NOT CAUGHT: "
# Counts as caught, but a reader should see that no test said what is wrong.
HUNG = "hung: "


def report(outcomes: dict[str, str]) -> int:
    width = max(map(len, outcomes))
    print()
    for name, outcome in outcomes.items():
        print(f"{name:{width}}  {outcome}")
    missed = sum(outcome.startswith(NOT_CAUGHT) for outcome in outcomes.values())
    hung = sum(outcome.startswith(HUNG) for outcome in outcomes.values())
    print(
        f"\n{len(outcomes)} mutations, {missed} not caught, {hung} caught only since the tests hung, "
        f"{len(EQUIVALENT)} known ones left out"
    )
    return 1 if missed else 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Bench:
    """A copy of the tree, in which one thing at a time is broken."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "mutations"
        self.environment = dict(
            os.environ,
            CARGO_TARGET_DIR=str(target),
            # Nobody debugs it, and it links faster.
            CARGO_PROFILE_DEV_DEBUG="0",
            HOOKRING_TEST_BIN_DIR=str(target / "debug"),
            # A failure that it keeps would be tried first from then on, in whichever mutation.
            PROPTEST_DISABLE_FAILURE_PERSISTENCE="1",
        )
        files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(files, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                # With the time of now: cargo goes by it, and the copy before had other contents.
                shutil.copy(ROOT / name, tree / name)

    def baseline(self, tests: Tests) -> str | None:
        """Why these tests can catch nothing."""
        if not self.build(tests):
            return f"`{tests}` does not build"
        code, output = self.run(tests.command, TEST_LIMIT_S)
        if code != 0:
            return f"`{tests}` fails without it: {failed_tests(output) or 'it hangs'}"
        ran = sum(int(passed) for passed, _ in RAN.findall(output))
        return None if ran else f"`{tests}` runs no test"

    def attempt(self, mutation: Mutation) -> str:
        path = self.tree / mutation.path
        text = path.read_text()
        path.write_text(text.replace(mutation.old, mutation.new))
        try:
            if not self.build(mutation.tests):
                return f"{NOT_CAUGHT}it does not build"
            code, output = self.run(mutation.tests.command, TEST_LIMIT_S)
        finally:
            path.write_text(text)
        if code is None:
            return f"{HUNG}the tests take longer than {TEST_LIMIT_S} s"
        if code == 0:
            return f"{NOT_CAUGHT}SURVIVED `{mutation.tests}`"
        return f"caught by {failed_tests(output) or 'the death of the test program'}"

    def build(self, tests: Tests) -> bool:
        for command in tests.build:
            code, output = self.run(command, None)
            if code != 0:
                say(output[-3000:])
                return False
        return True

    def run(self, command: tuple[str, ...], limit_s: float | None) -> tuple[int | None, str]:
        """Exit code (`None`: it took too long and was ended) and all that was said."""
        process = subprocess.Popen(
            command,
            cwd=self.tree,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit_s)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            return None, ""
        finally:
            # Whatever it started and left, too: a session of its own has a group of its own.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def failed_tests(output: str) -> str:
    """The names of the tests that failed, at most three."""
    names = list(dict.fromkeys(FAILED.findall(output)))
    if not names and "\nfailures:\n" in output:
        names = list(dict.fromkeys(FAILED_LATER.findall(output.rsplit("\nfailures:\n", 1)[1])))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


if __name__ == "__main__":
    sys.exit(main())
