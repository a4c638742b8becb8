"""The index in PostgreSQL: filled from the stream exactly once, changed and emptied with its mail and its tenant."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.erasing import erase_rows
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import Pace, PersonErasing
from services.meshkit.ids import new_id
from services.processor.erasing import PLAN
from services.processor.errors import TenantNotFound
from services.processor.persons import PERSONS
from services.processor.search import indexer as indexer_module
from services.processor.search.errors import SearchNotEnabled
from services.processor.search.indexer import Indexer, SearchRetention
from services.processor.search.store import mails as store
from services.processor.search.store.mails import Entry
from services.processor.stream import turns
from services.processor.stream.pages import EventReader
from services.processor.stream.retention import Retention
from services.processor.stream.store import tenants
from tests.store.processor.search.indexing import Indexed
from tests.unit.processor.search.mails import mail


@pytest.fixture
async def indexed(pool: db.Pool) -> Indexed:
    made = Indexed(pool)
    await made.begin()
    return made


_STATISTICS = """
    SELECT most_common_vals::text, histogram_bounds::text, most_common_elems::text FROM pg_stats
    WHERE tablename LIKE 'search%'
"""


ANN = "ann@example.test"
_WAITS = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"


async def erase_ann(indexed: Indexed) -> None:
    """Erase a person from the tenant's mail."""
    erasing = PersonErasing(indexed.pool, "processor", PERSONS, Pace(settle_seconds=0, slice_seconds=60, rest=0))
    assert (await erasing.advance(PersonToErase(new_id(), indexed.tenant, ANN))).mark.is_done


async def rows(indexed: Indexed) -> int:
    return int(await indexed.pool.fetchval("SELECT count(*) FROM processor.search_mails"))


async def test_search_is_off_until_it_is_enabled_and_then_finds_what_is_stored(indexed: Indexed) -> None:
    await indexed.publish(indexed.event("one", mail("Your invoice")), indexed.event("two", mail("An offer")))
    await indexed.index()
    with pytest.raises(SearchNotEnabled):
        await indexed.page("invoice")
    assert 0 == await rows(indexed)

    begun = await indexed.enable()
    before = await indexed.page("invoice")
    await indexed.index()
    after = await indexed.page("invoice")

    assert (0, 2, True, []) == (begun.mails, begun.waiting_events, before.is_indexing, list(before.hits))
    assert (["one"], False) == ([hit.message_id for hit in after.hits], after.is_indexing)
    assert (2, 0, False) == ((state := await indexed.state()).mails, state.waiting_events, state.is_deleting)


