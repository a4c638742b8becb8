"""Reading pages on a real PostgreSQL: cursors, filters, scope, bounds, and no skipped event."""

import asyncio
import random

import asyncpg
import pytest

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.processor.stream.cursor import read_cursor
from services.processor.stream.errors import CursorEpochChanged, CursorInvalid, EventNotFound
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, LATEST, EventReader
from services.processor.stream.publish import EventDraft, publish
from tests.programs.postgres import TestDatabase
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT, mail_draft, tenant_draft

EVERYTHING = Selection(tenants=None)
BASIC, BODY, FULL = event_pb2.EVENT_VIEW_BASIC, event_pb2.EVENT_VIEW_BODY, event_pb2.EVENT_VIEW_FULL


@pytest.fixture
def reader(pool: db.Pool) -> EventReader:
    return EventReader(pool)


async def put(pool: db.Pool, *drafts: EventDraft) -> list[str]:
    async with db.connection(pool) as connection, connection.transaction():
        return [event.event_id for event in await publish(connection, drafts)]


async def ids(reader: EventReader, selection: Selection = EVERYTHING, count: int = 3) -> list[str]:
    found, cursor = [], await reader.start("", EARLIEST)
    while True:
        page = await reader.page(cursor, selection, BASIC, count)
        found += [event.mail.event_id or event.tenant.event_id for event in page.events]
        if not page.has_more:
            return found
        cursor = page.next


async def test_pages_give_every_event_once_and_in_order(pool: db.Pool, reader: EventReader) -> None:
    published = await put(pool, *(mail_draft() for _ in range(10)))

    assert published == await ids(reader)


async def test_an_empty_stream_gives_a_cursor_that_is_good_later(pool: db.Pool, reader: EventReader) -> None:
    page = await reader.page(await reader.start("", LATEST), EVERYTHING, BASIC, 10)
    published = await put(pool, mail_draft())
    later = await reader.page(await reader.start(page.next.write(), LATEST), EVERYTHING, BASIC, 10)

    assert ([], False) == (page.events, page.has_more)
    assert published == [event.mail.event_id for event in later.events]


async def test_latest_returns_only_later_events(pool: db.Pool, reader: EventReader) -> None:
    await put(pool, mail_draft())
    start = await reader.start(LATEST, EARLIEST)
    published = await put(pool, mail_draft())

    assert published == [event.mail.event_id for event in (await reader.page(start, EVERYTHING, BASIC, 10)).events]


async def test_reading_from_an_events_position_continues_directly_after_it(pool: db.Pool, reader: EventReader) -> None:
    published = await put(pool, *(mail_draft() for _ in range(3)))
    page = await reader.page(await reader.start("", EARLIEST), EVERYTHING, BASIC, 3)
    start = await reader.start(page.events[0].position, EARLIEST)

    rest = await reader.page(start, EVERYTHING, BASIC, 3)

    assert page.events[0].position == page.events[0].mail.position
    assert published[1:] == [event.mail.event_id for event in rest.events]


@pytest.mark.parametrize("selection", [
    Selection(tenants=frozenset({TENANT})),
    Selection(tenants=frozenset({TENANT, *(f"019a9f0e-7c1e-7000-8000-{number:012}" for number in range(100, 200))})),
])  # fmt: skip
async def test_a_scope_hides_the_other_tenants(pool: db.Pool, reader: EventReader, selection: Selection) -> None:
    """The query uses the tenants' own index, and for many tenants the index of the stream."""
    published = await put(pool, *(mail_draft(tenant_id=(TENANT, OTHER_TENANT)[number % 2]) for number in range(20)))

    assert published[::2] == await ids(reader, selection)


async def test_an_empty_scope_sees_nothing_and_still_moves_on(pool: db.Pool, reader: EventReader) -> None:
    await put(pool, mail_draft())
    page = await reader.page(await reader.start("", EARLIEST), Selection(tenants=frozenset()), BASIC, 10)

    assert ([], False) == (page.events, page.has_more)
    assert (await reader.start(LATEST, LATEST)) == page.next


@pytest.mark.parametrize(("selection", "expected"), [
    (Selection(None, event_types=["tenant.disabled"]), [1]),
    (Selection(None, event_types=["mail.*"], kinds=("mail",)), [0, 2, 3]),
    (Selection(None, event_types=["mail.updated", "tenant.*"], kinds=("tenant",)), [1, 2]),
    (Selection(None, providers=["googlews"]), [3]),
    (Selection(None, providers=["imap"]), []),
])  # fmt: skip
async def test_filters_choose_by_type_and_provider(
    pool: db.Pool, reader: EventReader, selection: Selection, expected: list[int]
) -> None:
    drafts = [
        mail_draft(), tenant_draft("1"), mail_draft(event_type="mail.updated"), mail_draft(provider="googlews"),
    ]  # fmt: skip
    published = await put(pool, *drafts)

    assert [published[place] for place in expected] == await ids(reader, selection, 1)


async def test_a_filter_that_takes_little_moves_on_through_a_long_stream(pool: db.Pool, reader: EventReader) -> None:
    for _ in range(4):
        await put(pool, *(mail_draft() for _ in range(700)))
    wanted = await put(pool, mail_draft(provider="googlews"))

    assert wanted == await ids(reader, Selection(None, providers=["googlews"]), 5)


