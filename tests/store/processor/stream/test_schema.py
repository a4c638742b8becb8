"""The schema migrates forward and back, with events and partitions in it, and matches the tables."""

import asyncpg

from mailmesh.calendar.v1 import event_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from services.processor.migrate import SCHEMA, migrations
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.retention import Retention
from services.processor.stream.serialization import KIND_MAIL
from services.processor.tables import metadata
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.store.processor.stream.conftest import TENANT, mail_draft
from tests.store.schemas import differences


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
