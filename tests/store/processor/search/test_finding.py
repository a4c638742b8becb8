"""Finding mail in PostgreSQL: the newest first, page by page, within bounds, and never another tenant's."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.meshkit import db
from services.processor.errors import TenantNotFound
from services.processor.search import requests
from services.processor.search.errors import SearchTooSlow
from services.processor.search.query import read_query
from services.processor.search.requests import Criteria
from services.processor.search.store import finding
from services.processor.search.store import mails as store
from services.processor.search.store.mails import Entry
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
    monkeypatch.setattr(finding, "WINDOW", window)
    same = mail("all rare")
    same.mail_received_at.FromDatetime(BEGIN)
    await indexed.add(**{f"m{number}": mail("all") for number in range(20)}, a=same, b=same, c=same)
    behind, pages = None, list[list[str]]()
    while not pages or behind is not None:
        found = await indexed.page("all", 4, behind)
        pages.append([hit.message_id for hit in found.hits])
        behind = found.end

    assert [f"m{number}" for number in reversed(range(20))] + ["c", "b", "a"] == [one for page in pages for one in page]
    assert {4, 3} == set(map(len, pages))
    assert ["c", "b", "a"] == await indexed.ids("rare")


_WORDS = ("often", "old", "new", "rare", "every")


@pytest.mark.parametrize("bounds", [(3, 7, 4, 5), (20, 40, 4, 5), (5, 20, 100, 3), (250, 20_000, 20_000, 400)])
async def test_any_bounds_and_queries_find_the_same_mails(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch, bounds: Sequence[int]
) -> None:
    """The bounds choose the ways to the mails. `old` is frequent in old mails alone, `new` in new ones."""
    for module, name, value in zip(
        (finding, finding, finding, requests),
        ("WINDOW", "MOST_WALKED", "MOST_LISTED", "_MOST_CANDIDATES"),
        bounds,
        strict=True,
    ):
        monkeypatch.setattr(module, name, value)
    chance = random.Random(7)
    mails = dict[str, Any]()
    for number in range(60):
        likely = {"often": 0.6, "old": 0.9 if number < 30 else 0.03, "new": 0.9 if number > 50 else 0.03, "rare": 0.04}
        mails[f"m{number}"] = mail(
            " ".join(["every", *(word for word in _WORDS if chance.random() < likely.get(word, 0))])
        )
    await indexed.add(**mails)

    for query in (
        "old",
        "rare",
        "often new",
        "old -often",
        "every -old -new",
        '"often new"',
        "every -often*",
        "absent",
    ):
        read = read_query(query)
        for span in (range(60), range(10, 45)):
            times = {
                "after": BEGIN + timedelta(minutes=span[0] + 1),
                "before": BEGIN + timedelta(minutes=span[-1] + 2),
            }
            expected = [f"m{number}" for number in reversed(span) if read.takes(mails[f"m{number}"])]
            assert expected == await indexed.ids(query, size=7, **(times if len(span) < 60 else {})), query


_ENDS = (-(2**31), -1, 0, 1, 2**31 - 1)


@pytest.mark.parametrize("mails", [1, 100_000])
async def test_each_digest_is_found_at_either_end_and_in_long_mails(indexed: Indexed, mails: int) -> None:
    """`mails` chooses the way: a list of few mails, or a walk."""
    long = sorted({*range(-4000, 4000, 2), *_ENDS})
    digests = {
        "none": [],
        "ends": sorted(_ENDS),
        "middle": [5],
        "long": long,
        "lowest": [-(2**31)],
        "highest": [2**31 - 1],
    }
    entries = [
        Entry(name, BEGIN + timedelta(minutes=number), number, found)
        for number, (name, found) in enumerate(digests.items())
    ]
    async with db.transaction(indexed.pool) as connection:
        await store.save(connection, indexed.tenant, entries)
        for wanted in ((), *((one,) for one in (*_ENDS, 5, 7)), (-(2**31), 0), (0, 2**31 - 1), (5, 7)):
            for excluded in ((), (0,), (2**31 - 1, 5), (7,)):
                asked = finding.Wanted(indexed.tenant, wanted, excluded, mails=mails)
                found = await finding.find(connection, asked, None, 10)
                expected = [
                    name for name, has in digests.items() if set(wanted) <= set(has) and not set(excluded) & set(has)
                ]
                assert expected[::-1] == [row["message_id"] for row in found.rows], (wanted, excluded)


async def test_a_call_reads_a_bounded_number_of_mails_and_leads_on(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "WINDOW", 2)
    monkeypatch.setattr(finding, "MOST_WALKED", 6)
    monkeypatch.setattr(finding, "MOST_LISTED", 3)
    await indexed.add(**{f"m{number}": mail("old" if number < 10 else "new") for number in range(30)})
    wanted = await wanted_of(indexed, "old")
    async with db.transaction(indexed.pool) as connection:
        first = await finding.find(connection, wanted, None, 2)
        assert ([], BEGIN + timedelta(minutes=25)) == (list(first.rows), first.end and first.end[0])
        second = await finding.find(connection, wanted, (BEGIN + timedelta(minutes=11), 0), 2)

    assert ["m9", "m8"] == [row["message_id"] for row in second.rows]


async def test_mails_with_an_excluded_word_are_left_out_by_the_index(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await indexed.add(**{f"m{number}": mail("all" if number % 10 == 0 else "all common") for number in range(30)})
    read = list[int]()

    async def count(tenant_id: str, positions: Sequence[int], at: Any = indexed.reader.at) -> Any:
        read.append(len(positions))
        return await at(tenant_id, positions)

    monkeypatch.setattr(indexed.reader, "at", count)
    for query in ("all -common", "all -commo*"):
        assert ["m20", "m10", "m0"] == await indexed.ids(query)
        assert 3 == sum(read), query
        read.clear()


async def wanted_of(indexed: Indexed, query: str, owner: str = "") -> finding.Wanted:
    """Return what a query asks the index of a tenant for, with the key of an owner."""
    row = await indexed.pool.fetchrow(
        "SELECT key, mails FROM processor.search_settings WHERE tenant_id = $1", owner or indexed.tenant
    )
    assert row is not None
    return finding.Wanted(indexed.tenant, Digests(row["key"]).of(read_query(query).terms()), mails=row["mails"])


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
    wanted = await wanted_of(indexed, "all", other.tenant)
    async with db.transaction(pool) as connection:
        for mails in (1, 1000):
            assert finding.Part([], None) == await finding.find(connection, replace(wanted, mails=mails), None, 10)
    for asked in (indexed.search.find(Criteria(other.tenant, read_query("all")), None, 10, [indexed.tenant]),):
        with pytest.raises(TenantNotFound):
            await asked
    with pytest.raises(TenantNotFound):
        await indexed.search.settings(other.tenant, [indexed.tenant])


async def test_a_search_that_takes_too_long_is_refused_by_name(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await indexed.add(one=mail("all"))
    monkeypatch.setattr(
        finding, "_WALK", finding._WALK.replace("search_mails WHERE", "search_mails, pg_sleep(30) WHERE")
    )
    monkeypatch.setattr(finding, "_BOUNDS", finding._BOUNDS.replace("2000", "50"))

    with pytest.raises(SearchTooSlow):
        await indexed.page("all")
    monkeypatch.undo()
    assert ["one"] == await indexed.ids("all")


async def test_searches_go_on_while_mail_is_indexed(indexed: Indexed) -> None:
    mails = {f"m{number}": mail("all") for number in range(50)}
    for number, one in enumerate(mails.values()):
        # An update does not change the time of receipt: a mail stays on its page.
        one.mail_received_at.FromDatetime(BEGIN + timedelta(minutes=number))
    await indexed.add(**mails)
    await indexed.publish(*(indexed.event(name, one, "mail.updated") for name, one in mails.items()))

    async def ask(_: int) -> Any:
        return await indexed.ids("all")

    found = await asyncio.gather(indexed.index(), *map(ask, range(10)))
    assert {50} == {len(set(one)) for one in found[1:]}
