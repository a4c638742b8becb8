"""Sealed cursors on PostgreSQL: processes share the key, an upgrade begins by a command, a restore is noticed."""

import asyncio
import runpy
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import asyncpg
import pytest

from services.meshkit import db
from services.meshkit.errors import Conflict
from services.meshkit.process import background
from services.meshkit.schema import SchemaError
from services.meshkit.secret import Secret
from services.processor import migrate
from services.processor.features import FeatureWatch
from services.processor.migrate import migrations
from services.processor.stream.cursor import read_cursor
from services.processor.stream.cursor_seal import KEY_BYTES, is_sealed
from services.processor.stream.errors import CursorEpochChanged, CursorExpired, CursorInvalid
from services.processor.stream.pages import EARLIEST, LATEST, EventReader
from services.processor.stream.publish import publish
from services.processor.stream.store import features
from stack.programs.program import Program
from stack.programs.running import run_to_end
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.store.processor.stream.conftest import TENANT, mail_draft

LIMITED = [TENANT]
LONG_AGO = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))


async def put(pool: db.Pool) -> None:
    async with db.transaction(pool) as connection:
        await publish(connection, [mail_draft()])


async def features_of(pool: db.Pool) -> list[str]:
    async with db.connection(pool) as connection:
        return await features.unknown(connection, [])


def seal_cursors(database: TestDatabase, log: Path) -> None:
    command = (sys.executable, "-m", "services.processor", "seal-cursors")
    program = Program("seal-cursors", command, bool, {"MAILMESH_DATABASE_URL": database.url})
    run_to_end(program, log, 50.0)


async def test_each_process_reads_what_another_has_sealed(pool: db.Pool) -> None:
    await put(pool)
    one, other = EventReader(pool), EventReader(pool)
    newest = await one.start(LATEST, LATEST)
    sealed = [one.written(newest, LIMITED) for _ in range(3)]

    assert 3 == len(set(sealed))
    assert [True] * 3 == [is_sealed(value) for value in sealed]
    assert [newest] * 3 == [await other.start(value, EARLIEST) for value in sealed]
    assert newest == read_cursor(one.written(newest, None))


async def test_a_process_whose_first_reader_begins_at_a_time_seals(pool: db.Pool) -> None:
    await put(pool)
    reader = EventReader(pool)
    start = await reader.before(LONG_AGO)

    assert is_sealed(reader.written(start, LIMITED))
    assert start == await EventReader(pool).start(EARLIEST, EARLIEST)


async def test_an_upgraded_stream_seals_after_the_command_and_reads_both_forms(
    postgres: PostgresProgram, tmp_path: Path
) -> None:
    made = postgres.empty_database("processor")
    history = migrations(Secret(made.url))
    await history.upgrade("0044")
    async with db.open_pool(Secret(made.url), "test", db.DatabaseLimits(connections=4)) as pool:
        await put(pool)
        await history.upgrade()
        one, other = EventReader(pool), EventReader(pool)
        newest = await one.start(LATEST, LATEST)
        clear = one.written(newest, LIMITED)
        before = await features_of(pool)
        await asyncio.to_thread(seal_cursors, made, tmp_path / "log")
        await other.start(LATEST, LATEST)
        sealed = other.written(newest, LIMITED)
        await asyncio.to_thread(seal_cursors, made, tmp_path / "log")

        assert (newest.write(), []) == (clear, before)
        assert [newest, newest] == [await one.start(value, EARLIEST) for value in (clear, sealed)]
        assert newest == await EventReader(pool).start(sealed, EARLIEST)
        assert [features.SEALED_CURSORS] == await features_of(pool)
    postgres.drop(made)


async def test_the_key_of_a_new_store_stands_in_no_statement_that_the_log_of_postgresql_could_show(
    postgres: PostgresProgram,
) -> None:
    keys = []
    for _ in range(2):
        made = postgres.empty_database("processor")
        history = migrations(Secret(made.url))
        await history.upgrade()
        async with db.open_pool(Secret(made.url), "test", db.DatabaseLimits(connections=1)) as pool:
            keys.append(await pool.fetchval("SELECT cursor_key FROM processor.stream WHERE id = 1"))
        postgres.drop(made)
    step = Path(migrate.__file__).parent / "migrations" / "versions" / "0046_features.py"
    texts = [runpy.run_path(str(step))["_UP"] for _ in range(2)]

    assert [KEY_BYTES] * 2 == [len(key) for key in keys]
    assert 2 == len(set(keys))
    assert texts[0] == texts[1]


