"""Runs the suite in its parts, and what failed a second time, alone."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.suite.outcome import INTERRUPTED_CODE, NONE_RUN, SOME_FAILED, Outcome
from tools.suite.sandbox import Sandbox

# The tests wait more than they compute: four processes keep two cores busy.
WORKERS = 4
PARTS = {
    "tests that run alone": ("-m", "serial", "--only-marking=serial", "--durations=20"),
    # A crash fails the run whatever comes after it, so no worker is replaced.
    "all other tests": (
        *("-m", "not serial", "--durations=60"),
        *("-n", str(WORKERS), "--dist", "loadfile", "--max-worker-restart=0"),
    ),
}
# More failures than these have a cause, which a second try would only hide.
MAX_SECOND_TRIES = 10
PART_SECONDS = 5400.0
# As many files are named with their CPU: a time of the wall says little on a machine that others use.
DEAREST_FILES = 40


@dataclass(frozen=True)
class Verdict:
    """The result of a run of the suite.

    Attributes:
        outcome: The last result of each test.
        second_tries: The tests that failed first and passed at the second try.
        is_interrupted: Whether a signal ended the run.
    """

    outcome: Outcome = field(default_factory=Outcome)
    second_tries: list[str] = field(default_factory=list)
    is_interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 if every test passed or was skipped; 1 if not; 5 if there was none; 130 after an interruption."""
        if self.is_interrupted:
            return INTERRUPTED_CODE
        if self.outcome.faults or self.outcome.failed:
            return SOME_FAILED
        return 0 if self.outcome.results else NONE_RUN

    def lines(self) -> list[str]:
        """The last lines of the output; the very last has the counts and nothing else."""
        return [
            *(f"fault: {fault}" for fault in self.outcome.faults),
            *(f"failed: {nodeid}" for nodeid in self.outcome.failed),
            *(f"passed at the second try: {nodeid}" for nodeid in self.second_tries),
            self.outcome.closing_line(),
        ]


def run_suite(arguments: Sequence[str]) -> Verdict:
    """Runs all tests, and those that failed once more. Leaves no process and no temporary file.

    Args:
        arguments: More arguments for pytest, such as paths and `-k`.
    """
    with Sandbox() as sandbox:
        suite = _Suite(sandbox, arguments)
        outcome = Outcome()
        for name, options in PARTS.items():
            if not outcome.faults:
                outcome.add(suite.part(name, (*options, *arguments)))
        second_tries = suite.second_tries(outcome)
        return Verdict(outcome, second_tries, sandbox.is_interrupted)


class _Suite:
    def __init__(self, sandbox: Sandbox, arguments: Sequence[str]) -> None:
        self._sandbox = sandbox
        self._arguments = arguments

    def part(self, name: str, options: Sequence[str]) -> Outcome:
        """Runs pytest once."""
        print(f"--- {name} ---", flush=True)
        began = time.monotonic()
        record = self._sandbox.folder / "outcome.json"
        record.unlink(missing_ok=True)
        # Each of our options is one word with its file: pytest takes a word that is a path for a folder of tests.
        own = ("-p", "tools.suite.record", f"--record={record}")
        command = (sys.executable, "-m", "pytest", *own, *options)
        outcome = Outcome.read(record, self._sandbox.run(command, PART_SECONDS))
        if self._sandbox.is_interrupted:
            outcome.faults.append("the run was interrupted")
        total_seconds = sum(outcome.cpu_seconds.values())
        for file, seconds in outcome.dearest(DEAREST_FILES):
            print(f"{seconds:7.1f} s of CPU: {file}")
        ended = f"{len(outcome.results)} in {time.monotonic() - began:.0f} s, {total_seconds:.0f} s of CPU"
        print(f"--- {name}: {ended} ---", flush=True)
        return outcome

    def second_tries(self, outcome: Outcome) -> list[str]:
        """Runs the failed tests again if they are few, changes the outcome, and returns those that passed."""
        failed = outcome.failed
        if outcome.faults or not failed:
            return []
        if len(failed) > MAX_SECOND_TRIES:
            print(f"{len(failed)} tests failed: too many for a second try")
            return []
        listed = self._sandbox.folder / "failed.json"
        listed.write_text(json.dumps(failed), encoding="utf-8")
        options = (*self._arguments, "-n", "0", f"--only-listed={listed}")
        outcome.add(self.part("second try, one after the other", options))
        return [nodeid for nodeid in failed if nodeid not in outcome.failed]
