"""Where a follower keeps its cursor."""

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol


class CursorStore(Protocol):
    """Keeps the cursor of one follower. A store for asyncio may return awaitables."""

    def load(self) -> str | Awaitable[str]:
        """Return the saved cursor, or "" when there is none."""

    def save(self, cursor: str) -> Awaitable[None] | None:
        """Replace the saved cursor. After a crash, the store has the old or the new one. Safe to call again."""


class MemoryCursorStore:
    """Keeps the cursor until the process ends."""

    def __init__(self, cursor: str = "") -> None:
        self.cursor = cursor

    def load(self) -> str:
        """Return the cursor."""
        return self.cursor

    def save(self, cursor: str) -> None:
        """Replace the cursor."""
        self.cursor = cursor


class FileCursorStore:
    """Keeps the cursor in a file of one follower, which a crash leaves whole.

    Args:
        path: The file; its folder exists.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    def load(self) -> str:
        """Return the file's cursor, or "" when there is no file.

        Raises:
            OSError: The file cannot be read.
        """
        try:
            return self._path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""

    def save(self, cursor: str) -> None:
        """Put a new file in the place of the old one, after its bytes are on disk.

        Raises:
            OSError: The file cannot be written.
        """
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(cursor)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
