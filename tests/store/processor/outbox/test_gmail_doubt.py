"""A send of Gmail is one mail or uncertain, and never two mails, after any answer and wherever its worker dies."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.processor.outbox.rows import State
from services.processor.worker import running
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.outbox.doubting import ONCE, has_struck, is_one_mail, is_submitted
from tests.store.processor.outbox.sending import HASTE, Outgoing
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)


GOOGLE_SEND, GOOGLE_CREATE = "gmail.drafts.send", "gmail.drafts.create"


GOOGLE_FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "accepted, and answered 500": ("status", {"endpoint": GOOGLE_SEND, "status": 500, "phase": "after", **ONCE}),
    "accepted, and answered 503 with a time": (
        "status",
        {"endpoint": GOOGLE_SEND, "status": 503, "retry_after": 1, "phase": "after", **ONCE},
    ),
    "answered 200, and not taken": ("status", {"endpoint": GOOGLE_SEND, "status": 200, **ONCE}),
    "not accepted, and answered 504": ("status", {"endpoint": GOOGLE_SEND, "status": 504, **ONCE}),
    "throttled": ("status", {"endpoint": GOOGLE_SEND, "status": 429, "retry_after": 1, **ONCE}),
    "a token refused": ("status", {"endpoint": GOOGLE_SEND, "status": 401, **ONCE}),
    "a draft made, and answered 500": (
        "status",
        {"endpoint": GOOGLE_CREATE, "status": 500, "phase": "after", **ONCE},
    ),
}


@pytest.mark.parametrize(
    ("fault", "ids"),
    [*((fault, "changed") for fault in GOOGLE_FAULTS), ("accepted, and answered 500", "kept")],
)
async def test_a_fault_of_gmail_makes_no_second_mail(ground: Ground, fault: str, ids: str) -> None:
    outgoing = await Outgoing.of(ground, "googlews", labels=())
    kind, facts = GOOGLE_FAULTS[fault]
    await ground.control.set(gmail_sent_draft_ids=ids)
    await ground.control.add_fault(kind, account=outgoing.tenant.address, **facts)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    await is_one_mail(outgoing, sent.send_id)


GOOGLE_KILLS: dict[str, tuple[str, str]] = {
    "before the anchor": ("gmail.profile", "after"),
    "before the draft": (GOOGLE_CREATE, "before"),
    "after the draft": (GOOGLE_CREATE, "after"),
    "before the submission": (GOOGLE_SEND, "before"),
    "after the submission": (GOOGLE_SEND, "after"),
    "before the copy is looked up": ("gmail.messages.get", "before"),
}


@pytest.mark.parametrize("step", GOOGLE_KILLS)
async def test_a_send_of_gmail_is_one_mail_wherever_its_worker_dies(ground: Ground, tmp_path: Path, step: str) -> None:
    outgoing = await Outgoing.of(ground, "googlews", labels=())
    endpoint, phase = GOOGLE_KILLS[step]
    await ground.control.add_fault("hang", endpoint=endpoint, account=outgoing.tenant.address, phase=phase, seconds=90)
    row = await outgoing.accept()
    with worker_process(ground, tmp_path, **HASTE) as worker:
        await ground.until(lambda: has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    await is_one_mail(outgoing, sent.send_id)


async def test_a_history_that_gmail_has_dropped_leaves_a_submitted_mail_uncertain(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground, "googlews", labels=())
    account = outgoing.tenant.address
    await ground.control.add_fault("status", endpoint=GOOGLE_SEND, status=504, phase="after", count=1)
    await ground.control.add_fault("status", endpoint="gmail.history.list", status=503, account=account)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        await ground.until(lambda: is_submitted(outgoing, row.send_id))
        await ground.control.expire_history(account)
        await ground.control.clear_faults()
        uncertain = await outgoing.ended(row.send_id)

    assert (State.UNCERTAIN, "SEND_OUTCOME_UNKNOWN") == (uncertain.state, uncertain.reason)
    assert "history does not reach back" in uncertain.detail
    assert (1, ["send.uncertain"]) == (
        len(await outgoing.received()), [event.event_type for event in await outgoing.events()]
    )  # fmt: skip
