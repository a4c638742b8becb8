"""The erasure of a person on real PostgreSQL: every column is known, and no table has the address afterwards."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.processor.v1 import send_service_pb2
from services.delivery import persons as delivery
from services.ingest import persons as ingest
from services.meshkit import db
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import Pace, PersonErasing
from services.meshkit.erasing_steps import Rows
from services.meshkit.errors import Conflict
from services.meshkit.ids import new_id
from services.meshkit.persons import Person
from services.meshkit.secret import Secret
from services.processor import person_columns
from services.processor import persons as processor
from services.processor.outbox.rows import State
from services.token_vault import persons as token_vault
from tests.programs.postgres import TestDatabase
from tests.store.planted_persons import arrive, plant
from tests.store.planting import cells_with, insert, statistics_with

ANN, CANARY = "ann@example.test", "Ann@Example.test"
NEIGHBOUR, LONGER = "ann+tag@example.test", "joann@example.test"
SERVICES = {
    "processor": (processor.PERSONS, person_columns.FREE),
    "ingest": (ingest.PERSONS, ingest.FREE),
    "delivery": (delivery.PERSONS, delivery.FREE),
    "token_vault": (token_vault.PERSONS, token_vault.FREE),
}
_COLUMNS = """
    SELECT c.table_name, c.column_name FROM information_schema.columns c
    JOIN pg_class t ON t.relname = c.table_name AND t.relnamespace = c.table_schema::regnamespace
    WHERE c.table_schema = $1 AND NOT t.relispartition AND t.relkind IN ('r', 'p')
        AND c.table_name NOT LIKE 'alembic%' AND c.udt_name NOT IN (
            'uuid', '_uuid', 'int2', 'int4', 'int8', 'bool', 'timestamptz', '_timestamptz', 'float8')
