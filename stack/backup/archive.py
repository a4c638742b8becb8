"""The archive of the write-ahead log: a folder with series of segments, each series without a gap.

    ARCHIVE/mailmesh_20261128t174300/00000001000000000000000A
    ARCHIVE/mailmesh_20261128t174300/00000001000000000000000B.partial

`pg_receivewal` writes a series as long as the server keeps the log for it, by a replication slot of the same name. A
series begins at the first start, after a restore, and after the archive could not be written for so long that the
server had to drop the log: then the older series does not lead to the newer one.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stack.backup.manifest import BackupError

SERIES = re.compile(r"mailmesh_\d{8}t\d{6}")
_SEGMENT = re.compile(r"([0-9A-F]{24})(\.partial)?")
# The first page of a segment: the identifier of the cluster, the sizes of segment and page (xlog_internal.h,
# XLogLongPageHeaderData).
_IDENTITY = slice(24, 40)
_SEGMENTS_BYTES = 1 << 32
_DAY_SECONDS = 86_400


def new_series() -> str:
    """Returns the name of a series that begins now; it is a valid name of a replication slot."""
    return datetime.now(UTC).strftime("mailmesh_%Y%m%dt%H%M%S")


@dataclass(frozen=True)
class Bounds:
    """The bounds of an archive.

    Attributes:
        max_bytes: The size of all segments together.
        max_days: The age of a segment, so that erased data is forgotten in time.
    """

    max_bytes: int
    max_days: int


def prune(archive: Path, bounds: Bounds) -> int:
    """Removes the oldest segments until the archive keeps its bounds. The newest segment stays.

    Args:
        archive: The folder of the archive.
        bounds: Its bounds.

    Returns:
        The number of removed segments.

    Raises:
        OSError: A file cannot be removed.

    Safe to call again: yes.
    """
    found = [path for folder in _series(archive) for _, path in sorted(segments(folder).items())]
    excess, removed = sum(path.stat().st_size for path in found) - bounds.max_bytes, 0
    oldest = time.time() - bounds.max_days * _DAY_SECONDS
    for path in found[:-1]:
        if excess <= 0 and path.stat().st_mtime >= oldest:
            break
        excess -= path.stat().st_size
        path.unlink()
        removed += 1
    for folder in list(_series(archive))[:-1]:
        if not segments(folder):
            _remove(folder)
    return removed


def segments(folder: Path) -> dict[str, Path]:
    """Returns the segments of a series by their names in the server. The last one may be incomplete."""
    found = {}
    for path in folder.iterdir():
        if match := _SEGMENT.fullmatch(path.name):
            found[match[1]] = path
    return found


def following(archive: Path, newest: Path, *, may_end_early: bool) -> list[tuple[str, Path]]:
    """Returns the archived segments that continue the log of a backup, in their order, with their names in the server.

    Args:
        archive: The folder of the archive.
        newest: The newest segment that the backup itself has; the first of the result is the archive's copy of it.
        may_end_early: Whether the log may end although the archive has later segments behind a gap.

    Raises:
        BackupError: The archive is of another database, begins after the backup or ends before it, or has a gap.
    """
    if not archive.is_dir():
        raise BackupError(f"{archive} is no folder: name the archive of the write-ahead log")
    found = [segments(folder) for folder in _series(archive)]
    begun = _content(newest)
    # Two restores of one backup write different logs under the same names: only the content tells them apart.
    fitting = [one for one in found if newest.name in one and _continues(_content(one[newest.name]), begun)]
    if not fitting:
        reason = "it is of another installation, begins after the backup, or ends before it"
        raise BackupError(f"{archive} has no log that continues this backup: {reason}")
    chosen = max(fitting, key=max)
    reached = _unbroken(chosen, newest)
    behind = [name for one in found if _is_of(one, newest) for name in one if name[:8] == newest.name[:8]]
    if not may_end_early and (missing := _next(reached[-1], newest.stat().st_size)) <= max(behind):
        advice = "name a time before with --until, or take another backup"
        raise BackupError(f"{archive} lacks the segment {missing} and has later ones: {advice}")
    return [(name, chosen[name]) for name in reached]


def _unbroken(series: dict[str, Path], newest: Path) -> list[str]:
    """Returns the names from the newest segment of a backup up to the first one that is missing."""
    size, name, reached = newest.stat().st_size, newest.name, []
    while name in series:
        reached.append(name)
        name = _next(name, size)
    return reached


def content_bytes(path: Path) -> int:
    """Returns the length of a segment up to its last byte that is not zero: the rest is not written yet."""
    return len(_content(path))


def _content(path: Path) -> bytes:
    return path.read_bytes().rstrip(b"\0")


def _continues(one: bytes, other: bytes) -> bool:
    """Says whether two copies of a segment are of one log: the shorter one is how the longer one begins."""
    shorter = min(len(one), len(other))
    return shorter > 0 and one[:shorter] == other[:shorter]


def _is_of(series: dict[str, Path], newest: Path) -> bool:
    """Says whether a series is of the same cluster as a segment."""
    return any(_identity(path) == _identity(newest) for path in series.values())


def _series(archive: Path) -> Iterator[Path]:
    """Yields the folders of the series, the oldest first."""
    yield from sorted(path for path in archive.iterdir() if SERIES.fullmatch(path.name) and path.is_dir())


def _identity(segment: Path) -> bytes:
    with segment.open("rb") as file:
        return file.read(_IDENTITY.stop)[_IDENTITY]


def _next(name: str, size: int) -> str:
    """Returns the name of the segment behind another: timeline, position in units of 4 GiB, segment in that unit."""
    timeline, unit, number = name[:8], int(name[8:16], 16), int(name[16:], 16) + 1
    if number >= _SEGMENTS_BYTES // size:
        unit, number = unit + 1, 0
    return f"{timeline}{unit:08X}{number:08X}"


def _remove(folder: Path) -> None:
    for path in folder.iterdir():  # histories of timelines
        path.unlink()
    folder.rmdir()
