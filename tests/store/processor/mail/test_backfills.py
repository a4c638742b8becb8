"""Backfills beyond one page: cuts, mails of one second, throttling, and the end of a backfill that does not get on."""

from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.queue import WakeQueue
from services.processor.errors import TenantNotFound
from services.processor.mail.backfill.requests import Backfills
from services.processor.mail.store import backfills
from services.processor.mail.store.backfills import CANCELLED, FAILED, FINISHED, BackfillRow
from services.processor.worker import running
from tests.store.processor.ground import Ground

PROVIDERS = pytest.mark.parametrize("provider", ["ms365", "googlews"])
LISTS = {"ms365": "graph.messages.list", "googlews": "gmail.messages.list"}
FETCHES = {"ms365": ("graph.messages.get", "graph.batch"), "googlews": ("gmail.messages.get", "gmail.batch")}
SLOW: dict[str, Any] = {"commit_messages": 3, "graph_requests_per_10_minutes": 100, "gmail_units_per_minute": 600}
"""A backfill with these settings rests after its first page for longer than a test takes."""
SMALL: dict[str, Any] = {"commit_messages": 3, "graph_requests_per_10_minutes": 10_000_000}


async def begin(ground: Ground, tenant: tenant_pb2.Tenant) -> None:
    """Begin a backfill of thirty days."""
    now = datetime.now(UTC)
    async with db.connection(ground.processor) as connection:
        assert await backfills.start(
            connection, tenant.tenant_id, tenant.provider, now - timedelta(days=30), now, "backfill"
        )


async def read(ground: Ground, tenant: tenant_pb2.Tenant) -> BackfillRow:
    """Return the tenant's backfill."""
    async with db.connection(ground.processor) as connection:
        row = await backfills.read(connection, tenant.tenant_id)
    assert row is not None
    return row


async def ended(ground: Ground, tenant: tenant_pb2.Tenant) -> BackfillRow:
    """Wait for the end of the tenant's backfill, and return it."""

    async def is_over() -> bool:
        return (await read(ground, tenant)).finished_at is not None

    await ground.until(is_over, what="the backfill's end")
    return await read(ground, tenant)


async def created(ground: Ground, tenant: tenant_pb2.Tenant) -> Counter[str]:
    """Count the events of each mail that a backfill made."""
    events = await ground.events(tenant)
    assert all(one.mail.source == mail_pb2.EVENT_SOURCE_BACKFILL for one in events)
    return Counter(one.message_id for one in events)


async def in_one_second(ground: Ground, tenant: tenant_pb2.Tenant, count: int) -> list[str]:
    """Put mails into a mailbox that were all received in one second of last week."""
    moment = int((datetime.now(UTC) - timedelta(days=7)).timestamp()) * 1000
    mails = [
        await ground.control.deliver(tenant.address, subject=f"Number {number}", receivedAtMs=moment, silent=True)
        for number in range(count)
    ]
    return [mail["id"] for mail in mails]


@PROVIDERS
async def test_a_backfill_after_a_cut_lists_newer_mail_and_goes_on_behind_the_cut(
    ground: Ground, provider: str
) -> None:
    tenant = await ground.tenant(provider)
    await ground.control.load_old(tenant.address, 20, days=20)
    found: list[BackfillRow] = []
    async with running(ground.worker_settings(**SMALL, backfill_messages=8)):
        for _ in range(6):
            await begin(ground, tenant)
            found.append(await ended(ground, tenant))
            await ground.control.deliver(tenant.address, subject="Newer", silent=True)
            if not found[-1].is_cut:
                break
        await begin(ground, tenant)
        last = await ended(ground, tenant)
    ids = [mail["id"] for mail in (await ground.control.truth(tenant.address))["messages"]]

    assert [True] * (len(found) - 1) + [False] == [one.is_cut for one in found]
    assert 3 <= len(found)
    assert sorted((one.reached_at for one in found), reverse=True) == [one.reached_at for one in found]
    assert found[-1].since == found[-1].reached_at
    assert last.is_cut
    assert Counter(ids) == await created(ground, tenant)


@PROVIDERS
async def test_more_mails_of_one_second_than_a_page_are_published_once_while_the_provider_throttles(
    ground: Ground, provider: str
) -> None:
    tenant = await ground.tenant(provider)
    await ground.control.load_old(tenant.address, 4, days=20)
    ids = [mail["id"] for mail in (await ground.control.truth(tenant.address))["messages"]]
    ids += await in_one_second(ground, tenant, 25)
    throttled = {"endpoint": LISTS[provider], "account": tenant.address, "status": 429, "retry_after": 2, "count": 1}
    await ground.control.add_fault("status", **throttled, skip=4)

    async def is_throttled() -> bool:
        return (await read(ground, tenant)).reason == "PROVIDER_THROTTLED"

    async with running(ground.worker_settings(**SMALL)):
        await begin(ground, tenant)
        await ground.until(is_throttled, what="throttled")
        between = await read(ground, tenant)
        done = await ended(ground, tenant)

    assert between.link
    assert (FINISHED, False, "", "") == (done.state, done.is_cut, done.link, done.reason)
    assert Counter(ids) == await created(ground, tenant)