"""
"""Every column of a type that can hold a text. Types that mailmesh does not use yet count as such."""


AT_ONCE = Pace(settle_seconds=0, slice_seconds=60, rest=0)


async def erase_person(pool: db.Pool, schema: str, tables: Sequence[Rows], one: PersonToErase) -> Mapping[str, int]:
    """Erase a person from a schema; return the counts."""
    progress = await PersonErasing(pool, schema, tables, AT_ONCE).advance(one)
    if not progress.mark.is_done:
        raise Conflict
    return progress.mark.removed


@pytest.fixture
async def pool(processor_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(processor_database.admin_url), "tests") as opened:
        yield opened


def pending(tenant_id: str) -> PersonToErase:
    return PersonToErase(erasure_id=new_id(), tenant_id=tenant_id, address=ANN)


def schema_of(service: str) -> str:
    return "vault" if service == "token_vault" else service


def unknown(found: Sequence[Any], tables: Sequence[Rows], free: Mapping[str, Mapping[str, str]]) -> set[str]:
    """Return the columns that an erasure neither checks nor names as free of addresses."""
    read = {(rows.table, column) for rows in tables for column in rows.columns}
    return {
        f"{table}.{column}"
        for table, column in found
        if (table, column) not in read and column not in free.get(table, {})
    }


@pytest.mark.parametrize("service", SERVICES)
async def test_the_erasure_knows_each_column_that_may_hold_an_address(
    service: str, make_database: Callable[[str], TestDatabase]
) -> None:
    tables, free = SERVICES[service]
    async with db.open_pool(Secret(make_database(service).admin_url), "tests") as opened:
        schema = schema_of(service)
        found = [tuple(row) for row in await opened.fetch(_COLUMNS, schema)]
        assert set() == unknown(found, tables, free)
        await opened.execute(f"ALTER TABLE {schema}.erased_persons ADD COLUMN later text")
        later = [tuple(row) for row in await opened.fetch(_COLUMNS, schema)]
        assert {"erased_persons.later"} == unknown(later, tables, free)
        # Each page and each condition is valid SQL at the head of the migrations.
        assert {} == await erase_person(opened, schema, tables, pending(new_id()))


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        ("Ann@Example.TEST", True),
        ("<ann@example.test>, and more", True),
        ("mailto:ann%40example.test?x", True),
        ("'ann@example.test'.", True),
        ("ann+tag@example.test", False),
        ("x.ann@example.test", False),
        ("jo-ann@example.test", False),
        ("o'ann@example.test", False),
        ("ann@example.test.au", False),
        ("ann@example.tests", False),
    ],
)
def test_an_address_is_found_as_mail_compares_it(text: str, is_named: bool) -> None:
    assert is_named is Person(ANN).is_in(text)


async def dump(pool: db.Pool, service: str, tenant: str) -> dict[str, list[Any]]:
    """Return all rows of a tenant in tables that may have an address."""
    parts: dict[str, list[Any]] = {}
    for rows in SERVICES[service][0]:
        table = f"{schema_of(service)}.{rows.table}"
        statement = f"SELECT * FROM {table} WHERE {rows.owned} ORDER BY {', '.join(rows.key)}"  # noqa: S608
        parts[rows.table] = [tuple(row) for row in await pool.fetch(statement, tenant)]
    return parts


@pytest.mark.parametrize("service", SERVICES)
async def test_no_column_and_no_statistics_have_the_address_afterwards_and_the_neighbours_rows_are_as_before(
    service: str, make_database: Callable[[str], TestDatabase]
) -> None:
    schema, (tables, _) = schema_of(service), SERVICES[service]
    async with db.open_pool(Secret(make_database(service).admin_url), "tests") as pool:
        erased, tagged, longer, other = new_id(), new_id(), new_id(), new_id()
        addresses = {erased: CANARY, tagged: NEIGHBOUR, longer: LONGER, other: ANN}
        for place, (tenant, address) in enumerate(addresses.items(), 1):
            await plant(pool, service, tenant, address, place * 10)
        await pool.execute("ANALYZE")
        kept = {tenant: await dump(pool, service, tenant) for tenant in (tagged, longer, other)}
        read = {(rows.table, column) for rows in tables for column in rows.columns}
        texts = {tuple(row) for row in await pool.fetch(_COLUMNS, schema)}
        assert texts & read == await cells_with(pool, schema, CANARY)
        assert await statistics_with(pool, schema, CANARY)

        one = pending(erased)
        removed = await erase_person(pool, schema, tables, one)
        assert removed == await erase_person(pool, schema, tables, one)
        for tenant in (tagged, longer):
            assert {} == await erase_person(pool, schema, tables, pending(tenant))

        assert {rows.table for rows in tables} == removed.keys()
        assert set() == await cells_with(pool, schema, CANARY)
        assert set() == await statistics_with(pool, schema, CANARY)
        for tenant, before in kept.items():
            assert before == await dump(pool, service, tenant)


async def test_a_tombstone_is_left_of_an_event_and_a_send_that_waited_fails(pool: db.Pool) -> None:
    tenant = new_id()
    await plant(pool, "processor", tenant, ANN)
    removed = await erase_person(pool, "processor", processor.PERSONS, pending(tenant))

    left = await pool.fetch("SELECT state, reason, content || body || addressed FROM processor.sends ORDER BY state")
    states = sorted([State.FAILED.value, State.SENT.value])
    assert (2, [(state, "PERSON_ERASED", b"") for state in states]) == (removed["sends"], [tuple(row) for row in left])
    named = "SELECT kind, basic, body, raw FROM processor.events WHERE kind NOT IN (3)"
    assert {(0, b"", b"", b"")} == {tuple(row) for row in await pool.fetch(named)}


async def test_an_erasure_that_is_killed_at_any_step_goes_on_and_counts_each_row_once(pool: db.Pool) -> None:
    whole, killed = new_id(), new_id()
    await plant(pool, "processor", whole, ANN)
    await plant(pool, "processor", killed, ANN, 10)
    expected = await erase_person(pool, "processor", processor.PERSONS, pending(whole))
    one = pending(killed)
    for kills in range(1000):
        left = [kills]  # one more row is judged in each call: a crash behind each of them
        try:
            found = await erase_person(pool, "processor", [dying(rows, left) for rows in processor.PERSONS], one)
        except KilledError:
            continue
        break

    assert kills > 3
    assert expected == found == await erase_person(pool, "processor", processor.PERSONS, one)
    assert "ann@example.test" not in repr(await dump(pool, "processor", killed)).lower()


class KilledError(Exception):
    """The end of a process."""


def dying(rows: Rows, left: list[int]) -> Rows:
    """Return rows whose judge ends the call once it has judged as many as are left."""

    def judge(row: Any, person: Person) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KilledError
        return rows.judge(row, person)

    return replace(rows, judge=judge)


async def test_a_send_that_is_submitted_at_this_moment_ends_before_it_is_erased(pool: db.Pool) -> None:
    tenant, person = new_id(), {"address": ANN}
    content = send_service_pb2.SendRequest(mail=send_service_pb2.NewMail(to=[person])).SerializeToString()
    await insert(pool, "processor.sends", tenant_id=tenant, content=content, state=State.SENDING.value)
    one = pending(tenant)
    with pytest.raises(Conflict):
        await erase_person(pool, "processor", processor.PERSONS, one)
    await pool.execute("UPDATE processor.sends SET state = $1, finished_at = now()", State.SENT.value)

    assert {"sends": 1} == await erase_person(pool, "processor", processor.PERSONS, one)


@pytest.mark.parametrize(("minutes", "is_free"), [(59, False), (61, True)])
async def test_a_draft_that_cannot_be_deleted_holds_an_erasure_up_for_an_hour(
    pool: db.Pool, minutes: int, is_free: bool
) -> None:
    tenant, now = new_id(), datetime.now(UTC)
    content = send_service_pb2.SendRequest(mail={"to": [{"address": ANN}]}).SerializeToString()
    ended = {"state": State.CANCELLED.value, "prepared_at": now, "finished_at": now - timedelta(minutes=minutes)}
    await insert(pool, "processor.sends", tenant_id=tenant, content=content, due_at=now, draft_id="draft", **ended)
    erased = PersonErasing(pool, "processor", processor.PERSONS, AT_ONCE).advance(pending(tenant))

    assert is_free is (await erased).mark.is_done
    left = await pool.fetchrow("SELECT content = '', draft_id, due_at FROM processor.sends")
    assert (is_free, "draft", now) == tuple(left or ())


async def test_what_arrives_behind_the_cut_off_stays_and_the_erasure_ends(pool: db.Pool) -> None:
    tenant = new_id()
    await plant(pool, "processor", tenant, ANN)
    erasing, one = PersonErasing(pool, "processor", processor.PERSONS, AT_ONCE), pending(tenant)
    noted = (await erasing.cut_off(one)).mark
    assert not (await erasing.cut_off(one)).mark.is_done
    turned = PersonErasing(pool, "processor", processor.PERSONS, replace(AT_ONCE, settle_seconds=3600))
    await turned.advance(one)  # its turn has begun, too
    await arrive(pool, tenant, CANARY, 10)
    later = "SELECT position FROM processor.events WHERE kind = 1 ORDER BY position"

    assert (await erasing.advance(one)).mark.is_done
    assert noted.cut_off_at == (await erasing.cut_off(one)).mark.cut_off_at
    assert [10] == [row["position"] for row in await pool.fetch(later)]
    kept = {table for table, _ in await cells_with(pool, "processor", CANARY)}
    assert {"events", "sends", "uploads", "conversations", "conversation_messages", "thread_participants"} == kept
    for table, column in (
        ("conversations", "content"),
        ("conversation_messages", "content"),
        ("thread_participants", "convert_to(address, 'UTF8')"),
    ):
        named = f"SELECT count(*) FROM processor.{table} WHERE position($1::bytea IN {column}) > 0"  # noqa: S608
        assert (table, 2) == (table, await pool.fetchval(named, CANARY.encode()))
    waits = "SELECT count(*) FROM processor.sends WHERE state = $1"
    assert 1 == await pool.fetchval(waits, State.SCHEDULED.value)
    assert ['{"turn": [], "cut_off": []}', None] == list(
        await pool.fetchrow("SELECT bounds, reached FROM processor.erased_persons") or ()
    )


async def test_conversations_that_are_behind_are_erased_once_the_events_are(pool: db.Pool) -> None:
    tenant = new_id()
    await plant(pool, "processor", tenant, ANN)
    await pool.execute("UPDATE processor.conversation_settings SET is_enabled = true, position = 0")
    erasing = PersonErasing(pool, "processor", processor.PERSONS, AT_ONCE, processor.caught_up)
    one = pending(tenant)
    assert not await processor.caught_up(pool, one, (await erasing.cut_off(one)).mark)  # type: ignore[arg-type]
    late = conversation_pb2.Conversation(participants=[{"address": ANN}]).SerializeToString()
    await insert(pool, "processor.conversations", tenant_id=tenant, content=late)

    assert (await erasing.advance(one)).mark.is_done
    assert set() == {table for table, _ in await cells_with(pool, "processor", ANN)} & {"conversations", "events"}
