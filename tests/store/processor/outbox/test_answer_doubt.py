"""An answer is one mail without a spare draft, after any answer of Exchange and wherever its worker dies."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.processor.outbox.rows import State
from services.processor.worker import running
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.outbox.doubting import ONCE, has_struck
from tests.store.processor.outbox.sending import HASTE, Outgoing
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)


ANSWER, SEND = "graph.messages.create_reply", "graph.messages.send"


CONTENT = "graph.messages.update"


DISCARD = "graph.messages.permanent_delete"


ANSWER_STEPS: dict[str, tuple[str, str]] = {
    "before Exchange prepares it": (ANSWER, "before"),
    "after Exchange has prepared it": (ANSWER, "after"),
    "after its content and its mark": (CONTENT, "after"),
    "after the submission": (SEND, "after"),
}


@pytest.mark.parametrize("step", ANSWER_STEPS)
async def test_an_answer_is_one_mail_and_no_draft_wherever_its_worker_dies(
    ground: Ground, tmp_path: Path, step: str
) -> None:
    outgoing = await Outgoing.of(ground)
    endpoint, phase = ANSWER_STEPS[step]
    await ground.control.add_fault("hang", endpoint=endpoint, account=outgoing.tenant.address, phase=phase, seconds=90)
    row = await outgoing.answer()
    with worker_process(ground, tmp_path, **HASTE) as worker:
        await ground.until(lambda: has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    await _is_one_answer(outgoing, row.send_id)


async def test_a_worker_that_dies_while_it_clears_a_spare_leaves_no_draft(ground: Ground, tmp_path: Path) -> None:
    outgoing = await Outgoing.of(ground)
    account = outgoing.tenant.address
    await ground.control.add_fault("close", endpoint=ANSWER, account=account, phase="after", count=1)
    await ground.control.add_fault("hang", endpoint=DISCARD, account=account, seconds=90)
    row = await outgoing.answer()
    with worker_process(ground, tmp_path, **HASTE) as worker:
        await ground.until(lambda: has_struck(ground, DISCARD), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    await _is_one_answer(outgoing, row.send_id)


@pytest.mark.parametrize(("status", "left"), [(503, 0), (403, 1)])
async def test_a_spare_is_deleted_before_the_answer_unless_that_is_refused(
    ground: Ground, status: int, left: int
) -> None:
    outgoing = await Outgoing.of(ground)
    account = outgoing.tenant.address
    await ground.control.add_fault("status", endpoint=ANSWER, account=account, status=500, phase="after", count=1)
    await ground.control.add_fault("status", endpoint=DISCARD, account=account, status=status, count=1)
    row = await outgoing.answer()
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    assert ["RE: Offer"] == [mail["subject"] for mail in await outgoing.received()]
    assert left == len(await outgoing.own(drafts=True))


@pytest.mark.parametrize(
    "fault",
    [
        ("close", {"endpoint": ANSWER, "phase": "after", **ONCE}),
        ("status", {"endpoint": ANSWER, "status": 500, "phase": "after", **ONCE}),
        ("close", {"endpoint": CONTENT, "phase": "after", **ONCE}),
        ("status", {"endpoint": CONTENT, "status": 412, **ONCE}),
        ("close", {"endpoint": SEND, "phase": "after", **ONCE}),
    ],
)
async def test_a_fault_makes_no_second_answer(ground: Ground, fault: tuple[str, dict[str, Any]]) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.control.set(graph_sent_ids="changed")
    await ground.control.add_fault(fault[0], account=outgoing.tenant.address, **fault[1])
    row = await outgoing.answer()
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    await _is_one_answer(outgoing, row.send_id)


async def _is_one_answer(outgoing: Outgoing, send_id: str) -> None:
    row = await outgoing.read(send_id)
    assert State.SENT is row.state, row
    assert ["RE: Offer"] == [mail["subject"] for mail in await outgoing.received()]
    assert [] == await outgoing.own(drafts=True)
    assert ["send.sent"] == [event.event_type for event in await outgoing.events()]
