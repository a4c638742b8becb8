"""The operations of a mailbox that a modification needs, at either provider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.messages.rows import Outcome, OwnChange, Result
from services.providers.failures import Meaning

_OF_THE_MAIL = frozenset({Meaning.FORBIDDEN, Meaning.FINAL})
OF_THE_MAILBOX = frozenset({Remedy.THROTTLED, Remedy.NEW_TOKEN, Remedy.PERSON})


@dataclass(frozen=True)
class Plan:
    """The changes of some mails, before they are made.

    Args:
        changes: The changes to make.
        results: The mails that need no change, or can have none.
        failure: The failure because of which some mails are in neither; they are retried.
    """

    changes: Sequence[OwnChange] = ()
    results: Mapping[str, Result] = field(default_factory=dict)
    failure: SourceError | None = None


@dataclass(frozen=True)
class Applied:
    """The results of changes.

    Args:
        results: The outcomes by mail.
        failure: The failure because of which some mails have no outcome; they are retried.
    """

    results: Mapping[str, Result] = field(default_factory=dict)
    failure: SourceError | None = None


class ModifiableMailbox(Protocol):
    """One mailbox whose mails are changed. Each operation is safe to repeat."""

    most: int
    """The largest number of mails that one plan takes."""

    async def plan(self, change: pb2.MessageChange, message_ids: Sequence[str]) -> Plan:
        """Find the changes that mails need.

        Raises:
            SourceError: A failure of the whole mailbox.
        """

    async def apply(self, changes: Sequence[OwnChange]) -> Applied:
        """Make changes.

        Raises:
            SourceError: A failure of the whole mailbox; some changes may have been made.
        """


def result_of(error: SourceError) -> Result | None:
    """Return the outcome that a failed request about one mail means; None when the mail is retried.

    Raises:
        SourceError: The failure of the whole mailbox.
    """
    if error.remedy is Remedy.MISSING:
        return Result(Outcome.NOT_FOUND)
    if error.meaning in _OF_THE_MAIL:
        return Result(Outcome.REFUSED, detail=error.detail)
    if error.remedy in OF_THE_MAILBOX:
        raise error
    return None
