"""The mutations that `tests/mutations.py` tries: each breaks one check, ordering or sync on purpose,
and names the tests that must notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tests:
    """A command that runs a few tests, and what must be built before it."""

    command: tuple[str, ...]
    build: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        return " ".join(self.command)


@dataclass(frozen=True)
class Mutation:
    """`old`, which stands exactly once in the file, becomes `new`; then the tests must fail."""

    name: str
    path: str
    old: str
    new: str
    tests: Tests
    # One of the handful that says in a few minutes whether the tests still bite.
    is_quick: bool = False


@dataclass(frozen=True)
class Equivalent:
    """A change that no test notices, and why that is so; listed so that nobody tries it again."""

    name: str
    path: str
    old: str
    why: str


def loom(model: str) -> Tests:
    """Models of the ring's algorithms, by a part of their names."""
    return Tests(("tests/loom.sh", model), (("tests/loom.sh", model, "--no-run"),))


def cargo(package: str, target: str, *names: str) -> Tests:
    """Tests of a package, by parts of their names. `target`: `lib`, or an integration test's name."""
    which = ("--lib",) if target == "lib" else ("--test", target)
    command = ("cargo", "test", "--package", f"hookring-{package}", *which)
    return Tests((*command, "--", *names), ((*command, "--no-run"),))


def bus(*names: str) -> Tests:
    """Unit tests of the bus."""
    return cargo("bus", "lib", *names)


def lanes(*names: str) -> Tests:
    """Tests of the bus from outside."""
    return cargo("bus", "lanes", *names)


def journal(*names: str) -> Tests:
    """Unit tests of the journal."""
    return cargo("journal", "lib", *names)


def sinks(*names: str) -> Tests:
    """Unit tests of the sinks."""
    return cargo("sinks", "lib", *names)


def system(target: str, *names: str) -> Tests:
    """Whole-system tests, with the programs as a plain build makes them."""
    programs = ("cargo", "build", "--package", "hookring", "--package", "hookring-producer")
    tests = cargo("tests", target, *names)
    return Tests(tests.command, (programs, *tests.build))
