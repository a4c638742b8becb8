"""Graph's fields of mail: how the outbox writes and reads them."""

import base64
from collections.abc import Iterable

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.file_names import safe_name
from services.processor.mailbox.failures import classify
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.rows import File
from services.providers.names import MS365

IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}


def people(recipients: Iterable[pb2.Recipient]) -> list[JSON]:
    """Return recipients as Graph takes them."""
    return [
        {"emailAddress": {"address": one.address, **({"name": one.name} if one.name else {})}} for one in recipients
    ]


def headers_of(content: pb2.SendRequest) -> list[JSON]:
    """Return the caller's header fields as Graph takes them; it refuses an empty list."""
    return [{"name": header.name, "value": header.value} for header in content.headers]


def sender_of(content: pb2.SendRequest) -> JSON:
    """Return the field that names the sender; empty where the request names none."""
    return {"from": people([content.from_address])[0]} if content.HasField("from_address") else {}


def attachment_of(file: File) -> JSON:
    """Return a file as Graph takes it in one request."""
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": safe_name(file.name),
        "contentType": file.content_type,
        "contentBytes": base64.b64encode(file.content).decode(),
        **({"isInline": True, "contentId": file.content_id} if file.content_id else {}),
    }


def list_of(answer: JSON) -> list[JSON]:
    """Return the entries of a list.

    Raises:
        SourceError: The answer has no list.
    """
    entries = answer.get("value")
    if not isinstance(entries, list):
        raise classify(MS365, 0, ["list_without_value"])
    return [entry for entry in entries if isinstance(entry, dict)]


def required_id(message: JSON) -> str:
    """Return the id of a message.

    Raises:
        SourceError: It has none.
    """
    found = message.get("id")
    if not isinstance(found, str) or not found:
        raise classify(MS365, 0, ["draft_without_id"])
    return found
