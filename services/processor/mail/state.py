"""What Processor knows about a message, what it was told about one, and what it has to look at again."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from google.protobuf.struct_pb2 import Struct

from mailmesh.mail.v1 import event_pb2

NOTIFICATION = event_pb2.EVENT_SOURCE_NOTIFICATION
RECONCILIATION = event_pb2.EVENT_SOURCE_RECONCILIATION

CREATED, UPDATED, DELETED, LISTED = "created", "updated", "deleted", "listed"
"""What was told of a message: the provider's change types, and that a first listing of a folder has it."""


class State(IntEnum):
    """Where a message stands; the numbers are the table's."""

    KNOWN = 1
    """Seen, not announced: it was there before coverage began, or nobody wanted to know."""
    ANNOUNCED = 2
    """Consumers know of it."""
    DELETED = 3
    """Gone for good; if it comes back, that is another life."""


@dataclass(frozen=True)
class MessageState:
    """A message as it was when something was last committed about it.

    Args:
        message_id: The provider's id.
        generation: Its life, from 1.
        state: Where it stands.
        version: The provider's version that was last told or seen; empty when unknown.
        folder_id: The folder that held it; empty when unknown, and at Google.
        label_ids: The labels on it; empty at Microsoft.
        digests: Of the fields of the message, for telling what an update changed; None when they were not had.
        open_event_id: The event that went out without its message and awaits it; empty when there is none.
        mail_received_at: When the mailbox got it.
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


@dataclass(frozen=True)
class ReportedChange:
    """What was told about one message, by one notification or several, or by a listing.

    Args:
        message_id: The provider's id.
        kinds: CREATED, UPDATED, DELETED, LISTED.
        received_at: When it was first told.
        correlation_id: Of the first.
        source: NOTIFICATION or RECONCILIATION, of the first.
        subscription_ids: Our ids of the subscriptions that told it.
        version: The version that was told last; empty when none was.
        notification: The first notification's own object.
        was_watched: Before the change it was in what is watched, as far as the provider's words tell.
        missing_since: Since when it is not found; None when it was not looked for or is there.
        attempts: Tries that failed so far.
        reason: Why the last one failed.
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
        """Both as one: the earlier one's origin, the later one's version, what either of them tells."""
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
