"""The site of docs/: it builds without a warning, lists and finds every page, and loads nothing from another host.

`python -m tools.check.site` (`make docs`) builds it into .cache/docs/site.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from tools.check import pictures
from tools.check.outcome import CheckError
from tools.generate.protos import ROOT, venv_program

DOCS = ROOT / "docs"
CONFIGURATION = ROOT / "zensical.toml"
# A copy of the pages, because the generator owns the folder `.cache` beside its configuration and may empty it.
WORKSHOP = ROOT / ".cache" / "docs"
SITE = WORKSHOP / "site"
_LOADING = {"src", "srcset", "data", "poster", "action"}
_LINKS_THAT_LOAD_NOTHING = {"canonical", "alternate", "next", "prev"}
# The theme's script fetches further scripts from another host for elements of these classes only.
_LOADING_CLASSES = {"mermaid", "glightbox", "pyodide"}
_REMOTE = re.compile(r"^\s*(?:[a-z]+:)?//", re.IGNORECASE)
_REMOTE_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+", re.IGNORECASE)


def site() -> str:
    """Build the site and check it.

    Raises:
        CheckError: A link or an anchor leads nowhere, a page is missing, or a page loads from another host.
    """
    build()
    pages = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    unlisted = sorted(set(pages) ^ set(listed(tomllib.loads(CONFIGURATION.read_text())["project"]["nav"])))
    faults = [
        *(f"zensical.toml: nav and docs/ differ in {page}" for page in unlisted),
        *(f"search.json: the search does not know {page}" for page in unsearchable(pages, SITE / "search.json")),
        *remote(SITE),
    ]
    if faults:
        raise CheckError("\n".join(faults))
    return f"{len(pages)} pages in {SITE.relative_to(ROOT)}"


def build() -> None:
    """Build the site into `SITE`; safe to call again.

    Raises:
        CheckError: The generator reports a warning or an error.
    """
    shutil.rmtree(WORKSHOP, ignore_errors=True)
    shutil.copytree(DOCS, WORKSHOP / "docs")
    pictures.show(WORKSHOP / "docs")
    configuration = shutil.copy(CONFIGURATION, WORKSHOP)
    command = [venv_program("zensical"), "build", "--strict", "--config-file", str(configuration)]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise CheckError(re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr).partition("Traceback")[0])


def unsearchable(pages: list[str], index: Path) -> list[str]:
    """Return the pages, as paths below docs/, of which the search index holds no text."""
    items = json.loads(index.read_text(encoding="utf-8"))["items"]
    known = {item["location"].partition("#")[0].rstrip("/") for item in items if item["text"]}
    return [page for page in pages if _location(page) not in known]


def _location(page: str) -> str:
    """Return where the site has a page, without the slash at the end."""
    return page.removesuffix(".md").removesuffix("index").rstrip("/")


def listed(nav: object) -> Iterator[str]:
    """Yield the pages of a navigation, which nests lists and tables."""
    match nav:
        case str():
            yield nav
        case list():
            for entry in nav:
                yield from listed(entry)
        case dict():
            for entry in nav.values():
                yield from listed(entry)


def remote(folder: Path) -> Iterator[str]:
    """Yield everything that a browser would load from another host when it shows a page below a folder."""
    for path in sorted(folder.rglob("*.html")):
        page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(folder)}: loads {address}" for address in page.remote)
    for path in sorted(folder.rglob("*.css")):
        yield from (
            f"{path.relative_to(folder)}: loads {found}" for found in _REMOTE_STYLE.findall(path.read_text("utf-8"))
        )


class _Page(HTMLParser):
    """Collects the addresses on other hosts that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.remote: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the remote addresses of one element."""
        values = {name: value or "" for name, value in attrs}
        loading = [values[name] for name in sorted(_LOADING & values.keys())]
        if tag == "link" and values.get("rel") not in _LINKS_THAT_LOAD_NOTHING:
            loading.append(values.get("href", ""))
        self.remote += [address for address in loading if _REMOTE.match(address)]
        self.remote += [
            f"the script of .{name}" for name in sorted(_LOADING_CLASSES & {*values.get("class", "").split()})
        ]
        self.remote += _REMOTE_STYLE.findall(values.get("style", ""))


def main() -> int:
    """Build and check the site; return the exit status."""
    try:
        print(site())
    except CheckError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
