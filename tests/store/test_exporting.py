"""Exports of a tenant on real PostgreSQL: every row that an erasure removes, once, and no secret."""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from services.delivery import exporting as delivery
from services.ingest import exporting as ingest
from services.meshkit import db
from services.meshkit.erasing import Plan, erase_rows
from services.meshkit.exporting import UNDECIDED, Export, Place, TenantRows, owned_tables, page_statement
from services.meshkit.ids import new_id
from services.meshkit.persons import Person
from services.meshkit.secret import Secret
from services.processor import erasing as processor_erasing
from services.processor import exporting as processor
from services.processor.stream.serialization import KIND_MAIL
from services.token_vault import exporting as token_vault
from services.workflows import exporting as workflows
from services.workflows.errors import KeyUnavailable
from services.workflows.sealing import Cipher
from tests.programs.postgres import TestDatabase
from tests.store.planted_persons import plant
from tests.store.planting import cells_with, insert

CIPHER = Cipher({"first": b"k" * 32})
EXPORTS: Mapping[str, Export] = {
    "token_vault": token_vault.EXPORT,
    "ingest": ingest.EXPORT,
    "processor": processor.EXPORT,
    "delivery": delivery.EXPORT,
    "workflows": workflows.export_of(CIPHER),
}
PLANS = {
    "token_vault": Plan("vault", kept=token_vault.KEPT),
    "ingest": Plan("ingest"),
    "processor": processor_erasing.PLAN,
    "delivery": Plan("delivery"),
    "workflows": Plan("workflows", first=("runs",)),
}
ANN, BOB = "ann@example.test", "bob@example.test"
FIRST = {
    "uuid": "'00000000-0000-0000-0000-000000000000'",
    "text": "''",
    "bytea": "'\\x00'",
    "bigint": "'0'",
    "integer": "'0'",
    "boolean": "'false'",
    "timestamp with time zone": "'2026-01-01'",
}
"""A value of each type of a key."""
FEW: Mapping[str, set[str]] = {"processor": {"calendar_unread"}}
"""Tables of few rows for a tenant, which a page may sort."""
_REFERENCES = """
    SELECT child.relname AS of_table, parent.relname AS parent,
        ARRAY(SELECT attname::text FROM unnest(f.conkey) WITH ORDINALITY k (number, place)
            JOIN pg_attribute ON attrelid = f.conrelid AND attnum = k.number ORDER BY k.place) AS columns,
        ARRAY(SELECT attname::text FROM unnest(f.confkey) WITH ORDINALITY k (number, place)
            JOIN pg_attribute ON attrelid = f.confrelid AND attnum = k.number ORDER BY k.place) AS parents
    FROM pg_constraint f
    JOIN pg_class child ON child.oid = f.conrelid JOIN pg_class parent ON parent.oid = f.confrelid
    WHERE f.contype = 'f' AND child.relnamespace = $1::text::regnamespace AND NOT child.relispartition
"""


