"""The state of a message as Processor knows it, and the changes reported about it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from google.protobuf.struct_pb2 import Struct

from mailmesh.mail.v1 import event_pb2

NOTIFICATION = event_pb2.EVENT_SOURCE_NOTIFICATION
RECONCILIATION = event_pb2.EVENT_SOURCE_RECONCILIATION
COMMAND = event_pb2.EVENT_SOURCE_COMMAND
BACKFILL = event_pb2.EVENT_SOURCE_BACKFILL

CREATED, UPDATED, DELETED, LISTED = "created", "updated", "deleted", "listed"
"""The kinds of reported changes: the provider's change types, and LISTED for a first listing of a folder."""
BACKFILLED = "backfilled"
"""The kind of a mail that a backfill lists: its event is published even if the mail is older than the coverage."""


UNSENT = 0
"""The generation of a message that was only seen as a draft, while drafts make no events: none has begun."""


class State(IntEnum):
    """The stages of a message; the numbers are stored in the table."""

    KNOWN = 1
    """Recorded but not announced: it is older than the coverage, or no subscription asks for it."""
    ANNOUNCED = 2
    """An event has announced it to consumers."""
    DELETED = 3
    """Deleted permanently; if it comes back, a new generation begins."""


@dataclass(frozen=True)
class MessageState:
    """A message as it was at the last commit about it.

    Args:
        message_id: The provider's id.
        generation: The message's generation, from 1; `UNSENT` for a draft that no event reported.
        state: Its stage.
        version: The provider's version that was last reported or fetched; empty when unknown.
        folder_id: The folder that contained it; empty when unknown, and at Google.
        label_ids: Its labels; empty at Microsoft.
        digests: The digests of its fields, to detect the fields that an update changed; None when it was never fetched.
        open_event_id: The event that went out without its message and awaits it; empty when there is none.
        mail_received_at: When the mailbox received it.
    """

    message_id: str
    generation: int = 1
    state: State = State.KNOWN
    version: str = ""
    folder_id: str = ""
    label_ids: tuple[str, ...] = ()
    digests: bytes | None = None
    open_event_id: str = ""
    mail_received_at: datetime | None = None

    @property
    def is_unannounced(self) -> bool:
        """Whether no event has announced it; a draft that was sent begins its generation otherwise."""
        return self.state is State.KNOWN and self.generation != UNSENT and not self.open_event_id


@dataclass(frozen=True)
class ReportedChange:
    """The changes reported about one message, by one or several notifications, or by a listing.

    Args:
        message_id: The provider's id.
        kinds: CREATED, UPDATED, DELETED, LISTED, BACKFILLED.
        received_at: When the first report arrived.
        correlation_id: The correlation id of the first report.
        source: NOTIFICATION, RECONCILIATION or BACKFILL, of the first report.
        subscription_ids: Our ids of the subscriptions that reported it.
        version: The version reported last; empty when no report named one.
        notification: The first notification's own object.
        was_watched: Whether it was in a watched folder or label before the change, as far as the provider tells.
        missing_since: Since when it is not found; None when it was not looked up or exists.
        attempts: The number of failed attempts so far.
        reason: The reason of the last failure.
    """

    message_id: str
    kinds: frozenset[str]
    received_at: datetime
    correlation_id: str
    source: int = NOTIFICATION
    subscription_ids: tuple[str, ...] = ()
    version: str = ""
    notification: Struct | None = None
    was_watched: bool = True
    missing_since: datetime | None = None
    attempts: int = 0
    reason: str = ""

    def merged(self, later: "ReportedChange | None") -> "ReportedChange":
        """Merge two reports: the earlier one's origin, the later one's version, the kinds of both."""
        if later is None:
            return self
        first, last = (self, later) if self.received_at <= later.received_at else (later, self)
        return replace(
            first,
            kinds=first.kinds | last.kinds,
            subscription_ids=tuple(dict.fromkeys(first.subscription_ids + last.subscription_ids)),
            version=last.version or first.version,
            notification=first.notification or last.notification,
            was_watched=first.was_watched or last.was_watched,
            missing_since=min(filter(None, (first.missing_since, last.missing_since)), default=None),
            attempts=max(first.attempts, last.attempts),
            reason=last.reason or first.reason,
        )
