"""A provider's object in the form of the contract."""

import struct
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from google.protobuf.struct_pb2 import Struct

from mailmesh.mail.v1 import event_pb2, message_pb2

_LENGTHS = struct.Struct(">4I")


@dataclass(frozen=True)
class MappedMessage:
    """A mail in the form of the contract, with further facts for the pipeline.

    Args:
        message: The mail. Of its thread only `provider_thread_id` is set; the other fields require the store.
        version: The provider's version of the mail; empty when it sent none.
        folder_id: The folder that contains it; empty for Google.
        label_ids: The labels on it, sorted; empty for Microsoft.
        is_draft: Whether it has not been sent yet.
        received_at: The time when the mailbox received it, with a time zone; None when the provider does not report it.
        truncation: The parts that were cut because of the bounds, or None when the message is complete.
        raw: The provider's object within its bounds, for `NormalizedMailEvent.raw`.
        send_mark: The mark that mailmesh put on a mail that it sent itself, unproven; empty on others.
        invitation: The iCalendar UID of the calendar event that the mail invites to, unproven; empty on others.
    """

    message: message_pb2.MailMessage
    version: str
    folder_id: str
    label_ids: tuple[str, ...]
    is_draft: bool
    received_at: datetime | None
    truncation: event_pb2.Truncation | None
    raw: Struct = field(default_factory=Struct)
    send_mark: str = ""
    invitation: str = ""

    def to_bytes(self) -> bytes:
        """Write the mail for another process. Unlike a pickle, the form makes nothing but a mail when it is read."""
        facts = {
            "version": self.version,
            "folder_id": self.folder_id,
            "label_ids": self.label_ids,
            "is_draft": self.is_draft,
            "received_at": self.received_at,
            "is_cut": self.truncation is not None,
            "send_mark": self.send_mark,
            "invitation": self.invitation,
        }
        truncation = self.truncation or event_pb2.Truncation()
        parts = [orjson.dumps(facts), *(part.SerializeToString() for part in (self.message, truncation, self.raw))]
        return _LENGTHS.pack(*map(len, parts)) + b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> "MappedMessage":
        """Read the mail that `to_bytes` wrote.

        Raises:
            ValueError: The bytes are of another form.
        """
        try:
            return cls._read(data)
        except (struct.error, KeyError, TypeError, ValueError) as exc:  # protobuf's DecodeError is a ValueError
            raise ValueError("not a mapped message") from exc

    @classmethod
    def _read(cls, data: bytes) -> "MappedMessage":
        position, parts = _LENGTHS.size, []
        for length in _LENGTHS.unpack_from(data):
            parts.append(data[position : position + length])
            position += length
        facts: dict[str, Any] = orjson.loads(parts[0])
        truncation = event_pb2.Truncation.FromString(parts[2]) if facts["is_cut"] else None
        received = facts["received_at"]
        return cls(
            message=message_pb2.MailMessage.FromString(parts[1]),
            version=str(facts["version"]),
            folder_id=str(facts["folder_id"]),
            label_ids=tuple(map(str, facts["label_ids"])),
            is_draft=bool(facts["is_draft"]),
            received_at=None if received is None else datetime.fromisoformat(received),
            truncation=truncation,
            raw=Struct.FromString(parts[3]),
            send_mark=str(facts["send_mark"]),
            invitation=str(facts["invitation"]),
        )
