"""Zip archives of strangers: bounded by what they declare, and counted again while they are inflated."""

import io
import zipfile
import zlib
from collections.abc import Iterator

from services.primitives.failure import ContentError

MAX_MEMBERS = 2_000
MAX_BYTES = 100 * 1024 * 1024
MAX_RATIO = 200
"""How often larger than the archive its files may be."""
# Small archives of much the same text inflate far, and do no harm.
_FLOOR_BYTES = 10 * 1024 * 1024
_CHUNK = 64 * 1024
_ENCRYPTED_BIT = 1
# bz2 and LZMA inflate a chunk as a whole, before a byte of it is counted.
_METHODS = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))


class Archive:
    """A zip archive.

    Args:
        content: The bytes of the archive.

    Raises:
        ContentError: It is none, or it declares more than the bounds permit.
    """

    def __init__(self, content: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
            self._members = {member.filename: member for member in self._zip.infolist()}
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError) as exc:
            raise ContentError("malformed") from exc
        self._left = min(MAX_BYTES, max(MAX_RATIO * len(content), _FLOOR_BYTES))
        if len(self._members) > MAX_MEMBERS:
            raise ContentError("bomb")
        if sum(member.file_size for member in self._members.values()) > self._left:
            raise ContentError("bomb")

    @property
    def names(self) -> list[str]:
        """The names of the files, as they stand there: never a place on a disk."""
        return [name for name in self._members if not name.endswith("/")]

    def __contains__(self, name: str) -> bool:
        return name in self._members

    @property
    def is_encrypted(self) -> bool:
        """Whether a file needs a password."""
        return any(member.flag_bits & _ENCRYPTED_BIT for member in self._members.values())

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file.

        Raises:
            ContentError: It is damaged, encrypted, compressed by another method than deflate, or inflates to more
                than the bounds permit.
        """
        if self._members[name].compress_type not in _METHODS:
            raise ContentError("malformed")
        try:
            with self._zip.open(self._members[name]) as stream:
                while chunk := stream.read(_CHUNK):
                    self._left -= len(chunk)
                    if self._left < 0:
                        raise ContentError("bomb")
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError) as exc:
            raise ContentError("malformed") from exc

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises ContentError, see `chunks`."""
        return b"".join(self.chunks(name))
