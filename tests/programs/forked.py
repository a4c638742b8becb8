"""`python -m tests.programs.forked MODULE ARGUMENT...`: runs a module whose programs of ours are forks of it.

For programs that start many others, such as those of bench/. It is a fork itself, see `tests.programs.forks`.
"""

import runpy
import sys

from tests.programs import forks


def main() -> None:
    """Run the module as `python -m` would."""
    sys.argv = sys.argv[1:]
    forks.fork_from_here()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
