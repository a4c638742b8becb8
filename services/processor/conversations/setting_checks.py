"""Check the settings of conversations from outside."""

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.meshkit.addresses import plain
from services.meshkit.errors import FieldInvalid
from services.processor.conversations.kinship import MAX_AUTOMATIC_AN_HOUR

_MAX_NAMES = 50
_MOST = {
    "reopen_days": 365,
    "reopenings_an_hour": MAX_AUTOMATIC_AN_HOUR,
    "automatic_an_hour": MAX_AUTOMATIC_AN_HOUR,
    "retention_days": 3650,
    "quarantine_retention_days": 3650,
}


def checked_settings(settings: pb2.ConversationSettings) -> pb2.ConversationSettings:
    """Return settings that are within their bounds.

    Raises:
        FieldInvalid: An address or a domain is none, or there are too many of them, or a number is out of its bounds.
    """
    for name in ("own_addresses", "own_domains", "carriers"):
        values = getattr(settings, name)
        if len(values) > _MAX_NAMES:
            raise FieldInvalid.of(f"settings.{name}", f"must not have more than {_MAX_NAMES} values")
        for place, value in enumerate(values):
            if not plain(f"x@{value}" if name == "own_domains" else value) or any(one in value for one in " \t\r\n\0"):
                raise FieldInvalid.of(f"settings.{name}[{place}]", "must be an address or a domain")
    if settings.is_enabled and not settings.own_addresses:
        raise FieldInvalid.of("settings.own_addresses", "must have the mailbox's address")
    for name, most in _MOST.items():
        if not 0 <= getattr(settings, name) <= most:
            raise FieldInvalid.of(f"settings.{name}", f"must be 0 to {most}")
    return settings
