"""The pages of docs/reference say what their sources say now, and links between our own files lead somewhere."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.check.outcome import CheckError
from tools.document.pages import PAGES
from tools.generate.protos import ROOT

_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def reference() -> str:
    """docs/reference is fresh."""
    stale = [
        f"docs/reference/{name}"
        for name, page in PAGES.items()
        if not (path := ROOT / "docs" / "reference" / name).exists() or path.read_text() != page()
    ]
    if stale:
        raise CheckError("run `make gen` and commit:\n" + "\n".join(stale))
    return ", ".join(PAGES)


def links() -> str:
    """Every relative link of a committed Markdown page leads to a file."""
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


def _pages() -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    ).stdout
    yield from (ROOT / name for name in listed.splitlines() if (ROOT / name).exists())