async def test_mail_is_indexed_once_by_many_processes_and_repetitions(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.publish(*(indexed.event(f"m{number}", mail(f"number{number} all")) for number in range(250)))
    others = [Indexer(indexed.pool, indexed.reader) for _ in range(3)]
    await asyncio.gather(*(one.round() for one in (indexed.indexer, *others)))
    # Each reads the same page as if it had the duty, which a slow process may believe.
    await asyncio.gather(*(one._advance(indexed.tenant) for one in (indexed.indexer, *others)))
    await indexed.pool.execute("DELETE FROM processor.duties")
    await indexed.index()
    await indexed.enable()
    await indexed.index()

    assert (250, 250) == (await rows(indexed), (await indexed.state()).mails)
    assert 250 == len(set(await indexed.ids("all")))


async def test_one_process_has_the_duty_and_another_takes_it_over(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.publish(indexed.event("one", mail("Your invoice")))
    await indexed.index()
    await indexed.publish(indexed.event("two", mail("Your invoice")))
    other = Indexer(indexed.pool, indexed.reader)

    assert 0 == await other.round()
    await indexed.pool.execute("UPDATE processor.duties SET expires_at = now() - interval '1 second'")
    assert 1 == await other.round()
    assert ["two", "one"] == await indexed.ids("invoice")


async def test_a_mail_follows_its_events(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.publish(indexed.event("one", None))
    await indexed.add(two=mail("draft of an invoice"))
    assert [] == await indexed.ids("first")
    await indexed.publish(indexed.event("one", mail("first text"), "mail.enriched", enriched_event_id="e"))
    await indexed.index()
    assert ["one"] == await indexed.ids("first")
    moved = mail("second text")
    moved.folder_id = "archive"
    await indexed.publish(indexed.event("one", moved, "mail.updated"), indexed.event("one", None, "mail.updated"))
    await indexed.index()

    assert ([], ["one"]) == (await indexed.ids("first"), await indexed.ids("second"))
    assert (["one"], ["two"]) == (
        await indexed.ids(fields=frozenset(["darchive"])),
        await indexed.ids(fields=frozenset(["dinbox"])),
    )
    await indexed.publish(indexed.event("one", None, "mail.deleted"))
    await indexed.index()
    assert (["two"], 1, 1) == (await indexed.ids(), await rows(indexed), (await indexed.state()).mails)


async def test_a_mail_that_comes_and_goes_on_one_page_is_not_indexed(indexed: Indexed) -> None:
    await indexed.enable()
    draft = mail("a draft")
    draft.is_draft = True
    await indexed.publish(
        indexed.event("one", mail("x")), indexed.event("one", None, "mail.deleted"), indexed.event("two", draft)
    )
    await indexed.index()

    assert (0, 0) == (await rows(indexed), (await indexed.state()).mails)


async def test_disabling_deletes_the_index_and_enabling_makes_another_one(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.add(one=mail("Your invoice"))
    key = await indexed.pool.fetchval("SELECT key FROM processor.search_settings")
    disabled = await indexed.enable(is_enabled=False)
    gone = await indexed.pool.fetchval("SELECT key FROM processor.search_settings")
    assert (True, b"", 32) == (disabled.is_deleting, gone, len(key))
    # Enabled while the old mails are still there: these go first.
    again = await indexed.enable()
    assert again.is_deleting
    assert [] == await indexed.ids("invoice")
    await indexed.index()

    assert ["one"] == await indexed.ids("invoice")
    assert key != await indexed.pool.fetchval("SELECT key FROM processor.search_settings")
    await indexed.enable(is_enabled=False)
    await indexed.index()
    assert (0, False) == (await rows(indexed), (state := await indexed.state()).is_deleting)
    assert 0 == state.mails
    with pytest.raises(SearchNotEnabled):
        await indexed.page("invoice")


async def test_a_disconnected_tenant_has_no_index(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.add(one=mail("Your invoice"))
    async with db.transaction(indexed.pool) as connection:
        await tenants.forget_mailbox(connection, indexed.tenant)
    await indexed.index()
    await indexed.begin("disconnected")

    assert 0 == await rows(indexed)
    with pytest.raises(TenantNotFound):
        await indexed.page("invoice")
    with pytest.raises(TenantNotFound):
        await indexed.enable()


async def test_an_erased_tenant_leaves_nothing_and_is_not_indexed_again(pool: db.Pool, indexed: Indexed) -> None:
    other = Indexed(pool, indexed.indexer)
    await other.begin()
    for one in (indexed, other):
        await one.enable()
        await one.add(**{f"canary{number}": mail(f"secret{number} all") for number in range(50)})
    await pool.execute("ANALYZE processor.search_mails, processor.search_settings")
    assert indexed.tenant in str(await pool.fetch(_STATISTICS))
    removed = await erase_rows(pool, PLAN, indexed.tenant)
    statistics = str(await pool.fetch(_STATISTICS))
    left = str(await pool.fetch("SELECT * FROM processor.search_mails"))

    assert (50, 1) == (removed["search_mails"], removed["search_settings"])
    assert indexed.tenant not in statistics + left
    assert 50 == len(await other.ids("all"))
    # The tenant's own row may come late; the mark keeps the index away.
    await indexed.begin()
    with pytest.raises(TenantNotFound):
        await indexed.enable()


async def test_a_process_that_indexes_while_the_tenant_is_erased_brings_nothing_back(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.publish(*(indexed.event(f"m{number}", mail("all")) for number in range(300)))
    await asyncio.gather(
        erase_rows(indexed.pool, PLAN, indexed.tenant), *(indexed.indexer._advance(indexed.tenant) for _ in range(6))
    )

    assert 0 == await rows(indexed)


async def test_mail_that_names_an_erased_person_leaves_the_index_and_its_count(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.add(one=mail("all", sender=ANN), two=mail("all"))
    await erase_ann(indexed)

    assert (1, 1, ["two"]) == (await rows(indexed), (await indexed.state()).mails, await indexed.ids("all"))


async def test_an_event_that_is_buried_while_it_is_indexed_leaves_no_digests(indexed: Indexed) -> None:
    """The erasure comes between the indexer's read and its commit."""
    await indexed.enable()
    await indexed.publish(indexed.event("one", mail("all", sender=ANN)), indexed.event("two", mail("all")))

    class Slow(EventReader):
        async def page(self, *args: Any, **values: Any) -> Any:
            read = await super().page(*args, **values)
            await erase_ann(indexed)
            return read

    await Indexer(indexed.pool, Slow(indexed.pool))._advance(indexed.tenant)
    assert (1, 1, ["two"]) == (await rows(indexed), (await indexed.state()).mails, await indexed.ids("all"))


async def test_an_erasure_waits_for_the_indexer_and_removes_what_it_has_saved(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.publish(indexed.event("one", mail("all", sender=ANN)), indexed.event("two", mail("all")))
    erasing: list[asyncio.Task[None]] = []
    save = store.save

    async def late(connection: db.Connection, tenant_id: str, entries: Sequence[Entry]) -> int:
        erasing.append(asyncio.create_task(erase_ann(indexed)))
        async with asyncio.timeout(20):
            while not await indexed.pool.fetchval(_WAITS):
                await asyncio.sleep(0.01)
        return await save(connection, tenant_id, entries)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "save", late)
        await indexed.indexer._advance(indexed.tenant)
    await erasing[0]
    assert (1, 1, ["two"]) == (await rows(indexed), (await indexed.state()).mails, await indexed.ids("all"))


class Stumbling(Indexer):
    """An indexer whose work fails for one tenant."""

    stone = ""

    async def _advance(self, tenant_id: str) -> None:
        if tenant_id == self.stone:
            raise ValueError(tenant_id)
        await super()._advance(tenant_id)


async def test_a_tenant_whose_mail_cannot_be_indexed_holds_no_other_back(pool: db.Pool, indexed: Indexed) -> None:
    other = Indexed(pool, indexed.indexer)
    await other.begin()
    for one in (indexed, other):
        await one.enable()
        await one.publish(one.event("one", mail("invoice")))
    indexer = Stumbling(pool, indexed.reader)
    indexer.stone = indexed.tenant
    await indexer.round()

    assert ["one"] == await other.ids("invoice")


@pytest.mark.parametrize("fails", [False, True], ids=["a tenant far behind", "a tenant that fails"])
async def test_each_tenant_has_its_turn(
    pool: db.Pool, indexed: Indexed, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr(turns, "_TENANTS", 1)
    monkeypatch.setattr(indexer_module, "_PAGE", 1)
    indexer = Stumbling(pool, indexed.reader)
    other = Indexed(pool, indexer)
    await other.begin()
    await other.enable()
    await indexed.publish(*(indexed.event(f"old {number}", mail("invoice")) for number in range(5)))
    await other.add(one=mail("offer"))
    indexer.stone = indexed.tenant if fails else ""
    await indexed.enable()
    await other.publish(other.event("new", mail("invoice")))
    for _ in range(3):
        await indexer.round()

    assert ["new"] == await other.ids("invoice")


async def test_the_index_has_no_word_and_no_address(indexed: Indexed) -> None:
    await indexed.enable()
    await indexed.add(one=mail("canary", "canary", "canary@canary.example", ["canary@x.example"], ["canary.pdf"]))
    stored = [str(dict(row)) for row in await indexed.pool.fetch("SELECT * FROM processor.search_mails")]

    assert ["one"] == await indexed.ids("canary")
    assert "canary" not in "".join(stored)


async def test_retention_of_the_stream_and_of_the_index_agree(indexed: Indexed) -> None:
    """Events of a day that is past retention are not found, before and after their partition is dropped."""
    await indexed.enable()
    await indexed.add(one=mail("invoice"))
    future = SystemClock().now() + timedelta(days=60)

    class Later(SystemClock):
        def now(self):  # type: ignore[no-untyped-def]
            return future

    await Retention(indexed.pool, 30, Later(), timedelta(0)).round()
    assert [] == await indexed.ids("invoice")
    assert 1 == await SearchRetention(indexed.pool).round()
    assert 0 == await rows(indexed)
