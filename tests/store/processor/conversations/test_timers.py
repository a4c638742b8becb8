"""Timers in PostgreSQL: each falls due once, by any number of processes, and is no change of its conversation."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.processor.conversations.errors import ConversationChanged, ConversationFinal, ConversationNotFound
from services.processor.conversations.requests import Actor
from services.processor.conversations.store.timers import MAX_ATTEMPTS
from services.processor.conversations.timers import LONGEST, MAX_TIMERS, TIMER_DUE, Timers
from services.processor.stream.key_follower import KeyFollower
from services.processor.stream.store import tenants
from tests.store.processor.conversations.serving import ACTOR, ADA, Served, begun
from tests.store.processor.sealed import Sealed
from tests.unit.processor.conversations.desk import mail

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Hand:
    """A clock whose hand a test moves."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


@pytest.fixture
async def served(pool: db.Pool) -> Served:
    made = Served(pool)
    await made.begin()
    return made


async def due(served: Served) -> list[str]:
    return [one.timer.name for one in await served.told() if one.event_type == TIMER_DUE]


async def test_a_timer_falls_due_once_at_its_time_and_leaves_the_version(served: Served) -> None:
    first, clock = await begun(served), Hand()
    timers = Timers(served.pool, clock)
    identity = first.conversation_id
    await timers.set(identity, "late", NOON + timedelta(hours=2), ACTOR)
    shown = await timers.set(identity, "soon", NOON + timedelta(hours=1), ACTOR)
    before = (await timers.round(), await due(served))
    clock.at += timedelta(hours=1)
    rounds = await asyncio.gather(*(Timers(served.pool, clock).round() for _ in range(4)))
    (event,) = [one for one in await served.told() if one.event_type == TIMER_DUE]

    assert ["soon", "late"] == [one.name for one in shown]
    assert (0, []) == before
    assert 1 == sum(rounds)
    assert ("soon", NOON + timedelta(hours=1)) == (event.timer.name, event.timer.due_at.ToDatetime(UTC))
    assert (first, "ms365", "o", "") == (
        event.conversation, event.provider, event.external_tenant_id, event.actor
    )  # fmt: skip
    assert ["late"] == [one.name for one in await timers.of(first)]
    assert [first] == await served.all()


async def test_timers_of_several_tenants_fall_due_in_one_batch(served: Served) -> None:
    other, timers = Served(served.pool), Timers(served.pool, Hand())
    await other.begin()
    for one in (served, other):
        await timers.set((await begun(one)).conversation_id, "a", NOON, ACTOR)

    assert 2 == await timers.round()
    assert [["a"], ["a"]] == [await due(one) for one in (served, other)]


async def test_a_timer_that_is_set_again_moves_and_one_without_a_time_goes(served: Served) -> None:
    first, clock = await begun(served), Hand()
    timers = Timers(served.pool, clock)
    identity = first.conversation_id
    await timers.set(identity, "a", NOON - timedelta(days=1), ACTOR)
    moved = await timers.set(identity, "a", NOON + timedelta(days=1), ACTOR)
    assert 0 == await timers.round()
    clock.at += timedelta(days=1)
    assert 1 == await timers.round()
    await timers.set(identity, "a", NOON, ACTOR)
    assert 1 == await timers.round()
    await timers.set(identity, "a", NOON, ACTOR)
    gone = await timers.set(identity, "a", None, ACTOR)

    assert 1 == len(moved)
    assert [] == gone == await timers.set(identity, "a", None, ACTOR)
    assert 0 == await timers.round()
    assert ["a", "a"] == await due(served)


async def test_timers_are_bounded_and_of_open_conversations_in_scope(served: Served) -> None:
    first, timers = await begun(served), Timers(served.pool, Hand())
    identity = first.conversation_id
    for number in range(MAX_TIMERS):
        await timers.set(identity, str(number), NOON, ACTOR)
    with pytest.raises(FieldInvalid):
        await timers.set(identity, "one more", NOON, ACTOR)
    with pytest.raises(FieldInvalid):
        await timers.set(identity, "0", NOON + LONGEST + timedelta(seconds=1), ACTOR)
    with pytest.raises(ConversationNotFound):
        await timers.set(identity, "0", NOON, Actor("key", []))
    assert MAX_TIMERS == len(await timers.set(identity, "0", NOON, ACTOR))
    await served.conversations.set_state(identity, first.version, pb2.CONVERSATION_STATE_CLOSED, ACTOR)
    with pytest.raises(ConversationFinal):
        await timers.set(identity, "0", NOON, ACTOR)

    assert MAX_TIMERS - 1 == len(await timers.set(identity, "0", None, ACTOR))
    assert MAX_TIMERS - 1 == await timers.round()