async def test_a_cursor_that_a_lost_key_sealed_starts_its_reader_over(pool: db.Pool) -> None:
    """As after a restore of a backup from before the key."""
    await put(pool)
    reader = EventReader(pool)
    sealed = reader.written(await reader.start(LATEST, LATEST), LIMITED)
    await pool.execute("UPDATE processor.stream SET cursor_key = sha256('another') WHERE id = 1")
    started = EventReader(pool)
    with pytest.raises(CursorEpochChanged) as changed:
        await started.start(sealed, EARLIEST)
    oldest = changed.value.metadata["oldest_cursor"]
    assert await started.start(EARLIEST, EARLIEST) == await started.start(oldest, EARLIEST)
    await pool.execute("UPDATE processor.stream SET cursor_key = NULL WHERE id = 1")
    with pytest.raises(CursorEpochChanged):
        await EventReader(pool).start(sealed, EARLIEST)


async def test_the_oldest_cursor_of_a_failure_is_sealed_and_works(pool: db.Pool) -> None:
    for _ in range(2):
        await put(pool)
    reader = EventReader(pool)
    first = await reader.start(EARLIEST, EARLIEST)
    await pool.execute(
        "UPDATE processor.stream SET (floor, floor_event_id) ="
        " (SELECT position, event_id FROM processor.events ORDER BY position LIMIT 1) WHERE id = 1"
    )
    with pytest.raises(CursorExpired) as expired:
        await reader.start(first.write(), EARLIEST)
    oldest = expired.value.metadata["oldest_cursor"]

    assert is_sealed(oldest)
    assert await reader.start(EARLIEST, EARLIEST) == await reader.start(oldest, EARLIEST)


async def test_an_altered_sealed_cursor_is_refused(pool: db.Pool) -> None:
    reader = EventReader(pool)
    sealed = reader.written(await reader.start(LATEST, LATEST), LIMITED)
    altered = sealed[:-1] + ("A" if sealed[-1] != "A" else "B")
    for value in (altered, sealed[:-1], sealed + "A"):
        with pytest.raises(CursorInvalid):
            await reader.start(value, EARLIEST)


async def test_a_process_ends_when_a_feature_comes_into_use_that_it_does_not_know(pool: db.Pool) -> None:
    watch = FeatureWatch(pool, watch_seconds=0.01)
    await watch.check()

    async def serve() -> None:
        async with background(watch.run()):
            async with db.transaction(pool) as connection:
                await features.note(connection, "of-tomorrow")
                await features.note(connection, "of-tomorrow")
            await asyncio.sleep(60)

    with pytest.raises(SchemaError, match="of-tomorrow"):
        await serve()
    with pytest.raises(SchemaError, match="of-tomorrow"):
        await watch.check()


async def test_a_check_of_the_features_that_fails_ends_no_process(processor_database: TestDatabase) -> None:
    limits = db.DatabaseLimits(connections=4, lock_seconds=0.05)
    async with db.open_pool(Secret(processor_database.url), "test", limits) as pool:
        watch = FeatureWatch(pool, watch_seconds=0.01)
        running = asyncio.create_task(watch.run())
        async with db.transaction(pool) as connection:
            await connection.execute("LOCK processor.features")
            with pytest.raises(Conflict):
                await watch.check()
            await asyncio.sleep(0.3)
            assert not running.done()
        await pool.execute("ALTER TABLE processor.features RENAME TO gone")
        with pytest.raises(asyncpg.UndefinedTableError):
            await watch.check()
        await asyncio.sleep(0.3)
        assert not running.done()
        await pool.execute("ALTER TABLE processor.gone RENAME TO features")
        async with db.transaction(pool) as connection:
            await features.note(connection, "of-tomorrow")

        with pytest.raises(SchemaError, match="of-tomorrow"):
            async with asyncio.timeout(10):
                await running
