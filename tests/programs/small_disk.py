"""A real small disk that can be filled: a tmpfs of its own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True)
class SmallDisk:
    """A mounted tmpfs.

    Attributes:
        folder: Where it is mounted.
    """

    folder: Path

    def fill(self) -> None:
        """Leaves no room, to the last byte. Safe to call again: yes."""
        with (self.folder / "filler").open("ab", buffering=0) as file:
            for size in (BLOCK_BYTES, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def empty(self) -> None:
        """Gives the room back."""
        (self.folder / "filler").unlink()


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Mounts a disk for the length of a block, and skips the test, with the reason, where that is not allowed."""
    folder.mkdir(exist_ok=True)
    command = ("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "mailmesh-test", str(folder))
    done = (
        subprocess.run(command, capture_output=True, text=True, timeout=10, check=False) if os.geteuid() == 0 else None
    )
    if done is None or done.returncode != 0:
        pytest.skip(f"no disk can be mounted: {done.stderr.strip() if done else 'that takes root'}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a program that is about to end may still have a file open.
        subprocess.run(("umount", "--lazy", str(folder)), timeout=10, check=True)
