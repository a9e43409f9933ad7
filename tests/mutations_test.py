"""The list of mutations is one that can be run: `tests/mutations.py` runs it."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import mutations
from mutants import Mutation, bus


class List(unittest.TestCase):
    def test_each_applies_to_the_code_as_it_is(self) -> None:
        for one in mutations.MUTATIONS + mutations.EQUIVALENT:
            with self.subTest(one.name):
                self.assertIsNone(mutations.fault_of(one))

    def test_names_differ_and_each_changes_something(self) -> None:
        names = [one.name for one in mutations.MUTATIONS + mutations.EQUIVALENT]
        self.assertEqual(len(names), len(set(names)))
        for one in mutations.MUTATIONS:
            self.assertNotEqual(one.old, one.new, one.name)

    def test_some_are_quick(self) -> None:
        self.assertIn(sum(one.is_quick for one in mutations.MUTATIONS), range(4, 20))


class Running(unittest.TestCase):
    def test_a_text_that_is_gone_or_stands_twice_is_a_fault(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "code.rs").write_text("a b b")
            faults = [
                mutations.fault_of(Mutation("it", path, old, "new", bus("it")), root)
                for path, old in [("code.rs", "a"), ("code.rs", "b"), ("code.rs", "c"), ("none.rs", "a")]
            ]
        self.assertIsNone(faults[0])
        for fault, word in zip(faults[1:], ["2 times", "0 times", "gone"], strict=True):
            self.assertIn(word, fault)

    def test_failed_tests_are_named(self) -> None:
        run = "test a::b ... ok\ntest a::c ... FAILED\n\nfailures:\n\nfailures:\n    a::c\n"
        self.assertEqual(mutations.failed_tests(run), "a::c")
        many = "".join(f"test t{at} ... FAILED\n" for at in range(5))
        self.assertEqual(mutations.failed_tests(many), "t0, t1, t2 and 2 more")
        self.assertEqual(mutations.failed_tests("killed by a signal"), "")

    def test_what_was_not_caught_decides_the_exit_code(self) -> None:
        missed = f"{mutations.NOT_CAUGHT}SURVIVED"
        self.assertEqual(mutations.report({"one": "caught by a"}), 0)
        self.assertEqual(mutations.report({"one": "caught by a", "two": missed}), 1)

    def test_the_summary_says_what_hung(self) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = mutations.report({"one": "caught by a", "two": f"{mutations.HUNG}too long"})
        self.assertEqual(code, 0)
        self.assertIn("2 mutations, 0 not caught, 1 caught only since the tests hung", said.getvalue())


if __name__ == "__main__":
    unittest.main()
