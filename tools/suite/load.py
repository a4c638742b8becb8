"""`python -m tools.suite.load [--runs N] [--loops N] [PYTEST ARGUMENT...]`: runs the suite on a busy machine.

Beside the suite, endless loops with a lower priority take what they can of every core. A test whose result depends on
the speed of the machine then fails sooner or later; the report at the end names each test that failed or needed a
second try, and in how many runs.
"""

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tools.suite.sandbox import tethered

NICENESS = "5"
LOOP = "while True: pass"
NOTED = ("fault: ", "failed: ", "passed at the second try: ")


def main() -> int:
    """Runs the suite several times; returns 0 if every run passed, second tries included."""
    parser = argparse.ArgumentParser(prog="python -m tools.suite.load", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how many runs of the suite")
    parser.add_argument("--loops", type=int, default=os.cpu_count() or 1, help="how many busy loops beside it")
    options, arguments = parser.parse_known_args()
    noted: Counter[str] = Counter()
    failed = 0
    with busy_loops(options.loops):
        for number in range(1, options.runs + 1):
            print(f"=== run {number} of {options.runs} beside {options.loops} busy loops ===", flush=True)
            code, lines = run_once(arguments)
            noted.update(lines)
            failed += code != 0
    for line, count in noted.most_common():
        print(f"{count} of {options.runs} runs: {line}")
    print(f"{options.runs - failed} of {options.runs} runs passed")
    return 1 if failed else 0


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keeps loops running for the length of a block; they end with this process at the latest.

    Args:
        count: How many.
    """
    command = tethered(("nice", "-n", NICENESS, sys.executable, "-c", LOOP))
    loops = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.terminate()
            loop.wait()


def run_once(arguments: Sequence[str]) -> tuple[int, list[str]]:
    """Runs the suite and shows its output.

    Args:
        arguments: For pytest.

    Returns:
        The exit code, and the lines that name faults, failures and second tries.
    """
    command = tethered((sys.executable, "-m", "tools.suite", *arguments))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as suite:
        assert suite.stdout is not None  # noqa: S101 - for mypy: it is a pipe
        noted = []
        for line in suite.stdout:
            print(line, end="", flush=True)
            if line.startswith(NOTED):
                noted.append(line.rstrip())
    return suite.returncode, noted


if __name__ == "__main__":
    sys.exit(main())
