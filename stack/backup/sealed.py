"""The small files of a data directory that no database has: keys, certificates, passwords. A backup seals them."""

import base64
import binascii
import io
import os
import secrets
import tarfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stack.backup.manifest import SECRETS, BackupError
from stack.data_directory import DataDirectory
from stack.files import PRIVATE_FILE_MODE, private_folder, write_private

KEY_BYTES = 32
NONCE_BYTES = 12
MAX_SEALED_BYTES = 16 * 1024 * 1024


def make_backup_key(path: Path) -> None:
    """Makes the key that seals backups.

    Raises:
        BackupError: The file exists already; a replaced key would open no earlier backup.
        OSError: The file cannot be written.

    Safe to call again: it refuses, since the key is there.
    """
    if path.exists():
        raise BackupError(f"{path} exists already: leave out --new-key to use its key, or name a new file")
    write_private(path, base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")


def read_backup_key(path: Path) -> bytes:
    """Reads the key that seals backups.

    Raises:
        BackupError: The file is missing, or has no key.
    """
    try:
        key = base64.b64decode(path.read_bytes().strip(), altchars=b"-_", validate=True)
    except FileNotFoundError:
        advice = "name the backup key with --backup-key; only `mailmesh backup --new-key` makes one"
        raise BackupError(f"{path} does not exist: {advice}") from None
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise BackupError(f"{path} has no backup key: it must be {KEY_BYTES} bytes in base64")
    return key


def collect(data: DataDirectory) -> bytes:
    """Returns the files as a tar archive, the same bytes for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in _files(data):
            content = path.read_bytes()
            entry = tarfile.TarInfo(str(path.relative_to(data.root)))
            entry.size, entry.mode = len(content), PRIVATE_FILE_MODE
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def seal(folder: Path, packed: bytes, key: bytes, bound: bytes) -> None:
    """Writes the sealed archive into a backup.

    Args:
        folder: The backup.
        packed: The archive.
        key: The backup key, 32 bytes.
        bound: The manifest, which the seal proves.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    (folder / SECRETS).touch(mode=PRIVATE_FILE_MODE)
    with (folder / SECRETS).open("wb") as file:
        file.write(nonce + AESGCM(key).encrypt(nonce, packed, bound))
        file.flush()
        os.fsync(file.fileno())


def unseal(folder: Path, key: bytes, bound: bytes) -> bytes:
    """Returns the archive of a backup.

    Raises:
        BackupError: The key is another one, or the backup was changed.
    """
    path = folder / SECRETS
    if not path.is_file() or not NONCE_BYTES < path.stat().st_size <= MAX_SEALED_BYTES:
        raise BackupError(f"{path} is missing or damaged: use another backup")
    sealed = path.read_bytes()
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except InvalidTag:
        raise BackupError(
            "the backup key does not open this backup: it is another key, or the backup was changed"
        ) from None


def unpack(packed: bytes, data: DataDirectory) -> None:
    """Writes the files into a data directory. Safe to call again: yes."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for folder in {Path(name).parent for name in archive.getnames()} - {Path()}:
            private_folder(data.root / folder)
        archive.extractall(data.root, filter="data")


def _files(data: DataDirectory) -> list[Path]:
    single = (*data.sealing_keys, data.admin_key, data.postgres_password, data.database_passwords)
    found = [path for path in (*single, data.ports) if path.is_file()]
    certificates = data.root / "certificates"
    return found + sorted(path for path in certificates.rglob("*") if path.is_file())
