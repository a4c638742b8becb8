"""The decision about one message: its events, its new state, its next lookup; and what all decisions share."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mailmesh.mail.v1 import event_pb2
from services.processor.mail.coverage import Coverage
from services.processor.mail.field_digests import digests_of
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.state import MessageState, ReportedChange, State


@dataclass(frozen=True)
class PendingEvent:
    """One event to be published.

    Args:
        event_type: Such as "mail.created".
        generation: The message's generation.
        version: The provider's version that the event reports.
        mapped: The message; None when it was not fetched or is gone.
        not_enriched: The reason why there is no message.
        change: The fields and places that an update changed.
        enriched_event_id: The event that now gets its message.
        is_compared: Whether `change` names every difference: the message and its earlier fields were known.
    """

    event_type: str
    generation: int
    version: str = ""
    mapped: MappedMessage | None = None
    not_enriched: event_pb2.NotEnriched | None = None
    change: event_pb2.MailChange | None = None
    enriched_event_id: str = ""
    is_compared: bool = False


@dataclass(frozen=True)
class Decision:
    """The decision about one message.

    Args:
        pending: The events to publish, in their order.
        known: The new state of the message; None leaves the state as it is.
        again_at: The time of the next lookup of the message; None when none is needed.
        reported: The change to keep until then.
    """

    pending: tuple[PendingEvent, ...] = ()
    known: MessageState | None = None
    again_at: datetime | None = None
    reported: ReportedChange | None = None


NOTHING = Decision()


def seen(mapped: MappedMessage, generation: int, state: State, reported: ReportedChange) -> MessageState:
    """Return the state of a message that was found."""
    return MessageState(
        reported.message_id,
        generation,
        state,
        mapped.version,
        mapped.folder_id,
        mapped.label_ids,
        digests_of(mapped.message) if state is State.ANNOUNCED else None,
        "",
        mapped.received_at,
    )


def allowed(pending: Iterable[PendingEvent], coverage: Coverage) -> tuple[PendingEvent, ...]:
    """Return the events whose kind of change a subscription asks for."""
    return tuple(event_to_publish for event_to_publish in pending if coverage.allows(event_to_publish.event_type))
