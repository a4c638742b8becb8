"""A mail in a Google mailbox, its labels, and the records of its changes."""

from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.mailboxes.mailbox import Mail

SYSTEM_LABELS = [
    "INBOX",
    "SPAM",
    "TRASH",
    "UNREAD",
    "STARRED",
    "IMPORTANT",
    "SENT",
    "DRAFT",
    "CHAT",
    "CATEGORY_PERSONAL",
    "CATEGORY_SOCIAL",
    "CATEGORY_PROMOTIONS",
    "CATEGORY_UPDATES",
    "CATEGORY_FORUMS",
]
SCHEDULED = "SCHEDULED"
"""The label of a mail that Gmail is to send later: mails carry it, and no list of labels has it."""
HistoryKind = Literal["messageAdded", "messageDeleted", "labelAdded", "labelRemoved"]


@dataclass(slots=True, kw_only=True)
class GmailMail(Mail):
    """A mail with labels.

    Attributes:
        history_id: History id of its last change.
        home: Labels it had before it went to the trash.
        fields: The fields that a draft was written from; None where it was given as bytes.
        draft_id: Stays while a draft's message is replaced; empty for other mail.
    """

    labels: set[str] = field(default_factory=set)
    history_id: int = 0
    home: frozenset[str] = frozenset()
    fields: dict[str, Any] | None = None
    draft_id: str = ""


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """One change: ``labels`` are the mail's afterwards, ``changed`` those that came or went."""

    id: int
    at_ms: int
    kind: HistoryKind
    serial: int
    thread: int
    labels: tuple[str, ...]
    changed: tuple[str, ...] = ()

    def concerns(self) -> frozenset[str]:
        """Return the labels that a watch or a filter may match."""
        return frozenset(self.labels) | frozenset(self.changed)
