"""Files and folders that only their owner may read."""

import contextlib
import json
import os
import tempfile
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
        text: What, as UTF-8.

    Safe to call again: yes; readers see the old content or the new, never a part.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def write_private_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON to a file that only its owner may read. Safe to call again: yes."""
    write_private(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def private_folder(path: Path) -> Path:
    """Makes a folder that only its owner may enter, and returns it. Safe to call again: yes."""
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
    path.chmod(PRIVATE_FOLDER_MODE)
    return path
