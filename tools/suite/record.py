"""A pytest plugin for the runner: it records the result and the CPU of each test, and can run the tests of a list only.

The runner loads it with `-p tools.suite.record`. With pytest-xdist it works in the controller, which sees the reports
of all workers.
"""

import json
import resource
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tools.suite.outcome import FAILED, PASSED, SKIPPED, Outcome

# pytest-xdist reports a test that took its worker down in this phase, which no other test has.
CRASHED_PHASE = "???"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the runner's three options."""
    group = parser.getgroup("suite")
    group.addoption("--record", metavar="FILE", help="write the result of each test to this file")
    group.addoption("--only-listed", metavar="FILE", help="run only the tests whose node ids this JSON file lists")
    group.addoption("--only-marking", metavar="MARK", help="read only the files whose text has this mark")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Starts the recorder and the selections, each if its option is there."""
    if config.getoption("record"):
        config.pluginmanager.register(CpuMeter())
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist, which reports to the controller
        return
    if record := config.getoption("record"):
        config.pluginmanager.register(Recorder(Path(record)))
        # The runner closes with the counts of the whole suite; those of a part would contradict them.
        reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        reporter.summary_stats = lambda: None
    if listed := config.getoption("only_listed"):
        config.pluginmanager.register(Selection(config.rootpath, json.loads(Path(listed).read_text(encoding="utf-8"))))
    if mark := config.getoption("only_marking"):
        config.pluginmanager.register(Marking(f"mark.{mark}"))


class CpuMeter:
    """Notes in each report the CPU that a phase took. It works in the process that runs the tests."""

    def __init__(self) -> None:
        self._before_seconds = _cpu_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Adds the seconds since the report before, those of ended child processes included."""
        report = yield
        now_seconds = _cpu_seconds()
        # pytest-xdist carries attributes of a report to the controller.
        report.__dict__["cpu_seconds"] = now_seconds - self._before_seconds
        self._before_seconds = now_seconds
        return report


def _cpu_seconds() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class Recorder:
    """Records results and faults, and writes them when the session ends.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcome = Outcome()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes a phase of a test: a failure in any phase fails the test."""
        results, cpu = self._outcome.results, self._outcome.cpu_seconds
        file = report.nodeid.partition("::")[0]
        cpu[file] = cpu.get(file, 0.0) + getattr(report, "cpu_seconds", 0.0)
        if report.when == CRASHED_PHASE:
            self._outcome.faults.append(f"a worker crashed while it ran {report.nodeid}")
        if report.failed:
            results[report.nodeid] = FAILED
        elif report.skipped:
            results.setdefault(report.nodeid, SKIPPED)
        elif report.when == "call":
            results.setdefault(report.nodeid, PASSED)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notes a file that cannot be collected."""
        if report.failed:
            self._outcome.faults.append(f"{report.nodeid or 'the suite'} cannot be collected")

    def pytest_internalerror(self, excrepr: object) -> None:
        """Notes a failure of pytest itself."""
        self._outcome.faults.append(f"pytest failed: {str(excrepr).strip().rpartition(chr(10))[2]}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object | None) -> None:
        """Notes a worker that ended by itself."""
        del node
        if error:
            self._outcome.faults.append(f"a worker ended: {error}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes the outcome."""
        if session.shouldfail or session.shouldstop:
            self._outcome.faults.append(f"the run ended early: {session.shouldfail or session.shouldstop}")
        self._outcome.write(self._path)


class Marking:
    """Passes over files that lack a word: reading all files takes longer than the few tests of a mark.

    Args:
        word: For example `mark.serial`.
    """

    def __init__(self, word: str) -> None:
        self._word = word

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Passes over files that lack the word."""
        if collection_path.suffix != ".py" or self._word in collection_path.read_text(encoding="utf-8"):
            return None
        return True


class Selection:
    """Deselects every test that is not listed, and does not even read the files that have none.

    Args:
        root: The folder to which node ids are relative.
        listed: Node ids.
    """

    def __init__(self, root: Path, listed: list[str]) -> None:
        self._listed = frozenset(listed)
        self._files = frozenset(root / nodeid.partition("::")[0] for nodeid in listed)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Passes over other files."""
        return True if collection_path.is_file() and collection_path not in self._files else None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Passes over other tests of the same files."""
        others = [item for item in items if item.nodeid not in self._listed]
        if others:
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if item.nodeid in self._listed]
