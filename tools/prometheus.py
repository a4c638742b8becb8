"""Lays Prometheus and promtool of Debian's package into .cache/prometheus, without installing its service.

`python -m tools.prometheus` (the Makefile calls it). It needs apt; apt checks the package's signature.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.generate.protos import ROOT

FOLDER = ROOT / ".cache" / "prometheus"
_SECONDS = 300


def program(name: str) -> Path:
    """Return where `prometheus` or `promtool` is: on the path, else in .cache/prometheus, where it may be missing."""
    found = shutil.which(name)
    return Path(found) if found else FOLDER / "bin" / name


def lay() -> None:
    """Fetch the package and unpack its programs. Safe to call again.

    Raises:
        subprocess.CalledProcessError: The package cannot be fetched.
    """
    with tempfile.TemporaryDirectory(prefix="prometheus") as scratch:
        _fetch(Path(scratch))
        (package,) = Path(scratch).glob("prometheus_*.deb")
        _run(Path(scratch), "dpkg-deb", "--extract", str(package), "files")
        (FOLDER / "bin").mkdir(parents=True, exist_ok=True)
        for name in ("prometheus", "promtool"):
            shutil.copy2(Path(scratch) / "files/usr/bin" / name, FOLDER / "bin" / name)


def _fetch(folder: Path) -> None:
    try:
        _run(folder, "apt-get", "--quiet", "download", "prometheus")
    except subprocess.CalledProcessError:
        if os.geteuid() != 0:
            raise
        # A fresh machine has no lists of packages yet.
        _run(folder, "apt-get", "--quiet", "update")
        _run(folder, "apt-get", "--quiet", "download", "prometheus")


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, timeout=_SECONDS, stdout=subprocess.DEVNULL)


def main() -> int:
    """Lay the programs; return the exit status."""
    lay()
    return 0


if __name__ == "__main__":
    sys.exit(main())
