"""`python -m bench [NAME ...] [--quick]` runs the measurements one after the other."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

FRAME = frozenset({"__init__", "__main__", "fill", "measure", "table"})
PROGRAM_SECONDS = 1800


def programs() -> list[str]:
    """Return the names of all measurements: the modules of this folder that measure."""
    found = (path for path in Path(__file__).parent.glob("*.py") if path.stem not in FRAME)
    return sorted(path.stem for path in found if "measure.main(" in path.read_text())


def main() -> int:
    """Run the requested measurements and return the exit code: 0 when all of them ran."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write bench/results.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(programs())}; default: all")
    parser.add_argument("--quick", action="store_true", help="only show that they run; nothing is written")
    found = parser.parse_args()
    unknown = sorted(set(found.names) - set(programs()))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    failed = [name for name in found.names or programs() if not _ran(name, is_quick=found.quick)]
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def _ran(name: str, *, is_quick: bool) -> bool:
    began = time.monotonic()
    command = [sys.executable, "-m", f"bench.{name}", *(["--quick"] if is_quick else [])]
    try:
        code = subprocess.run(command, check=False, timeout=PROGRAM_SECONDS).returncode  # noqa: S603
    except subprocess.TimeoutExpired:
        code = -1
    print(f"  ({time.monotonic() - began:.0f} s)\n", flush=True)
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
