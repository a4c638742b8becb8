"""The outcome of one run of pytest, as the plugin writes it and the runner reads it."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
INTERRUPTED_CODE = 130
# pytest's exit codes: every test passed, some failed, there was none to run.
ALL_PASSED, SOME_FAILED, NONE_RUN = 0, 1, 5
_COMPLETE = (ALL_PASSED, SOME_FAILED, NONE_RUN)


@dataclass
class Outcome:
    """The results of some tests.

    Attributes:
        results: Node id to `PASSED`, `FAILED` or `SKIPPED`.
        faults: Sentences about events after which the results say nothing about single tests: a crashed worker, a
            file that cannot be collected, a run that ended early. Empty in a healthy run.
        cpu_seconds: The CPU that the tests of each file took, the programs that they ended included.
    """

    results: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """The node ids of the tests that failed, sorted."""
        return sorted(nodeid for nodeid, result in self.results.items() if result == FAILED)

    def add(self, other: "Outcome") -> None:
        """Takes over the results and faults of a later run; its result of a test replaces an earlier one."""
        self.results |= other.results
        self.faults += other.faults
        for file, seconds in other.cpu_seconds.items():
            self.cpu_seconds[file] = self.cpu_seconds.get(file, 0.0) + seconds

    def dearest(self, count: int) -> list[tuple[str, float]]:
        """Return the files whose tests took the most CPU, in seconds, the dearest first."""
        return sorted(self.cpu_seconds.items(), key=lambda item: -item[1])[:count]

    def closing_line(self) -> str:
        """Return the counts as the one line that people and programs read last."""
        counts = Counter(self.results.values())
        return ", ".join(f"{counts[kind]} {kind}" for kind in (PASSED, FAILED, SKIPPED))

    def write(self, path: Path) -> None:
        """Writes the outcome as JSON. Safe to call again: yes."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path, exit_code: int) -> Self:
        """Reads the outcome of a run that has ended.

        Args:
            path: The file that the plugin wrote; absent when pytest ended too early for that.
            exit_code: The exit code of pytest, or the negative number of the signal that ended it.

        Returns:
            The outcome, with a fault for a run that did not reach its end.
        """
        outcome = cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls()
        if exit_code not in _COMPLETE:
            outcome.faults.append(f"pytest ended with exit code {exit_code}")
        elif not path.exists():
            outcome.faults.append("pytest ended without its results")
        elif exit_code == SOME_FAILED and not outcome.failed and not outcome.faults:
            outcome.faults.append("pytest reports a failure that belongs to no test")
        return outcome
