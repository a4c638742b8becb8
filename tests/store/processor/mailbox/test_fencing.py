"""A worker is frozen past its lease, another takes over, the first one thaws: none of its writes is accepted."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from services.meshkit import db
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.store.mailboxes import FencedError
from services.processor.mailbox.transaction import Transactions
from services.processor.worker import running
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.mailbox.test_killing import gate, hanging
from tests.store.processor.stream.conftest import TENANT
from tests.store.processor.workers import log_of, worker_process

pytestmark = pytest.mark.timeout(300)


async def test_the_late_writes_of_a_frozen_worker_are_refused(ground: Ground, tmp_path: Path) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Frozen")
    await ground.notify(tenant, "created", mail)
    with worker_process(ground, tmp_path) as frozen:
        async with hanging(ground, "graph.messages.get", tenant.address) as reached:
            await reached.wait()
            frozen.send_signal(signal.SIGSTOP)
        fence = await _fence(ground, tenant.tenant_id)
        async with running(ground.worker_settings()):
            await ground.settled()
        assert await _fence(ground, tenant.tenant_id) > fence
        before = await ground.events(tenant)
        frozen.send_signal(signal.SIGCONT)

        async def is_refused() -> bool:
            return "lease lost" in log_of(tmp_path)

        await ground.until(is_refused)
    assert [mail["id"]] == [event.message_id for event in before]
    assert [event.event_id for event in before] == [event.event_id for event in await ground.events(tenant)]


async def test_an_acknowledgement_with_an_old_fence_is_refused(ground: Ground, tmp_path: Path) -> None:
    tenant = await ground.tenant("ms365")
    await ground.notify(tenant, "created", await ground.control.deliver(tenant.address, subject="One"))
    with worker_process(ground, tmp_path) as frozen:
        async with gate(ground, "token") as reached:
            await asyncio.wait_for(reached.wait(), PATIENCE)
            frozen.send_signal(signal.SIGSTOP)
        async with running(ground.worker_settings()):
            await ground.settled()
            later = await ground.control.deliver(tenant.address, subject="Two")
            frozen.send_signal(signal.SIGCONT)
            await ground.notify(tenant, "created", later)
            await ground.settled()

    assert 2 == len(await ground.events(tenant))


async def test_long_work_keeps_its_hold(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    await ground.notify(tenant, "created", await ground.control.deliver(tenant.address, subject="Long"))
    await ground.control.add_fault("latency", endpoint="graph.messages.get", account=tenant.address, seconds=7, count=1)
    async with running(ground.worker_settings()), running(ground.worker_settings()):
        await ground.settled()

    assert 1 == len(await ground.control.calls(endpoint="graph.messages.get", account=tenant.address))
    assert 1 == len(await ground.events(tenant))


async def _open(transactions: Transactions, fence: int) -> None:
    day = timedelta(days=1)
    async with transactions.reading() as connection:
        await connection.execute("SET synchronous_commit = on")  # the servers of tests wait for no disk
        await mailboxes.open_mailbox(
            connection, TENANT, fence, None, is_polled=False, is_watched=True, reconcile_within=day
        )
        assert "on" == await connection.fetchval("SHOW synchronous_commit")


async def _commit(transactions: Transactions, fence: int) -> None:
    async with transactions.fenced(TENANT, fence):
        pass


async def test_a_holder_whose_raised_fence_is_lost_commits_nothing(pool: db.Pool) -> None:
    """PostgreSQL crashed right after the fence was raised: the row is as before, both holders are alive."""
    transactions = Transactions(pool)
    await _open(transactions, 4)
    await _open(transactions, 5)
    async with transactions.reading() as connection:
        await connection.execute("UPDATE processor.mailboxes SET fence = 4 WHERE tenant_id = $1", TENANT)

    with pytest.raises(FencedError):
        await _commit(transactions, 5)
    await _commit(transactions, 4)
    await _open(transactions, 6)
    with pytest.raises(FencedError):
        await _commit(transactions, 4)
    await _commit(transactions, 6)


async def _fence(ground: Ground, tenant_id: str) -> int:
    return int(await ground.processor.fetchval("SELECT fence FROM processor.mailboxes WHERE tenant_id = $1", tenant_id))
