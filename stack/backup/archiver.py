"""`python -m stack.backup.archiver`: copies the write-ahead log of the embedded PostgreSQL into a folder.

PostgreSQL's `pg_receivewal` copies it while it is written. This program gives it a series that has no gap, keeps the
folder within its bound, and starts it again when it ends: a full or missing disk ends nothing but the archive.
"""

import argparse
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from stack.backup.archive import Bounds, prune
from stack.backup.manifest import BackupError
from stack.backup.slots import continued_series
from stack.blocking import run_blocking
from stack.errors import describe
from stack.files import PRIVATE_FOLDER_MODE, private_folder
from stack.programs.postgres import BINARIES, SOCKET_PORT, SUPERUSER, PostgresServer
from stack.programs.program import Program
from stack.programs.running import RunningProgram

PRUNE_SECONDS = 10.0
RETRY_SECONDS = 5.0
STOP_SECONDS = 10.0
REPORT_SECONDS = 1
"""How often the server learns how far the archive is; by default ten seconds, for which the archive seems behind."""
BYTES_PER_GIGABYTE = 1_000_000_000


class Archiver:
    """Writes the archive until it is stopped.

    Args:
        server: The embedded server.
        archive: The folder of the archive.
        bounds: The bounds of the folder.
        files: A private folder for the log and the variables of `pg_receivewal`.
    """

    def __init__(self, server: PostgresServer, archive: Path, bounds: Bounds, files: Path) -> None:
        self._server, self._archive, self._bounds, self._files = server, archive, bounds, files

    def run(self, stop: threading.Event) -> None:
        """Writes until the event is set; a failure is printed, and the copy continues where it ended."""
        while not stop.is_set():
            try:
                self._write(stop)
            except BackupError as fault:
                _say(str(fault))
            except OSError as fault:
                _say(describe(fault))
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
                _say(str(fault).partition("\n")[0])
            stop.wait(RETRY_SECONDS)

    def _write(self, stop: threading.Event) -> None:
        # The folder may be a disk of the operator's, whose mode is not ours to change.
        self._archive.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        with _alone_in(self._archive):
            series = run_blocking(continued_series(self._server.url(), self._archive))
            self._receive(private_folder(self._archive / series), series, stop)

    def _receive(self, folder: Path, series: str, stop: threading.Event) -> None:
        # On a full disk the receiver ends at once: room is made before it starts.
        prune(self._archive, self._bounds)
        log = self._files / "wal-receiver.log"
        log.unlink(missing_ok=True)
        receiver = RunningProgram(self._receiver(folder, series), log)
        try:
            while not stop.wait(PRUNE_SECONDS) and receiver.is_running:
                prune(self._archive, self._bounds)
            if not stop.is_set():
                _say(receiver.log_tail().strip())
        finally:
            receiver.stop()

    def _receiver(self, folder: Path, series: str) -> Program:
        source = ("-h", str(self._server.sockets.resolve()), "-p", str(SOCKET_PORT), "-U", SUPERUSER, "--no-password")
        # It ends at the first failure: then the next start checks whether the series goes on.
        form = ("-D", str(folder), "--slot", series, "--no-loop", "--status-interval", str(REPORT_SECONDS))
        password = {"PGPASSWORD": self._server.password_file.read_text(encoding="utf-8")}
        command = (str(BINARIES / "pg_receivewal"), *source, *form)
        return Program("wal-receiver", command, bool, password, stop_signal="INT", stop_seconds=STOP_SECONDS)


@contextmanager
def _alone_in(archive: Path) -> Iterator[None]:
    """Keeps other archivers out of the folder: each would remove the segments of the others.

    Raises:
        BackupError: Another archiver writes there.
    """
    descriptor = os.open(archive, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another installation archives into {archive}: name a folder of its own") from None
        yield
    finally:
        os.close(descriptor)


def _say(text: str) -> None:
    sys.stdout.write(f"the write-ahead log is not archived: {text}\n")
    sys.stdout.flush()


def main() -> None:
    """Runs the archiver until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m stack.backup.archiver", description=__doc__)
    parser.add_argument("--cluster", type=Path, required=True, help="folder of the cluster")
    parser.add_argument("--sockets", type=Path, required=True, help="folder of the server's socket")
    parser.add_argument("--password-file", type=Path, required=True, help="file with the superuser's password")
    parser.add_argument("--archive", type=Path, required=True, help="folder of the archive")
    parser.add_argument("--gigabytes", type=int, required=True, help="bound of the archive's size")
    parser.add_argument("--days", type=int, required=True, help="bound of a segment's age")
    parser.add_argument("--files", type=Path, required=True, help="private folder for the receiver's log and variables")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = PostgresServer(options.cluster, options.sockets, options.password_file)
    bounds = Bounds(options.gigabytes * BYTES_PER_GIGABYTE, options.days)
    Archiver(server, options.archive, bounds, private_folder(options.files)).run(stop)


if __name__ == "__main__":
    main()
