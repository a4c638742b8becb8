"""Retention of conversations: each tenant's own, one of quarantined ones, and never before the events of their mail."""

from datetime import timedelta

import pytest

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.processor.conversations.retention import ConversationRetention
from services.processor.conversations.setting_checks import checked_settings
from services.processor.conversations.store.timers import MAX_ATTEMPTS
from services.processor.conversations.timers import Timers
from tests.store.processor.conversations.serving import ACTOR, ADA, EVE, Served, begun
from tests.store.processor.conversations.test_timers import Hand
from tests.unit.processor.conversations.desk import BEGIN, DESK, mail

TABLES = ("conversations", "conversation_messages", "conversation_links")
EVENT_DAYS = 30


@pytest.fixture
async def served(pool: db.Pool) -> Served:
    made = Served(pool)
    await made.begin()
    return made


async def keep(served: Served, days: int, quarantine_days: int = 0) -> None:
    settings = pb2.ConversationSettings(
        is_enabled=True, own_addresses=[DESK], retention_days=days, quarantine_retention_days=quarantine_days
    )
    await served.conversations.update_settings(served.tenant, settings, ACTOR)


async def after(served: Served, days: float) -> int:
    """Run retention so many days after the first mail; return how many conversations went."""
    clock = Hand()
    clock.at = BEGIN + timedelta(days=days)
    return await ConversationRetention(served.pool, clock, EVENT_DAYS).round()


async def left(served: Served) -> set[str]:
    return {one.requester for one in await served.all()}


async def rows(served: Served) -> list[int]:
    return [
        await served.pool.fetchval(f"SELECT count(*) FROM processor.{table} WHERE tenant_id = $1", served.tenant)  # noqa: S608
        for table in TABLES
    ]


async def test_conversations_stay_by_default_and_go_after_the_tenants_days(pool: db.Pool, served: Served) -> None:
    other = Served(pool)
    await other.begin()
    for one in (served, other):
        await begun(one)
    kept = (await after(served, 5000), await rows(served))
    await keep(served, 40)
    early = await after(served, 39.9)
    gone = await after(served, 40.1)

    assert (0, 0, 1) == (kept[0], early, gone)
    assert all(kept[1])
    assert [0, 0, 0] == await rows(served)
    assert kept[1] == await rows(other)


async def test_one_round_deletes_the_conversations_of_each_tenant_that_has_old_ones(served: Served) -> None:
    other = Served(served.pool)
    await other.begin()
    for one in (served, other):
        await begun(one)
        await keep(one, 40)

    assert 2 == await after(served, 40.1)
    assert [[0, 0, 0]] * 2 == [await rows(one) for one in (served, other)]


async def test_a_conversation_is_kept_as_long_as_the_events_of_its_mail(served: Served) -> None:
    await begun(served)
    await keep(served, 1)

    assert (0, 1) == (await after(served, EVENT_DAYS - 0.1), await after(served, EVENT_DAYS + 0.1))


async def test_quarantined_conversations_have_days_of_their_own(served: Served) -> None:
    await begun(served)
    await served.publish(mail("3", EVE, cites=("2",)))
    await served.follow()
    await keep(served, 0, 35)
    gone = await after(served, 36)

    assert (1, {ADA}) == (gone, await left(served))
    await keep(served, 50)
    assert 1 == await after(served, 51)


async def test_a_timer_and_a_merge_keep_a_conversation(served: Served) -> None:
    first, clock = await begun(served), Hand()
    timers = Timers(served.pool, clock)
    await served.publish(mail("10", ADA, subject="Other", days=20))
    await served.follow()
    source = next(one for one in await served.all() if one.conversation_id != first.conversation_id)
    await served.conversations.merge(source.conversation_id, source.version, first.conversation_id, ACTOR)
    await timers.set(source.conversation_id, "x", None, ACTOR)
    await keep(served, 40)
    # The older one takes the later mail of the one that was merged into it.
    merged = await after(served, 50)
    await timers.set(first.conversation_id, "a", clock.now(), ACTOR)
    timed = (await after(served, 100), await after(served, 100))
    assert 1 == await timers.round()

    assert (0, (1, 0), 1) == (merged, timed, await after(served, 100))
    assert [0, 0, 0] == await rows(served)


async def test_a_timer_that_was_given_up_keeps_no_conversation(served: Served) -> None:
    first = await begun(served)
    await Timers(served.pool, Hand()).set(first.conversation_id, "a", BEGIN, ACTOR)
    await served.pool.execute("UPDATE processor.conversation_timers SET attempts = $1", MAX_ATTEMPTS - 1)
    await keep(served, 40)
    retried = await after(served, 50)
    await served.pool.execute("UPDATE processor.conversation_timers SET attempts = $1", MAX_ATTEMPTS)
    given_up = await after(served, 50)

    assert (0, 1) == (retried, given_up)
    assert [0, 0, 0] == await rows(served)
    assert 0 == await served.pool.fetchval("SELECT count(*) FROM processor.conversation_timers")


async def test_a_later_reply_begins_a_conversation_of_its_own(served: Served) -> None:
    first = await begun(served)
    await keep(served, 40)
    await after(served, 41)
    await served.publish(mail("3", ADA, cites=("2",), days=42))
    await served.follow()
    (made,) = await served.all()

    assert first.conversation_id != made.conversation_id
    assert (ADA, "") == (made.requester, made.linked_to)


@pytest.mark.parametrize("field", ["retention_days", "quarantine_retention_days", "automatic_an_hour", "reopen_days"])
@pytest.mark.parametrize("value", [-1, 100_000])
def test_numbers_beyond_their_bounds_are_refused_by_their_field(field: str, value: int) -> None:
    settings = pb2.ConversationSettings(own_addresses=[DESK], **{field: value})  # type: ignore[arg-type]
    with pytest.raises(FieldInvalid) as refused:
        checked_settings(settings)

    assert [f"settings.{field}"] == list(refused.value.violations)
