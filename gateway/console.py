"""The console's files, which the edge serves itself: each by an exact route of its own, and nothing else of the disk.

Envoy's file server follows symbolic links and has no other bound than a folder. An exact route for each file that was
there at rendering leaves it nothing to be led astray by.
"""

import re
from dataclasses import dataclass
from pathlib import Path

PREFIX = "/console/"
INDEX = "index.html"
# All that a build makes; a source map would show paths of the machine that built.
CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_NAME = re.compile(r"[A-Za-z0-9_-]+\.(?:" + "|".join(CONTENT_TYPES) + ")")
# Names of assets hold a digest of their content; the page names them, and is asked for each time.
_KEPT, _ASKED_AGAIN = "public, max-age=31536000, immutable", "no-cache"
# Scripts and styles from here alone, nothing inline, no plugin, no frame of another address, no form. Mail is shown in
# a frame without any right, which inherits this policy: pictures, styles and links in it lead nowhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-dns-prefetch-control": "off",
}


class ConsoleError(ValueError):
    """The console's folder holds something that no build makes."""


@dataclass(frozen=True)
class ConsoleFile:
    """A file and its route.

    Attributes:
        path: The path of its requests.
        cache_control: How long browsers keep it.
    """

    path: str
    cache_control: str


@dataclass(frozen=True)
class Console:
    """The console as the template sees it.

    Attributes:
        folder: The folder of its files.
        files: Its files.
    """

    folder: Path
    files: tuple[ConsoleFile, ...]


def console() -> Console | None:
    """Return the console's files: of the repository, or as they were installed. None when neither place has any.

    Raises:
        ConsoleError: A file is a link, or has a name that no build gives.
    """
    repository = Path(__file__).resolve().parent.parent / "console" / "dist"
    for folder in (repository, Path(__file__).resolve().with_name("console_files")):
        if (folder / INDEX).is_file():
            return read_console(folder)
    return None


def read_console(folder: Path) -> Console:
    """Read the console's folder.

    Raises:
        ConsoleError: A file is a link, or has a name that no build gives.
    """
    return Console(folder, tuple(_file(path) for path in sorted(folder.iterdir())))


def _file(path: Path) -> ConsoleFile:
    if path.is_symlink() or not path.is_file() or not _NAME.fullmatch(path.name):
        raise ConsoleError(f"{path} is no file of the console: build it again, into an empty folder")
    if path.name == INDEX:
        return ConsoleFile(PREFIX, _ASKED_AGAIN)
    return ConsoleFile(f"{PREFIX}{path.name}", _KEPT)
