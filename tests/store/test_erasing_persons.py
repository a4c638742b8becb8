"""The erasure of a person on real PostgreSQL: every column is known, and no table has the address afterwards."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from mailmesh.calendar.v1 import calendar_event_pb2
from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import calendar_service_pb2, message_service_pb2, send_service_pb2
from services.delivery import persons as delivery
from services.ingest import persons as ingest
from services.meshkit import db
from services.meshkit.erasing_persons import PersonToErase, Rows, erase_person
from services.meshkit.errors import Conflict
from services.meshkit.ids import new_id
from services.meshkit.persons import Person, plain_address
from services.meshkit.secret import Secret
from services.processor import persons as processor
from services.processor.calendar.write_rows import Kind
from services.processor.calendar.write_rows import State as WriteState
from services.processor.messages.rows import State as ModificationState
from services.processor.outbox.rows import State
from services.processor.stream.serialization import KIND_MAIL, split
from tests.programs.postgres import TestDatabase

ANN, NEIGHBOUR = "ann@example.test", "ann+tag@example.test"
SERVICES = {
    "processor": (processor.PERSONS, processor.FREE),
    "ingest": (ingest.PERSONS, ingest.FREE),
    "delivery": (delivery.PERSONS, delivery.FREE),
}
_COLUMNS = """
    SELECT c.table_name, c.column_name FROM information_schema.columns c
    JOIN pg_class t ON t.relname = c.table_name AND t.relnamespace = c.table_schema::regnamespace
    WHERE c.table_schema = $1 AND NOT t.relispartition AND t.relkind IN ('r', 'p')
        AND c.table_name NOT LIKE 'alembic%' AND (c.data_type IN ('text', 'bytea', 'json', 'jsonb')
            OR c.udt_name IN ('_text', '_varchar', 'varchar', '_bytea', '_jsonb'))
"""


@pytest.fixture
async def pool(processor_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(processor_database.admin_url), "tests") as opened:
        yield opened


def pending(tenant_id: str) -> PersonToErase:
    return PersonToErase(erasure_id=new_id(), tenant_id=tenant_id, address=ANN)


def unknown(found: Sequence[Any], tables: Sequence[Rows], free: Mapping[str, Mapping[str, str]]) -> set[str]:
    """Return the columns that an erasure neither looks at nor names as free of addresses."""
    read = {(rows.table, column) for rows in tables for column in rows.columns}
    return {
        f"{table}.{column}"
        for table, column in found
        if (table, column) not in read and not {column, "*"} & free.get(table, {}).keys()
    }


@pytest.mark.parametrize("service", SERVICES)
async def test_the_erasure_knows_each_column_that_may_hold_an_address(
    service: str, make_database: Callable[[str], TestDatabase]
) -> None:
    tables, free = SERVICES[service]
    async with db.open_pool(Secret(make_database(service).admin_url), "tests") as opened:
        found = [tuple(row) for row in await opened.fetch(_COLUMNS, service)]
        assert set() == unknown(found, tables, free)
        await opened.execute(f"ALTER TABLE {service}.erased_persons ADD COLUMN later text")
        later = [tuple(row) for row in await opened.fetch(_COLUMNS, service)]
        assert {"erased_persons.later"} == unknown(later, tables, free)
        # Each page and each condition is valid SQL at the head of the migrations.
        assert {} == await erase_person(opened, service, tables, pending(new_id()))


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


def test_a_text_that_is_no_address_is_none() -> None:
    assert ["", "", "", ANN] == [plain_address(text) for text in ("", "ann", "a b@c.test", " Ann@Example.TEST ")]


async def insert(pool: db.Pool, table: str, **values: Any) -> None:
    """Insert a row; the columns that are not named and have no default are filled by their type."""
    found = await pool.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'processor'"
        " AND table_name = $1 AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'",
        table,
    )
    kinds = {
        "text": "x",
        "bytea": b"",
        "smallint": 1,
        "integer": 1,
        "bigint": 1,
        "boolean": False,
        "jsonb": "{}",
        "ARRAY": [],
    }
    for name, kind in found:
        if name not in values and kind != "timestamp with time zone":
            values[name] = new_id() if kind == "uuid" else kinds[kind]
    times = [name for name, kind in found if kind == "timestamp with time zone" and name not in values]
    marks = [f"${number}" for number in range(1, len(values) + 1)] + ["now()"] * len(times)
    statement = f"INSERT INTO processor.{table} ({', '.join([*values, *times])}) VALUES ({', '.join(marks)})"  # noqa: S608
    await pool.execute(statement, *values.values())


def mail(sender: str) -> bytes:
    event = mail_pb2.NormalizedMailEvent(message_id="m", event_type="mail.created")
    event.message.from_address.address = sender
    event.message.subject = f"About {sender}"
    return split(event).basic


async def plant(pool: db.Pool, tenant: str, address: str, position: int) -> None:
    """Put an address into each of Processor's tables that may have one."""
    person = {"address": address, "name": "Ann"}
    sent = send_service_pb2.SendRequest(mail=send_service_pb2.NewMail(to=[person], subject="s"))
    content, calendar, staged = sent.SerializeToString(), new_id(), json.dumps({"attendees": [{"email": address}]})
    await insert(pool, "sends", send_id=new_id(), tenant_id=tenant, content=content, state=State.SCHEDULED.value)
    done = {"state": State.SENT.value, "idempotency_key": f"to {address}", "detail": f"{address} got it"}
    await insert(pool, "sends", send_id=new_id(), tenant_id=tenant, content=content, **done)
    await pool.execute("UPDATE processor.sends SET finished_at = now() WHERE state = $1", State.SENT.value)
    await insert(pool, "uploads", tenant_id=tenant, name=f"{address} cv.pdf")
    await insert(pool, "calendars", tenant_id=tenant, calendar_id=calendar, detail=f"no {address}")
    attending = calendar_event_pb2.CalendarEvent(attendees=[{"person": person}])
    await insert(pool, "calendar_events", calendar_id=calendar, content=attending.SerializeToString())
    await insert(pool, "calendar_unread", calendar_id=calendar, detail=f"no {address}")
    await insert(pool, "calendar_staged", calendar_id=calendar, content=staged.encode())
    await insert(pool, "calendars", tenant_id=tenant, provider_calendar_id=address)
    notification = Struct()
    notification.update({"from": address})
    await insert(pool, "lookups", tenant_id=tenant, notification=notification.SerializeToString())
    await plant_requests(pool, tenant, address)
    talk = conversation_pb2.Conversation(participants=[{"address": address}], subject=f"With {address}")
    await insert(pool, "conversations", tenant_id=tenant, content=talk.SerializeToString())
    said = conversation_pb2.ConversationMessage(sender=address)
    await insert(pool, "conversation_messages", tenant_id=tenant, content=said.SerializeToString())
    settings = conversation_pb2.ConversationSettings(own_addresses=[address])
    await insert(pool, "conversation_settings", tenant_id=tenant, content=settings.SerializeToString())
    await insert(pool, "thread_participants", tenant_id=tenant, address=address)
    values = {"event_type": "mail.created", "kind": KIND_MAIL, "basic": mail(address), "position": position}
    await insert(pool, "events", tenant_id=tenant, **values)


