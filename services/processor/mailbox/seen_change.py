"""A change of a mail that an event is about to report, as another wing needs it to recognise its own changes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from services.meshkit import db


@dataclass(frozen=True)
class SeenChange:
    """A change of a known mail.

    Args:
        message_id: The provider's id of the mail.
        version: The provider's version that the event reports.
        fields: The names of the `MailMessage` fields that differ.
        labels_added: The labels that were added.
        labels_removed: The labels that were removed.
    """

    message_id: str
    version: str
    fields: frozenset[str]
    labels_added: frozenset[str]
    labels_removed: frozenset[str]


OwnChanges: TypeAlias = Callable[[db.Connection, str, Sequence[SeenChange]], Awaitable[Mapping[str, str]]]
"""Tells which changes of a tenant's mails mailmesh made itself: ids of modifications by message id. A change that was
recognised is not recognised again."""
