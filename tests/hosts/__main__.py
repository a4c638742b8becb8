"""`python -m tests.hosts --seed N --runs N`: takes hosts and servers away under load, and compares what arrived.

Every mail in the simulated mailboxes must be one created event at the consumer and at the receiver of webhooks, in
order, whatever was taken away. The order of what is taken away, and what the wire loses, follow from the seed.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
from pathlib import Path

from tests.hosts.trial import Trial
from tests.hosts.wire import NoHostsError, leave_this_host


def main() -> int:
    """Run the seeds and return the exit code: 0 when nothing was found, or no hosts can be made here."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description=__doc__)
    parser.add_argument("--seed", type=int, action="append", help="which; may be repeated; default: one at random")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds at random")
    parser.add_argument("--figures", type=Path, help="a file for the figures, JSON")
    found = parser.parse_args()
    # A trial that is ended from outside removes what it made, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        leave_this_host()
    except NoHostsError as reason:
        print(f"skipped: {reason}")
        return 0
    seeds = found.seed or [random.SystemRandom().randrange(1_000_000) for _ in range(found.runs)]
    failed, figures = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="mh-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o711)
            trial = Trial(Path(folder), seed)
            wrong = trial.run()
        figures.append({"seed": seed, **trial.figures})
        for sentence in wrong:
            print(f"  WRONG: {sentence}")
        failed += [seed] if wrong else []
    if found.figures is not None:
        found.figures.write_text(json.dumps(figures, indent=2))
    print(f"{len(seeds) - len(failed)} of {len(seeds)} seeds passed" + (f"; failed: {failed}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
