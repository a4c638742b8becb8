"""A provider's object in the form of the contract."""

from dataclasses import dataclass, field
from datetime import datetime

from google.protobuf.struct_pb2 import Struct

from mailmesh.mail.v1 import event_pb2, message_pb2


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