async def exported(rows: TenantRows, tenant_id: str, person: Person | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of a tenant by table."""
    found: dict[str, list[dict[str, Any]]] = {}
    place: Place | None = Place()
    while place is not None:
        page = await rows.page(tenant_id, place, person)
        found.setdefault(page.table, []).extend(json.loads(row) for row in page.rows)
        assert place != page.following
        place = page.following
    return found


async def fill(pool: db.Pool, export: Export, tenant_id: str, number: int) -> None:
    """Put one row of a tenant into each of its tables, with the rows that it refers to."""
    references = await pool.fetch(_REFERENCES, export.schema)
    values: dict[str, Any] = {"tenant_id": tenant_id, "position": number}
    needed_by = {
        "authorization_flows": {"ticket_digest": tenant_id.encode(), "step": "failed"},
        "tenants": {"external_account": tenant_id, "status": "active"} if export.schema == "vault" else {},
        "tenant_tokens": {"token_type": "delegated"},
    }
    async with db.connection(pool) as connection:
        tables = {table.name: table for table in await owned_tables(connection, export)}
    waiting = list(tables)
    while waiting:
        name = waiting.pop(0)
        # A row may refer to another one of its table, and need not.
        parents = tables.keys() - {name}
        needed = [one for one in references if one["of_table"] == name and one["parent"] in parents]
        if any(one["parent"] in waiting for one in needed):
            waiting.append(name)
            continue
        wanted = {**values, **needed_by.get(name, {})}
        given = {column: value for column, value in wanted.items() if column in tables[name].columns}
        for one in needed:
            columns = ", ".join(one["parents"])
            owned = tables[one["parent"]].owned
            statement = f"SELECT {columns} FROM {export.schema}.{one['parent']} WHERE {owned}"  # noqa: S608
            given |= dict(zip(one["columns"], await pool.fetchrow(statement, tenant_id) or (), strict=True))
        await insert(pool, f"{export.schema}.{name}", **given)


@pytest.mark.parametrize("service", EXPORTS)
async def test_each_row_that_an_erasure_removes_is_exported_once_and_no_row_of_another_tenant(
    service: str, make_database: Callable[[str], TestDatabase]
) -> None:
    export, mine, other = EXPORTS[service], new_id(), new_id()
    async with db.open_pool(Secret(make_database(service).admin_url), "tests") as pool:
        await fill(pool, export, other, 1)
        await fill(pool, export, mine, 2)
        rows = TenantRows(pool, export)
        found, others = await exported(rows, mine), await exported(rows, other)
        removed = await erase_rows(pool, PLANS[service], mine)
        left = await exported(rows, mine)

        assert dict.fromkeys(found, 1) == {table: len(one) for table, one in found.items()}
        assert removed.keys() <= found.keys()
        # Rows that refer to a removed row are not counted. Tombstones are no tenant's.
        assert {table: [] for table in found} == left
        assert mine not in json.dumps(others)
        assert other not in json.dumps(found)
        assert others == await exported(rows, other)


@pytest.mark.parametrize("service", EXPORTS)
async def test_the_form_of_each_column_of_bytes_is_decided(
    service: str, make_database: Callable[[str], TestDatabase]
) -> None:
    export = EXPORTS[service]
    async with db.open_pool(Secret(make_database(service).admin_url), "tests") as pool:
        rows = TenantRows(pool, export)
        async with db.connection(pool) as connection:
            tables = await owned_tables(connection, export)
            forms = {table.name: rows.form(table) for table in tables}
            await connection.execute(f"ALTER TABLE {export.schema}.{tables[0].name} ADD COLUMN later bytea")
            later = (await owned_tables(connection, export))[0]
        await fill(pool, export, tenant := new_id(), 1)
        await pool.execute(f"UPDATE {export.schema}.{later.name} SET later = 'undecided'")  # noqa: S608

        assert [] == [name for name, form in forms.items() if UNDECIDED in form.left_out.values()]
        assert export.forms.keys() <= forms.keys()
        assert UNDECIDED == rows.form(later).left_out["later"]
        assert "undecided" not in json.dumps(await exported(rows, tenant))


@pytest.mark.parametrize("service", EXPORTS)
async def test_each_page_is_read_in_the_order_of_an_index(
    service: str, make_database: Callable[[str], TestDatabase]
) -> None:
    export, sorted_tables = EXPORTS[service], set()
    async with db.open_pool(Secret(make_database(service).admin_url), "tests") as pool, db.transaction(pool) as one:
        # Without these, a plan that still sorts or reads a whole table has no index to follow.
        for way in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
            await one.execute(f"SET LOCAL enable_{way} = off")
        for table in await owned_tables(one, export):
            statement = page_statement(export.schema, table, is_first=not table.key).replace("$1", f"'{new_id()}'")
            for place, column in enumerate(table.key, 2):
                statement = statement.replace(f"${place}::text", f"{FIRST[table.columns[column]]}::text")
            plan = "\n".join(row[0] for row in await one.fetch(f"EXPLAIN {statement}"))
            if "Sort" in plan or "Seq Scan" in plan:
                sorted_tables.add(table.name)

    assert FEW.get(service, set()) == sorted_tables


@pytest.mark.parametrize("service", ["processor", "ingest", "delivery", "token_vault"])
async def test_content_is_opened_and_rows_that_name_a_person_are_found(
    service: str, make_database: Callable[[str], TestDatabase]
) -> None:
    export, mine, other = EXPORTS[service], new_id(), new_id()
    async with db.open_pool(Secret(make_database(service).admin_url), "tests") as pool:
        await plant(pool, service, mine, ANN)
        await plant(pool, service, other, BOB, 10)
        rows = TenantRows(pool, export)
        stored = {table for table, _ in await cells_with(pool, export.schema, ANN)}
        found = await exported(rows, mine)
        of_person = await exported(rows, mine, Person(ANN))
        of_nobody = await exported(rows, mine, Person(BOB))

        # A later release's event is exported as it is stored.
        assert stored <= {table for table, one in found.items() if ANN in json.dumps(one)}
        assert BOB not in json.dumps(found)
        named = {table: [one for one in every if ANN in json.dumps(one)] for table, every in found.items()}
        assert named == of_person
        assert {table: [] for table in found} == of_nobody


@pytest.mark.parametrize("page_bytes", [1, 700, 100_000])
async def test_pages_of_any_size_have_each_row_once(page_bytes: int, processor_database: TestDatabase) -> None:
    mine, other = new_id(), new_id()
    async with db.open_pool(Secret(processor_database.admin_url), "tests") as pool:
        for tenant, start in ((mine, 1), (other, 1000)):
            calendars = [new_id(), new_id()]
            for calendar in calendars:
                await insert(
                    pool, "processor.calendars", tenant_id=tenant, calendar_id=calendar, provider_calendar_id=calendar
                )
            for number in range(30):
                event = {"calendar_id": calendars[number % 2], "calendar_event_id": new_id()}
                await insert(pool, "processor.calendar_events", **event)
                digest = {"digest": bytes([number, 0, 255]), "thread_id": new_id()}
                await insert(pool, "processor.thread_ids", tenant_id=tenant, **digest)
                person = {"address": f"{number} ü@example.test", "thread_id": new_id()}
                await insert(pool, "processor.thread_participants", tenant_id=tenant, **person)
                await insert(pool, "processor.events", tenant_id=tenant, position=start + number, kind=1)
            await insert(pool, "processor.mailboxes", tenant_id=tenant)
        found = await exported(TenantRows(pool, processor.EXPORT, page_bytes), mine)

    assert [*range(1, 31)] == [row["position"] for row in found["events"]]
    counts = Counter(row["calendar_event_id"] for row in found["calendar_events"])
    assert (30, {1}) == (len(counts), set(counts.values()))
    assert 30 == len({row["address"] for row in found["thread_participants"]}) == len(found["thread_participants"])
    assert (30, 1) == (len(found["thread_ids"]), len(found["mailboxes"]))


async def test_a_page_has_a_mebibyte_and_a_row_at_most_however_much_a_tenant_has(
    processor_database: TestDatabase,
) -> None:
    tenant, text = new_id(), "x" * 50_000
    stored = zlib.compress(mail_pb2.NormalizedMailEvent(message={"subject": text}).SerializeToString())
    async with db.open_pool(Secret(processor_database.admin_url), "tests") as pool:
        for position in range(100):
            values = {"kind": KIND_MAIL, "position": position + 1, "basic": b"", "raw": stored}
            await insert(pool, "processor.events", tenant_id=tenant, **values)
        rows, sizes, place = TenantRows(pool, processor.EXPORT), [], Place("events")
        while place.table == "events":
            page = await rows.page(tenant, place)
            sizes.append([len(row) for row in page.rows])
            assert page.following is not None
            place = page.following

    # Stored rows are small, and large when they are written: 5 MB in all.
    assert 100 == sum(len(page) for page in sizes)
    assert all(sum(page[:-1]) < 2**20 for page in sizes)
    assert len(sizes) >= 5


async def test_an_event_that_is_published_meanwhile_is_exported_or_not_and_the_others_are(
    processor_database: TestDatabase,
) -> None:
    tenant = new_id()
    async with db.open_pool(Secret(processor_database.admin_url), "tests") as pool:
        for position in (10, 20):
            await insert(pool, "processor.events", tenant_id=tenant, position=position, kind=1)
        rows = TenantRows(pool, processor.EXPORT, page_bytes=1)
        first = await rows.page(tenant, Place("events"))
        for position in (5, 15):
            await insert(pool, "processor.events", tenant_id=tenant, position=position, kind=1)
        following = [json.loads(first.rows[0])["position"]]
        place = first.following
        while place is not None and place.table == "events":
            page = await rows.page(tenant, place)
            following += [json.loads(row)["position"] for row in page.rows]
            place = page.following

    assert [10, 15, 20] == following


async def test_no_credential_is_exported(token_vault_database: TestDatabase) -> None:
    tenant = new_id()
    async with db.open_pool(Secret(token_vault_database.admin_url), "tests") as pool:
        await fill(pool, token_vault.EXPORT, tenant, 1)
        await pool.execute("UPDATE vault.tenant_tokens SET access_token = 'canary', refresh_token = 'canary'")
        await pool.execute("UPDATE vault.tenant_keys SET wrapped = 'canary'")
        await pool.execute("UPDATE vault.authorization_flows SET kept = 'canary', state_digest = 'canary'")
        found = await exported(TenantRows(pool, token_vault.EXPORT), tenant)

    assert "canary" not in json.dumps(found)
    assert {"tenants", "tenant_tokens", "tenant_keys", "authorization_flows"} <= found.keys()
    assert "scopes" in found["tenant_tokens"][0]


async def test_questions_of_runs_are_opened_and_a_missing_key_is_named(workflows_database: TestDatabase) -> None:
    tenant, run = new_id(), new_id()
    sealed = CIPHER.seal(b"Shall I send it?", tenant, run, "question", "q1")
    async with db.open_pool(Secret(workflows_database.admin_url), "tests") as pool:
        values = {"question_id": "q1", "sealed_question": sealed, "state": 1}
        await insert(pool, "workflows.runs", tenant_id=tenant, run_id=run, **values)
        found = await exported(TenantRows(pool, EXPORTS["workflows"]), tenant)
        with pytest.raises(KeyUnavailable):
            await exported(TenantRows(pool, workflows.export_of(Cipher({"other": b"x" * 32}))), tenant)

    assert ("Shall I send it?", None) == (found["runs"][0]["question"], found["runs"][0]["answer"])
