"""The console's files, which the edge serves itself: each by an exact route of its own, and nothing else of the disk.

Envoy's file server follows symbolic links and has no other bound than a folder. An exact route for each file that was
there at rendering leaves it nothing to be led astray by.
"""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

PREFIX = "/console/"
PACKAGE = "mailmesh_console"
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
        left_out: All else in the folder: links, folders, and files with names that no build gives. It is not served.
    """

    folder: Path
    files: tuple[ConsoleFile, ...]
    left_out: tuple[Path, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line for the operator for each thing that is left out."""
        return tuple(
            f"{str(path)!r} is no file of the console and is not served: build the console again, into an empty folder"
            for path in self.left_out
        )


def console() -> Console | None:
    """Return the console's files: of the repository, of the package mailmesh-console, or as they came with the edge.

    Returns:
        None when no place has any.
    """
    repository = Path(__file__).resolve().parent.parent / "console" / "dist"
    for folder in (repository, *_package(), Path(__file__).resolve().with_name("console_files")):
        if (folder / INDEX).is_file():
            return read_console(folder)
    return None


def _package() -> list[Path]:
    found = find_spec(PACKAGE)
    return [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []


def read_console(folder: Path) -> Console:
    """Read the console's folder. A stray file does not stop the edge: it is left out, and `Console.warnings` names it.

    Raises:
        OSError: The folder cannot be read.
    """
    found = sorted(folder.iterdir())
    served = tuple(path for path in found if _is_served(path))
    return Console(folder, tuple(_file(path) for path in served), tuple(path for path in found if path not in served))


def _is_served(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and _NAME.fullmatch(path.name) is not None


def _file(path: Path) -> ConsoleFile:
    if path.name == INDEX:
        return ConsoleFile(PREFIX, _ASKED_AGAIN)
    return ConsoleFile(f"{PREFIX}{path.name}", _KEPT)
