"""Backfills beyond one page: cuts, mails of one second, throttling, and the end of a backfill that does not get on."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.processor.mail.store import backfills
from services.processor.mail.store.backfills import FAILED, FINISHED, BackfillRow
from services.processor.worker import running
from tests.store.processor.ground import Ground

PROVIDERS = pytest.mark.parametrize("provider", ["ms365", "googlews"])
LISTS = {"ms365": "graph.messages.list", "googlews": "gmail.messages.list"}
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
