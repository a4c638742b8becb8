"""`python -m tools.generate`: rewrites gen/.

Python's part needs Python alone. Each of the others is left as it is, with the reason said, where its toolchain is
absent; with CI=true an absent toolchain is a failure.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.generate import golang, openapi, protos, python, typescript

# A part of gen/: its name, the program that it requires, and its generator.
PARTS: dict[str, tuple[str | None, Callable[[Path], None]]] = {
    "python": (None, python.generate),
    "mailmesh.binpb": (None, python.generate_descriptor_set),
    "ts": ("node", typescript.generate),
    "go": ("go", golang.generate),
    "openapi": ("go", openapi.generate),
}


def main() -> int:
    """Generate the requested parts; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which of {', '.join(PARTS)}; default all")
    parser.add_argument("--out", type=Path, default=protos.ROOT / "gen", help="the folder to write to")
    arguments = parser.parse_args()
    try:
        generate(arguments.parts or list(PARTS), arguments.out)
    except protos.GenerationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def generate(parts: list[str], out: Path) -> list[str]:
    """Write parts of gen/ to a folder.

    Args:
        parts: Names out of `PARTS`.
        out: The folder that stands for gen/. A part replaces what was there of it.

    Returns:
        The parts that were left out because their toolchain is absent.

    Raises:
        protos.GenerationError: A generator failed, or CI=true and a toolchain is absent.
    """
    protos.lay_third_party()
    skipped = [name for name in parts if not _available(name)]
    for name in parts:
        if name not in skipped:
            _replace(name, out)
            print(f"generated {out.name}/{name}")
    return skipped


def _available(name: str) -> bool:
    program = PARTS[name][0]
    if program is None or shutil.which(program):
        return True
    if os.environ.get("CI") == "true":
        raise protos.GenerationError(f"gen/{name} needs `{program}`, which is not installed")
    print(f"skipped gen/{name}: `{program}` is not installed", file=sys.stderr)
    return False


def _replace(name: str, out: Path) -> None:
    """Generate a part beside its place and move it in as a whole, so that a failed run leaves the old one."""
    protos.CACHE.mkdir(exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=protos.CACHE) as scratch:
        PARTS[name][1](Path(scratch))
        made, place = Path(scratch) / name, out / name
        if made.is_dir():
            _mirror(made, place)
        else:
            shutil.copyfile(made, place)


def _mirror(made: Path, place: Path) -> None:
    """Make `place` equal to `made`, except module files of Go, and touch only differing files."""
    wanted = {path.relative_to(made) for path in made.rglob("*") if path.is_file()}
    for path in sorted(place.rglob("*")):
        if path.is_file() and path.relative_to(place) not in wanted and path.name not in {"go.mod", "go.sum"}:
            path.unlink()
    for name in sorted(wanted):
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != (made / name).read_bytes():
            shutil.copyfile(made / name, target)


if __name__ == "__main__":
    sys.exit(main())
