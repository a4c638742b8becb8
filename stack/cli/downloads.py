"""Write streamed content to a file: a part file grows, goes on where it ended, and gets its name when it is whole."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from google.api.httpbody_pb2 import HttpBody

from stack.cli.exits import CommandError
from stack.cli.output import show
from stack.cli.progress import progress

_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:]")


class Call(Protocol):
    """A call that streams content; its headers come before the content."""

    def initial_metadata(self) -> "tuple[tuple[str, str | bytes], ...]":
        """Return the headers."""

    def __iter__(self) -> Iterator[HttpBody]:
        """Yield the pieces."""


def download(ask: Callable[[int], Call], output: Path | None) -> None:
    """Write content to a file.

    Args:
        ask: Calls for the content from an offset on.
        output: The file; None takes the content's name, in the present folder, and overwrites no file.

    Raises:
        CommandError: The file exists, cannot be written, or is not whole.
    """
    part = None if output is None else output.with_name(f"{output.name}.part")
    offset = part.stat().st_size if part is not None and part.exists() else 0
    call = ask(offset)
    headers = {name: str(value) for name, value in call.initial_metadata()}
    target = output or _named(headers.get("content-disposition", ""))
    if output is None and target.exists():
        raise CommandError(f"{target} exists: choose a file with --output")
    part = target.with_name(f"{target.name}.part")
    size = int(headers["x-content-size"]) if "x-content-size" in headers else None
    try:
        written = _write(call, part, offset, size)
        if size is not None and written != size:
            raise CommandError(f"{written} of {size} bytes arrived: repeat the command with --output {target}")
        part.replace(target)
    except OSError as exc:
        raise CommandError(f"{part} cannot be written: {exc}") from exc
    show(f"{target}  {written} bytes")


def _write(call: Call, part: Path, offset: int, size: int | None) -> int:
    written = offset
    with part.open("ab" if offset else "wb") as file, progress("Downloading", size) as bar:
        for piece in call:
            file.write(piece.data)
            written += len(piece.data)
            bar(written)
    return written


def _named(disposition: str) -> Path:
    """Return the name of the content in the present folder; the mesh has made it safe, and it is checked again."""
    name = _UNSAFE.sub("_", unquote(disposition.partition("filename*=UTF-8''")[2])).strip(". ")
    return Path(name or "attachment")
