"""Files and folders that only their owner may read."""

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PRIVATE_FILE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
# A unix socket's path holds 107 bytes on Linux and 103 on macOS; ".s.PGSQL.65535.lock" comes on top of the folder.
MAX_SOCKET_FOLDER_BYTES = 80


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all.

    Args:
        path: Where. Its folder must exist.
        text: The content, as UTF-8.

    Raises:
        OSError: It cannot be written, such as on a full disk; the old content stays.

    Safe to call again: yes; readers see the old content or the new, never a part.
    """
    write_private_together({path: text})


def write_private_together(texts: Mapping[Path, str]) -> None:
    """Writes files that belong together, such as a key and its certificate: all of them or none.

    Args:
        texts: Content by path. The files are replaced in this order, after all contents are on the disk.

    Raises:
        OSError: One of them cannot be written; the old contents stay.

    Safe to call again: yes.
    """
    staged: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            staged[path] = _staged(path, text)
        for path, temporary in staged.items():
            temporary.replace(path)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


def _staged(path: Path, text: str) -> Path:
    """Writes the content to a temporary file beside its place."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    return Path(name)


def sync_folder(path: Path) -> None:
    """Waits until the disk has the names in a folder: a power cut may undo a rename before. Safe to call again: yes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON to a file that only its owner may read. Safe to call again: yes."""
    write_private(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def private_folder(path: Path) -> Path:
    """Makes a folder that only its owner may enter, and returns it. Safe to call again: yes."""
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
    path.chmod(PRIVATE_FOLDER_MODE)
    return path