RESTING: dict[str, Any] = {**SLOW, "gmail_units_per_minute": 300}
HALF_SECONDS = {"ms365": (1 + 3) * 600 / (100 / 2), "googlews": (5 + 3 * 20) * 60 / (300 / 2)}
"""The time in which half of that quota permits a page of three mails: their list, and a fetch of each."""
PAUSE = "SELECT extract(epoch FROM due_at - now()) FROM processor.backfills WHERE tenant_id = $1"


@PROVIDERS
async def test_a_backfill_leaves_half_of_the_quota_and_goes_behind_new_mail(ground: Ground, provider: str) -> None:
    tenant = await ground.tenant(provider)
    await ground.control.load_old(tenant.address, 9, days=20)
    if provider == "googlews":
        await ground.begin(tenant)

    async def has_a_page() -> BackfillRow | None:
        row = await read(ground, tenant)
        return row if row.messages else None

    async def is_announced() -> bool:
        return live["id"] in [one.message_id for one in await ground.events(tenant)]

    async with running(ground.worker_settings(**RESTING)):
        await ground.settled()
        begun = ground.now()
        await begin(ground, tenant)
        first: BackfillRow = await ground.until(has_a_page, what="the first page")
        pause = float(await ground.processor.fetchval(PAUSE, tenant.tenant_id))
        pause += (ground.now() - begun).total_seconds()
        live = await ground.control.deliver(tenant.address, subject="New")
        if provider == "googlews":
            await ground.push_present(tenant)
        else:
            await ground.notify(tenant, "created", live)
        await ground.until(is_announced, what="the new mail is announced")
        beside = await read(ground, tenant)
    sources = {one.message_id: one.mail.source for one in await ground.events(tenant)}

    assert (3, 3) == (first.messages, beside.messages)
    assert pause >= HALF_SECONDS[provider]
    assert mail_pb2.EVENT_SOURCE_NOTIFICATION == sources.pop(live["id"])
    assert {mail_pb2.EVENT_SOURCE_BACKFILL} == set(sources.values())


@PROVIDERS
async def test_a_link_that_is_refused_has_the_second_listed_from_its_beginning(ground: Ground, provider: str) -> None:
    tenant = await ground.tenant(provider)
    ids = await in_one_second(ground, tenant, 10)
    refused = {"endpoint": LISTS[provider], "account": tenant.address, "status": 400, "code": "invalidArgument"}
    await ground.control.add_fault("status", **refused, count=1, skip=2)

    async def is_refused() -> BackfillRow | None:
        row = await read(ground, tenant)
        return row if row.reason == "MESSAGE_UNREADABLE" else None

    async with running(ground.worker_settings(**SMALL, retry_base_seconds=3.0, retry_max_seconds=3.0)):
        await begin(ground, tenant)
        refused_row = await ground.until(is_refused, what="refused")
        done = await ended(ground, tenant)

    assert "" == refused_row.link
    assert FINISHED == done.state
    assert Counter(ids) == await created(ground, tenant)


@pytest.mark.parametrize(("idle_days", "state"), [(1, FINISHED), (8, FAILED)])
async def test_only_a_backfill_that_has_not_got_on_for_seven_days_fails(
    ground: Ground, idle_days: int, state: int
) -> None:
    tenant = await ground.tenant("ms365")
    await ground.control.load_old(tenant.address, 5, days=20)
    fault = {"endpoint": LISTS["ms365"], "account": tenant.address, "status": 503, "count": 1}
    await ground.control.add_fault("status", **fault)
    await begin(ground, tenant)
    await ground.processor.execute(
        """
        UPDATE processor.backfills SET until = until - interval '10 days', progressed_at = now() - $2::interval
        WHERE tenant_id = $1
        """,
        tenant.tenant_id,
        timedelta(days=idle_days),
    )
    async with running(ground.worker_settings(**SMALL)):
        done = await ended(ground, tenant)

    assert (state, "PROVIDER_UNAVAILABLE" if state == FAILED else "") == (done.state, done.reason)


async def cancelling(ground: Ground) -> Backfills:
    """Return the use cases, without wake-ups."""
    async with WakeQueue.open(None, "processor") as wakes:
        return Backfills(ground.processor, wakes, ground.worker_settings(), SystemClock())


