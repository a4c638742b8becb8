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
        is_compared: Whether the mail was fetched and its earlier fields were known. Without, the sets above are empty,
            and the change may be any.
    """

    message_id: str
    version: str
    fields: frozenset[str]
    labels_added: frozenset[str]
    labels_removed: frozenset[str]
    is_compared: bool


OwnChanges: TypeAlias = Callable[[db.Connection, str, Sequence[SeenChange]], Awaitable[Mapping[str, str]]]
"""Tells which changes of a tenant's mails mailmesh made itself: ids of modifications by message id. A change that was
recognised is not recognised again."""

AnnouncedCategories: TypeAlias = Callable[[db.Connection, str, Mapping[str, Sequence[str]]], Awaitable[frozenset[str]]]
"""Tells which mails have at their provider the categories that mailmesh announced last: categories by message id in."""
