"""Publishing on a real PostgreSQL."""

import asyncio
from typing import Any

import asyncpg

from services.meshkit import db
from services.processor.stream.publish import publish
from services.processor.stream.serialization import Identity, join
from tests.programs.postgres import TestDatabase
from tests.store.processor.stream.conftest import OTHER_TENANT, mail_draft, tenant_draft


async def _publish(pool: db.Pool, *drafts: Any) -> list[Any]:
    async with db.connection(pool) as connection, connection.transaction():
        return await publish(connection, drafts)


async def test_events_get_positions_in_their_order(pool: db.Pool) -> None:
    published = await _publish(pool, mail_draft("a"), mail_draft("b"), tenant_draft("1"))

    rows = await pool.fetch("SELECT event_id::text FROM processor.events ORDER BY position")
    assert [event.event_id for event in published] == [row["event_id"] for row in rows]
    assert all(event.is_new and event.position for event in published)


async def test_a_key_that_was_used_publishes_nothing_and_names_the_event(pool: db.Pool) -> None:
    first = await _publish(pool, mail_draft("a"))
    again = await _publish(pool, mail_draft("b"), mail_draft("a"))

    assert again[1].event_id == first[0].event_id
    assert (again[1].is_new, again[1].position) == (False, "")
    assert await pool.fetchval("SELECT count(*) FROM processor.events") == 2


async def test_the_same_key_twice_in_one_call_is_one_event(pool: db.Pool) -> None:
    first, second = await _publish(pool, mail_draft("a"), mail_draft("a"))

    assert first.event_id == second.event_id
    assert (first.is_new, second.is_new) == (True, False)


async def test_each_version_of_an_update_is_an_event_of_its_own(pool: db.Pool) -> None:
    updates = [mail_draft("a", event_type="mail.updated", version=version) for version in ("1", "2", "1")]
    published = await _publish(pool, *updates)

    assert [event.is_new for event in published] == [True, True, False]


async def test_the_same_message_id_in_two_mailboxes_is_two_events(pool: db.Pool) -> None:
    published = await _publish(pool, mail_draft("a"), mail_draft("a", tenant_id=OTHER_TENANT))

    assert [event.is_new for event in published] == [True, True]


async def test_a_message_in_its_second_life_is_created_again(pool: db.Pool) -> None:
    published = await _publish(pool, mail_draft("a"), mail_draft("a", generation=2))

    assert [event.is_new for event in published] == [True, True]


async def test_a_rollback_leaves_neither_events_nor_keys_nor_a_gap(pool: db.Pool) -> None:
    async with db.connection(pool) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await publish(connection, [mail_draft("a")])
        await transaction.rollback()
    published = await _publish(pool, mail_draft("a"))

    assert published[0].is_new
    assert await pool.fetchval("SELECT count(*) FROM processor.events") == 1


async def test_two_publishers_of_the_same_change_make_one_event(pool: db.Pool) -> None:
    drafts = [mail_draft(f"m{number}") for number in range(20)]
    results = await asyncio.gather(_publish(pool, *drafts), _publish(pool, *reversed(drafts)))

    assert [event.event_id for event in results[0]] == [event.event_id for event in reversed(results[1])]
    assert await pool.fetchval("SELECT count(*) FROM processor.events") == 20


async def test_a_stored_event_equals_the_published_one(pool: db.Pool) -> None:
    draft = mail_draft("a")
    (published,) = await _publish(pool, draft)
    row = await pool.fetchrow("SELECT * FROM processor.events")

    assert row is not None
    event = join(row["kind"], [row["basic"], row["body"], row["raw"]], Identity(row["event_id"], None, None, "p"))
    assert draft.mail is not None
    draft.mail.event_id, draft.mail.position = published.event_id, "p"
    assert event.mail == draft.mail


async def test_someone_frozen_before_the_commit_is_ended_and_the_others_go_on(
    pool: db.Pool, processor_database: TestDatabase
) -> None:
    frozen = await asyncpg.connect(processor_database.url)
    await frozen.execute("BEGIN")
    await publish(frozen, [mail_draft("frozen")])
    bound = await frozen.fetchval("SHOW idle_in_transaction_session_timeout")
    await frozen.execute("SET LOCAL idle_in_transaction_session_timeout = '300ms'")

    published = await asyncio.wait_for(_publish(pool, mail_draft("next")), 30)

    assert published[0].is_new
    assert bound == "5s"
    # The lock is released before the connection is, and the test learns of that later still.
    async with asyncio.timeout(30):
        while not frozen.is_closed():
            await asyncio.sleep(0.01)
    assert await pool.fetchval("SELECT count(*) FROM processor.events") == 1


async def test_events_are_published_outside_of_a_transaction_too(pool: db.Pool) -> None:
    async with db.connection(pool) as connection:
        (first,) = await publish(connection, [mail_draft("a")])
        again, second = await publish(connection, [mail_draft("a"), mail_draft("b")])

    assert [first.event_id, second.event_id] == await pool.fetchval(
        "SELECT array_agg(event_id::text ORDER BY position) FROM processor.events"
    )
    assert (first.event_id, False) == (again.event_id, again.is_new)


async def test_the_statement_that_publishes_is_not_planned_each_time(pool: db.Pool) -> None:
    """Planning takes as long as half of its execution: PostgreSQL keeps a plan that it thinks no worse than others."""
    async with db.connection(pool) as connection:
        for _ in range(10):
            await publish(connection, [mail_draft()])
        plans = await connection.fetch(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements"
            " WHERE statement LIKE '%take_positions%' AND generic_plans + custom_plans > 1"
        )

    assert [(5, 5)] == [tuple(row) for row in plans]
