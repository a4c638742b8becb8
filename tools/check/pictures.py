"""Pictures of the console in the site: those that `make console-shots` took. The repository keeps none of them."""

import shutil
from pathlib import Path

from tools.generate.protos import ROOT

SHOTS = ROOT / ".cache" / "console-shots"
PAGE = "how-to/console.md"
_FOLDER = "pictures"
_LOOK = "-wide.png"
# Small in the page, whole behind a click.
_SMALL_PIXELS = 380


def show(docs: Path, shots: Path = SHOTS) -> int:
    """Append the pictures to the page of the console in a copy of docs/; return how many.

    Args:
        docs: The copy.
        shots: Where the pictures are, if there are any.
    """
    found = sorted(shots.glob(f"*{_LOOK}"))
    if not found:
        return 0
    page = docs / PAGE
    target = page.parent / _FOLDER
    target.mkdir(exist_ok=True)
    lines = ["", "## Pictures", "", "Of a mesh with simulated accounts; a click shows a picture in its full size.", ""]
    for path in found:
        shutil.copy2(path, target / path.name)
        name, place = path.name.removesuffix(_LOOK).replace("-", " ").capitalize(), f"{_FOLDER}/{path.name}"
        lines.append(f'[![{name}]({place}){{ width="{_SMALL_PIXELS}" }}]({place} "{name}")')
    page.write_text(page.read_text(encoding="utf-8") + "\n".join(lines) + "\n", encoding="utf-8")
    return len(found)
