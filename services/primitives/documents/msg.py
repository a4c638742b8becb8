"""Outlook's .msg (MS-OXMSG), by python-oxmsg over olefile: the body, the facts, and the attachments."""

import io
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from services.primitives.documents import mapi
from services.primitives.documents.archive import MAX_BYTES, MAX_MEMBERS
from services.primitives.documents.extracted import Extracted
from services.primitives.documents.mapi import Value
from services.primitives.documents.tnef import File
from services.primitives.failure import ContentError

MARK = "__properties_version1.0".encode("utf-16-le")
"""The name of a stream that each message has, as the directory of the file spells it."""
_MESSAGE_HEADER, _INNER_HEADER, _FILE_HEADER, _PROPERTY = 32, 24, 8, 16
"""The bytes before the properties of a message, of a message within another and of a file, and those of a property
(MS-OXMSG 2.4)."""
_INNER = "__substg1.0_3701000D"


def read_msg(content: bytes, extracted: Extracted) -> "list[File | InnerMessage]":
    """Read the body and the facts of a message; return its attachments, which the caller reads.

    Raises:
        ContentError: It is damaged, has more than the bounds permit, or the reader is not installed.
    """
    if find_spec("oxmsg") is None:
        raise ContentError("reader_missing")
    from olefile import OleFileIO  # noqa: PLC0415 - an extra
    from oxmsg.storage import Storage  # noqa: PLC0415 - an extra

    with OleFileIO(io.BytesIO(content)) as ole:
        entries = [entry for entry in ole.direntries if entry is not None]
        # Entries may share sectors, so that a small file has streams of any size.
        if len(entries) > 10 * MAX_MEMBERS or sum(entry.size for entry in entries) > MAX_BYTES:
            raise ContentError("bomb")
        root = Storage.from_ole(ole)
    return InnerMessage(root).read(extracted)


class InnerMessage:
    """A message in its storage.

    Args:
        storage: The storage.
    """

    def __init__(self, storage: Any) -> None:
        # Some programs write the header of a whole message into a message within another.
        is_inner = (len(storage.properties_stream_bytes) - _INNER_HEADER) % _PROPERTY == 0
        self._storage = storage
        self._properties = _Properties(storage, _INNER_HEADER if is_inner else _MESSAGE_HEADER)

    @property
    def name(self) -> str:
        """The subject, as the name of a file."""
        return f"{self._properties.text(mapi.SUBJECT)[:100] or 'message'}.msg"

    def read(self, extracted: Extracted) -> "list[File | InnerMessage]":
        """Read the body and the facts; return the attachments."""
        properties = self._properties
        sender = properties.text(mapi.SENDER_SMTP) or properties.text(mapi.SENDER_ADDRESS)
        extracted.fact("subject", properties.text(mapi.SUBJECT))
        extracted.fact("from", sender if "@" in sender else properties.text(mapi.SENDER_NAME))
        mapi.read_body(properties, properties.charset, extracted)
        return list(self._attachments())

    def _attachments(self) -> "Iterator[File | InnerMessage]":
        for storage in self._storage.iter_attachment_storages():
            inner = next((one for one in storage.storages if one.name == _INNER), None)
            if inner is not None:
                yield InnerMessage(inner)
                continue
            found = _Properties(storage, _FILE_HEADER)
            data = found.get(mapi.DATA)
            name = found.text(mapi.LONG_FILE_NAME) or found.text(mapi.FILE_NAME)
            yield File(name, found.text(mapi.MEDIA_TYPE), data if isinstance(data, bytes) else b"")


class _Properties(dict[int, Value]):
    """The texts and bytes of a storage that can be read; a damaged one is as good as missing.

    Args:
        storage: The storage.
        header_bytes: The bytes before its properties.
    """

    def __init__(self, storage: Any, header_bytes: int) -> None:
        from oxmsg.properties import Properties  # noqa: PLC0415 - an extra

        found = Properties(storage, header_bytes)
        try:
            self.charset = str(found.body_encoding)
        except (LookupError, ValueError):
            self.charset = ""
        super().__init__(_readable(found))

    def text(self, identity: int) -> str:
        """Return a property as text; empty without it."""
        return mapi.text_of(self.get(identity, ""), self.charset)


def _readable(properties: Any) -> Iterator[tuple[int, Value]]:
    for one in properties:
        try:
            value = one.value
        except (LookupError, ValueError):  # a stream that is missing, a code page that is unknown
            continue
        if isinstance(value, str | bytes):
            yield one.pid, value
