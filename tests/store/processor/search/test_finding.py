"""Finding mail in PostgreSQL: the newest first, page by page, within bounds, and never another tenant's."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.meshkit import db
from services.processor.errors import SearchTooSlow, TenantNotFound
from services.processor.search import requests
from services.processor.search.query import read_query
from services.processor.search.requests import Criteria
from services.processor.search.store import mails as store
from services.processor.search.terms import Digests
from tests.store.processor.search.indexing import BEGIN, Indexed
from tests.unit.processor.search.mails import mail


@pytest.fixture
async def indexed(pool: db.Pool) -> Indexed:
    made = Indexed(pool)
    await made.begin()
    await made.enable()
    return made


async def test_mail_is_found_by_words_addresses_files_and_languages(indexed: Indexed) -> None:
    await indexed.add(
        invoice=mail("Your invoice INV-2026-0042 is due", sender="ada@mail.example.com", files=["Angebot_März.pdf"]),
        japanese=mail("木曜日で大丈夫です。", to=["desk@straße.example"]),
        german=mail("Der Rechnungsbetrag für Herrn Müller"),
        swapped=mail("曜日と木"),
    )
    found = {
        query: await indexed.ids(query)
        for query in ("INV-2026-0042", "0042", "marz", "木曜日", "曜日", "rechnung*", "MULLER", "example.com", "absent")
    }

    assert found == {
        "INV-2026-0042": ["invoice"],
        "0042": ["invoice"],
        "marz": ["invoice"],
        "木曜日": ["japanese"],
        "曜日": ["swapped", "japanese"],
        "rechnung*": ["german"],
        "MULLER": ["german"],
        "example.com": ["swapped", "german", "japanese", "invoice"],
        "absent": [],
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["fada@mail.example.com"], ["ada"]),
        (["fexample.com"], ["eve", "ada"]),
        (["feve@example.com"], ["eve"]),
        (["fple.com"], []),
        (["tdesk@ours.example"], ["ada"]),
        (["a1"], ["ada"]),
        (["a0"], ["eve"]),
        (["dinbox", "fexample.com", "a1"], ["ada"]),
        (["dother"], []),
        (["lINBOX"], ["eve", "ada"]),
    ],
)
async def test_fields_of_mail_are_filters(indexed: Indexed, fields: Sequence[str], expected: Sequence[str]) -> None:
    await indexed.add(
        ada=mail("x", sender="Ada@Mail.Example.com", to=["desk@ours.example"], files=["a"]),
        eve=mail("x", sender="eve@example.com"),
    )

    assert expected == await indexed.ids(fields=frozenset(fields))
    assert expected == await indexed.ids("x", fields=frozenset(fields))


async def test_times_of_receipt_are_filters(indexed: Indexed) -> None:
    await indexed.add(**{str(number): mail("all") for number in range(1, 6)})
    span: dict[str, Any] = {"after": BEGIN + timedelta(minutes=2), "before": BEGIN + timedelta(minutes=4)}

    assert ["3", "2"] == await indexed.ids("all", **span)
    assert ["3", "2"] == await indexed.ids(**span)


@pytest.mark.parametrize("window", [3, 2000])
async def test_pages_have_every_mail_once_the_newest_first(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(store, "_NEWEST", store._NEWEST.replace("LIMIT 2000", f"LIMIT {window}"))
    same = mail("all rare" if window == 3 else "all")
    same.mail_received_at.FromDatetime(BEGIN)
    await indexed.add(**{f"m{number}": mail("all") for number in range(20)}, a=same, b=same, c=same)
    behind, pages = None, list[list[str]]()
    while not pages or behind is not None:
        found = await indexed.page("all", 4, behind)
        pages.append([hit.message_id for hit in found.hits])
        behind = found.end

    assert [f"m{number}" for number in reversed(range(20))] + ["c", "b", "a"] == [one for page in pages for one in page]
    assert {4, 3} == set(map(len, pages))
    assert (["c", "b", "a"] if window == 3 else []) == await indexed.ids("rare")


async def test_a_page_that_judges_much_ends_early_and_leads_on(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_JUDGED", 7)
    await indexed.add(**{f"m{number}": mail("b a" if number else "a b") for number in range(30)})
    first = await indexed.page('"a b"')

    assert ([], True) == (list(first.hits), first.end is not None)
    assert ["m0"] == await indexed.ids('"a b"')


@pytest.mark.parametrize("name", ["_JUDGED_BYTES", "_JUDGED_SECONDS"])
async def test_a_page_ends_at_its_bytes_and_at_its_time(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(requests, name, -1)
    await indexed.add(**{f"m{number}": mail("all") for number in range(5)})

    assert 1 == len((await indexed.page("all")).hits)
    assert 5 == len(await indexed.ids("all"))


async def test_a_digest_that_two_words_share_finds_no_wrong_mail(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Digests, "_one", lambda self, term: len(term))
    await indexed.add(one=mail("four"), two=mail("five"))

    assert ["one"] == await indexed.ids("four")
    assert ["two"] == await indexed.ids("five")
    assert [] == await indexed.ids(fields=frozenset(["fada@mail.example.net"]))


async def test_a_mail_whose_event_is_erased_is_not_found(indexed: Indexed) -> None:
    await indexed.add(one=mail("all"), two=mail("all"))
    await indexed.pool.execute(
        "UPDATE processor.events SET kind = 0, tenant_id = gen_random_uuid(), basic = '', body = ''"
        " WHERE position = (SELECT position FROM processor.search_mails WHERE message_id = 'one')"
    )

    assert ["two"] == await indexed.ids("all")


async def test_the_mail_of_another_tenant_is_never_found(pool: db.Pool, indexed: Indexed) -> None:
    other = Indexed(pool, indexed.indexer)
    await other.begin()
    await other.enable()
    await indexed.add(mine=mail("all"))
    await other.add(theirs=mail("all"))

    assert (["mine"], ["theirs"]) == (await indexed.ids("all"), await other.ids("all"))
    # With the digests of the other tenant as well: the statement names the tenant.
    key = await pool.fetchval("SELECT key FROM processor.search_settings WHERE tenant_id = $1", other.tenant)
    wanted = store.Wanted(indexed.tenant, Digests(key).of(read_query("all").terms()))
    async with db.transaction(pool) as connection:
        assert [] == await store.find(connection, wanted, None, 10)
    for asked in (indexed.search.find(Criteria(other.tenant, read_query("all")), None, 10, [indexed.tenant]),):
        with pytest.raises(TenantNotFound):
            await asked
    with pytest.raises(TenantNotFound):
        await indexed.search.settings(other.tenant, [indexed.tenant])


async def test_a_search_that_takes_too_long_is_refused_by_name(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await indexed.add(one=mail("all"))
    slow = "SELECT message_id, received_at, position FROM processor.search_mails, pg_sleep(30) WHERE tenant_id = $1"
    everything = (
        " AND $2::int[] IS NOT NULL AND ($3::timestamptz, $4::timestamptz, $5::timestamptz, $6::bigint) IS NULL"
    )
    monkeypatch.setattr(store, "_NEWEST", f"{slow}{everything} LIMIT $7")
    monkeypatch.setattr(store, "_BOUNDS", store._BOUNDS.replace("2000", "50"))

    with pytest.raises(SearchTooSlow):
        await indexed.page("all")
    monkeypatch.undo()
    assert ["one"] == await indexed.ids("all")


async def test_searches_go_on_while_mail_is_indexed(indexed: Indexed) -> None:
    await indexed.add(**{f"m{number}": mail("all") for number in range(50)})
    await indexed.publish(*(indexed.event(f"m{number}", mail("all"), "mail.updated") for number in range(50)))

    async def ask(_: int) -> Any:
        return await indexed.ids("all")

    found = await asyncio.gather(indexed.index(), *map(ask, range(10)))
    assert {50} == {len(set(one)) for one in found[1:]}
