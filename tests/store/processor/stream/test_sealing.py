"""Sealed events on a real PostgreSQL: canaries in no table, and every reader gets them as before."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from mailmesh.processor.v1 import event_pb2, processor_service_pb2, sealing_service_pb2
from services.meshkit import db
from services.meshkit.erasing import erase_rows
from services.meshkit.errors import ServiceUnavailable
from services.meshkit.identity.caller import Caller, Role
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.meshkit.shares import Shares
from services.processor.erasing import PLAN
from services.processor.errors import TenantNotFound
from services.processor.stream.contents import CONTENTS
from services.processor.stream.errors import ContentKeyUnavailable, SealBroken
from services.processor.stream.filter import Selection
from services.processor.stream.key_follower import KeyFollower
from services.processor.stream.pages import EARLIEST, LATEST, EventReader
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.replay import Replaying
from services.processor.stream.sealing import StoredSealing
from services.processor.stream.store.replays import Range, begin, copy_some
from services.processor.stream.tail import Tail
from tests.programs.postgres import TestDatabase
from tests.store.planting import cells_with, statistics_with
from tests.store.processor.sealed import Sealed
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT, mail_draft, tenant_draft

EVERYTHING = Selection(tenants=None, include_replays=True)
BASIC, BODY, FULL = event_pb2.EVENT_VIEW_BASIC, event_pb2.EVENT_VIEW_BODY, event_pb2.EVENT_VIEW_FULL
CANARY = "rosebud-7731"
CALLER = Caller("envoy", new_id(), Role.ADMIN)


@pytest.fixture
async def sealed(pool: db.Pool) -> AsyncIterator[Sealed]:
    made = Sealed(pool)
    await made.connect(TENANT, OTHER_TENANT)
    yield made
    made.forget()


@pytest.fixture
async def owner(processor_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(processor_database.admin_url), "owner") as opened:
        yield opened


def secret_draft(tenant_id: str = TENANT, word: str = CANARY) -> EventDraft:
    """Return a mail with the canary in each text that a person wrote."""
    draft = mail_draft(tenant_id=tenant_id)
    assert draft.mail is not None
    message = draft.mail.message
    message.subject, message.body.text, message.preview = f"Subject {word}", f"Text {word}", f"Preview {word}"
    message.headers.add(name="X-Word", value=word)
    message.attachments.add(name=f"{word}.pdf")
    message.from_address.address = f"{word}@example.test"
    draft.mail.raw.update({"body": {"content": f"<p>{word}</p>"}})
    return draft


async def put(pool: db.Pool, *drafts: EventDraft) -> list[str]:
    async with db.transaction(pool) as connection:
        return [event.event_id for event in await publish(connection, drafts)]


async def read(pool: db.Pool, view: "event_pb2.EventView.ValueType" = FULL) -> list[event_pb2.Event]:
    reader = EventReader(pool)
    return (await reader.page(await reader.start("", EARLIEST), EVERYTHING, view, 1000)).events


def content(events: Sequence[event_pb2.Event]) -> list[bytes]:
    """Return what readers get, without the values that differ between two reads of one event: none do."""
    return [event.SerializeToString(deterministic=True) for event in events]


async def test_content_of_a_sealed_tenant_is_in_no_table_and_every_reader_gets_it(
    pool: db.Pool, owner: db.Pool, sealed: Sealed
) -> None:
    await sealed.enable(TENANT)
    (event_id,) = await put(pool, secret_draft())
    found = await cells_with(owner, "processor", CANARY)
    await put(pool, secret_draft(OTHER_TENANT, "plainword"))
    plain = await cells_with(owner, "processor", "plainword")
    reader = EventReader(pool)
    (event, _), (short, _) = await read(pool), await read(pool, BASIC)
    alone = await reader.event(event_id, None, FULL)
    at = await reader.at(TENANT, [await pool.fetchval("SELECT position FROM processor.events LIMIT 1")])

    assert (set(), {("events", "basic"), ("events", "body"), ("events", "raw")}) == (found, plain)
    assert event == alone
    assert f"Text {CANARY}" == event.mail.message.body.text == next(iter(at.values())).mail.message.body.text
    assert f"<p>{CANARY}</p>" == event.mail.raw["body"]["content"]
    assert (f"Subject {CANARY}", "") == (short.mail.message.subject, short.mail.message.body.text)


async def test_the_events_in_memory_are_opened(pool: db.Pool, sealed: Sealed) -> None:
    await sealed.enable(TENANT)
    reader = EventReader(pool)

    class NoHead:
        def note(self, _position: int) -> None: ...
        async def beyond(self, _position: int, _seconds: float) -> None: ...

    tail = Tail(reader, NoHead())  # type: ignore[arg-type] # nothing waits here
    start = await reader.start(LATEST, LATEST)
    await tail._step()
    await put(pool, secret_draft())
    await tail._step()
    page = tail.page(start, Selection(tenants=frozenset((TENANT,))), BASIC, 10)

    assert page is not None
    assert [f"Subject {CANARY}"] == [event.mail.message.subject for event in page.events]


async def test_stored_content_is_sealed_by_a_pass_that_goes_on_where_it_was(
    pool: db.Pool, owner: db.Pool, sealed: Sealed
) -> None:
    for _ in range(3):
        await put(pool, *(secret_draft() for _ in range(40)), secret_draft(OTHER_TENANT, "plainword"))
    await owner.execute("ANALYZE")
    before = content(await read(pool))
    assert ("events", "basic") in await cells_with(owner, "processor", CANARY)
    await sealed.enable(TENANT)
    failures = [RuntimeError("the process dies")]

    async def dies(_connection: db.Connection, _tenant_id: str) -> int:
        if failures:
            raise failures.pop()
        return 0

    with pytest.raises(RuntimeError):
        await StoredSealing(pool, (dies,)).round()
    await pool.execute("UPDATE processor.duties SET expires_at = now() - interval '1 second'")
    after_crash = await sealed.choice.settings(TENANT, None)
    await StoredSealing(pool, (dies,)).round()
    state = await sealed.choice.settings(TENANT, None)

    assert after_crash is not None
    assert state is not None
    assert (120, False, 120, True) == (after_crash.sealed, after_crash.is_complete, state.sealed, state.is_complete)
    assert before == content(await read(pool))
    assert set() == await cells_with(owner, "processor", CANARY)
    assert set() == await statistics_with(owner, "processor", CANARY)
    assert {("events", "basic"), ("events", "body"), ("events", "raw")} == await cells_with(
        owner, "processor", "plainword"
    )
    assert 0 == await StoredSealing(pool, (dies,)).round()


async def test_one_pass_completes_several_tenants_each_by_itself(pool: db.Pool, sealed: Sealed) -> None:
    await put(pool, secret_draft(), secret_draft(OTHER_TENANT))
    for tenant in (TENANT, OTHER_TENANT):
        await sealed.enable(tenant)
    await StoredSealing(pool, ()).round()
    states = [await sealed.choice.settings(tenant, None) for tenant in (TENANT, OTHER_TENANT)]

    assert [(1, True), (1, True)] == [(state.sealed, state.is_complete) for state in states if state is not None]


async def test_the_pass_waits_until_every_process_seals(pool: db.Pool, sealed: Sealed) -> None:
    await put(pool, secret_draft())
    await sealed.enable(TENANT)
    await pool.execute("UPDATE processor.sealed_tenants SET enabled_at = now() - interval '50 seconds'")

    assert 0 == await StoredSealing(pool, ()).round()
    await pool.execute("UPDATE processor.sealed_tenants SET enabled_at = now() - interval '61 seconds'")
    assert 0 < await StoredSealing(pool, ()).round()


async def test_a_replay_is_sealed_and_opens_as_its_original(pool: db.Pool, owner: db.Pool, sealed: Sealed) -> None:
    await sealed.enable(TENANT)
    await put(pool, secret_draft())
    replaying = Replaying(pool, EventReader(pool), Shares("replays", 1, 1), 10**9)
    await replaying.replay(processor_service_pb2.ReplayEventsRequest(), CALLER)
    first, again = await read(pool)

    assert (False, True) == (first.mail.is_replay, again.mail.is_replay)
    assert (first.mail.message, first.mail.raw) == (again.mail.message, again.mail.raw)
    assert set() == await cells_with(owner, "processor", CANARY)


async def test_the_pass_seals_the_copies_of_a_replay_under_way(pool: db.Pool, owner: db.Pool, sealed: Sealed) -> None:
    await put(pool, secret_draft())
    await sealed.enable(TENANT)
    last = await pool.fetchval("SELECT max(position) FROM processor.events")
    wanted = Range(0, last, None, None, EVERYTHING)
    async with db.transaction(pool) as connection:
        replay = await begin(connection, new_id(), None, b"digest", wanted, (0, None), 1, 1)
    assert replay is not None
    async with db.transaction(pool) as connection:
        await copy_some(connection, replay, wanted, 10, 2**20)
        sealing = asyncio.create_task(StoredSealing(pool, ()).round())
        await asyncio.sleep(0.5)
    await sealing
    while await StoredSealing(pool, ()).round():
        pass

    assert [f"Text {CANARY}"] * 2 == [event.mail.message.body.text for event in await read(pool)]
    assert set() == await cells_with(owner, "processor", CANARY)


@pytest.mark.parametrize("change", ["moved", "altered", "of another tenant"])
async def test_an_event_that_does_not_open_stops_no_reader_of_the_others(
    pool: db.Pool, sealed: Sealed, change: str
) -> None:
    await sealed.enable(TENANT)
    await sealed.enable(OTHER_TENANT)
    first, broken, last = await put(pool, secret_draft(), secret_draft(), secret_draft(OTHER_TENANT))
    changes = {
        "moved": "body = (SELECT body FROM processor.events WHERE event_id::text = $2)",
        "altered": "body = set_byte(body, 40, 255 - get_byte(body, 40)), provider = coalesce(provider, $2::text)",
        "of another tenant": "tenant_id = (SELECT tenant_id FROM processor.events WHERE event_id::text = $2)",
    }
    await pool.execute(
        f"UPDATE processor.events SET {changes[change]} WHERE event_id = $1",  # noqa: S608 - our own words
        broken,
        last if change == "of another tenant" else first,
    )

    assert [first, last] == [event.mail.event_id for event in await read(pool)]
    with pytest.raises(SealBroken):
        await EventReader(pool).event(broken, None, FULL)


async def test_without_its_key_nothing_of_a_tenant_is_stored_or_read_and_others_go_on(
    pool: db.Pool, owner: db.Pool, sealed: Sealed
) -> None:
    await sealed.enable(TENANT)
    await put(pool, secret_draft())
    sealed.forget()
    sealed.keys.is_away = True
    follower = KeyFollower(pool, sealed.keys)  # type: ignore[arg-type] # a stub's calls
    await follower.start()
    with pytest.raises(ContentKeyUnavailable):
        await put(pool, secret_draft())
    with pytest.raises(ContentKeyUnavailable):
        await read(pool)
    (other, _) = await put(pool, mail_draft(tenant_id=OTHER_TENANT), tenant_draft("c1"))
    others = await EventReader(pool).event(other, None, FULL)
    with pytest.raises(ServiceUnavailable):
        await follower.round()
    sealed.keys.is_away = False
    fetched = await follower.round()

    assert (other, 1) == (others.mail.event_id, fetched)
    assert 3 == len(await read(pool))
    assert set() == await cells_with(owner, "processor", CANARY)


async def test_a_key_that_was_destroyed_opens_nothing_and_stops_no_reader(pool: db.Pool, sealed: Sealed) -> None:
    await sealed.enable(TENANT)
    await put(pool, secret_draft())
    (other,) = await put(pool, mail_draft(tenant_id=OTHER_TENANT))
    sealed.forget()
    sealed.keys.made.clear()
    follower = KeyFollower(pool, sealed.keys)  # type: ignore[arg-type] # a stub's calls
    await follower.start()

    assert [other] == [event.mail.event_id for event in await read(pool)]
    with pytest.raises(SealBroken):
        await put(pool, secret_draft())


async def test_after_sealing_is_disabled_new_content_is_clear_and_sealed_content_is_read(
    pool: db.Pool, owner: db.Pool, sealed: Sealed
) -> None:
    await sealed.enable(TENANT)
    await put(pool, secret_draft())
    await sealed.enable(TENANT, is_enabled=False)
    await put(pool, secret_draft(word="later"))

    assert [f"Text {CANARY}", "Text later"] == [event.mail.message.body.text for event in await read(pool)]
    assert set() == await cells_with(owner, "processor", CANARY)
    assert ("events", "body") in await cells_with(owner, "processor", "later")


async def test_content_is_sealed_some_seconds_after_the_choice(pool: db.Pool, sealed: Sealed) -> None:
    await sealed.choice.update(TENANT, sealing_service_pb2.SealingSettings(is_enabled=True), None)

    assert not CONTENTS.is_sealing(TENANT)
    await pool.execute("UPDATE processor.sealed_tenants SET enabled_at = now() - interval '6 seconds', version = 9")
    await sealed.follower.round()
    assert CONTENTS.is_sealing(TENANT)


async def test_the_key_of_an_erased_tenant_is_forgotten_and_none_is_made_for_it(
    pool: db.Pool, owner: db.Pool, sealed: Sealed
) -> None:
    await sealed.enable(TENANT)
    await put(pool, secret_draft())
    removed = await erase_rows(owner, PLAN, TENANT)
    await sealed.follower.round()
    sealed.keys.made.clear()
    await sealed.connect(TENANT)
    with pytest.raises(TenantNotFound):
        await sealed.choice.update(TENANT, sealing_service_pb2.SealingSettings(is_enabled=True), None)

    assert (1, 1) == (removed["events"], removed["sealed_tenants"])
    assert ([], {}) == (await read(pool), sealed.keys.made)
    assert not CONTENTS.is_sealing(TENANT)
