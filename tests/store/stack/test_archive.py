"""The archive of the write-ahead log on a real PostgreSQL: what it brings back, and what it refuses."""

import itertools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from stack.backup.archive import SERIES, Bounds, prune, segments
from stack.backup.archiver import Archiver
from stack.backup.manifest import BackupError
from stack.backup.program import archiver_program
from stack.backup.recovery import Replay
from stack.backup.restore import restore_backup
from stack.backup.slots import drop_unused
from stack.blocking import run_blocking
from stack.files import private_folder
from stack.programs.running import RunningProgram, wait_until
from tests.programs.small_disk import small_disk
from tests.store.stack.archived import KEY, WAIT_SECONDS, Installation

_numbers = itertools.count(1)
SEGMENT_BYTES = 16 * 1024 * 1024


@pytest.fixture
def folder(short_folder: Path) -> Iterator[Path]:
    """A folder of this test, with a short path that everyone may pass."""
    made = short_folder / f"w{os.getpid()}-{next(_numbers)}"
    made.mkdir()
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def installation(folder: Path) -> Iterator[Installation]:
    with ExitStack() as stack:
        made = Installation(folder, folder / "wal")
        stack.callback(lambda: made.running.stop())  # noqa: PLW0108 - a restored server is another program
        yield made


def test_changes_after_the_backup_come_back_to_the_last_one_that_was_archived(installation: Installation) -> None:
    with installation.archiving():
        installation.note("before")
        backup = installation.back_up("backup")
        installation.note("after")
        between = installation.note("later")
        installation.do("SELECT pg_switch_wal()")
        installation.note("in the next segment")
        installation.archive_everything()
        installation.lose_the_disk()

    everything = ["before", "after", "later", "in the next segment"]
    assert everything == installation.restored_notes(backup)
    assert everything[:3] == installation.restored_notes(backup, between)


def test_the_restored_server_says_how_far_it_came_and_archives_a_series_of_its_own(installation: Installation) -> None:
    with installation.archiving():
        backup = installation.back_up("backup")
        last = installation.note("first life")
        installation.archive_everything()
        installation.lose_the_disk()
    restored = installation.restore(backup)
    installation.start()
    with installation.archiving():
        second = installation.back_up("second")
        installation.note("second life")
        installation.archive_everything()
        installation.lose_the_disk()

    assert restored.last_change_at is not None
    assert timedelta() <= last - restored.last_change_at < timedelta(seconds=WAIT_SECONDS)
    assert len([path for path in installation.archive.iterdir() if SERIES.fullmatch(path.name)]) == 2
    assert ["first life", "second life"] == installation.restored_notes(second)
    # The first backup leads to the end of the first life, and not into the second.
    assert ["first life"] == installation.restored_notes(backup)


def test_a_time_that_the_archive_does_not_reach_is_refused_and_a_repetition_succeeds(
    installation: Installation,
) -> None:
    with installation.archiving():
        backup = installation.back_up("backup")
        installation.note("archived")
        installation.archive_everything()
        installation.lose_the_disk()
    with pytest.raises(BackupError, match="recovery ended before configured recovery target was reached"):
        installation.restore(backup, datetime.now(UTC) + timedelta(days=1))

    restore_backup(installation.data, backup, KEY, {}, Replay(installation.archive, None, 60.0))
    installation.start()
    assert ["archived"] == installation.notes()


def test_a_killed_archiver_continues_without_a_gap(installation: Installation) -> None:
    with installation.archiving() as archiver:
        backup = installation.back_up("backup")
        installation.note("one")
        archiver.kill()
        installation.note("two")
        installation.do("SELECT pg_switch_wal()")
        installation.note("three")
        archiver.restart()
        installation.archive_everything()
        installation.lose_the_disk()

    assert ["one", "two", "three"] == installation.restored_notes(backup)


def test_a_missing_segment_is_named_and_nothing_is_left_out_silently(installation: Installation) -> None:
    with installation.archiving():
        backup = installation.back_up("backup")
        for number in range(4):
            installation.note(str(number))
            installation.do("SELECT pg_switch_wal()")
        installation.note("last")
        installation.archive_everything()
        installation.lose_the_disk()
    [series] = installation.archive.iterdir()
    lost = sorted(segments(series))[-2]
    segments(series)[lost].unlink()

    with pytest.raises(BackupError, match=f"lacks the segment {lost}"):
        installation.restore(backup)


def test_the_archive_of_another_installation_is_refused(installation: Installation, folder: Path) -> None:
    with installation.archiving():
        backup = installation.back_up("backup")
        installation.archive_everything()
    (folder / "o").mkdir()
    other = Installation(folder / "o", folder / "other-wal")
    with other.archiving():
        # It has segments of the same names.
        for _ in range(6):
            other.note("of the other")
            other.do("SELECT pg_switch_wal()")
        other.archive_everything()
    other.running.stop()

    with pytest.raises(BackupError, match="of another installation"):
        installation.restore(backup, archive=other.archive)
    with pytest.raises(BackupError, match="is no folder"):
        installation.restore(backup, archive=folder / "missing")


