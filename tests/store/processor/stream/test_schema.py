"""The schema migrates forward and back, with events and partitions in it, and matches the tables."""

import asyncpg

from mailmesh.calendar.v1 import event_pb2
from mailmesh.conversation.v1 import event_pb2 as conversation_events
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.migrate import SCHEMA, migrations
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.retention import Retention
from services.processor.stream.serialization import KIND_CONVERSATION, KIND_MAIL
from services.processor.tables import metadata
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.store.processor.stream.conftest import TENANT, mail_draft
from tests.store.schemas import differences

_TENANT = """
    INSERT INTO processor.tenants (tenant_id, provider, external_tenant_id, user_id, status, change_number, changed_at)
    VALUES ($1, $2, 'o', 'u', 'active', 1, now())
"""


async def _publish_one(url: str) -> bool:
    return await _publish(url, mail_draft())


async def _publish(url: str, *drafts: EventDraft) -> bool:
    async with open_pool(Secret(url), "test", DatabaseLimits(connections=2)) as pool:
        await Retention(pool, 30, SystemClock()).prepare()
        async with db.connection(pool) as connection, connection.transaction():
            return all(one.is_new for one in await publish(connection, drafts))


async def test_the_migrated_schema_matches_the_tables(processor_database: TestDatabase) -> None:
    assert [] == await differences(processor_database, metadata, partitions=["events_"], with_indexes=False)


async def test_migrating_goes_forward_back_and_forward_again(postgres: PostgresProgram) -> None:
    made = postgres.empty_database("processor")
    history = migrations(Secret(made.url))
    await history.upgrade()
    await history.upgrade()
    was_published = await _publish_one(made.url)
    await history.downgrade("base")
    connection = await asyncpg.connect(made.url)
    left = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'processor'")
    await connection.close()
    await history.upgrade()

    assert ["alembic_version"] == [row["tablename"] for row in left]
    assert (True, True) == (was_published, await _publish_one(made.url))
    await SCHEMA.check(Secret(made.url))
    postgres.drop(made)


async def test_the_way_back_before_calendars_leaves_no_event_of_calendars(postgres: PostgresProgram) -> None:
    made = postgres.empty_database("processor")
    history = migrations(Secret(made.url))
    await history.upgrade()
    event = event_pb2.NormalizedCalendarEvent(provider="ms365", tenant_id=TENANT, event_type="calendar.connected")
    event.received_at.GetCurrentTime()
    draft = EventDraft(calendar_event=event, change_id="calendar:1")
    assert await _publish(made.url, mail_draft(), draft)
    await history.downgrade("0007")
    connection = await asyncpg.connect(made.url)
    kinds = [row["kind"] for row in await connection.fetch("SELECT kind FROM processor.events")]
    await connection.close()
    postgres.drop(made)

    assert [KIND_MAIL] == kinds


async def test_the_way_back_before_conversations_keeps_the_places_of_readers(postgres: PostgresProgram) -> None:
    """A cursor rests on the last row that was examined; the release before skips kinds that it does not know."""
    made = postgres.empty_database("processor")
    history = migrations(Secret(made.url))
    await history.upgrade()
    event = conversation_events.ConversationEvent(provider="ms365", tenant_id=TENANT, event_type="conversation.opened")
    event.received_at.GetCurrentTime()
    assert await _publish(made.url, mail_draft(), EventDraft(conversation=event, change_id="conversation:1"))
    await history.downgrade("0013")
    connection = await asyncpg.connect(made.url)
    kinds = [row["kind"] for row in await connection.fetch("SELECT kind FROM processor.events ORDER BY position")]
    await connection.close()
    postgres.drop(made)

    assert [KIND_MAIL, KIND_CONVERSATION] == kinds


async def test_the_way_back_before_googles_calendars_leaves_none_of_them(postgres: PostgresProgram) -> None:
    """The release before would send the account's token to Microsoft Graph."""
    made = postgres.empty_database("processor")
    history = migrations(Secret(made.url))
    await history.upgrade()
    connection = await asyncpg.connect(made.url)
    for provider in ("ms365", "googlews"):
        tenant = new_id()
        await connection.execute(_TENANT, tenant, provider)
        await connection.execute("INSERT INTO processor.calendar_lists (tenant_id, due_at) VALUES ($1, now())", tenant)
    await history.downgrade("0010")
    left = await connection.fetch(
        "SELECT provider FROM processor.calendar_lists JOIN processor.tenants USING (tenant_id)"
    )
    await connection.close()
    postgres.drop(made)

    assert ["ms365"] == [row["provider"] for row in left]
