"""The parts that all measurements share: options, figures, and the file of results."""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from services.meshkit.logs import configure_logs

RESULTS = Path(__file__).with_name("results")
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Args:
        name: The measured quantity.
        value: The number.
        unit: Its unit, such as "1/s", "ms", "ratio", "MiB".
        target: The required value, such as ">= 1.5"; empty when none is promised.
        note: An explanation.
    """

    name: str
    value: float
    unit: str
    target: str = ""
    note: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Return whether the target is reached; None when there is none."""
        if not self.target:
            return None
        sign, bound = self.target.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)


@dataclass(frozen=True)
class Options:
    """The size of a run.

    Args:
        is_quick: Only show that the program runs, on a small workload.
        repeats: The number of alternating rounds of a comparison.
    """

    is_quick: bool = False
    repeats: int = 3


@dataclass(frozen=True)
class Result:
    """The result of a run of a program."""

    name: str
    question: str
    method: str
    figures: Sequence[Figure]
    is_quick: bool
    commit: str
    measured_at: str
    machine: dict[str, Any] = field(default_factory=dict)


Program = Callable[[Options], Awaitable[Sequence[Figure]]]


def main(name: str, question: str, method: str, program: Program) -> None:
    """Run a program from the command line, print its figures and write them.

    Args:
        name: The name of the program and of its file.
        question: The question that it answers.
        method: The method.
        program: The measurement.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=question, epilog=method)
    parser.add_argument("--quick", action="store_true", help="only show that it runs; nothing is written")
    parser.add_argument("--repeats", type=int, default=3, help="how often what is compared is measured in turn")
    found = parser.parse_args()
    options = Options(is_quick=found.quick, repeats=1 if found.quick else found.repeats)
    configure_logs("bench", "warning")
    figures = asyncio.run(_run(program, options))
    result = Result(name, question, method, figures, options.is_quick, **origin())
    show(result)
    if not options.is_quick:
        write(result)


async def _run(program: Program, options: Options) -> Sequence[Figure]:
    return await program(options)


def show(result: Result) -> None:
    """Print the figures for a person."""
    print(f"{result.name}: {result.question}")
    for figure in result.figures:
        decision = {None: "", True: "reached", False: "MISSED"}[figure.is_reached]
        target = f"target {figure.target}: {decision}" if figure.target else ""
        print(f"  {figure.name:<58} {figure.value:>12,.3f} {figure.unit:<8} {target} {figure.note}".rstrip())
    sys.stdout.flush()


def write(result: Result) -> Path:
    """Write the figures as JSON. Return the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result.name}.json"
    path.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return path


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the given percentile (nearest rank). The samples need not be sorted."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median(samples: Sequence[float]) -> float:
    """Return the median of the samples."""
    return percentile(samples, 50)


def processor_seconds(*pids: int) -> float:
    """Return the user and system time that processes and all below them have used, their ended children included.

    Other load on the machine disturbs it less than it disturbs times and rates.
    """
    found = 0.0
    for process in [every for pid in pids for every in _with_children(pid)]:
        with suppress(psutil.NoSuchProcess):  # it has just ended: its parent has its time
            times = process.cpu_times()
            found += times.user + times.system + times.children_user + times.children_system
    return found


def _with_children(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def commit() -> str:
    """Return the commit that is measured, with "+" when the tree has changes."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return f"{head}+" if _git("status", "--porcelain", "--untracked-files=no") else head


def origin() -> dict[str, Any]:
    """Return the fields of a result that tell where and when it was measured."""
    return {"commit": commit(), "measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}


def machine() -> dict[str, Any]:
    """Return a description of the machine."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processors": os.cpu_count(),
        "memory_gib": round(pages * page_bytes / 2**30, 1),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)  # noqa: S603, S607
    return found.stdout.strip() or "unknown"
