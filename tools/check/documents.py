"""Checks of the pages: docs/reference is fresh, links and paths lead to files, and each page names its readers."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.check.outcome import CheckError
from tools.document.pages import PAGES
from tools.generate.protos import ROOT

_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
_PATH = re.compile(
    r"`((?:services|tests|proto|tools|stack|simulator|gateway|bench|examples|gen|docs|releases|\.ci)/[\w./-]*)`"
)
_OPENING = re.compile(r"\A# [^\n]+\n\n(?:<!--[^\n]*-->\n\n)?(For .*?)\n\n", re.DOTALL)
_WITHOUT_OPENING = re.compile(r"docs/decisions/\d{4}-")


def reference() -> str:
    """Check that the generated pages of docs/reference match their sources."""
    stale = [
        f"docs/reference/{name}"
        for name, page in PAGES.items()
        if not (path := ROOT / "docs" / "reference" / name).exists() or path.read_text() != page()
    ]
    if stale:
        raise CheckError("run `make gen` and commit:\n" + "\n".join(stale))
    return ", ".join(PAGES)


def links() -> str:
    """Check that every relative link of a Markdown page leads to a file."""
    pages = list(_pages())
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in _LINK.findall(page.read_text())
        if not (page.parent / target).exists()
    ]
    if dead:
        raise CheckError("\n".join(dead))
    return f"{len(pages)} pages"


def paths() -> str:
    """Check that every path of the repository that a page names in backticks exists."""
    pages = {str(page.relative_to(ROOT)): page.read_text() for page in _pages()}
    missing = [f"{name}: {path}" for name, text in pages.items() for path in missing_paths(text)]
    if missing:
        raise CheckError("\n".join(missing))
    return f"{len(pages)} pages"


def missing_paths(text: str) -> list[str]:
    """Return the paths in backticks that do not exist below the root; patterns such as `<name>` are no paths."""
    return [path for path in _PATH.findall(text) if not (ROOT / path).exists()]


def openings() -> str:
    """Check that every page of docs/ begins with its readers and their gain."""
    names = {str(page.relative_to(ROOT)): page for page in _pages()}
    held = [name for name in names if name.startswith("docs/") and not _WITHOUT_OPENING.match(name)]
    closed = [name for name in held if not names_its_readers(names[name].read_text())]
    if closed:
        raise CheckError('begin with "For READERS ... After reading this page you ...":\n' + "\n".join(closed))
    return f"{len(held)} pages"


def names_its_readers(text: str) -> bool:
    """Return whether the first paragraph below the title names the readers and their gain."""
    opening = _OPENING.match(text)
    return opening is not None and "After reading this page you" in " ".join(opening[1].split())


def _pages() -> Iterator[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    yield from (ROOT / name for name in listed.splitlines() if (ROOT / name).exists())
