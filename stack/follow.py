"""Shows log files as they grow."""

import contextlib
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from stack.terminal import line as line_of

POLL_SECONDS = 0.3
COLOURS = ("cyan", "magenta", "green", "blue", "yellow", "red")


class LogFollower:
    """Prints the lines that are appended to the log files of a folder while its block runs.

    Args:
        folder: With a `<name>.log` for each process; files may appear later.
        console: Where to print.
        is_on: Whether to do anything at all.
    """

    def __init__(self, folder: Path, console: Console, *, is_on: bool) -> None:
        self._folder = folder
        self._console = console
        self._is_on = is_on
        self._offsets: dict[Path, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        if self._is_on:
            # Lines of earlier runs are not shown again.
            self._offsets = {path: path.stat().st_size for path in self._folder.glob("*.log")}
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._is_on:
            self._thread.join()
            self._show_all()

    def _follow(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._show_all()

    def _show_all(self) -> None:
        for number, path in enumerate(sorted(self._folder.glob("*.log"))):
            # A log is rotated while it is read, or our own output cannot be written: the next round shows the rest.
            with contextlib.suppress(OSError):
                self._show(path, COLOURS[number % len(COLOURS)])

    def _show(self, path: Path, colour: str) -> None:
        offset = self._offsets.get(path, 0)
        size = path.stat().st_size
        if size < offset:  # it was rotated
            offset = 0
        with path.open("rb") as file:
            file.seek(offset)
            text = file.read(size - offset)
        # A line that is not finished yet waits for its end.
        complete = text.rpartition(b"\n")[0]
        self._offsets[path] = offset + (len(complete) + 1 if complete else 0)
        for line in complete.decode(errors="replace").splitlines():
            self._console.print(line_of((f"{path.stem:>14}", colour), f" {line}"), soft_wrap=True)