def test_the_archive_keeps_its_bound_by_removing_the_oldest_segments(installation: Installation) -> None:
    with installation.archiving():
        for number in range(5):
            installation.note(str(number))
            installation.do("SELECT pg_switch_wal()")
        installation.archive_everything()
    [series] = installation.archive.iterdir()
    before = sorted(segments(series))
    removed = prune(installation.archive, Bounds(3 * SEGMENT_BYTES, 30))

    assert before[removed:] == sorted(segments(series))
    assert sum(path.stat().st_size for path in segments(series).values()) <= 3 * SEGMENT_BYTES
    assert prune(installation.archive, Bounds(3 * SEGMENT_BYTES, 30)) == 0
    # Of old ones the newest stays, which is being written.
    for path in segments(series).values():
        os.utime(path, (0, 0))
    prune(installation.archive, Bounds(1000 * SEGMENT_BYTES, 30))
    assert before[-1:] == sorted(segments(series))


def test_a_full_disk_of_the_archive_ends_nothing_and_the_archive_catches_up(
    installation: Installation, folder: Path
) -> None:
    with small_disk(folder / "disk", mebibytes=256) as disk:
        installation.archive = disk.folder / "wal"
        with installation.archiving():
            installation.note("archived")
            disk.fill()
            for _ in range(6):
                installation.note("while the disk is full")
                installation.do("SELECT pg_switch_wal()")
            assert run_blocking(_slots(installation.server.url())) == 1
            disk.empty()
            installation.archive_everything()
            backup = installation.back_up("backup")
            installation.note("afterwards")
            installation.archive_everything()
            installation.lose_the_disk()

        assert ["archived", *["while the disk is full"] * 6, "afterwards"] == installation.restored_notes(backup)


def test_a_smaller_bound_makes_room_on_a_full_disk(installation: Installation, folder: Path) -> None:
    with small_disk(folder / "disk", mebibytes=256) as disk:
        installation.archive = disk.folder / "wal"
        with installation.archiving():
            installation.archive_everything()
            [series] = installation.archive.iterdir()
        # Old segments of an archive whose bound is larger than its disk.
        older = installation.archive / "mailmesh_20200101t000000"
        older.mkdir()
        for number in range(8):
            (older / f"{number:024X}").write_bytes(bytes(SEGMENT_BYTES))
        disk.fill()
        for _ in range(2):
            installation.note("while the disk is full")
            installation.do("SELECT pg_switch_wal()")
        bound = Bounds(4 * SEGMENT_BYTES, 3650)
        archiver = Archiver(installation.server, installation.archive, bound, private_folder(folder / "archiver"))
        stop = threading.Event()
        thread = threading.Thread(target=archiver.run, args=(stop,))
        thread.start()
        try:
            installation.archive_everything()
        finally:
            stop.set()
            thread.join()

        assert segments(series)
        assert len(segments(older)) < 8


def test_an_archive_whose_disk_is_missing_goes_on_without_a_gap_when_it_is_back(
    installation: Installation, folder: Path
) -> None:
    with installation.archiving() as archiver:
        backup = installation.back_up("backup")
        installation.archive_everything()
        archiver.stop()
        shutil.move(installation.archive, folder / "unmounted")
        second = RunningProgram(archiver.program, folder / "second.log")
        installation.note("without the disk")
        installation.do("SELECT pg_switch_wal()")
        assert wait_until(lambda: "mount its disk" in second.log_tail(), WAIT_SECONDS), second.log_tail()
        assert [] == list(installation.archive.iterdir())
        installation.archive.rmdir()
        shutil.move(folder / "unmounted", installation.archive)
        installation.archive_everything()
        second.stop()
        installation.lose_the_disk()

    assert ["without the disk"] == installation.restored_notes(backup)


def test_two_installations_do_not_archive_into_one_folder(installation: Installation, folder: Path) -> None:
    (folder / "o").mkdir()
    other = Installation(folder / "o", installation.archive)
    with installation.archiving():
        second = RunningProgram(
            archiver_program(other.server, other.archive, 1, 30, folder / "o" / "archiver"), folder / "o" / "w.log"
        )
        assert wait_until(lambda: "another installation archives into" in second.log_tail(), WAIT_SECONDS)
        assert 0 == run_blocking(_slots(other.server.url()))
        assert 1 == len(list(installation.archive.iterdir()))
        second.stop()
    with other.archiving():
        other.archive_everything()
    other.running.stop()


def test_a_log_that_the_server_dropped_is_a_gap_that_is_named(installation: Installation) -> None:
    """An archive that is away for long does not fill the disk; the next one begins a new series."""
    program = installation.running.program
    installation.running.program = replace(program, command=(*program.command, "-c", "max_slot_wal_keep_size=32MB"))
    installation.running.restart()
    with installation.archiving() as archiver:
        backup = installation.back_up("backup")
        between = installation.note("before the gap")
        installation.note("also before the gap")
        installation.archive_everything()
        archiver.kill()
        for _ in range(6):
            installation.note("in the gap")
            installation.do("SELECT pg_switch_wal()", "CHECKPOINT")
        archiver.restart()
        installation.note("behind the gap")
        installation.archive_everything()
        installation.lose_the_disk()

    assert len([path for path in installation.archive.iterdir() if SERIES.fullmatch(path.name)]) == 2
    with pytest.raises(BackupError, match="and has later ones"):
        installation.restore(backup)
    assert ["before the gap"] == installation.restored_notes(backup, between)


def test_the_server_keeps_no_log_for_an_archive_that_is_given_up(installation: Installation) -> None:
    with installation.archiving():
        installation.archive_everything()
        run_blocking(drop_unused(installation.server.url()))
        assert run_blocking(_slots(installation.server.url())) == 1  # it is in use
    run_blocking(drop_unused(installation.server.url()))

    assert run_blocking(_slots(installation.server.url())) == 0


async def _slots(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM pg_replication_slots"))
    finally:
        await connection.close()
