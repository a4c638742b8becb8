"""The archiver of the write-ahead log as a program."""

import sys
from pathlib import Path

import asyncpg

from stack.backup.slots import bytes_behind
from stack.blocking import run_blocking
from stack.programs.postgres import PostgresServer
from stack.programs.program import Program

NAME = "wal-archiver"
STOP_SECONDS = 15.0
READY_SECONDS = 15.0


def archiver_program(server: PostgresServer, archive: Path, gigabytes: int, days: int, files: Path) -> Program:
    """Returns the archiver as a program.

    Args:
        server: The embedded server.
        archive: The folder of the archive, absolute.
        gigabytes: The bound of the folder's size.
        days: The bound of a segment's age.
        files: A private folder for the receiver's log and variables.
    """
    return Program(
        name=NAME,
        command=(
            *(sys.executable, "-m", "stack.backup.archiver"),
            *("--cluster", str(server.data), "--sockets", str(server.sockets.resolve())),
            *("--password-file", str(server.password_file), "--archive", str(archive)),
            *("--gigabytes", str(gigabytes), "--days", str(days), "--files", str(files)),
        ),
        is_ready=lambda: is_archiving(server),
        stop_seconds=STOP_SECONDS,
        ready_seconds=READY_SECONDS,
        is_needed=False,  # the server keeps the log meanwhile, and mail is not to wait for a disk of backups
    )


def is_archiving(server: PostgresServer) -> bool:
    """Says whether the archive is being written."""
    try:
        return run_blocking(bytes_behind(server.url())) is not None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
