"""A modification as it is stored."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from mailmesh.processor.v1 import message_service_pb2 as pb2


class State(IntEnum):
    """The states of a modification; the numbers are those of the contract and of the table."""

    PENDING = pb2.MODIFICATION_STATE_PENDING
    FINISHED = pb2.MODIFICATION_STATE_FINISHED


class Outcome(IntEnum):
    """The outcomes of one mail; the numbers are those of the contract, and the bytes in the table."""

    PENDING = pb2.MESSAGE_OUTCOME_PENDING
    DONE = pb2.MESSAGE_OUTCOME_DONE
    NOT_FOUND = pb2.MESSAGE_OUTCOME_NOT_FOUND
    REFUSED = pb2.MESSAGE_OUTCOME_REFUSED
    EXPIRED = pb2.MESSAGE_OUTCOME_EXPIRED


@dataclass(frozen=True)
class ModificationRow:
    """A modification.

    Args:
        modification_id: The modification's UUID.
        tenant_id: The UUID of the tenant whose mails are changed.
        idempotency_key: The caller's key, unique for the tenant.
        digest: The digest of the request, to recognise the same key with other content.
        provider: "ms365" or "googlews".
        content: The request, each mail once.
        state: The state.
        outcomes: The outcome of each mail of the request, one byte each, in their order.
        reason: The reason of the last failure, from the error catalogue; empty without one.
        detail: A sentence for people about it.
        correlation_id: The correlation id of the call.
        created_at: When it was committed.
        due_at: When a worker has to act next; None when it is done.
        deadline_at: The end of all attempts.
        finished_at: When the last mail got its outcome.
        attempts: The failed attempts.
    """

    modification_id: str
    tenant_id: str
    idempotency_key: str
    digest: bytes
    provider: str
    content: pb2.ModifyMessagesRequest
    state: State
    outcomes: bytes
    reason: str
    detail: str
    correlation_id: str
    created_at: datetime
    due_at: datetime | None
    deadline_at: datetime
    finished_at: datetime | None
    attempts: int

    @property
    def pending(self) -> list[str]:
        """The ids of the mails without an outcome, in the order of the request."""
        pairs = zip(self.content.message_ids, self.outcomes, strict=True)
        return [message_id for message_id, outcome in pairs if outcome == Outcome.PENDING]

    def pending_of(self, message_ids: Collection[str]) -> set[str]:
        """Return those of some mails that this modification has still to change."""
        return set(self.pending).intersection(message_ids)

    def outcomes_with(self, found: Mapping[str, Outcome]) -> bytes:
        """Return the outcomes with those of some mails set."""
        pairs = zip(self.content.message_ids, self.outcomes, strict=True)
        return bytes(found.get(message_id, outcome) for message_id, outcome in pairs)


@dataclass(frozen=True)
class OwnChange:
    """A change of one mail that a worker is about to make, by which its event is recognised.

    Args:
        message_id: The provider's id of the mail.
        fields: The names of the `MailMessage` fields that it may change.
        labels_added: The labels that it adds; Google only.
        labels_removed: The labels that it removes; Google only.
        patch: The properties to set; Microsoft only.
        folder_id: The folder to move the mail to; empty without a move. Microsoft only.
        categories_before: The categories that the mail had when the change was planned. Microsoft only.
    """

    message_id: str
    fields: tuple[str, ...] = ()
    labels_added: tuple[str, ...] = ()
    labels_removed: tuple[str, ...] = ()
    patch: Mapping[str, object] = field(default_factory=dict)
    folder_id: str = ""
    categories_before: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """The outcome of one mail.

    Args:
        outcome: The outcome.
        version: The provider's version of the mail after the change, or after the part of it that was made; empty where
            the answer names none.
        detail: A sentence for people about a refusal.
    """

    outcome: Outcome
    version: str = ""
    detail: str = ""
