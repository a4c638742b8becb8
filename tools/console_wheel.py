"""Packs console/dist as the wheel mailmesh-console, into .cache/console.

`python -m tools.console_wheel` (`make console` calls it behind the build). The same files give the same wheel.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tools.generate.protos import ROOT

OUT = ROOT / ".cache" / "console"
_SECONDS = 60


def pack(folder: Path) -> Path:
    """Build the wheel into a folder, and return its path. Safe to call again.

    Raises:
        subprocess.CalledProcessError: It cannot be built.
    """
    shutil.rmtree(folder, ignore_errors=True)
    command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    subprocess.run(command, cwd=ROOT / "console", check=True, timeout=_SECONDS, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> int:
    """Build the wheel, and print where it is; return the exit status."""
    print(pack(OUT).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
