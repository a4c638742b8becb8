"""Real disks that fail: a tmpfs that can be filled, a folder that is read-only for a while, a btrfs with a quota."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK_BYTES = 64 * 1024
DISK_BYTES = 256 * 1024 * 1024


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


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Lets a folder be opened for reading only while the block runs (EROFS). Files that are open stay writable."""
    _run("mount", "--bind", str(folder), str(folder))
    try:
        _run("mount", "-o", "remount,bind,ro", str(folder))
        yield
    finally:
        _run("umount", "--lazy", str(folder))


@dataclass(frozen=True)
class QuotaDisk:
    """A subvolume of a btrfs.

    Attributes:
        folder: The subvolume.
    """

    folder: Path

    def limit(self, size: str) -> None:
        """Bounds the subvolume's size, root's writes included (EDQUOT): `8M`, or `none`."""
        _run("btrfs", "qgroup", "limit", size, str(self.folder))

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Lets nothing be opened for writing while the block runs (EROFS)."""
        _run("btrfs", "property", "set", str(self.folder), "ro", "true")
        try:
            yield
        finally:
            _run("btrfs", "property", "set", str(self.folder), "ro", "false")


@contextmanager
def quota_disk(folder: Path) -> Iterator[QuotaDisk]:
    """Mounts a disk with quotas for the length of a block, and skips the test, with the reason, where it cannot."""
    if os.geteuid() != 0 or shutil.which("mkfs.btrfs") is None:
        pytest.skip("a disk with quotas takes root and mkfs.btrfs (package btrfs-progs)")
    folder.mkdir()
    image, mounted = folder / "image", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    _run("mkfs.btrfs", "-q", str(image))
    done = subprocess.run(("mount", "-o", "loop", image, mounted), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk with quotas can be mounted: {done.stderr.strip()}")
    try:
        _run("btrfs", "quota", "enable", str(mounted))
        _run("btrfs", "subvolume", "create", str(mounted / "limited"))
        yield QuotaDisk(mounted / "limited")
    finally:
        _run("umount", "--lazy", str(mounted))


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, timeout=30, check=True)
