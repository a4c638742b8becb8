"""The tables of Processor at the head of its migrations, by wing; a test compares the two."""

from services.processor.tables import (
    calendar,
    classification,
    conversations,
    mail,
    mailbox,
    messages,
    model,
    outbox,
    search,
    stream,
)
from services.processor.tables.schema import metadata

__all__ = [
    "calendar",
    "classification",
    "conversations",
    "mail",
    "mailbox",
    "messages",
    "metadata",
    "model",
    "outbox",
    "search",
    "stream",
]
