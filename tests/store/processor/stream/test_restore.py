"""A store that goes back in time: readers that were ahead of it are informed, and the others continue."""

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from mailmesh.processor.v1 import event_pb2
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from services.processor.stream.cursor import Cursor
from services.processor.stream.errors import CursorEpochChanged
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, LATEST, EventReader
from services.processor.stream.publish import publish
from stack.blocking import run_blocking
from stack.programs.program import Program
from stack.programs.roles import SERVICE_ROLES, create_database, with_database, with_role
from stack.programs.running import run_to_end
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.store.processor.stream.conftest import mail_draft

EVERYTHING = Selection(tenants=None)
BASIC = event_pb2.EVENT_VIEW_BASIC


def _name(url: str) -> str:
    return url.split("?", maxsplit=1)[0].rpartition("/")[2]


class Restorable:
    """A database, a backup of it, and the events read before the restore."""

    def __init__(self, postgres: PostgresProgram, database: TestDatabase) -> None:
        self._postgres = postgres
        self._database = database
        self._backup = f"{_name(database.url)}_backup"

    async def publish(self, url: str, count: int) -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            async with connection.transaction():
                return [event.event_id for event in await publish(connection, [mail_draft() for _ in range(count)])]
        finally:
            await connection.close()

    def back_up(self) -> str:
        """Copy the database in its current state; return the address of the copy, which plays the restored store."""
        run_blocking(create_database(self._postgres.server.url(), self._backup, _name(self._database.url)))
        restored = with_database(self._database.admin_url, self._backup)
        role = SERVICE_ROLES["processor"].role
        run_blocking(_grant(restored, role, self._backup))
        return with_role(restored, role, self._postgres.passwords["processor"])


async def _grant(url: str, role: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO "{role}"')
    await connection.close()


@pytest.fixture
def restorable(postgres: PostgresProgram, processor_database: TestDatabase) -> Restorable:
    return Restorable(postgres, processor_database)


async def _latest(url: str) -> Cursor:
    async with open_pool(Secret(url), "test", DatabaseLimits(connections=2)) as pool:
        return await EventReader(pool).start(LATEST, LATEST)


async def _rest(url: str, cursor: Cursor) -> list[str]:
    async with open_pool(Secret(url), "test", DatabaseLimits(connections=2)) as pool:
        reader = EventReader(pool)
        start = await reader.start(cursor.write(), EARLIEST)
        return [event.mail.event_id for event in (await reader.page(start, EVERYTHING, BASIC, 100)).events]


async def test_a_reader_ahead_of_the_backup_starts_over_by_an_error(
    restorable: Restorable, processor_database: TestDatabase
) -> None:
    await restorable.publish(processor_database.url, 3)
    restored = restorable.back_up()
    await restorable.publish(processor_database.url, 3)
    ahead = await _latest(processor_database.url)

    with pytest.raises(CursorEpochChanged):
        await _rest(restored, ahead)
    await restorable.publish(restored, 5)
    with pytest.raises(CursorEpochChanged):
        await _rest(restored, ahead)


async def test_a_reader_behind_the_backup_continues_and_misses_nothing(
    restorable: Restorable, processor_database: TestDatabase
) -> None:
    await restorable.publish(processor_database.url, 3)
    behind = await _latest(processor_database.url)
    kept = await restorable.publish(processor_database.url, 2)
    restored = restorable.back_up()
    await restorable.publish(processor_database.url, 3)
    new = await restorable.publish(restored, 2)

    assert kept + new == await _rest(restored, behind)


async def test_a_position_that_both_stores_have_is_distinguished_by_its_event(
    restorable: Restorable, processor_database: TestDatabase
) -> None:
    """A clock that was set back can give a restored store the same number again."""
    restored = restorable.back_up()
    await restorable.publish(processor_database.url, 1)
    ahead = await _latest(processor_database.url)
    connection = await asyncpg.connect(restored)
    await connection.execute("UPDATE processor.stream SET head = $1 WHERE id = 1", ahead.position - 1)
    await connection.close()
    await restorable.publish(restored, 1)
    connection = await asyncpg.connect(restored)
    await connection.execute("UPDATE processor.events SET position = $1", ahead.position)
    await connection.execute("UPDATE processor.stream SET head = $1 WHERE id = 1", ahead.position)
    await connection.close()

    with pytest.raises(CursorEpochChanged):
        await _rest(restored, ahead)


async def test_a_stream_that_was_empty_when_read_is_read_from_its_beginning(
    restorable: Restorable, processor_database: TestDatabase
) -> None:
    before_all = await _latest(processor_database.url)
    restored = restorable.back_up()
    new = await restorable.publish(restored, 2)

    assert new == await _rest(restored, before_all)


async def test_the_command_for_a_new_epoch_makes_every_reader_start_over(
    restorable: Restorable, processor_database: TestDatabase, tmp_path: Path
) -> None:
    await restorable.publish(processor_database.url, 1)
    cursor = await _latest(processor_database.url)
    command = Program(
        name="new-epoch",
        command=(sys.executable, "-m", "services.processor", "new-epoch"),
        is_ready=bool,
        environment={"MAILMESH_DATABASE_URL": processor_database.url},
    )
    await asyncio.to_thread(run_to_end, command, tmp_path / "log", 50.0)

    with pytest.raises(CursorEpochChanged):
        await _rest(processor_database.url, cursor)
