"""A failing mailbox does not delay the others; many workers and one worker produce the same result."""

import statistics
import time
from typing import Any

import pytest

from services.processor.mail import threads
from services.processor.worker import running
from tests.store.processor.ground import Ground

pytestmark = pytest.mark.timeout(300)
THROTTLED_SECONDS = 5
HANGING_SECONDS = 60


async def test_a_heavily_throttled_mailbox_does_not_change_the_lag_of_others(woken_ground: Ground) -> None:
    ground = woken_ground
    bad, good = await ground.tenant("ms365"), await ground.tenant("ms365")
    async with running(ground.worker_settings()):
        alone = [await _lag(ground, good) for _ in range(15)]
        await ground.control.add_fault(
            "status", endpoint="graph.*", status=429, retry_after=THROTTLED_SECONDS, account=bad.address
        )
        for mail in (await ground.control.generate(bad.address, 40))["messages"]:
            await ground.notify(bad, "created", mail)
        beside = [await _lag(ground, good) for _ in range(15)]
        await ground.control.clear_faults()
        await ground.settled()

    assert 40 == len(await ground.events(bad))
    # A mailbox that waited with the throttled one would wait as long as it does.
    assert statistics.median(beside) < statistics.median(alone) + THROTTLED_SECONDS / 5
    assert max(beside) < THROTTLED_SECONDS


async def test_a_mailbox_whose_provider_hangs_does_not_change_the_lag_of_others(woken_ground: Ground) -> None:
    ground = woken_ground
    bad, good = await ground.tenant("ms365"), await ground.tenant("ms365")
    async with running(ground.worker_settings()):
        await ground.control.add_fault("hang", endpoint="graph.*", seconds=HANGING_SECONDS, account=bad.address)
        for mail in (await ground.control.generate(bad.address, 40))["messages"]:
            await ground.notify(bad, "created", mail)
        beside = [await _lag(ground, good) for _ in range(15)]

    assert max(beside) < HANGING_SECONDS / 6


async def test_many_workers_give_the_same_result_as_one(ground: Ground) -> None:
    tenants = [await ground.tenant("ms365") for _ in range(3)] + [await ground.tenant("googlews") for _ in range(3)]
    expected = []
    for tenant in tenants:
        if tenant.provider == "googlews":
            await ground.begin(tenant)
        for mail in (await ground.control.generate(tenant.address, 30))["messages"]:
            expected.append(mail["id"])
            if tenant.provider == "ms365":
                await ground.notify(tenant, "created", mail)
        if tenant.provider == "googlews":
            await ground.push_present(tenant)
    settings = ground.worker_settings()
    async with running(settings), running(settings), running(settings):
        await ground.settled()

    assert sorted(expected) == sorted(event.message_id for event in await ground.events())


async def _lag(ground: Ground, tenant: object) -> float:
    """Return the seconds from a notification's acceptance to its event."""
    mail = await ground.control.deliver(tenant.address, subject="Quick")  # type: ignore[attr-defined]
    began = time.monotonic()
    await ground.notify(tenant, "created", mail)  # type: ignore[arg-type]

    async def is_told() -> bool:
        found = "SELECT count(*) FROM processor.messages WHERE message_id = $1"
        return bool(await ground.processor.fetchval(found, mail["id"]))

    await ground.until(is_told)
    return time.monotonic() - began


async def test_a_message_that_makes_our_own_code_fail_takes_down_no_other(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    assign = threads.Threads.assign
    for provider in ("ms365", "googlews"):
        tenant = await ground.tenant(provider)
        if provider == "googlews":
            await ground.begin(tenant)
        mails = (await ground.control.generate(tenant.address, 5))["messages"]
        poisonous = mails[2]["id"]

        def fail(self: Any, message_id: str, poison: str = poisonous) -> Any:
            if message_id == poison:
                raise ZeroDivisionError
            return assign(self, message_id)

        with monkeypatch.context() as patch:
            patch.setattr(threads.Threads, "assign", fail)
            async with running(ground.worker_settings()):
                for mail in mails if provider == "ms365" else ():
                    await ground.notify(tenant, "created", mail)
                if provider == "googlews":
                    await ground.push_present(tenant)
                await ground.settled()

        told = {event.message_id: event.mail.is_enriched for event in await ground.events(tenant)}
        assert {mail["id"]: mail["id"] != poisonous for mail in mails} == told
