"""A disk that is full ends nothing: output is lost, programs run on, and with room again the logs continue."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack.errors import StartError
from stack.files import write_private_together
from stack.programs.postgres import PostgresServer
from stack.programs.program import Program
from stack.programs.running import wait_until
from stack.supervision.configuration import write_configuration
from stack.supervision.supervisor import Supervisor
from tests.programs.small_disk import SmallDisk, small_disk

WAIT_SECONDS = 90.0
TALKING = 'i=0; while true; do i=$((i+1)); echo "line $i $(head -c 2000 /dev/zero | tr "\\0" x)"; sleep 0.01; done'


@pytest.fixture
def disk(short_folder: Path) -> Iterator[SmallDisk]:
    with small_disk(short_folder / "disk", mebibytes=4) as made:
        yield made


@pytest.fixture
def supervisor(disk: SmallDisk, short_folder: Path) -> Iterator[Supervisor]:
    """A supervisor whose every file is on the small disk, with a program that talks without end."""
    (disk.folder / "environments").mkdir()
    program = Program("talker", ("/bin/sh", "-c", TALKING), is_ready=bool)
    configuration, door = disk.folder / "supervisor.conf", short_folder / "door"
    write_configuration(configuration, door, [[program]], disk.folder, disk.folder / "environments")
    made = Supervisor(configuration, door, disk.folder / "start.log", stop_seconds=20.0)
    made.start()
    yield made
    made.stop()


def size_of(path: Path) -> int:
    return path.stat().st_size


def test_programs_outlive_a_full_disk_and_their_logs_continue(supervisor: Supervisor, disk: SmallDisk) -> None:
    log = disk.folder / "talker.log"
    supervisor.start_program("talker")
    assert wait_until(lambda: log.exists() and size_of(log) > 0, WAIT_SECONDS)
    talker, daemon = supervisor.states()["talker"].pid, supervisor.pid
    disk.fill()
    full = size_of(log)
    # Enough for a hundred lines that have nowhere to go; a pipe without a reader would stop the talker.
    written = psutil.Process(talker).io_counters().write_chars
    assert wait_until(lambda: psutil.Process(talker).io_counters().write_chars > written + 200_000, WAIT_SECONDS)
    assert size_of(log) <= full + 4096
    disk.empty()

    assert wait_until(lambda: b'"output lost"' in log.read_bytes(), WAIT_SECONDS)
    assert wait_until(lambda: size_of(log) > full + 20_000, WAIT_SECONDS)
    assert (supervisor.pid, supervisor.states()["talker"].pid) == (daemon, talker)


def test_a_full_disk_keeps_no_program_from_starting(supervisor: Supervisor, disk: SmallDisk) -> None:
    disk.fill()
    supervisor.start_program("talker")

    assert wait_until(lambda: supervisor.states()["talker"].pid != 0, WAIT_SECONDS)
    disk.empty()
    assert wait_until(lambda: size_of(disk.folder / "talker.log") > 0, WAIT_SECONDS)


def test_what_is_written_whole_or_not_at_all_stays_whole_on_a_full_disk(disk: SmallDisk) -> None:
    key, certificate = disk.folder / "key", disk.folder / "certificate"
    write_private_together({key: "old key", certificate: "old certificate"})
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        write_private_together({key: "new key", certificate: "c" * 100_000})

    assert (key.read_text(), certificate.read_text()) == ("old key", "old certificate")
    assert sorted(path.name for path in disk.folder.iterdir() if path.name.startswith(".key")) == []


@pytest.fixture
def unmade(short_folder: Path) -> Iterator[tuple[SmallDisk, PostgresServer]]:
    """A disk with room for a cluster, and the server that is to be made there."""
    with small_disk(short_folder / "cluster", mebibytes=128) as made:
        made.folder.chmod(0o711)
        folder = made.folder
        server = PostgresServer(folder / "postgres", folder / "run", folder / "password", is_careless=True)
        yield made, server


def test_a_cluster_without_room_is_refused_with_the_reason_and_made_with_room(
    unmade: tuple[SmallDisk, PostgresServer],
) -> None:
    disk, server = unmade
    with (disk.folder / "filler").open("wb") as file:
        file.write(bytes(110 * 1024 * 1024))
    with pytest.raises(StartError, match="No space left on device"):
        server.initialize()
    disk.empty()
    server.initialize()

    assert (server.data / "PG_VERSION").exists()


def test_a_cluster_that_was_left_half_way_is_made_again(unmade: tuple[SmallDisk, PostgresServer]) -> None:
    disk, server = unmade
    half = disk.folder / "postgres.making"
    half.mkdir()
    (half / "PG_VERSION").write_text("half")
    server.initialize()

    assert (server.data / "global" / "pg_control").exists()
    assert not half.exists()


@pytest.mark.parametrize("kind", ["mount", "symlink"])
def test_a_cluster_is_made_inside_a_disk_or_a_link_that_stands_in_its_place(short_folder: Path, kind: str) -> None:
    data = short_folder / f"postgres-{kind}"
    with small_disk(data if kind == "mount" else short_folder / "disk", mebibytes=128) as made:
        made.folder.chmod(0o711)
        if kind == "symlink":
            data.symlink_to(made.folder / "cluster")
        server = PostgresServer(data, short_folder / "run", short_folder / "password", is_careless=True)
        server.initialize()
        running = subprocess.Popen(server.program().tethered_command())
        assert wait_until(server.is_ready, WAIT_SECONDS)
        running.terminate()
        running.wait(WAIT_SECONDS)

        assert not list(data.glob("cluster.*"))
        assert data.is_symlink() or data.is_mount()


def test_a_cluster_that_was_moved_half_way_is_moved_to_the_end(short_folder: Path) -> None:
    data, target = short_folder / "half-moved", short_folder / "half-moved-target"
    (target / "cluster.made").mkdir(parents=True)
    (target / "global").mkdir()
    (target / "cluster.made" / "PG_VERSION").write_text("18")
    data.symlink_to(target)
    PostgresServer(data, short_folder / "run", short_folder / "password", is_careless=True).initialize()

    assert ["PG_VERSION", "global"] == sorted(path.name for path in target.iterdir())


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_folder_with_other_files_is_no_place_for_a_cluster(short_folder: Path, *, is_linked: bool) -> None:
    data = short_folder / ("link" if is_linked else "foreign")
    target = short_folder / "letters" if is_linked else data
    target.mkdir()
    (target / "letter.txt").touch()
    if is_linked:
        data.symlink_to(target)
    server = PostgresServer(data, short_folder / "run", short_folder / "password", is_careless=True)
    with pytest.raises(StartError, match="has files and is no PostgreSQL cluster"):
        server.initialize()

    assert ["letter.txt"] == [path.name for path in target.iterdir()]
