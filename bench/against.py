"""Compare this build with another commit: cost, latency, statements, bytes; measured in turn on the same machine.

    python -m bench.against COMMIT [--rounds 5] [--seconds 20] [--per-second 50]
    python -m bench.against COMMIT --start-only [--rounds 5]

The second form measures starts, and the memory and the processor time at rest. The other commit is built once in a
folder of its own below `.cache/against`. COMMIT may also be a folder that holds a built commit. Processor time is the
processes' own counter, which other load on the machine disturbs less than time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.measure import REPOSITORY, Figure, Result, median, origin, show, write

CACHE = REPOSITORY / ".cache" / "against"
PROBE = Path(__file__).with_name("against_probe.py")
PROBE_SECONDS, BUILD_SECONDS = 900, 900

Figures = Mapping[str, float]


def built(name: str) -> Path:
    """Return the folder of a built commit, and build it if it is not there.

    Args:
        name: A commit, or a folder that holds a built one.

    Raises:
        subprocess.CalledProcessError: There is no such commit, or it cannot be built.
    """
    if Path(name).is_dir():
        return Path(name).resolve()
    found = subprocess.run(  # noqa: S603
        ("git", "rev-parse", "--verify", f"{name}^{{commit}}"),  # noqa: S607
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    )  # fmt: skip
    folder = CACHE / found.stdout.strip()[:12]
    if not folder.exists():
        _run("git", "worktree", "add", "--detach", str(folder), found.stdout.strip(), folder=REPOSITORY)
    _run("make", ".venv/.installed", folder=folder)
    return folder


def measured(folder: Path, seconds: int, per_second: int) -> Figures:
    """Measure one build once, with its own Python and in its own folder.

    Args:
        folder: The folder of the build.
        seconds: The duration of the steady load; 0 measures starts and rest only.
        per_second: The mails of the steady load in a second.
    """
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "figures.json"
        command = (str(folder / ".venv/bin/python"), "-P", str(PROBE), str(answer), str(seconds), str(per_second))
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        subprocess.run(command, cwd=folder, env=environment, check=True, timeout=PROBE_SECONDS)  # noqa: S603
        figures: Figures = json.loads(answer.read_text())
    return figures


def compared(kind: str, here: Sequence[Figures], there: Sequence[Figures]) -> list[Figure]:
    """Return each figure's medians, and the median, lowest and highest of its ratios of a round.

    Args:
        kind: The table of the page that shows them.
        here: The figures of this build, round by round.
        there: Those of the other build.
    """
    found: list[Figure] = []
    for full_name in here[0]:
        ours, others = [figures[full_name] for figures in here], [figures[full_name] for figures in there]
        ratios = [our / other for our, other in zip(ours, others, strict=True) if other] or [0.0]
        columns = {
            "here": median(ours), "there": median(others),
            "ratio": median(ratios), "lowest": min(ratios), "highest": max(ratios),
        }  # fmt: skip
        name, _, unit = full_name.partition("; ")
        found += [
            Figure(f"{kind}, {column}: {name}", value, unit if column in ("here", "there") else "ratio")
            for column, value in columns.items()
        ]
    return found


def main() -> None:
    """Measure, print the comparison and write it."""
    parser = argparse.ArgumentParser(prog="python -m bench.against", description=__doc__)
    parser.add_argument("commit", help="the commit to compare with, or the folder of its build")
    parser.add_argument("--rounds", type=int, default=5, help="how often each build is measured")
    parser.add_argument("--seconds", type=int, default=20, help="the duration of the steady load")
    parser.add_argument("--per-second", type=int, default=50, help="the mails of the steady load in a second")
    parser.add_argument("--start-only", action="store_true", help="measure starts and rest only")
    found = parser.parse_args()
    seconds = 0 if found.start_only else found.seconds
    here: list[Figures] = []
    there: list[Figures] = []
    turns = [(built(found.commit), there), (REPOSITORY, here)]
    for number in range(found.rounds):
        for folder, figures in turns[:: (-1) ** number]:  # neither build is always the first
            figures.append(measured(folder, seconds, found.per_second))
        print(f"round {number + 1} of {found.rounds}", flush=True)
    question = f"What do events cost, compared with commit {_name(turns[0][0])}?"
    file, kind = ("against_start", "start") if found.start_only else ("against", "against")
    result = Result(file, question, _method(found), compared(kind, here, there), is_quick=False, **origin())
    show(result)
    write(result)


def _method(found: argparse.Namespace) -> str:
    if found.start_only:
        return (
            f"Both builds run in turn on the same machine, {found.rounds} times each: a first start, ten mailboxes of"
            " two providers with 40 mails, ten seconds of rest, and three further starts with these data, of which the"
            " median counts. Processor time is the processes' own counter, of all processes below `mailmesh up`."
            " `here` and `there` are medians; the ratio is the median of the rounds, with its lowest and highest."
        )
    return (
        f"Both builds run in turn on the same machine, {found.rounds} times each: ten mailboxes of two providers with"
        f" {found.per_second} mails a second for {found.seconds} seconds, then single mails, then a backlog of 1,000."
        " Processor time is the processes' own counter beyond that of the same mesh at rest. `here` and `there` are"
        " medians; the ratio is the median of the rounds, with its lowest and highest."
    )


def _name(folder: Path) -> str:
    command = ("git", "rev-parse", "--short=12", "HEAD")
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


def _run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, timeout=BUILD_SECONDS, stdout=sys.stderr)  # noqa: S603


if __name__ == "__main__":
    main()
