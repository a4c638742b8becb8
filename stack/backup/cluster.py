"""The embedded PostgreSQL in a backup: a base backup with the write-ahead log that makes it consistent."""

import os
import pwd
import shutil
import subprocess
import tarfile
from pathlib import Path

from stack.backup.archive import content_bytes, following, segments
from stack.backup.manifest import CLUSTER, BackupError
from stack.files import PRIVATE_FOLDER_MODE, private_folder
from stack.programs.postgres import BINARIES, SOCKET_PORT, SUPERUSER, PostgresServer
from stack.programs.program import UnprivilegedUser
from stack.programs.tether import machine_environment
from stack.programs.unprivileged import unprivileged_user

BASE, LOG = "base.tar.gz", "pg_wal.tar.gz"
VERSION_SECONDS = 10.0
_LAST_LINE_CHARACTERS = 300


def take(server: PostgresServer, folder: Path, timeout_seconds: float) -> None:
    """Writes a base backup of the running server, and the write-ahead log that was written meanwhile.

    Args:
        server: The server; it keeps running and serving.
        folder: The backup.
        timeout_seconds: The time after which the backup is given up.

    Raises:
        BackupError: The server refuses, or the time is over.
    """
    target = private_folder(folder / CLUSTER)
    source = ("-h", str(server.sockets.resolve()), "-p", str(SOCKET_PORT), "-U", SUPERUSER, "--no-password")
    form = ("-D", str(target), "-F", "tar", "-z", "-X", "stream", "-c", "fast")
    command = (str(BINARIES / "pg_basebackup"), *source, *form)
    environment = {**machine_environment(), "PGPASSWORD": server.password_file.read_text(encoding="utf-8")}
    try:
        subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_seconds, check=True)
    except subprocess.TimeoutExpired:
        raise BackupError(f"the database is not backed up within {timeout_seconds:g} s: see --timeout") from None
    except subprocess.CalledProcessError as fault:
        last = fault.stderr.strip().rpartition("\n")[2][:_LAST_LINE_CHARACTERS]
        raise BackupError(f"the database cannot be backed up: {last}") from fault


def major_version() -> int:
    """Returns the major version of the embedded server."""
    command = (str(BINARIES / "postgres"), "--version")
    said = subprocess.run(command, capture_output=True, text=True, timeout=VERSION_SECONDS, check=True).stdout
    return int(said.split()[-1].partition(".")[0])


def unpack(folder: Path, cluster: Path, archive: Path | None = None, *, may_end_early: bool = False) -> None:
    """Unpacks a backup into a new cluster, which recovers when it is started.

    Args:
        folder: The backup, checked.
        cluster: The folder of the cluster. The rest of an interrupted call is removed first.
        archive: The archive of the write-ahead log that continues the backup's own.
        may_end_early: Whether the archive may have a gap, because not all of it is wanted.

    Raises:
        BackupError: The archive does not continue the backup.
    """
    staged = cluster.with_name(f"{cluster.name}.restoring")
    shutil.rmtree(staged, ignore_errors=True)
    private_folder(staged)
    _extract(folder / CLUSTER / BASE, staged)
    own_log = private_folder(staged / "pg_wal")
    _extract(folder / CLUSTER / LOG, own_log)
    if archive is not None:
        _continue_log(own_log, archive, may_end_early=may_end_early)
    _own(staged, unprivileged_user(BINARIES, staged))
    shutil.rmtree(cluster, ignore_errors=True)
    staged.replace(cluster)


def _continue_log(own_log: Path, archive: Path, *, may_end_early: bool) -> None:
    """Copies the archived segments behind the backup's own. Of the segment that both have, the longer copy stays."""
    newest = own_log / max(segments(own_log))
    size = newest.stat().st_size
    for name, path in following(archive, newest, may_end_early=may_end_early):
        target = own_log / name
        if target.exists() and content_bytes(target) >= content_bytes(path):
            continue
        shutil.copyfile(path, target)
        # A copy that ended in a segment is of its full length, except where the archive's disk was full.
        os.truncate(target, size)


def _extract(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(target, filter="data")


def _own(folder: Path, user: UnprivilegedUser | None) -> None:
    """Closes the folders to others, and gives everything to the user that the server runs as."""
    owner = pwd.getpwnam(user.name) if user is not None else None
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(PRIVATE_FOLDER_MODE)
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid)
