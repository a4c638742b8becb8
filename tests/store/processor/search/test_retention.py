"""Mail whose events retention drops leaves the search index."""

import pytest

from services.meshkit import db
from services.processor.search.indexer import SearchRetention
from tests.store.processor.search.indexing import Indexed
from tests.store.processor.search.test_indexing import rows
from tests.unit.processor.search.mails import mail


@pytest.fixture
async def indexed(pool: db.Pool) -> Indexed:
    made = Indexed(pool)
    await made.begin()
    return made


async def test_mail_whose_events_retention_drops_leaves_the_index(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.add(old=mail("Your invoice"), new=mail("Your invoice"))
    last = await indexed.pool.fetchval("SELECT min(position) FROM processor.search_mails")
    await indexed.pool.execute("UPDATE processor.stream SET floor = $1, floor_raised_at = now()", last)
    assert ["new"] == await indexed.ids("invoice")
    assert 1 == await SearchRetention(indexed.pool).round()

    assert (1, 1) == (await rows(indexed), (await indexed.state()).mails)
    assert 0 == await SearchRetention(indexed.pool).round()


async def test_one_round_of_retention_finds_the_indexes_of_several_tenants(pool: db.Pool, indexed: Indexed) -> None:
    other = Indexed(pool, indexed.indexer)
    await other.begin()
    for one in (indexed, other):
        await one.enable()
        await one.add(old=mail("Your invoice"))
    last = await pool.fetchval("SELECT max(position) FROM processor.search_mails")
    await pool.execute("UPDATE processor.stream SET floor = $1, floor_raised_at = now()", last)

    assert 2 == await SearchRetention(pool).round()
    assert [0, 0] == [(await one.state()).mails for one in (indexed, other)]


async def test_an_index_whose_place_retention_has_dropped_goes_on(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.add(one=mail("first"))
    await indexed.publish(indexed.event("two", mail("second")), indexed.event("three", mail("third")))
    positions = [row[0] for row in await indexed.pool.fetch("SELECT position FROM processor.events ORDER BY 1")]
    await indexed.pool.execute(
        "UPDATE processor.stream SET floor = e.position, floor_event_id = e.event_id, floor_raised_at = now()"
        " FROM processor.events AS e WHERE e.position = $1",
        positions[1],
    )
    await indexed.index()

    assert ["three"] == await indexed.ids()