async def test_timers_go_with_the_mailbox(served: Served) -> None:
    first, timers = await begun(served), Timers(served.pool, Hand())
    await timers.set(first.conversation_id, "a", NOON, ACTOR)
    async with db.transaction(served.pool) as connection:
        await tenants.forget_mailbox(connection, served.tenant)

    assert 0 == await timers.round()
    assert [] == await due(served)


async def test_an_assignee_is_a_change_by_version_and_its_repetition_none(served: Served) -> None:
    first = await begun(served)
    identity = first.conversation_id
    assigned = await served.conversations.assign(identity, first.version, "Kim", ACTOR)
    again = await served.conversations.assign(identity, assigned.version, "Kim", ACTOR)
    with pytest.raises(ConversationChanged):
        await served.conversations.assign(identity, first.version, "Lee", ACTOR)
    freed = await served.conversations.assign(identity, assigned.version, "", ACTOR)

    assert ("Kim", first.version + 1) == (assigned.assignee, assigned.version) == (again.assignee, again.version)
    assert ("", first.version + 2) == (freed.assignee, freed.version)
    assert ["conversation.assigned"] * 2 == [one.event_type for one in (await served.told())[-2:]]


async def test_a_timer_that_cannot_be_published_holds_back_no_other_and_is_given_up_by_name(served: Served) -> None:
    broken, clock = await begun(served), Hand()
    timers = Timers(served.pool, clock)
    await served.publish(mail("10", ADA, subject="Other"))
    await served.follow()
    sound = next(one for one in await served.all() if one.conversation_id != broken.conversation_id)
    for number in range(3):
        await timers.set(sound.conversation_id, str(number), NOON, ACTOR)
    await timers.set(broken.conversation_id, "bad", NOON - timedelta(hours=1), ACTOR)  # the first of the batch
    content = await served.pool.fetchval(
        "UPDATE processor.conversations SET content = '\\xff'::bytea WHERE conversation_id = $1 RETURNING (SELECT"
        " c.content FROM processor.conversations AS c WHERE c.conversation_id = $1)", broken.conversation_id,
    )  # fmt: skip
    done = [await timers.round()]
    seen = [await timers.of(broken)]
    for _ in range(MAX_ATTEMPTS):
        clock.at += timedelta(minutes=11)
        done.append(await timers.round())
        seen.append(await timers.of(broken))
    await served.pool.execute(
        "UPDATE processor.conversations SET content = $2 WHERE conversation_id = $1", broken.conversation_id, content
    )
    given_up = await timers.round()
    await timers.set(broken.conversation_id, "bad", clock.at, ACTOR)

    assert [3, *[0] * MAX_ATTEMPTS] == done
    assert ("bad", "UNEXPECTED", False) == (seen[0][0].name, seen[0][0].reason, seen[0][0].is_given_up)
    assert (True, True, 0) == (seen[-2][0].is_given_up, seen[-1][0].is_given_up, given_up)
    assert 1 == await timers.round()
    assert ["0", "1", "2", "bad"] == await due(served)


async def test_a_timer_outlives_a_long_absence_of_its_content_key(served: Served) -> None:
    first, clock, sealed = await begun(served), Hand(), Sealed(served.pool)
    timers = Timers(served.pool, clock)
    await timers.set(first.conversation_id, "a", NOON, ACTOR)
    await sealed.enable(served.tenant)
    sealed.follower = KeyFollower(served.pool, sealed.keys)  # type: ignore[arg-type] # as a process that starts
    sealed.keys.is_away = True
    try:
        sealed.forget()
        await sealed.follower.start()
        done = []
        for _ in range(2 * MAX_ATTEMPTS):
            done.append(await timers.round())
            clock.at += timedelta(minutes=11)
        (waiting,) = await timers.of(first)
        sealed.keys.is_away = False
        await sealed.follower.round()
        done.append(await timers.round())

        assert ("CONTENT_KEY_UNAVAILABLE", False) == (waiting.reason, waiting.is_given_up)
        assert [*[0] * 2 * MAX_ATTEMPTS, 1] == done
        assert ["a"] == await due(served)
    finally:
        sealed.forget()