async def plant_requests(pool: db.Pool, tenant: str, address: str) -> None:
    """Put an address into finished changes of mail and of calendars, and into details of failures."""
    labels = message_service_pb2.ModifyMessagesRequest(change={"add_categories": [address]}).SerializeToString()
    done = {"tenant_id": tenant, "finished_at": datetime.now(UTC)}
    await insert(pool, "modifications", content=labels, state=ModificationState.FINISHED.value, **done)
    invited = calendar_service_pb2.CreateCalendarEventRequest(event={"attendees": [{"address": address}]})
    written = {"content": invited.SerializeToString(), "kind": Kind.CREATE.value, "state": WriteState.DONE.value}
    await insert(pool, "calendar_writes", **written, **done)
    await insert(pool, "calendar_lists", tenant_id=tenant, detail=f"no {address}")
    await insert(pool, "backfills", tenant_id=tenant, detail=f"no {address}")


async def dump(pool: db.Pool, tenant: str) -> dict[str, list[Any]]:
    """Return all rows of a tenant."""
    parts: dict[str, list[Any]] = {}
    for rows in processor.PERSONS:
        statement = f"SELECT * FROM processor.{rows.table} WHERE {rows.owned} ORDER BY {', '.join(rows.key)}"  # noqa: S608
        parts[rows.table] = [tuple(row) for row in await pool.fetch(statement, tenant)]
    return parts


async def test_no_table_has_the_address_afterwards_and_the_neighbour_s_rows_are_as_before(pool: db.Pool) -> None:
    erased, tagged, other = new_id(), new_id(), new_id()
    for place, (tenant, address) in enumerate(((erased, "Ann@Example.test"), (tagged, NEIGHBOUR), (other, ANN)), 1):
        await plant(pool, tenant, address, place)
    before = {tenant: await dump(pool, tenant) for tenant in (erased, tagged, other)}
    planted = {table for table, rows in before[erased].items() if "ann@example.test" in repr(rows).lower()}

    one = pending(erased)
    removed = await erase_person(pool, "processor", processor.PERSONS, one)
    assert removed == await erase_person(pool, "processor", processor.PERSONS, one)

    assert {rows.table for rows in processor.PERSONS} == planted == removed.keys()
    assert "ann@example.test" not in repr(await dump(pool, erased)).lower()
    assert (2, 1) == (removed["sends"], len((await dump(pool, erased))["sends"]))
    (tombstone,) = await pool.fetch("SELECT kind, basic FROM processor.events WHERE position = 1")
    assert (0, b"") == tuple(tombstone)
    for tenant in (tagged, other):
        mine = pending(tenant) if tenant == tagged else None
        if mine is not None:
            assert {} == await erase_person(pool, "processor", processor.PERSONS, mine)
        assert before[tenant] == await dump(pool, tenant)


async def test_a_send_that_is_submitted_at_this_moment_ends_before_it_is_erased(pool: db.Pool) -> None:
    tenant, person = new_id(), {"address": ANN}
    content = send_service_pb2.SendRequest(mail=send_service_pb2.NewMail(to=[person])).SerializeToString()
    await insert(pool, "sends", tenant_id=tenant, content=content, state=State.SENDING.value)
    one = pending(tenant)
    with pytest.raises(Conflict):
        await erase_person(pool, "processor", processor.PERSONS, one)
    await pool.execute("UPDATE processor.sends SET state = $1, finished_at = now()", State.SENT.value)

    assert {"sends": 1} == await erase_person(pool, "processor", processor.PERSONS, one)
