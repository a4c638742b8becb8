"""Timers of conversations: a consumer sets one, and at its time an event tells. The consumer knows what it is for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.conversation.v1 import event_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import (
    Aborted,
    DeadlineExceeded,
    FieldInvalid,
    MeshError,
    ResourceExhausted,
    StoreUnavailable,
    Unavailable,
)
from services.meshkit.ids import new_id
from services.meshkit.metrics import UNEXPECTED
from services.processor.conversations.intake import TIMER, stamp
from services.processor.conversations.requests import Actor, check_open, locked
from services.processor.conversations.store import conversations as store
from services.processor.conversations.store import timers as timer_store
from services.processor.conversations.store.timers import MAX_ATTEMPTS, Timer
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.store import tenants

logger = structlog.get_logger(__name__)

TIMER_DUE = "conversation.timer_due"
MAX_TIMERS = 20
LONGEST = timedelta(days=5 * 366)
_AT_ONCE = 100
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=10)
_UNEXPECTED = "UNEXPECTED"
_PASSING = (Unavailable, DeadlineExceeded, ResourceExhausted, Aborted)
"""Failures of the mesh and not of the timer, such as a content key that TokenVault has not lent yet: no timer is given
up for one of them, however long it lasts."""


class Timers:
    """Timers for callers, and the loop that lets them fall due.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def set(self, identity: str, name: str, due_at: datetime | None, actor: Actor) -> list[pb2.ConversationTimer]:
        """Set a timer in the place of an earlier one of its name; without a time, delete it. Safe to call again.

        Returns:
            The timers of the conversation, the next one first.

        Raises:
            ConversationNotFound: There is no such conversation in scope.
            ConversationFinal: It is closed or merged.
            FieldInvalid: The time is too far away, or the conversation has too many timers.
        """
        if due_at is not None and due_at > self._clock.now() + LONGEST:
            raise FieldInvalid.of("due_at", "is more than five years away")
        async with db.transaction(self._pool) as connection:
            card = await locked(connection, identity, actor)
            tenant_id = card.conversation.tenant_id
            if due_at is None:
                await timer_store.delete(connection, tenant_id, identity, name)
            else:
                check_open(card)
                known = await timer_store.of_conversation(connection, tenant_id, identity)
                if len({*(one.name for one in known), name}) > MAX_TIMERS:
                    raise FieldInvalid.of("name", f"would be more than {MAX_TIMERS} timers of the conversation")
                await timer_store.save(connection, Timer(tenant_id, identity, name, due_at))
            return timer_messages(await timer_store.of_conversation(connection, tenant_id, identity))

    async def of(self, conversation: pb2.Conversation) -> list[pb2.ConversationTimer]:
        """Return the timers of a conversation that the caller may see, the next one first."""
        async with db.connection(self._pool) as connection:
            found = await timer_store.of_conversation(connection, conversation.tenant_id, conversation.conversation_id)
        return timer_messages(found)

    async def round(self) -> int:
        """Publish an event for each timer that is due; return how many. Timer and event are one commit.

        A timer whose event cannot be published holds back no other: it is put off, and the others follow one by one.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached.
        """
        failed = await self._fall_due(_AT_ONCE)
        if isinstance(failed, int):
            return failed
        done = 0
        for _ in range(_AT_ONCE):
            outcome = await self._fall_due(1)
            if isinstance(outcome, int):
                done += outcome
                if not outcome:
                    break
            else:
                await self._put_off(outcome)
        return done

    async def _fall_due(self, limit: int) -> "int | _Failed":
        """Publish the events of timers in one transaction; return how many, or why they failed."""
        due: Sequence[Timer] = []
        try:
            async with db.transaction(self._pool) as connection:
                due = await timer_store.take_due(connection, self._clock.now(), limit)
                drafts = [draft for timer in due if (draft := await self._draft(connection, timer)) is not None]
                if drafts:
                    await publish(connection, drafts)
            return len(due)
        except MeshError as exc:
            if not due or isinstance(exc, StoreUnavailable):
                raise
            return _Failed(due[0], exc.reason, isinstance(exc, _PASSING))
        except Exception:
            if not due:
                raise
            if limit == 1:  # else it is tried alone
                logger.exception("timer not published", tenant_id=due[0].tenant_id)
                UNEXPECTED.labels("timers").inc()
            return _Failed(due[0], _UNEXPECTED, is_passing=False)

    async def _put_off(self, failed: "_Failed") -> None:
        timer, last = failed.timer, MAX_ATTEMPTS - 1 if failed.is_passing else MAX_ATTEMPTS
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**timer.attempts)
        attempts = min(timer.attempts + 1, last)
        async with db.transaction(self._pool) as connection:
            await timer_store.put_off(connection, timer, attempts, failed.reason, self._clock.now() + pause)
        if attempts >= MAX_ATTEMPTS:
            logger.error("timer given up", tenant_id=timer.tenant_id, error=failed.reason)

    async def _draft(self, connection: db.Connection, timer: Timer) -> EventDraft | None:
        """Return the event of a timer; None when its conversation is deleted."""
        card = await store.by_id(connection, timer.conversation_id, [timer.tenant_id])
        if card is None:
            return None
        granted = await tenants.granted(connection, timer.tenant_id)
        organisation, user = await tenants.account_of(connection, timer.tenant_id)
        event = event_pb2.ConversationEvent(
            provider=granted[0] if granted else "",
            tenant_id=timer.tenant_id,
            external_tenant_id=organisation,
            user_id=user,
            event_type=TIMER_DUE,
            received_at=stamp(self._clock.now()),
            correlation_id=new_id(),
            conversation=card.conversation,
            timer=pb2.ConversationTimer(name=timer.name, due_at=stamp(timer.due_at)),
            reason=TIMER,
        )
        # The row is deleted with the event, which keeps it from happening again; the version stays as it is.
        return EventDraft(conversation=event, change_id=f"{timer.conversation_id}:timer:{event.correlation_id}")


@dataclass(frozen=True)
class _Failed:
    """The first of the timers whose events could not be published.

    Args:
        timer: The timer.
        reason: Why it failed.
        is_passing: Whether the failure is none of the timer's own.
    """

    timer: Timer
    reason: str
    is_passing: bool


def timer_messages(timers: Sequence[Timer]) -> list[pb2.ConversationTimer]:
    """Return timers in the form of the contract."""
    return [
        pb2.ConversationTimer(
            name=one.name, due_at=stamp(one.due_at), reason=one.reason, is_given_up=one.attempts >= MAX_ATTEMPTS
        )
        for one in timers
    ]


def time_of(given: Timestamp) -> datetime:
    """Read a time of the contract. Raises `FieldInvalid`."""
    try:
        return given.ToDatetime(UTC)
    except ValueError as exc:
        raise FieldInvalid.of("due_at", "is no time") from exc
