"""The manifest of a backup: what the backup holds, with a digest of each file."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stack.errors import StackError

MANIFEST = "backup.json"
SECRETS = "secrets.sealed"
CLUSTER = "postgres"
MAX_MANIFEST_BYTES = 64 * 1024
_CHUNK_BYTES = 1024 * 1024
_FILE = re.compile(rf"{CLUSTER}/[A-Za-z0-9_.-]{{1,100}}")


class BackupError(StackError):
    """A backup cannot be taken or restored. The message is one line with the reason and the advice."""


class Manifest(BaseModel):
    """The content of `backup.json`. The sealed secrets are bound to it, so that no file can be exchanged unnoticed.

    Attributes:
        format: The version of the layout.
        created_at: When the backup began, RFC 3339 in UTC.
        release: The release of mailmesh that took it.
        postgres_major: The major version of the embedded server; 0 when the database is not in the backup.
        files: SHA-256 in hexadecimal digits by path within the backup, for the files of the database.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    created_at: str = Field(pattern=r"^[0-9T:+-]{19,32}$")
    release: str = Field(max_length=100)
    postgres_major: int = Field(ge=0, le=1000)
    files: dict[str, str] = Field(max_length=100)

    def bound(self) -> bytes:
        """Returns the bytes to which the sealed secrets are bound."""
        return self.model_dump_json().encode()

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Reads and checks the manifest of a backup, and the digests of its files.

        Raises:
            BackupError: The folder is no complete backup, or a file was changed.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise BackupError(f"{folder} is no complete backup: it has no {MANIFEST}")
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BackupError(f"{path} is too large for a manifest")
        try:
            manifest = cls.model_validate_json(path.read_bytes())
        except ValidationError as fault:
            raise BackupError(f"{path} is damaged, or a later release wrote it") from fault
        _check_files(folder, manifest.files)
        return manifest


def _check_files(folder: Path, files: Mapping[str, str]) -> None:
    for name, digest in files.items():
        if _FILE.fullmatch(name) is None:
            raise BackupError(f"{folder / MANIFEST} names a file that no backup has")
        if not (folder / name).is_file() or digest_of(folder / name) != digest:
            raise BackupError(f"{folder / name} is missing or damaged: use another backup")


def digest_of(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
