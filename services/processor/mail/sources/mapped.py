"""What a provider's object says, in the words of the contract."""

from dataclasses import dataclass, field
from datetime import datetime

from google.protobuf.struct_pb2 import Struct

from mailmesh.mail.v1 import event_pb2, message_pb2


@dataclass(frozen=True)
class MappedMessage:
    """A mail as the contract has it, with what the pipeline needs to know beside it.

    Args:
        message: The mail. Of its thread only `provider_thread_id` is set: the rest takes the store.
        version: The provider's version of the mail; empty when it gave none.
        folder_id: The folder that holds it; empty at Google.
        label_ids: The labels on it, sorted; empty at Microsoft.
        is_draft: It was not sent yet.
        received_at: When the mailbox got it, aware; None when the provider does not say.
        truncation: What was cut because of the bounds, or None when nothing was.
        raw: The provider's object within its bounds, for `NormalizedMailEvent.raw`.
    """

    message: message_pb2.MailMessage
    version: str
    folder_id: str
    label_ids: tuple[str, ...]
    is_draft: bool
    received_at: datetime | None
    truncation: event_pb2.Truncation | None
    raw: Struct = field(default_factory=Struct)
