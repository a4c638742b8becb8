"""`mailmesh backup` and `mailmesh restore`: copies of an installation on this machine, and the way back."""

import os
import stat
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from stack.backup.manifest import BackupError, Manifest
from stack.cli.connection import target
from stack.cli.output import JsonOption, console, print_json, show, show_aside
from stack.data_directory import DataDirectory

KeyOption = Annotated[
    Path,
    typer.Option("--backup-key", metavar="FILE", help="File with the key that seals the backup's secrets."),
]
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the backup.")]


def backup(
    context: typer.Context,
    folder: FolderArgument,
    *,
    backup_key: KeyOption,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make the backup key first; its file must not exist yet.")
    ] = False,
    timeout: Annotated[
        int, typer.Option(min=1, max=604800, help="Give up on the database's backup after this many seconds.")
    ] = 3600,
    json: JsonOption = False,
) -> None:
    """Write a backup of the running mesh into a new folder.

    The backup has the database with its write-ahead log, and the keys, certificates and passwords of the data
    directory, sealed with the backup key. The first backup makes the key by --new-key: keep a copy of it apart from the
    backups. Without that option a missing key is refused, so a wrong path does not seal backups with an unknown key.
    The database itself is not sealed and holds mail: keep it on an encrypted disk. With
    DATABASE_URL the database is on a server of its own and is not part of the backup.

    Examples:
      mailmesh backup /backups/2026-11-27 --backup-key /secure/backup.key --new-key
      mailmesh backup /backups/2026-11-28 --backup-key /secure/backup.key
    """
    from stack.backup.sealed import make_backup_key, read_backup_key  # noqa: PLC0415 - other commands start faster
    from stack.backup.take import take_backup  # noqa: PLC0415

    wanted = target(context)
    ready = wanted.ready()
    if new_key:
        make_backup_key(backup_key)
        show_aside(f"{backup_key} is a new key: without it no backup opens; keep a copy apart from the backups")
    with console.status("Backing up the database"):
        key = read_backup_key(backup_key)
        _warn_of_readers(backup_key)
        taken = take_backup(DataDirectory(wanted.data.resolve()), ready, folder.resolve(), key, float(timeout))
    _show(taken, folder, f"the backup of {taken.created_at} is complete in {folder}", is_json=json)
    if not taken.postgres_major and not json:
        show("the database is on a server of its own and is not in the backup: back it up there")


def restore(
    context: typer.Context,
    folder: FolderArgument,
    *,
    backup_key: KeyOption,
    wal_archive: Annotated[
        Path | None,
        typer.Option("--wal-archive", metavar="FOLDER", help="Bring back what `up --wal-archive` archived, too."),
    ] = None,
    until: Annotated[
        str,
        typer.Option(metavar="TIME", help="Leave out later changes: RFC 3339 with a zone, 2026-11-28T17:30:00Z."),
    ] = "",
    timeout: Annotated[
        int, typer.Option(min=1, max=604800, help="Give up on the archived log after this many seconds.")
    ] = 3600,
    json: JsonOption = False,
) -> None:
    """Restore a backup into an empty data directory; `mailmesh up` then starts it.

    The next start compares every mailbox with its provider, so changes after the backup become events, and makes every
    send uncertain that had no outcome at the time of the backup, so nothing is sent twice. Readers whose cursors are
    younger than the backup get CURSOR_EPOCH_CHANGED. Sessions of browsers end. API keys that were revoked and tenants
    that were disconnected or erased after the backup are back: repeat those steps. A backup without a database needs
    DATABASE_URL: only the keys, certificates and passwords are restored, so restore the database on its own server
    first. A backup with its database is refused while DATABASE_URL is set. With --wal-archive the changes of the
    database from after the backup come back: all that were archived, or those until a time. Keys that were added after
    the backup are not in it: take a backup after each rotation.

    Examples:
      mailmesh --data /var/lib/mailmesh restore /backups/2026-11-27 --backup-key /secure/backup.key
      mailmesh restore /backups/2026-11-27 --backup-key /secure/backup.key --wal-archive /backups/wal
    """
    from stack.backup.recovery import Replay  # noqa: PLC0415 - other commands start faster
    from stack.backup.restore import restore_backup  # noqa: PLC0415
    from stack.backup.sealed import read_backup_key  # noqa: PLC0415

    wanted, last_time = target(context), _time(until)
    if last_time is not None and wal_archive is None:
        raise BackupError("--until needs --wal-archive: a backup alone has one time")
    replay = Replay(wal_archive.resolve() if wal_archive is not None else None, last_time, float(timeout))
    with console.status("Restoring the backup"):
        data, key = DataDirectory(wanted.data.resolve()), read_backup_key(backup_key)
        _warn_of_readers(backup_key)
        restored = restore_backup(data, folder.resolve(), key, os.environ, replay)
    last = restored.last_change_at.isoformat(timespec="seconds") if restored.last_change_at is not None else ""
    came_back = f", and changes until {last}" if last else ""
    sentence = f"the backup of {restored.manifest.created_at} is restored{came_back}; start it with `mailmesh up`"
    _show(restored.manifest, folder, sentence, is_json=json, **({"lastChangeAt": last} if last else {}))


def _time(text: str) -> datetime | None:
    """Reads a time with a zone; an empty text is none."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BackupError("--until is no time: write it as 2026-11-28T17:30:00Z") from None
    if found.tzinfo is None:
        raise BackupError("--until needs a zone: write it as 2026-11-28T17:30:00Z")
    return found


def _warn_of_readers(key: Path) -> None:
    """Says that others can read the key. It is no refusal: mounted secrets often have such a mode."""
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o077:
        show_aside(f"{key} can be read by others (mode {mode:o}): chmod 600 {key}, since it opens every credential")


def _show(manifest: Manifest, folder: Path, sentence: str, *, is_json: bool, **further: str) -> None:
    if not is_json:
        show(sentence)
        return
    print_json(
        {
            "folder": str(folder),
            "createdAt": manifest.created_at,
            "release": manifest.release,
            "hasDatabase": bool(manifest.postgres_major),
            **further,
        }
    )
