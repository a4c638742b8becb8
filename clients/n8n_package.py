"""Builds the package for n8n, as it is published: `python -m clients.n8n_package` writes .cache/clients/n8n.

The compiler is the repository's own; n8n's tools, which lint the package, are too large to be installed for each build.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clients" / "n8n"
OUT = ROOT / ".cache" / "clients" / "n8n"
COMPILER = ROOT / "node_modules" / ".bin" / "tsc"
BUILD_SECONDS = 200


def build(out: Path = OUT) -> Path:
    """Compile the package into a folder below the repository, and return the folder. Safe to call again.

    Raises:
        subprocess.CalledProcessError: The compiler found faults.
    """
    shutil.rmtree(out, ignore_errors=True)
    command = [str(COMPILER), "--project", str(PACKAGE), "--outDir", str(out / "dist")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=BUILD_SECONDS)  # noqa: S603 - the pinned compiler
    shutil.copytree(PACKAGE / "icons", out / "dist" / "icons")
    for name in ("package.json", "LICENSE.md", "README.md"):
        shutil.copyfile(PACKAGE / name, out / name)
    return out


if __name__ == "__main__":
    print(build())
    sys.exit(0)
