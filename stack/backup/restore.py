"""Restore a backup into a data directory, and remember that the next start has to settle what the backup left open."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stack.backup import cluster, sealed
from stack.backup.manifest import BackupError, Manifest
from stack.backup.recovery import Replay, recover
from stack.data_directory import DataDirectory
from stack.files import write_private

UNPACKING, UNPACKED = "unpacking\n", "unpacked\n"


@dataclass(frozen=True)
class Restored:
    """A restored backup.

    Attributes:
        manifest: The backup.
        last_change_at: The time of the last change of the database that came back with its log, if there was one.
    """

    manifest: Manifest
    last_change_at: datetime | None = None


def restore_backup(
    data: DataDirectory, folder: Path, key: bytes, environment: Mapping[str, str], replay: Replay | None = None
) -> Restored:
    """Writes the files of a backup into a data directory in which no installation is.

    Args:
        data: The data directory.
        folder: The backup.
        key: The backup key, 32 bytes.
        environment: Our own environment. DATABASE_URL names the server whose database the operator has restored there;
            a backup that has its own database is refused with it.
        replay: The archive of the write-ahead log, whose changes come back on top of the backup; by default the backup
            alone.

    Raises:
        BackupError: The backup is incomplete, was changed, or does not fit; or an installation is in the directory; or
            the archive does not continue the backup up to the wanted time.
        DirectoryLockedError: A mesh runs in the directory.

    Safe to call again: yes, after it was interrupted; else it refuses, since the directory has an installation.
    """
    manifest = Manifest.read(folder)
    packed = sealed.unseal(folder, key, manifest.bound())
    is_existing = bool(environment.get("DATABASE_URL"))
    _check_fit(manifest, is_existing=is_existing)
    wanted = replay or Replay()
    if wanted.archive is not None and is_existing:
        raise BackupError("the database is on a server of its own: recover it there, and leave out --wal-archive")
    last_change_at = None
    data.root.mkdir(parents=True, exist_ok=True)
    with data.locked():
        _check_empty(data)
        write_private(data.restored, UNPACKING)
        data.prepare()
        sealed.unpack(packed, data)
        if not is_existing:
            cluster.unpack(folder, data.postgres, wanted.archive, may_end_early=wanted.until is not None)
            last_change_at = recover(data, wanted)
        write_private(data.restored, UNPACKED)
    return Restored(manifest, last_change_at)


def is_to_be_settled(data: DataDirectory, environment: Mapping[str, str]) -> bool:
    """Says whether the data directory was restored and has not been settled since.

    Args:
        data: The data directory.
        environment: Our own environment, with DATABASE_URL for a database on a server of its own.

    Raises:
        BackupError: The restore was interrupted, or DATABASE_URL names another database than the restored one.
    """
    if not data.restored.exists():
        return False
    if data.restored.read_text(encoding="utf-8") != UNPACKED:
        raise BackupError(f"the restore into {data.root} was interrupted: run `mailmesh restore` again")
    if environment.get("DATABASE_URL") and data.postgres.exists():
        raise BackupError(f"{data.root} was restored with its own database: unset DATABASE_URL, which names another")
    return True


def _check_fit(manifest: Manifest, *, is_existing: bool) -> None:
    if is_existing and manifest.postgres_major:
        # The next start would settle the sends of a database that was never restored.
        raise BackupError("the backup has its own database: unset DATABASE_URL, which names another, and restore again")
    if is_existing:
        return
    if not manifest.postgres_major:
        raise BackupError("the backup has no database: restore it on its own server, and name that by DATABASE_URL")
    if manifest.postgres_major != (ours := cluster.major_version()):
        theirs = f"the backup is of PostgreSQL {manifest.postgres_major}"
        raise BackupError(f"{theirs}, and this release runs {ours}: restore it with release {manifest.release}")


def _check_empty(data: DataDirectory) -> None:
    is_interrupted = data.restored.exists() and data.restored.read_text(encoding="utf-8") == UNPACKING
    has_any = data.postgres.exists() or data.vault_keys.exists() or data.restored.exists()
    if has_any and not is_interrupted:
        raise BackupError(f"{data.root} has an installation already: name an empty directory with --data")