async def test_a_view_contains_the_parts_that_it_declares(pool: db.Pool, reader: EventReader) -> None:
    await put(pool, mail_draft())
    start = await reader.start("", EARLIEST)
    basic, body, full = [(await reader.page(start, EVERYTHING, view, 1)).events[0].mail for view in (BASIC, BODY, FULL)]

    assert "Hello" == basic.message.subject == body.message.subject == full.message.subject
    assert (False, 0, False) == (basic.message.HasField("body"), len(basic.message.headers), basic.HasField("raw"))
    assert (True, 1, False) == (body.message.HasField("body"), len(body.message.headers), body.HasField("raw"))
    assert (True, 1, True) == (full.message.HasField("body"), len(full.message.headers), full.HasField("raw"))


async def test_a_page_ends_at_its_bytes_and_has_one_event_at_least(pool: db.Pool) -> None:
    drafts = [mail_draft() for _ in range(6)]
    for draft in drafts:
        assert draft.mail is not None
        draft.mail.message.body.text = "x" * 40_000
    await put(pool, *drafts)
    reader = EventReader(pool, page_bytes=100_000)
    start = await reader.start("", EARLIEST)

    assert 2 == len((await reader.page(start, EVERYTHING, BODY, 10)).events)
    assert 6 == len((await reader.page(start, EVERYTHING, BASIC, 10)).events)
    assert 1 == len((await EventReader(pool, page_bytes=10).page(start, EVERYTHING, BODY, 10)).events)


async def test_one_event_is_found_by_its_id_and_only_in_scope(pool: db.Pool, reader: EventReader) -> None:
    (event_id,) = await put(pool, mail_draft())

    assert event_id == (await reader.event(event_id, [TENANT], FULL)).mail.event_id
    with pytest.raises(EventNotFound):
        await reader.event(event_id, [OTHER_TENANT], FULL)
    with pytest.raises(EventNotFound):
        await reader.event(TENANT, None, FULL)


async def test_a_cursor_of_another_life_of_the_store_is_refused(pool: db.Pool, reader: EventReader) -> None:
    await put(pool, mail_draft())
    cursor = (await reader.start(LATEST, LATEST)).write()
    await pool.execute("UPDATE processor.stream SET epoch = '\\x010203040506'")

    with pytest.raises(CursorEpochChanged) as refused:
        await reader.start(cursor, LATEST)
    oldest = await reader.start(refused.value.metadata["oldest_cursor"], LATEST)
    assert oldest == await reader.start("", EARLIEST)


@pytest.mark.parametrize("altered", ["x", "!!!!", "A" * 32, "A" * 33, "ä" * 32, "earlier", "0"])
async def test_an_invalid_cursor_is_refused(reader: EventReader, altered: str) -> None:
    with pytest.raises(CursorInvalid):
        await reader.start(altered, LATEST)


async def test_each_changed_character_makes_a_cursor_invalid(pool: db.Pool, reader: EventReader) -> None:
    await put(pool, mail_draft())
    cursor = (await reader.start(LATEST, LATEST)).write()
    for place, character in enumerate(cursor):
        altered = cursor[:place] + ("A" if character != "A" else "B") + cursor[place + 1 :]
        with pytest.raises(CursorInvalid):
            read_cursor(altered)


async def test_no_event_becomes_visible_behind_a_reader(pool: db.Pool, reader: EventReader) -> None:
    """Writers overlap, pause, and roll back one time in four, while a reader reads continuously."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    committed: list[str] = []
    is_done = asyncio.Event()

    async def write(count: int) -> None:
        for _ in range(count):
            async with db.connection(pool) as connection:
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute("SELECT pg_sleep($1)", chance.random() * 0.004)
                events = await publish(connection, [mail_draft() for _ in range(chance.randint(1, 4))])
                await connection.execute("SELECT pg_sleep($1)", chance.random() * 0.004)
                if chance.random() < 0.25:
                    await transaction.rollback()
                else:
                    await transaction.commit()
                    committed.extend(event.event_id for event in events)

    async def read() -> list[str]:
        seen: list[str] = []
        cursor = await reader.start("", EARLIEST)
        while True:
            last_look = is_done.is_set()
            page = await reader.page(cursor, EVERYTHING, BASIC, chance.randint(1, 5))
            seen += [event.mail.event_id for event in page.events]
            cursor = page.next
            if last_look and not page.has_more:
                return seen

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(25) for _ in range(8)))
    is_done.set()
    seen = await reading

    assert sorted(committed) == sorted(seen)
    assert len(seen) == len(set(seen))


async def test_an_event_of_a_later_release_is_skipped(
    pool: db.Pool, reader: EventReader, processor_database: TestDatabase
) -> None:
    first, later, last = await put(pool, mail_draft(), mail_draft(), mail_draft())
    # The service's own role may not change events.
    owner = await asyncpg.connect(processor_database.url)
    await owner.execute("UPDATE processor.events SET kind = 99 WHERE event_id = $1", later)
    await owner.close()

    assert [first, last] == await ids(reader)
    with pytest.raises(EventNotFound):
        await reader.event(later, None, BASIC)


async def test_events_after_a_cursor_are_counted_up_to_a_number_and_a_time(pool: db.Pool, reader: EventReader) -> None:
    rare = Selection(tenants=None, event_types=["tenant.disabled"])
    await put(pool, *(mail_draft() for _ in range(1500)))
    await put(pool, tenant_draft("a"), mail_draft(), tenant_draft("b"))
    start = await reader.start("", EARLIEST)

    assert (2, True) == await reader.count(start, rare, most=10, seconds=60)
    assert (2, True) == await reader.count(start, rare, most=2, seconds=60)
    assert (1, False) == await reader.count(start, rare, most=1, seconds=60)
    # Without any time left counting ends at once, and says so.
    assert (0, False) == await reader.count(start, rare, most=10, seconds=0)
