"""Feeds one target with bytes that atheris makes, guided by what they reach, for as long as it is let.

    pip install atheris          # for Python 3.11 to 3.13 on Linux; not needed by anything else
    python -m tests.fuzz html -max_total_time=600
    python -m tests.fuzz html crash-...          # one input again

Behind the name of the target stand libFuzzer's own options. Each finding becomes a case of the unit tests.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["services"]):
    from tests.fuzz.targets import TARGETS
from tests.fuzz.seeds import seeds


def main() -> None:
    """Runs until something is found or the time is over."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"which one? {', '.join(TARGETS)}")
    name = sys.argv.pop(1)
    options = [sys.argv[0], "-timeout=10", "-rss_limit_mb=2048", *sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix=f"mailmesh-fuzz-{name}-") as corpus:
        for number, seed in enumerate(seeds(name)):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        is_replay = any(not option.startswith("-") for option in options[1:])
        atheris.Setup(options if is_replay else [*options, corpus], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
