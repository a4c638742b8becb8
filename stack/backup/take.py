"""Take a backup of a running installation."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from stack.backup import cluster, sealed
from stack.backup.manifest import CLUSTER, MANIFEST, BackupError, Manifest, digest_of
from stack.data_directory import DataDirectory
from stack.files import private_folder, write_private
from stack.programs.postgres import PostgresServer
from stack.ready import Ready


def take_backup(data: DataDirectory, ready: Ready, folder: Path, key: bytes, timeout_seconds: float) -> Manifest:
    """Writes a backup into a new folder while the installation keeps running.

    Args:
        data: The data directory.
        ready: The addresses of the running installation.
        folder: The backup's folder: new or empty. It is complete once it has its manifest, which is written last.
        key: The backup key, 32 bytes.
        timeout_seconds: The time after which the database's backup is given up.

    Raises:
        BackupError: The folder has files already or is inside the data directory, the keys were changed meanwhile, or
            the database refuses.
        OSError: A file cannot be read or written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BackupError(f"{folder} has files already: name a new folder")
    if folder.is_relative_to(data.root):
        raise BackupError(f"{folder} is inside the data directory, which the backup copies: name a folder elsewhere")
    private_folder(folder)
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    before = sealed.collect(data)
    has_cluster = "postgres" in ready.processes
    if has_cluster:
        server = PostgresServer(data.postgres, ready.supervisor.parent, data.postgres_password)
        cluster.take(server, folder, timeout_seconds)
    # A key that was added or removed meanwhile might be the one that the backup's credentials need.
    if sealed.collect(data) != before:
        raise BackupError("keys or certificates were changed during the backup: take another one")
    files = {f"{CLUSTER}/{path.name}": digest_of(path) for path in sorted((folder / CLUSTER).glob("*"))}
    major = cluster.major_version() if has_cluster else 0
    manifest = Manifest(created_at=created_at, release=version("mailmesh"), postgres_major=major, files=files)
    sealed.seal(folder, before, key, manifest.bound())
    write_private(folder / MANIFEST, manifest.model_dump_json())
    return manifest
