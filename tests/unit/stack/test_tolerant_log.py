"""The supervisor's logs, and private files, on a disk that is over its quota or read-only: real disks."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervisor import loggers

from stack.files import write_private
from stack.supervision.daemon import TolerantLog
from tests.programs.small_disk import QuotaDisk, quota_disk

PIECE = b"x" * 100_000 + b"\n"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[QuotaDisk]:
    with quota_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture
def log(disk: QuotaDisk) -> Iterator[TolerantLog]:
    made = TolerantLog(str(disk.folder / "a.log"), "a", 1 << 30, 1)
    made.fmt = "%(message)s"
    yield made
    made.close()


def write(log: TolerantLog, output: bytes) -> list[bytes]:
    """Writes output and returns the lines of the log."""
    log.emit(loggers.LogRecord(loggers.LevelsByName.INFO, output))
    return Path(log.baseFilename).read_bytes().splitlines()


def test_a_log_over_its_quota_loses_output_and_goes_on(disk: QuotaDisk, log: TolerantLog) -> None:
    disk.limit("4M")
    written = [len(write(log, PIECE)) for _ in range(100)]
    with pytest.raises(OSError) as refused:  # noqa: PT011 - the number is checked below
        write_private(disk.folder / "configuration", "y" * 1_000_000)
    disk.limit("none")
    lines = write(log, b"after\n")

    assert written[-1] < 100
    assert refused.value.errno == errno.EDQUOT
    assert b"Disk quota exceeded" in lines[-2]
    assert lines[-1] == b"after"
    assert [path.name for path in disk.folder.iterdir()] == ["a.log"]


def test_a_log_on_a_read_only_disk_loses_output_and_goes_on(disk: QuotaDisk, log: TolerantLog) -> None:
    write(log, b"before\n")
    with disk.read_only():
        log.reopen()  # as after a rotation: a file that is open stays writable
        assert write(log, b"lost\n") == [b"before"]
        with pytest.raises(OSError) as refused:  # noqa: PT011 - the number is checked below
            write_private(disk.folder / "configuration", "z")
    lines = write(log, b"after\n")

    assert refused.value.errno == errno.EROFS
    assert b"Read-only file system" in lines[1]
    assert lines[-1] == b"after"
