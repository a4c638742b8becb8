"""`python -m tools.suite [PYTEST ARGUMENT...]`: runs the test suite, for `make test`.

Tests that fail run once more at the end, one after the other, and count as passed if they pass then; the last lines
name them. More than ten failures, a crashed worker, a file that cannot be collected and an interruption are failures at
once. The last line has the counts: "N passed, N failed, N skipped".
"""

import sys

from tools.suite.runner import run_suite


def main() -> int:
    """Runs the suite; returns the exit code."""
    verdict = run_suite(sys.argv[1:])
    print(*verdict.lines(), sep="\n", flush=True)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main())
