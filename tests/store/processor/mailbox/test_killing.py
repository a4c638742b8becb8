"""A worker is killed at every step between claim and acknowledgement; the store is checked after each."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.processor.worker import running
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def gate(ground: Ground, name: str) -> AsyncIterator[asyncio.Event]:
    """Stop the worker at a gate of Ingest or TokenVault."""
    reached = ground.gates.close(name)
    try:
        yield reached
    finally:
        ground.gates.open(name)


@asynccontextmanager
async def hanging(ground: Ground, endpoint: str, address: str, skip: int = 0) -> AsyncIterator[Any]:
    """Let the provider delay its answer to the worker, once it has answered some calls."""
    await ground.control.add_fault("hang", endpoint=endpoint, account=address, seconds=90, skip=skip)

    class Reached:
        async def wait(self) -> None:
            async def has_come() -> bool:
                faults = await ground.control.request("GET", "/faults")
                return any(fault["struck"] for fault in faults)

            await ground.until(has_come)

    try:
        yield Reached()
    finally:
        await ground.control.clear_faults()


@asynccontextmanager
async def locked(ground: Ground, table: str) -> AsyncIterator[Any]:
    """Hold a lock for which the worker's transaction has to wait."""
    async with ground.processor.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(f"LOCK TABLE processor.{table} IN SHARE MODE")

        class Reached:
            async def wait(self) -> None:
                async def is_waiting() -> bool:
                    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass"
                    return bool(await connection.fetchval(waiting, f"processor.{table}"))

                await ground.until(is_waiting)

        try:
            yield Reached()
        finally:
            await transaction.rollback()


def place(name: str, ground: Ground, address: str, provider: str) -> Any:
    """Return the steps between claim and acknowledgement, by name."""
    endpoint = "graph.messages.get" if provider == "ms365" else "gmail.messages.get"
    steps: dict[str, Callable[[], Any]] = {
        "claimed and not answered": lambda: gate(ground, "claimed"),
        "before the token": lambda: gate(ground, "token"),
        "while fetching": lambda: hanging(ground, endpoint, address),
        "reading history": lambda: hanging(ground, "gmail.history.list", address),
        "in the transaction, before notes": lambda: locked(ground, "messages"),
        "in the transaction, at the events": lambda: locked(ground, "event_keys"),
        "committed, not acknowledged": lambda: gate(ground, "acking"),
        "acknowledged, answer lost": lambda: gate(ground, "acked"),
    }
    return steps[name]()


STEPS = (
    "claimed and not answered",
    "before the token",
    "while fetching",
    "in the transaction, before notes",
    "in the transaction, at the events",
    "committed, not acknowledged",
    "acknowledged, answer lost",
)
COMMITTED = {"committed, not acknowledged", "acknowledged, answer lost"}


@pytest.mark.parametrize("step", STEPS)
async def test_a_graph_mail_is_one_event_wherever_its_worker_dies(ground: Ground, tmp_path: Path, step: str) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Dies")
    await ground.notify(tenant, "created", mail)
    await _killed_at(ground, tmp_path, place(step, ground, tenant.address, "ms365"))

    assert (1 if step in COMMITTED else 0) == len(await ground.events(tenant))
    assert (0 if step == "acknowledged, answer lost" else 1) == await ground.pending(tenant)
    before = await ground.events(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
    events = await ground.events(tenant)
    assert [mail["id"]] == [event.message_id for event in events]
    assert [event.event_id for event in before] == [event.event_id for event in events][: len(before)]


@pytest.mark.parametrize("step", [*STEPS, "reading history"])
async def test_a_gmail_mail_is_one_event_wherever_its_worker_dies(ground: Ground, tmp_path: Path, step: str) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
    mail = await ground.control.deliver(tenant.address, subject="Dies")
    await ground.push_present(tenant)
    await _killed_at(ground, tmp_path, place(step, ground, tenant.address, "googlews"))

    assert (1 if step in COMMITTED else 0) == len(await ground.events(tenant))
    async with running(ground.worker_settings()):
        await ground.settled()
    assert [mail["id"]] == [event.message_id for event in await ground.events(tenant)]


async def test_a_worker_that_is_stopped_finishes_its_leased_items(ground: Ground, tmp_path: Path) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Ends")
    await ground.notify(tenant, "created", mail)
    with worker_process(ground, tmp_path, grace_seconds=25.0) as worker:
        async with gate(ground, "token") as reached:
            await asyncio.wait_for(reached.wait(), PATIENCE)
            worker.send_signal(signal.SIGTERM)
        assert 0 == await asyncio.to_thread(worker.wait, 30)
    assert ([mail["id"]], 0) == (
        [event.message_id for event in await ground.events(tenant)],
        await ground.pending(tenant),
    )


async def test_a_worker_that_is_stopped_returns_items_that_it_cannot_finish(ground: Ground, tmp_path: Path) -> None:
    tenant = await ground.tenant("ms365")
    mail = await ground.control.deliver(tenant.address, subject="Ends")
    await ground.notify(tenant, "created", mail)
    with worker_process(ground, tmp_path, grace_seconds=0.2) as worker:
        async with hanging(ground, "graph.messages.get", tenant.address) as reached:
            await reached.wait()
            worker.send_signal(signal.SIGTERM)
            assert 0 == await asyncio.to_thread(worker.wait, 30)
            attempts = await ground.ingest.fetchval(
                "SELECT attempts FROM ingest.items WHERE tenant_id = $1", tenant.tenant_id
            )
            held = await ground.ingest.fetchval(
                "SELECT lease_until FROM ingest.mailboxes WHERE tenant_id = $1", tenant.tenant_id
            )
    assert (0, None) == (attempts, held)


async def _killed_at(ground: Ground, folder: Path, step: Any) -> None:
    with worker_process(ground, folder) as worker:
        async with step as reached:
            await asyncio.wait_for(reached.wait(), PATIENCE)
            worker.kill()
            await asyncio.to_thread(worker.wait, 30)
            # The server may notice the death later than the test does, and would continue the dead worker's statement.
            ground.gates.lose()
    await end_holds(ground)