@PROVIDERS
async def test_a_cancelled_backfill_ends_at_once_stays_cancelled_and_leaves_room_for_another(
    ground: Ground, provider: str
) -> None:
    tenant = await ground.tenant(provider)
    await ground.control.load_old(tenant.address, 12, days=20)
    slow = {"endpoint": LISTS[provider], "account": tenant.address, "seconds": 2.0}
    requests = await cancelling(ground)
    async with running(ground.worker_settings(**SMALL)):
        await ground.control.add_fault("latency", **slow)
        await begin(ground, tenant)

        async def is_listing() -> bool:
            return await ground.control.call_count(endpoint=LISTS[provider], account=tenant.address) > 0

        await ground.until(is_listing, what="a worker lists")
        first = await requests.cancel(tenant.tenant_id)
        again = await requests.cancel(tenant.tenant_id)
        await ground.settled()
        left = await read(ground, tenant)
        await ground.control.clear_faults()
        await begin(ground, tenant)
        done = await ended(ground, tenant)
        late = await requests.cancel(tenant.tenant_id)
    ids = [mail["id"] for mail in (await ground.control.truth(tenant.address))["messages"]]

    assert first is not None
    assert (CANCELLED, first, first) == (first.state, again, left)
    assert (FINISHED, done) == (done.state, late)
    assert Counter(ids) == await created(ground, tenant)


@PROVIDERS
async def test_a_cancelled_backfill_leaves_no_lookup_of_a_mail_that_only_it_has_reported(
    ground: Ground, provider: str
) -> None:
    tenant = await ground.tenant(provider)
    await ground.control.load_old(tenant.address, 6, days=20)
    for endpoint in FETCHES[provider]:
        await ground.control.add_fault("status", endpoint=endpoint, account=tenant.address, status=503)
    requests = await cancelling(ground)
    mine = "SELECT count(*) FROM processor.lookups WHERE tenant_id = $1 AND kinds = ARRAY['backfilled']"
    async with running(ground.worker_settings(**SLOW, announce_after_seconds=600)):
        await begin(ground, tenant)

        async def is_looked_up() -> bool:
            return await ground.processor.fetchval(mine, tenant.tenant_id) == SLOW["commit_messages"]

        await ground.until(is_looked_up, what="the mails of a page are to be looked up")
        # Another report of a mail: its lookup stays, and is none of the backfill any more.
        other = await ground.processor.fetchval(
            "UPDATE processor.lookups SET kinds = kinds || '{updated}', due_at = now() + interval '1 hour' WHERE"
            " message_id = (SELECT min(message_id) FROM processor.lookups WHERE tenant_id = $1) RETURNING message_id",
            tenant.tenant_id,
        )
        await requests.cancel(tenant.tenant_id)
        await requests.cancel(tenant.tenant_id)
    left = await ground.processor.fetch(
        "SELECT message_id, kinds FROM processor.lookups WHERE tenant_id = $1", tenant.tenant_id
    )
    events = await ground.events(tenant)
    await ground.control.clear_faults()
    async with running(ground.worker_settings(**SMALL)):
        await begin(ground, tenant)
        await ended(ground, tenant)
    ids = [mail["id"] for mail in (await ground.control.truth(tenant.address))["messages"]]

    assert ([], [(other, ["updated"])]) == (events, [tuple(row) for row in left])
    assert Counter(ids) == await created(ground, tenant)


async def test_a_page_under_way_leaves_no_lookup_of_a_backfill_that_is_cancelled(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    await ground.control.load_old(tenant.address, 6, days=20)
    for endpoint in FETCHES["ms365"]:
        await ground.control.add_fault("status", endpoint=endpoint, account=tenant.address, status=503)
    await begin(ground, tenant)

    async def left() -> int:
        return int(
            await ground.processor.fetchval(
                "SELECT count(*) FROM processor.lookups WHERE tenant_id = $1", tenant.tenant_id
            )
        )

    async def is_saved() -> bool:
        return await left() == SLOW["commit_messages"]

    async def is_dropped() -> bool:
        return await left() == 0

    # The worker reads the backfill as running, and saves its page before the cancellation is committed.
    async with AsyncExitStack() as worker:
        async with db.transaction(ground.processor) as connection:
            assert await backfills.cancel(connection, tenant.tenant_id, datetime.now(UTC))
            await worker.enter_async_context(running(ground.worker_settings(**SLOW, announce_after_seconds=600)))
            await ground.until(is_saved, what="the lookups of a page are to be saved")
        await ground.until(is_dropped, what="no lookup is to stay")
    assert CANCELLED == (await read(ground, tenant)).state


async def test_cancelling_asks_for_a_tenant_and_needs_no_backfill(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    requests = await cancelling(ground)

    assert None is await requests.cancel(tenant.tenant_id)
    with pytest.raises(TenantNotFound):
        await requests.cancel("019a9f0e-7c1e-7000-8000-00000000abcd")
